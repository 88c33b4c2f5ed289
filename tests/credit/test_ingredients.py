"""What methods need beside the observation: missing and broken ingredients are one sentence, and records are made once."""

import numpy as np
import pytest
import tiny
import tiny_lm
import torch

import redviz
from redviz import analyze
from redviz.batches import analyze_batch
from redviz.credit.ingredients import credit_of
from redviz.credit.recipes import METHODS, recipes
from redviz.errors import Cancelled, RedvizError
from redviz.models.kinds.policy import load_policy
from redviz.models.kinds.reward_model import RewardModel

PROMPT, RESPONSE = "The film opens on a quiet street", "The lead is superb, funny and moving. But dull."
POLICY_METHODS = [name for name, info in METHODS.items() if info.needs in ("log_probs", "policy", "reference")]
BLACK_BOX = [name for name, info in METHODS.items() if info.black_box]


@pytest.fixture(scope="module")
def model():
    return tiny.model("Llama", "ends")


@pytest.fixture(scope="module")
def policies():
    return [load_policy(str(tiny_lm.checkpoint("Llama", seed=seed)), device="cpu") for seed in (1, 2)]


def sentence(call):
    with pytest.raises(RedvizError) as caught:
        call()
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".") and not said.rstrip(".").endswith("None")
    return said


@pytest.mark.parametrize("method", POLICY_METHODS)
def test_a_policy_method_without_a_policy(model, method):
    said = sentence(lambda: analyze(model, PROMPT, RESPONSE, [method]))
    assert said.startswith(f"{method} ") and "redviz.load_policy" in said and "in a terminal --" in said


def test_red_asks_only_for_what_its_options_use(model, policies):
    assert recipes(["red"])["red"].ingredients == ()
    assert "--policy" in sentence(lambda: analyze(model, PROMPT, RESPONSE, {"red": {"kl_coef": 0.1}}))
    assert "--cost-model" in sentence(lambda: analyze(model, PROMPT, RESPONSE, {"red": {"alpha": -1.0}}))
    policy, reference = policies
    with_kl = analyze(model, PROMPT, RESPONSE, {"red": {"kl_coef": 0.1}}, policy=policy, reference=reference)
    plain = analyze(model, PROMPT, RESPONSE, ["red", "kl"], policy=policy, reference=reference)
    both = plain.credits["red"].values + plain.credits["kl"].values  # kl's own coefficient is 0.1
    np.testing.assert_allclose(with_kl.credits["red"].values, both, atol=1e-5)
    assert abs(with_kl.credits["red"].residual) < 1e-4
    two = analyze(model, PROMPT, RESPONSE, {"red": {"alpha": -1.0}}, cost_model=model)
    np.testing.assert_allclose(two.credits["red"].values, 0, atol=1e-6)  # a model against itself


def test_every_policy_method_runs_on_one_pair_of_forwards(model, policies):
    policy, reference = policies
    before = policy.forwards, reference.forwards
    names = [name for name in POLICY_METHODS if METHODS[name].needs == "log_probs"]
    found = analyze(model, PROMPT, RESPONSE, names, policy=policy, reference=reference)
    assert (policy.forwards, reference.forwards) == (before[0] + 1, before[1] + 1)
    for name in names:
        residual = found.credits[name].residual
        assert (residual is None) == (not METHODS[name].additive)
        assert residual is None or abs(residual) < 1e-4


def test_different_tokenizers_stop_only_the_methods_that_compare(model, policies):
    other = redviz.load_policy("embedded:writer", device="cpu")
    assert "tokenizer" in sentence(
        lambda: analyze(model, PROMPT, RESPONSE, ["dpo"], policy=other, reference=policies[0])
    )
    assert "tokenizer" in sentence(lambda: analyze(model, PROMPT, RESPONSE, ["dpo"], policy=other, reference=other))
    row = {"prompt": PROMPT, "response": RESPONSE}
    [found] = analyze_batch(model, [row], ["red", "dpo", "rto", "sparse"], policy=other, reference=other)
    assert list(found.credits) == ["red", "sparse"]
    assert "dpo: " in found.error and "rto: " in found.error and "tokenizer" in found.error


def a_regex(prompt, response):
    return float("superb" in response)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in BLACK_BOX and name not in POLICY_METHODS])
def test_a_method_that_looks_inside_refuses_a_function(method):
    said = sentence(lambda: analyze(redviz.reward_function(a_regex), PROMPT, RESPONSE, [method]))
    assert said.startswith(f"{method} looks inside a model") and "sparse" in said and "shapley" in said


@pytest.mark.parametrize("method", BLACK_BOX)
def test_every_other_method_runs_on_a_function(method):
    found = analyze(redviz.reward_function(a_regex), PROMPT, RESPONSE, [method])
    credit = found.credits[method]
    assert found.score == 1.0 and found.base == 0.0
    if credit.residual is not None:
        assert abs(credit.residual) < 1e-3
    if method not in ("sparse", "uniform"):
        assert found.tokens[int(np.argmax(credit.values))].strip() == "superb,"
    assert found.to_dict()["prefix_scores"][1] is None  # not known, and no nan in JSON
    assert "NaN" not in found.to_json()


@pytest.mark.parametrize(
    "method", [name for name, info in METHODS.items() if info.needs == "model" and name != "deeplift"]
)
def test_every_method_that_calls_the_model_can_be_cancelled(model, method):
    calls = []

    def stop(done, total):
        calls.append((done, total))
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        analyze(model, PROMPT, RESPONSE, [method], progress=stop)
    assert calls and calls[0][1] >= 1
    again = analyze(model, PROMPT, RESPONSE, [method])  # nothing was left behind
    assert len(again.credits[method].values) == len(again.tokens)


@pytest.mark.parametrize(
    "method", [name for name, info in METHODS.items() if info.additive and name not in ("deeplift",)]
)
@pytest.mark.parametrize("place", ["even", "end"])
def test_segment_credits_keep_every_sum(model, policies, method, place):
    ask = {"plain": {"method": method}, "whole": {"method": method, "segment": "sentence", "place": place}}
    found = analyze(model, PROMPT, RESPONSE, ask, policy=policies[0], reference=policies[1])
    plain, whole = found.credits["plain"], found.credits["whole"]
    assert plain.total == whole.total and plain.reference == whole.reference and plain.closing == whole.closing
    assert whole.values.sum(dtype=float) == pytest.approx(plain.values.sum(dtype=float), abs=1e-4)
    assert len(np.unique(whole.own.round(5))) <= 3  # two sentences, and 0 between their ends
    assert whole.meta["options"]["segment"] == "sentence" and "segment" not in plain.meta["options"]


@pytest.mark.parametrize("method", ["ig", "rollout", "grad_x_input", "attention_norm", "deeplift"])
def test_memory_that_runs_out_is_one_sentence_and_the_rest_goes_on(model, monkeypatch, method):
    run = RewardModel.run

    def short(self, **inputs):
        if inputs.get("inputs_embeds") is not None or inputs.get("past_key_values") is not None or reading.kept:
            raise torch.OutOfMemoryError("no more")
        return run(self, **inputs)

    class reading:
        kept = False

    rows = [{"prompt": PROMPT, "response": RESPONSE}] * 2
    stream = analyze_batch(model, rows, ["red", method])
    observed = analyze(model, PROMPT, RESPONSE, ["red"]).observation
    monkeypatch.setattr(RewardModel, "run", short)
    reading.kept = True
    with pytest.raises(RedvizError, match="Memory ran out"):
        credit_of(observed, recipes([method])[method], {"model": model})
    reading.kept = False
    monkeypatch.setattr(RewardModel, "run", run)
    assert [a.error for a in stream][0] is None or method == "deeplift"


def test_what_is_no_model_is_said(model, policies):
    assert "load_reward_model" in sentence(lambda: analyze("embedded:sentiment", PROMPT, RESPONSE))
    for role in ("policy", "reference"):
        assert "load_policy" in sentence(
            lambda role=role: analyze(model, PROMPT, RESPONSE, ["red"], **{role: "embedded:writer"})
        )
        assert "load_policy" in sentence(lambda role=role: analyze(model, PROMPT, RESPONSE, ["abc_d"], **{role: model}))
    assert "load_reward_model" in sentence(lambda: analyze(model, PROMPT, RESPONSE, ["red"], cost_model=policies[0]))


def test_the_policys_name_is_in_its_complaints(model):
    small = load_policy(str(tiny_lm.checkpoint("Llama", seed=1)), device="cpu", max_length=8)
    said = sentence(lambda: analyze(model, PROMPT, RESPONSE, ["dpo"], policy=small, reference=small))
    assert said.startswith(small.name)
