"""The implicit reward as a model: every prefix score against whole logits of both language models."""

import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import redviz
from redviz.cli.main import app as cli
from redviz.errors import RedvizError
from redviz.records import Example

NAME = "dpo:embedded:writer-dpo|embedded:writer"
PROMPT, RESPONSE = "Write a film review.", "A superb, moving film, and I loved it."


@pytest.fixture(scope="module")
def model():
    return redviz.load_reward_model(NAME, device="cpu", dtype="float32")


def own(policy, example):
    """Log-probabilities of the response's tokens and of the token after them."""
    encoding = policy.encode(example)
    with torch.no_grad():
        logs = policy.module(torch.as_tensor(encoding.ids[None])).logits[0].double().log_softmax(-1)
    stop = min(encoding.stop + 1, len(encoding.ids))
    return np.array([float(logs[c - 1, encoding.ids[c]]) for c in range(encoding.start, stop)])


def test_prefix_scores_are_sums_of_log_ratios(model, sentiment):
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red", "sparse", "uniform", "occlusion", "truncation"])
    example = Example(PROMPT, RESPONSE)
    ratios = 0.1 * (own(model.policy, example) - own(model.reference, example))
    count = len(analysis.tokens)
    np.testing.assert_allclose(analysis.prefix_scores, [0, *np.cumsum(ratios[:count])], atol=1e-5)
    assert analysis.score == pytest.approx(
        ratios.sum(), abs=1e-5
    )  # with the end of the turn, where the template writes it
    red = analysis.credits["red"]
    np.testing.assert_allclose(red.own, ratios[:count], atol=1e-5)
    assert red.total == pytest.approx(analysis.score) and abs(red.residual) < 1e-5
    dpo = redviz.analyze(
        sentiment, PROMPT, RESPONSE, ["dpo"],
        policy=model.policy, reference=model.reference,
    ).credits["dpo"]  # fmt: skip
    np.testing.assert_allclose(red.own, dpo.own, atol=1e-5)


def test_beta_scales_and_what_looks_inside_is_refused(model):
    twice = redviz.load_reward_model(NAME + "|0.2", device="cpu", dtype="float32")
    assert twice.score_texts(PROMPT, [RESPONSE])[0] == pytest.approx(
        2 * model.score_texts(PROMPT, [RESPONSE])[0], rel=1e-5
    )
    assert twice.source.fingerprint != model.source.fingerprint and model.source.family == "dpo"
    for method in ("abc", "ig", "process"):
        with pytest.raises(RedvizError, match="use one of|steps"):
            redviz.analyze(model, PROMPT, RESPONSE, [method])


def test_default_methods_that_it_refuses_are_told_and_left_out(model):
    for asked in ({}, {"methods": {"red": {}, "abc": {}, "ig": {}}}):  # as the library and as the command line ask
        analysis = redviz.analyze(model, PROMPT, RESPONSE, **asked)
        assert list(analysis.credits) == ["red"]
        left_out = [notice for notice in analysis.notices if notice.startswith("Left out")]
        assert len(left_out) == 2 and "abc" in left_out[0] and "ig" in left_out[1]
    with pytest.raises(RedvizError, match="abc looks inside"):
        redviz.analyze(model, PROMPT, RESPONSE, {"red": {}, "abc": {"layer": 0}, "ig": {}})


def test_what_if_splits_the_edited_response_too(model):
    (found,) = redviz.what_if(model, redviz.analyze(model, PROMPT, RESPONSE, ["red"]), ["Dull."])
    fresh = redviz.analyze(model, PROMPT, "Dull.", ["red"])
    np.testing.assert_allclose(found.after.credits["red"].values, fresh.credits["red"].values, atol=1e-5)


def test_options_that_two_language_models_have_not_are_refused():
    for given in ({"head": "1"}, {"revision": "v2"}, {"read": "last"}):
        with pytest.raises(RedvizError, match="leave --head, --revision and --read out"):
            redviz.load_reward_model(NAME, device="cpu", **given)
    assert redviz.load_reward_model(NAME, device="cpu", quantization="4bit").source.dtype == "4bit"


def test_pairs_and_the_card(model, tmp_path):
    found = redviz.compare(model, PROMPT, [RESPONSE, "Dull."], ["red"])
    assert found.margin(0, 1) == pytest.approx(
        float(np.diff(model.score_texts(PROMPT, ["Dull.", RESPONSE]))[0]), abs=1e-5
    )
    card = tmp_path / "card.json"
    done = CliRunner().invoke(cli, ["doctor", "--model", NAME, "--device", "cpu", "--json", str(card)])
    assert done.exit_code == 0, done.output
    assert {check["verdict"] for check in json.loads(card.read_text())["checks"]} <= {"green", "amber"}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("dpo:embedded:writer", "names no policy and reference"),
        ("dpo:embedded:writer-dpo|embedded:writer|x", "give a positive number"),
        ("dpo:embedded:writer-dpo|embedded:sentiment", "reward model"),
    ],
)
def test_other_names_are_refused(name, said):
    with pytest.raises(RedvizError, match=said):
        redviz.load_reward_model(name, device="cpu")
