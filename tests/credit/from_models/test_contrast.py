"""T-REG's token rewards: the worked numbers, the symmetries, and the same response under both prompts."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import tiny_lm
from hypothesis import given
from hypothesis import strategies as st

from redviz.credit.from_models.contrast import BETTER, WORSE, contrast, treg, treg_rewards, with_instruction
from redviz.errors import RedvizError
from redviz.models.running.observe import observe
from redviz.records import Example

EXAMPLE = Example("Write about the film.", "The lead is superb, funny and moving.")
numbers = st.lists(st.floats(-50, 0, width=32), min_size=1, max_size=9)


@pytest.fixture(scope="module")
def judge():
    return tiny_lm.policy()


@pytest.fixture(scope="module")
def seen():
    model = tiny.model("Llama", "ends")
    return observe(model, [model.encode(EXAMPLE)])[0]


def near(actual, expected, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


# ---------------------------------------------------------------- arithmetic


def test_worked_numbers():
    found = treg_rewards(np.array([-1.0, -0.5, -2.0]), np.array([-1.5, -0.5, -1.0]))
    near(found, [0.1224593, 0, -0.2310586], atol=1e-7)


@given(numbers)
def test_swapping_negates_and_the_range_holds(better):
    better, worse = np.array(better), np.array(better)[::-1]
    rewards = treg_rewards(better, worse)
    near(treg_rewards(worse, better), -rewards, atol=1e-12)
    assert np.abs(rewards).max() <= 0.5
    near(rewards, 1 / (1 + np.exp(worse - better)) - 0.5, atol=1e-9)
    near(treg_rewards(better, better), np.zeros(len(better)), atol=0)


def test_a_huge_difference_overflows_nothing():
    with np.errstate(all="raise"):
        near(treg_rewards(np.array([0.0, -2000.0]), np.array([-2000.0, 0.0])), [0.5, -0.5])


# ---------------------------------------------------------------- with a model


def test_rewards_are_those_of_the_models_own_logits(judge, seen):
    credit = treg(seen, judge)
    rows = []
    for instruction in (BETTER, WORSE):
        text = f"<|user|>Write about the film.\n\n{instruction}<|end|><|assistant|>"
        before = judge.tokenizer(text, add_special_tokens=False)["input_ids"]
        response = judge.tokenizer(EXAMPLE.response + "<|end|>", add_special_tokens=False)["input_ids"]
        found = tiny_lm.own_log_softmax(tiny_lm.checkpoint(), [*before, *response])
        rows.append(found[np.arange(len(response)) + len(before) - 1, response])
    wanted = 1 / (1 + np.exp(rows[1] - rows[0])) - 0.5  # [T+1]
    near(credit.own, wanted[:-1], atol=1e-4)
    assert credit.closing == pytest.approx(wanted[-1], abs=1e-4)
    near(credit.values[-1], wanted[-2] + wanted[-1], atol=1e-4)
    assert np.abs(wanted).max() > 0.01
    assert credit.values.dtype == np.float32
    assert credit.total is None and credit.reference is None
    assert (credit.meta["better"], credit.meta["worse"]) == (BETTER, WORSE)


def test_swapping_the_instructions_negates_and_equal_ones_give_nothing(judge, seen):
    one, other = contrast(seen, judge, BETTER, WORSE), contrast(seen, judge, WORSE, BETTER)
    np.testing.assert_array_equal(one.values, -other.values)
    assert one.closing == -other.closing != 0
    same = contrast(seen, judge, BETTER, BETTER)
    np.testing.assert_array_equal(same.values, 0)
    assert same.closing == 0
    assert np.abs(one.own).max() < 0.5


def test_two_forwards_with_progress_over_both(judge, seen):
    before, calls = judge.forwards, []
    treg(seen, judge, progress=lambda done, total: calls.append((done, total)))
    assert judge.forwards == before + 2
    both = 2 * (len(seen.encoding.offsets) + 1)
    assert calls == [(0, both), (both // 2, both), (both // 2, both), (both, both)]


def test_a_response_that_the_reward_model_cut_has_no_end(judge, seen):
    model = replace(tiny.model("Llama", "ends"), max_length=len(seen.encoding.ids) - 2)
    (cut,) = observe(model, [model.encode(EXAMPLE)])
    credit = treg(cut, judge)
    near(credit.values, treg(seen, judge).own[:-2], atol=1e-5)
    assert credit.closing == 0


def test_other_tokens_than_the_reward_models_are_refused(judge, seen):
    offsets = ((0, 1), *seen.encoding.offsets[1:])
    with pytest.raises(RedvizError, match="the reward model's family"):
        treg(replace(seen, encoding=replace(seen.encoding, offsets=offsets)), judge)


# ---------------------------------------------------------------- the prompts


def test_the_instruction_follows_the_last_user_turn():
    chat = (
        {"role": "system", "content": "S"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "A"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "B"},
    )
    made = with_instruction(chat, "Now.")
    assert [m["content"] for m in made] == ["S", "one", "A", "two\n\nNow.", "B"]
    assert chat[3]["content"] == "two"
    assert with_instruction("Write.", "Now.") == "Write.\n\nNow."
    assert with_instruction((), "Now.") == ({"role": "user", "content": "Now."},)
