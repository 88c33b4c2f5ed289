"""Methods with a policy, a reference or a cost model in the engine: records are made once, and sliders run nothing."""

import numpy as np
import pytest
import tiny
import tiny_lm
from close import recomputed

import redviz
from redviz.app.engine import Engine
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.models.kinds.policy import load_policy
from redviz.models.spec import ModelSpec
from redviz.records import Example

EXAMPLE = Example("The film opens on a quiet street", "The lead is superb, funny and moving.")
WAIT = 120


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.close()


@pytest.fixture(scope="module")
def spec():
    return ModelSpec(str(tiny.checkpoint("Llama", "ends")), device="cpu")


@pytest.fixture(scope="module")
def partners():
    roles = {"policy": 1, "reference": 2}
    return {
        role: ModelSpec(str(tiny_lm.checkpoint("Llama", seed=seed)), "cpu", role="policy")
        for role, seed in roles.items()
    }


def test_log_probs_are_made_once_and_a_slider_runs_no_model(engine, spec, partners):
    engine.observe(spec, EXAMPLE).wait(WAIT)
    wanted = recipes({"dpo": {}, "rto": {}, "red": {"kl_coef": 0.1}})
    analysis, missing, refused = engine.cached(spec, EXAMPLE, wanted, partners)
    assert set(missing) == set(wanted) and not analysis.credits and not refused
    credit = engine.credit(spec, EXAMPLE, "DPO", wanted["dpo"], partners).wait(WAIT)
    passes = engine.runs
    for beta in (0.05, 0.5):
        wanted = recipes({"dpo": {"beta": beta}, "rto": {}, "sepo": {}, "tdpo": {}, "kl": {}, "red": {"kl_coef": beta}})
        analysis, missing, refused = engine.cached(spec, EXAMPLE, wanted, partners)
        assert set(analysis.credits) == set(wanted) and not missing and not refused
        np.testing.assert_allclose(analysis.credits["dpo"].values, credit.values * beta / 0.1, rtol=1e-5)
    assert engine.runs == passes
    policy, reference = (load_policy(partners[role].name, device="cpu") for role in ("policy", "reference"))
    model = redviz.load_reward_model(spec.name, device="cpu")
    own = redviz.analyze(model, EXAMPLE.prompt, EXAMPLE.response, ["dpo"], policy=policy, reference=reference)
    np.testing.assert_allclose(credit.values, own.credits["dpo"].values, atol=recomputed(own.credits["dpo"].values))


def test_another_policy_is_another_result(engine, spec, partners):
    engine.observe(spec, EXAMPLE).wait(WAIT)
    recipe = recipes(["dpo"])["dpo"]
    one = engine.credit(spec, EXAMPLE, "DPO", recipe, partners).wait(WAIT)
    swapped = {"policy": partners["reference"], "reference": partners["policy"]}
    two = engine.credit(spec, EXAMPLE, "DPO", recipe, swapped).wait(WAIT)
    np.testing.assert_allclose(one.values, -two.values, atol=recomputed(two.values))
    analysis, _, _ = engine.cached(spec, EXAMPLE, {"dpo": recipe}, partners)
    assert analysis.credits["dpo"] is one


def test_without_a_policy_it_refuses_at_once(engine, spec):
    engine.observe(spec, EXAMPLE).wait(WAIT)
    passes = engine.runs
    analysis, missing, refused = engine.cached(spec, EXAMPLE, recipes({"dpo": {}, "abc_d": {}, "treg": {}, "red": {}}))
    assert set(analysis.credits) == {"red"} and set(refused) | set(missing) == {"dpo", "abc_d", "treg"}
    assert "redviz.load_policy" in refused["dpo"] and "redviz.load_policy" in refused["treg"]
    assert engine.runs == passes


def test_models_that_are_called_again(engine, spec, partners):
    engine.observe(spec, EXAMPLE).wait(WAIT)
    wanted = recipes({"abc_d": {}, "treg": {}})
    for label, recipe in wanted.items():
        engine.credit(spec, EXAMPLE, label, recipe, partners).wait(WAIT)
    analysis, missing, _ = engine.cached(spec, EXAMPLE, wanted, partners)
    assert set(analysis.credits) == set(wanted) and not missing
    assert analysis.credits["treg"].meta["reference"] == partners["reference"].name


def test_tokenizers_that_differ_are_one_sentence(engine, spec, partners):
    engine.observe(spec, EXAMPLE).wait(WAIT)
    other = {**partners, "policy": ModelSpec("embedded:writer", "cpu", role="policy")}
    recipe = recipes(["dpo"])["dpo"]
    with pytest.raises(RedvizError, match="tokenizer"):
        engine.credit(spec, EXAMPLE, "DPO", recipe, other).wait(WAIT)


def test_a_cost_model(engine, spec):
    cost = {"cost_model": ModelSpec(str(tiny.checkpoint("Llama", "ends")), device="cpu", dtype="float32")}
    engine.observe(spec, EXAMPLE).wait(WAIT)
    wanted = recipes({"red": {"alpha": -1.0}})
    credit = engine.credit(spec, EXAMPLE, "RED", wanted["red"], cost).wait(WAIT)
    np.testing.assert_allclose(credit.values, 0, atol=1e-6)
    assert credit.total == pytest.approx(0, abs=1e-6)


def test_a_rule_is_a_model_without_weights(engine):
    spec = ModelSpec("rule:exact-answer")
    example = Example("What is 6 × 7? (answer: 42)", "It is 6 × 7. Answer: 42")
    observation = engine.observe(spec, example).wait(WAIT)
    assert observation.score == 1.0 and engine.state(spec).bytes == 0
    wanted = recipes({"sparse": {}, "occlusion": {}, "red": {}})
    analysis, missing, refused = engine.cached(spec, example, wanted)
    assert (
        set(analysis.credits) == {"sparse"} and set(missing) == {"occlusion"} and "function of text" in refused["red"]
    )
    credit = engine.credit(spec, example, "Occlusion", wanted["occlusion"]).wait(WAIT)
    assert credit.values[-1] == 1.0  # without its last word there is no answer


def test_partners_for_work_of_ones_own(engine, spec, partners):
    def work(model, job):
        with engine.partners({**partners, "value_model": spec}) as held:
            return {role: policy.name for role, policy in held.items()}

    held = engine.with_model(spec, "Work", work, key=1).wait(WAIT)
    assert held == {role: partner.name for role, partner in partners.items()}


def test_a_critic_loads_in_its_role(engine, spec):
    from redviz.models.kinds.value_head import critic_values

    observation = engine.observe(spec, EXAMPLE).wait(WAIT)
    critic = ModelSpec(spec.name, "cpu", role="value")
    values = engine.with_model(
        critic, "Critic", lambda model, job: critic_values(model, observation.encoding), key=1
    ).wait(WAIT)
    np.testing.assert_allclose(values, observation.prefix_scores[:-1], atol=1e-5)  # the reward model as its own critic


def test_a_failure_of_memory_is_not_kept(engine, spec, partners, monkeypatch):
    import torch

    from redviz.models.kinds import policy as policies

    engine.observe(spec, EXAMPLE).wait(WAIT)
    recipe, run = recipes(["dpo"])["dpo"], policies.Policy.run

    def exhausted(self, **inputs):
        if len(inputs["input_ids"][0]) > 5:  # not the check at loading
            raise torch.OutOfMemoryError("no more")
        return run(self, **inputs)

    with monkeypatch.context() as patch:
        patch.setattr(policies.Policy, "run", exhausted)
        with pytest.raises(RedvizError, match="Memory ran out for a model beside the reward model"):
            engine.credit(spec, EXAMPLE, "DPO", recipe, partners).wait(WAIT)
    _, missing, refused = engine.cached(spec, EXAMPLE, {"dpo": recipe}, partners)
    assert set(missing) == {"dpo"} and not refused
    assert engine.credit(spec, EXAMPLE, "DPO", recipe, partners).wait(WAIT).values.any()
