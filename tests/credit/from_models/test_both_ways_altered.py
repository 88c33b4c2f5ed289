"""Altered texts under models that look both ways, against Transformers' own forward of each."""

from itertools import permutations

import numpy as np
import pytest
import tiny_both_ways as both
import torch

import redviz
from redviz.credit.from_models import whole_texts
from redviz.credit.from_models.coalitions import players_of, value_function
from redviz.evaluation.faithfulness.faithfulness import faithfulness
from redviz.models.running.budgets import AT_ONCE

PROMPT, RESPONSE = "Review the film , please.", "A warm, funny film. Dull mess!"
ALL = sorted(both.ARCHITECTURES)


def analyzed(architecture, methods):
    return redviz.analyze(both.model(architecture), PROMPT, RESPONSE, methods)


def altered(model, encoding, gone, operator):
    """Transformers' own score with these response tokens (``[T]`` bool) taken away."""
    missing = np.zeros(len(encoding.ids), bool)
    missing[encoding.start : encoding.stop] = gone
    if operator == "delete":
        return both.own_score(model, encoding.ids[~missing], encoding.types[~missing])
    if operator == "mask":
        mask = torch.as_tensor(~missing)[None].long()
        return both.own_score(model, encoding.ids, encoding.types, attention_mask=mask)
    whole = both.embedded(model, encoding).clone()
    table = model.module.get_input_embeddings().weight.detach()
    whole[0, missing] = table[0] if operator == "pad" else table.mean(0)
    with torch.inference_mode():
        return float(both.own_score_of(model, encoding, whole))


@pytest.mark.parametrize("architecture", ALL)
@pytest.mark.parametrize("operator", ["delete", "pad", "mean", "mask"])
def test_a_coalition_is_worth_the_models_own_score(architecture, operator, monkeypatch):
    model = both.model(architecture)
    observation = analyzed(architecture, ["red"]).observation
    words = players_of(observation, "word")
    draws = np.random.default_rng(0).random((12, len(words))) < 0.5
    rows = np.vstack([draws, np.zeros(len(words), bool), np.ones(len(words), bool)])
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", 80)  # the same table as the prefixes'
    told = []
    found = value_function(model, observation, words, operator)(
        torch.from_numpy(rows), lambda done, total: told.append((done, total))
    )
    owner = np.repeat(np.arange(len(words)), [w.last - w.first for w in words])
    brute = [altered(model, observation.encoding, ~row[owner], operator) for row in rows]
    assert found.numpy() == pytest.approx(brute, abs=1e-4)
    assert found[-1] == observation.score and np.std(brute) > 0.01
    assert told[0][0] == 0 and told[-1][0] == told[-1][1] and len(told) > 3


@pytest.mark.parametrize("architecture", ALL)
def test_occlusion_shapley_lime_and_kernel_shap(architecture):
    model = both.model(architecture)
    text = "Dull, old mess"  # four words with the comma's
    found = redviz.analyze(
        model, PROMPT, text, {"occlusion": {}, "shapley": {}, "lime": {}, "kernel_shap": {"samples": 400}}
    )
    encoding = found.observation.encoding
    alone = [
        found.score - altered(model, encoding, np.arange(len(found.tokens)) == t, "delete")
        for t in range(len(found.tokens))
    ]
    assert found.credits["occlusion"].values == pytest.approx(alone, abs=1e-4)
    words = players_of(found.observation, "word")
    owner = np.repeat(np.arange(len(words)), [w.last - w.first for w in words])

    def worth(kept):
        return altered(model, encoding, ~np.isin(owner, list(kept)), "delete")

    exact = np.zeros(len(words))
    orders = list(permutations(range(len(words))))
    for order in orders:
        for at, player in enumerate(order):
            exact[player] += (worth(order[: at + 1]) - worth(order[:at])) / len(orders)
    per_word = [found.credits["shapley"].values[w.first : w.last].sum() for w in words]
    assert found.credits["shapley"].meta["exact"] and per_word == pytest.approx(exact, abs=1e-4)
    kernel = [found.credits["kernel_shap"].values[w.first : w.last].sum() for w in words]
    assert kernel == pytest.approx(exact, abs=0.3 * np.abs(exact).max())
    assert abs(found.credits["kernel_shap"].residual) < 1e-3
    assert found.credits["lime"].meta["r2"] > 0


def test_where_memory_runs_out_replaced_texts_run_in_smaller_batches(monkeypatch):
    expected = analyzed("Bert", {"occlusion": {"operator": "mean"}}).credits["occlusion"].values
    run, sizes = whole_texts.embedded, []

    def scarce(model, encoding):
        text = run(model, encoding)
        scores_of = type(text).scores_of

        def limited(self, model, whole, columns):
            if len(whole) > 3:
                raise torch.OutOfMemoryError
            sizes.append(len(whole))
            return scores_of(self, model, whole, columns)

        monkeypatch.setattr(type(text), "scores_of", limited)
        return text

    monkeypatch.setattr(whole_texts, "embedded", scarce)
    again = analyzed("Bert", {"occlusion": {"operator": "mean"}}).credits["occlusion"].values
    assert again == pytest.approx(expected, abs=1e-4) and max(sizes) <= 3


def test_faithfulness_runs_on_whole_texts():
    model = both.model("DebertaV2")
    analysis = analyzed("DebertaV2", ["red", "occlusion"])
    found = faithfulness(model, analysis, operator="delete", granularity="word")
    whole = np.ones(len(analysis.tokens), bool)
    assert found.nothing_left == pytest.approx(altered(model, analysis.observation.encoding, whole, "delete"), abs=1e-4)
    assert found.prefix_scores[[0, -1]] == pytest.approx([analysis.base, analysis.score], abs=1e-4)
