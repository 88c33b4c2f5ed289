"""Every method on models that look both ways: against brute force by Transformers' own forward, or refused in one sentence."""

import numpy as np
import pytest
import tiny
import tiny_both_ways as both
import tiny_lm
import torch

import redviz
from redviz.credit.from_models import gradient_inputs
from redviz.credit.from_models.coalitions import players_of, value_function
from redviz.errors import RedvizError
from redviz.evaluation.faithfulness.sensitivity import max_sensitivity
from redviz.models.running.budgets import AT_ONCE

PROMPT, RESPONSE = "Review the film , please.", "A warm, funny film. Dull mess!"
ALL = sorted(both.ARCHITECTURES)
TRIED = ("red", "red_closed", "truncation", "abc", "rollout", "sparse", "uniform")
TRIED += ("ig", "grad_x_input", "saliency", "gradient_shap", "p2t", "occlusion", "shapley", "lime", "kernel_shap")
REFUSED = ("attention_norm", "deeplift")
OF_STEPS = ("process",)
OF_POLICIES = ("abc_d", "dpo", "rto", "sepo", "tdpo", "treg", "kl")


def analyzed(architecture, methods, response=RESPONSE):
    return redviz.analyze(both.model(architecture), PROMPT, response, methods)


def gradients(model, encoding, response):
    """Autograd of the model's own forward at these embeddings of the response: ``[B, T, D]``."""
    whole = both.embedded(model, encoding)
    moving = response.clone().requires_grad_()
    count = len(response)
    before, after = whole[:, : encoding.start], whole[:, encoding.stop :]
    text = torch.cat([before.expand(count, -1, -1), moving, after.expand(count, -1, -1)], 1)
    (found,) = torch.autograd.grad(both.own_score_of(model, encoding, text).sum(), moving)
    return found


def response_of(model, encoding):
    return both.embedded(model, encoding)[:, encoding.start : encoding.stop]


def pad_of(model):
    return model.module.get_input_embeddings().weight[0].detach()


def test_every_method_is_tried_here():
    assert {*TRIED, *REFUSED, *OF_STEPS, *OF_POLICIES} == set(redviz.methods())


# ---------------------------------------------------------------- prefixes


@pytest.mark.parametrize("architecture", ALL)
def test_closed_and_open_prefixes_are_one(architecture):
    model = both.model(architecture)
    found = analyzed(architecture, {"red": {}, "red_closed": {}, "half": {"method": "red_closed", "beta_c": 0.5}})
    brute = both.brute_prefixes(model, found.observation.encoding)
    assert found.credits["red"].values == pytest.approx(np.diff(brute), abs=1e-4)
    assert found.credits["red_closed"].values.tolist() == found.credits["red"].values.tolist()
    assert found.credits["red_closed"].meta["closing_tokens"] == 1
    assert found.credits["red_closed"].meta["closed_scores"] == pytest.approx(brute, abs=1e-4)
    assert abs(found.credits["half"].residual) < 1e-5


@pytest.mark.parametrize("template", ["closed", "open"])
def test_closed_prefixes_where_the_last_token_is_read(template):
    model = tiny.model("Gemma3Text", template, use_bidirectional_attention=True)
    found = redviz.analyze(model, PROMPT, RESPONSE, ["red", "red_closed", "truncation", "occlusion", "ig"])
    assert found.credits["red_closed"].values.tolist() == found.credits["red"].values.tolist()
    encoding = found.observation.encoding
    for t in (0, 3):  # whole texts, each alone
        ids = np.delete(encoding.ids, encoding.start + t)
        assert found.credits["occlusion"].values[t] == pytest.approx(found.score - tiny.own_score(model, ids), abs=1e-4)
    last = np.delete(encoding.ids, encoding.stop - 1)
    assert found.credits["occlusion"].values[-1] == pytest.approx(found.score - tiny.own_score(model, last), abs=1e-4)
    assert abs(found.credits["ig"].residual) <= found.credits["ig"].meta["tolerance"] * 1.01
    assert found.credits["truncation"].reference == found.base


@pytest.mark.parametrize("operator", ["mask", "pad"])
def test_the_last_token_that_stays_is_read_where_the_last_is_away(operator):
    model = tiny.model("Gemma3Text", "open", use_bidirectional_attention=True)
    observation = redviz.analyze(model, PROMPT, RESPONSE, ["red"]).observation
    encoding = observation.encoding
    players = players_of(observation, "token")
    rows = torch.ones(1, len(players))
    rows[0, -2:] = 0
    found = value_function(model, observation, players, operator)(rows, None)
    with tiny.native(model) as module, torch.inference_mode():
        whole, mask = both.embedded(model, encoding), torch.ones(1, len(encoding.ids), dtype=torch.long)
        if operator == "mask":
            mask[0, encoding.stop - 2 : encoding.stop] = 0
        else:
            pad = torch.tensor([[model.tokenizer.pad_token_id]])
            whole[:, encoding.stop - 2 : encoding.stop] = module.get_input_embeddings()(pad)
        hidden = module.base_model(inputs_embeds=whole, attention_mask=mask).last_hidden_state
        brute = module.score(hidden)[0, encoding.stop - 3, 0]
    assert float(found[0]) == pytest.approx(float(brute), abs=1e-4)


@pytest.mark.parametrize("architecture", ALL)
@pytest.mark.parametrize("players", ["token", "word"])
def test_truncation_encodes_every_cut_text(architecture, players):
    model = both.model(architecture)
    found = analyzed(architecture, {"truncation": {"players": players}})
    units = players_of(found.observation, players)
    scores = [found.base]
    for unit in units:
        text = model.tokenizer(PROMPT, RESPONSE[: unit.end])
        scores.append(both.own_score(model, text["input_ids"], text["token_type_ids"]))
    assert found.credits["truncation"].meta["prefix_scores"] == pytest.approx(scores, abs=1e-4)


# ---------------------------------------------------------------- attention


@pytest.mark.parametrize("architecture", both.SHOWS_ATTENTION)
@pytest.mark.parametrize("row", ["response", "pooling"])
def test_abc_and_rollout_read_the_eager_kernels_rows(architecture, row):
    model = both.model(architecture)
    found = analyzed(architecture, {"abc": {"row": row, "layer": 1}, "rollout": {"row": row}})
    encoding = found.observation.encoding
    types = {"token_type_ids": torch.as_tensor(encoding.types)[None]} if architecture != "Roberta" else {}
    with tiny.native(model) as module, torch.inference_mode():
        out = module.base_model(torch.as_tensor(encoding.ids)[None], output_attentions=True, **types)
    maps = torch.stack(out.attentions)[:, 0].double().mean(1).numpy()  # [layer, L, L]
    column = encoding.stop - 1 if row == "response" else 0
    own = slice(encoding.start, encoding.stop)
    assert found.credits["abc"].values == pytest.approx(
        found.score * maps[1, column, own] / maps[1, column, own].sum(), abs=1e-4
    )
    product = np.eye(len(encoding.ids))
    for one in maps:
        product = (0.5 * one + 0.5 * np.eye(len(one))) @ product
    shares = product[column, own] / product[column, own].sum()
    assert found.credits["rollout"].values == pytest.approx(found.score * shares, abs=1e-4)


@pytest.mark.parametrize("method", ["abc", "rollout", "attention_norm"])
def test_no_attention_is_said_where_the_kernel_shows_none(method):
    with pytest.raises(RedvizError, match="shows no attention weights"):
        analyzed("DebertaV2", [method])


@pytest.mark.parametrize(("architecture", "method"), [(a, m) for a in ALL for m in (*REFUSED, *OF_STEPS)])
def test_refused_in_one_sentence(architecture, method):
    with pytest.raises(RedvizError, match="use (abc|ig|red)") as caught:
        analyzed(architecture, [method])
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("architecture", ALL)
def test_gradients_are_autograds_of_the_models_own_forward(architecture):
    model = both.model(architecture)
    found = analyzed(architecture, {"saliency": {}, "p2t": {"form": "raw"}})
    encoding = found.observation.encoding
    response = response_of(model, encoding)
    gradient = gradients(model, encoding, response)[0]
    assert found.credits["saliency"].values == pytest.approx(gradient.norm(dim=-1).numpy(), rel=1e-3)
    raw = (gradient * (response[0] - pad_of(model))).sum(-1).numpy()
    assert found.credits["p2t"].values == pytest.approx(raw, abs=1e-3)
    if architecture == "DebertaV2":
        with pytest.raises(RedvizError, match="normalises embeddings first"):
            analyzed(architecture, ["grad_x_input"])
    else:
        product = analyzed(architecture, ["grad_x_input"]).credits["grad_x_input"].values
        assert product == pytest.approx((gradient * response[0]).sum(-1).numpy(), abs=1e-3)


@pytest.mark.parametrize("architecture", ALL)
def test_integrated_gradients_are_those_of_the_whole_text(architecture):
    model = both.model(architecture)
    found = analyzed(architecture, {"ig": {"steps": 32}, "gradient_shap": {"samples": 8}})
    encoding = found.observation.encoding
    response, start = response_of(model, encoding), pad_of(model)
    nodes, weights = np.polynomial.legendre.leggauss(32)
    total = torch.zeros_like(response)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        total += float(weight) * gradients(model, encoding, start + float(node) * (response - start))
    values = (total * (response - start)).sum(-1)[0].numpy()
    credit = found.credits["ig"]
    assert credit.values == pytest.approx(values, abs=2e-3)
    whole = both.embedded(model, encoding).clone()
    whole[:, encoding.start : encoding.stop] = start
    assert credit.reference == pytest.approx(float(both.own_score_of(model, encoding, whole)), abs=1e-4)
    assert found.credits["gradient_shap"].reference == pytest.approx(credit.reference, abs=1e-4)


@pytest.mark.parametrize("method", ["ig", "grad_x_input", "saliency", "gradient_shap", "p2t", "deeplift"])
def test_a_pad_token_in_the_text_is_refused_by_what_reads_embeddings(method):
    model = both.model("Roberta")
    with pytest.raises(RedvizError, match="pad token.*seen in ids"):
        redviz.analyze(model, PROMPT, "A [PAD] film.", [method])
    found = redviz.analyze(model, PROMPT, "A [PAD] film.", ["red", "occlusion"])
    assert found.prefix_scores == pytest.approx(both.brute_prefixes(model, found.observation.encoding), abs=1e-4)


def test_sensitivity_moves_the_response_of_a_whole_text():
    model = both.model("Bert")
    analysis = analyzed("Bert", {"ig": {"steps": 8}, "saliency": {}})
    seen = max_sensitivity(model, analysis, samples=2)
    assert all(0 < one.value < 10 for one in seen.values())
    assert max_sensitivity(model, analysis, samples=2, radius=0.2)["ig"].value > seen["ig"].value


# ---------------------------------------------------------------- policies


@pytest.mark.parametrize("method", OF_POLICIES)
def test_methods_of_policies_refuse_other_tokens(method):
    policy = tiny_lm.policy()
    with pytest.raises(RedvizError, match="cuts the response into"):
        redviz.analyze(both.model("Bert"), PROMPT, RESPONSE, [method], policy=policy, reference=policy)


def test_a_cost_model_may_look_both_ways():
    cost = both.model("Bert")
    found = redviz.analyze(cost, PROMPT, RESPONSE, {"red": {"alpha": -1.0}}, cost_model=both.model("Electra"))
    paid = redviz.analyze(both.model("Electra"), PROMPT, RESPONSE, ["red"])
    assert found.credits["red"].total == pytest.approx(0.5 * (found.score - paid.score), abs=1e-4)
    assert abs(found.credits["red"].residual) < 1e-4


def test_rows_are_counted_over_the_whole_text():
    model = both.model("Bert")
    given = gradient_inputs.gradient_inputs(model, analyzed("Bert", ["red"]).observation.encoding)
    assert given.rows * given.around.embeddings.shape[1] <= AT_ONCE["backward"]["cpu"] and not given.unread
