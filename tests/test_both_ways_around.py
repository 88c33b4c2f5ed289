"""All that stands around models that look both ways: strides, batches, comparisons, edits, trainers, files, the card."""

import numpy as np
import pytest
import tiny
import tiny_both_ways as both

import redviz
from redviz.credit.recipes import recipes, stride_of
from redviz.data.results.archive import load_analysis, save_analysis
from redviz.errors import RedvizError
from redviz.evaluation.edits.text_edits import delete_span
from redviz.evaluation.faithfulness.causal import causal_checks
from redviz.models.loading.load import load_reward_model
from redviz.models.running import both_ways
from redviz.models.running.observe import observe
from redviz.models.running.shared_prompt import observe_responses
from redviz.records import Example
from redviz.text import units

PROMPT = "Review the film , please."
RESPONSE = "A warm,  funny film: the Lead is superb. Tédious mess!"
OTHER = "Dull."
ALL = sorted(both.ARCHITECTURES)


# ---------------------------------------------------------------- stride


def test_a_stride_scores_fewer_texts_and_says_so(monkeypatch):
    model = both.model("Bert")
    whole = redviz.analyze(model, PROMPT, RESPONSE, ["red"])
    rows = []
    run = both_ways._pass
    monkeypatch.setattr(both_ways, "_pass", lambda model, batch: (rows.extend(batch), run(model, batch))[1])
    found = redviz.analyze(model, PROMPT, RESPONSE, {"red": {"stride": 4}})
    size = len(found.tokens)
    assert len(rows) == len(range(0, size, 4)) + 1 < size
    marks = [*range(0, size, 4), size]
    assert found.prefix_scores[marks] == pytest.approx(whole.prefix_scores[marks], abs=1e-4)
    values = found.credits["red"].values
    for a, b in zip(marks, marks[1:], strict=False):
        assert values[a:b] == pytest.approx(
            np.full(b - a, (whole.prefix_scores[b] - whole.prefix_scores[a]) / (b - a)), abs=1e-4
        )
    assert abs(found.credits["red"].residual) < 1e-5
    assert found.credits["red"].meta["stride"] == 4
    assert any("one prefix in 4" in notice for notice in found.notices) and not whole.notices
    assert "one prefix in 4" in found.to_html()


def test_strides_of_several_methods_are_served_by_one_observation():
    model = both.model("Bert")
    asked = {"red": {"stride": 6}, "red_closed": {"stride": 4}, "uniform": {}}
    assert stride_of(recipes(asked).values()) == 2
    found = redviz.analyze(model, PROMPT, RESPONSE, asked)
    assert found.observation.stride == 2
    for label, stride in (("red", 6), ("red_closed", 4)):
        alone = redviz.analyze(model, PROMPT, RESPONSE, {label: {"stride": stride}})
        assert found.credits[label].values == pytest.approx(alone.credits[label].values, abs=1e-4)


@pytest.mark.parametrize("method", ["red", "red_closed"])
def test_a_stride_is_refused_where_one_pass_gives_all(method):
    with pytest.raises(RedvizError, match="stride is 4.*causal"):
        redviz.analyze(tiny.model(), PROMPT, RESPONSE, {method: {"stride": 4}})
    with pytest.raises(RedvizError, match="zero_first"):
        redviz.analyze(both.model("Bert"), PROMPT, RESPONSE, {"red": {"stride": 4, "initial": "zero_first"}})


# ---------------------------------------------------------------- everything around


def test_batches_comparisons_and_edits_equal_each_text_alone():
    model = both.model("Electra")
    texts = [RESPONSE, OTHER, RESPONSE + " Dull."]
    alone = [redviz.analyze(model, PROMPT, text, ["red", "abc"]) for text in texts]
    batch = list(
        redviz.analyze_batch(model, [{"prompt": PROMPT, "response": text} for text in [*texts, ""]], ["red", "abc"])
    )
    assert batch[-1].error
    compared = redviz.compare(model, PROMPT, texts, ["red", "abc"]).analyses
    for many in (batch[:3], compared):
        for one, two in zip(alone, many, strict=True):
            assert two.prefix_scores == pytest.approx(one.prefix_scores, abs=1e-4)
            assert two.credits["abc"].values == pytest.approx(one.credits["abc"].values, abs=1e-4)
    (edited,) = redviz.what_if(model, alone[0], [delete_span(0, 7)])
    again = redviz.analyze(model, PROMPT, edited.text, ["red"])
    assert edited.kept == 0 and edited.after.prefix_scores == pytest.approx(again.prefix_scores, abs=1e-4)
    assert edited.after.credits["red"].values == pytest.approx(again.credits["red"].values, abs=1e-4)


def test_no_pass_is_spent_on_a_prompt_that_cannot_be_shared():
    model = tiny.model("Gemma3Text", use_bidirectional_attention=True)
    encodings = [model.encode(Example(PROMPT, text)) for text in (RESPONSE, OTHER)]
    before = model.forwards
    expected = observe(model, encodings)
    spent = model.forwards - before
    found = observe_responses(model, encodings)
    assert model.forwards == before + 2 * spent
    for one, two in zip(expected, found, strict=True):
        assert two.prefix_scores == pytest.approx(one.prefix_scores, abs=1e-4)


def test_edits_keep_the_stride():
    model = both.model("Bert")
    before = redviz.analyze(model, PROMPT, RESPONSE, {"red": {"stride": 4}})
    (edited,) = redviz.what_if(model, before, [delete_span(0, 7)])
    assert edited.after.observation.stride == 4 and edited.after.credits["red"].meta["stride"] == 4
    assert edited.error is None


@pytest.mark.parametrize("operator", ["delete", "pad"])
def test_a_causal_check_scores_the_altered_text_alone(operator):
    model = both.model("Bert")
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red"])
    unit = units(RESPONSE, analysis.offsets, "word")[1]
    before = model.forwards
    (check,) = causal_checks(model, analysis, [unit], operator=operator)
    assert model.forwards == before + 1
    encoding = (
        analysis.observation.encoding
        if operator == "pad"
        else model.encode(Example(PROMPT, RESPONSE[: unit.start] + RESPONSE[unit.end :]))
    )
    ids = encoding.ids.copy()
    if operator == "pad":
        ids[encoding.start + unit.first : encoding.start + unit.last] = model.tokenizer.pad_token_id
    assert check.after == pytest.approx(both.own_score(model, ids, encoding.types), abs=1e-4)


def test_an_analysis_is_kept_whole_in_a_file(tmp_path):
    found = redviz.analyze(both.model("Bert"), PROMPT, RESPONSE, {"red": {"stride": 3}})
    save_analysis(found, tmp_path / "one.npz")
    again = load_analysis(tmp_path / "one.npz")
    assert (again.observation.both_ways, again.observation.stride) == (True, 3)
    assert again.observation.encoding.types.tolist() == found.observation.encoding.types.tolist()
    assert again.prefix_scores.tolist() == found.prefix_scores.tolist() and again.score == found.score


def test_a_trainer_gives_texts_not_ids():
    model = both.model("Bert")
    ids = model.encode(Example(PROMPT, RESPONSE))
    rows, mask = ids.ids[None], np.zeros((1, len(ids.ids)), int)
    mask[0, ids.start : ids.stop] = 1
    with pytest.raises(RedvizError, match="give messages"):
        redviz.token_rewards(model, rows, np.ones_like(rows), mask)
    policy = tiny.tokenizer("none")
    response = policy(RESPONSE)["input_ids"]
    rewards = redviz.token_rewards(
        model,
        np.array([response]),
        np.ones((1, len(response)), int),
        np.ones((1, len(response)), int),
        policy_tokenizer=policy,
        messages=[PROMPT],
    )
    alone = redviz.analyze(model, PROMPT, RESPONSE, ["red"])
    assert rewards.sum() == pytest.approx(alone.score - alone.base, abs=1e-3)


@pytest.mark.parametrize("architecture", ALL)
def test_the_card_is_green_and_true(architecture):
    card = redviz.check_model(both.model(architecture))
    others = [(c.name, c.figure) for c in card.checks if c.verdict != "green"]
    assert [name for name, _ in others] in ([], ["obvious_pairs"]), others  # of random weights a coin's figure
    assert "prefixes are scored one by one" in card["causality"].figure
    assert (card.reading_token, card.verified_length) == ("[CLS]", both.model(architecture).max_length)
    assert card["pad_is_eos"].title == "The score is read at the first token"
    assert "first token '[CLS]'" in card["closing_tokens"].figure and "right only" in card["padding"].figure


def test_the_card_sees_segments_left_out(monkeypatch):
    model = load_reward_model(str(both.checkpoint("Bert")), device="cpu")
    row = both_ways._inputs
    monkeypatch.setattr(
        both_ways,
        "_inputs",
        lambda m, rows: {k: v for k, v in row(m, rows).items() if k != "token_type_ids" or len(rows) == 1},
    )
    assert redviz.check_model(model)["batching"].verdict == "red"
