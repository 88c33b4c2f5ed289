"""RED between closed prefixes: its sums, its mix, and a model on which every method must agree."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from bag import bag, encoding

from redviz.credit.from_models.closed_prefixes import red_closed
from redviz.credit.from_records.baselines import sparse
from redviz.credit.from_records.prefix import red
from redviz.errors import RedvizError
from redviz.models.loading.load import load_reward_model
from redviz.models.running.observe import observe
from redviz.records import Example

EXAMPLE = Example("The film opens on a quiet street", "The lead is superb, funny and moving.")
TABLE = [[0.0, 0.0], [0.3, 0.1], [0.7, 0.2], [0.0, 0.5], [1.0, 0.0], [0.0, 2.0]]  # id 1 closes


def packed_bag(head):
    """A bag whose hidden states are sums of what a 4-D mask lets them see, and its observation of two tokens and a closing one."""
    model = bag(TABLE, head)
    (seen,) = observe(model, [encoding([2, 3], [4, 5], [1])])

    def sums(input_ids, past_key_values, attention_mask=None, **_):
        x = model.module.embedding(input_ids)[:, None]  # [1, 1, S, D]
        keys, _ = past_key_values.update(x, x, 0)
        hidden = keys.cumsum(2) if attention_mask is None else (attention_mask == 0).float() @ keys
        return SimpleNamespace(last_hidden_state=hidden[:, 0])

    model.module.base_model = sums
    return model, seen


def seen_by(model, example=EXAMPLE):
    return observe(model, [model.encode(example)])[0]


def test_the_credits_are_differences_of_closed_scores():
    model = tiny.model()
    seen = seen_by(model)
    made = seen.encoding
    ends = made.ids[made.stop :]
    wanted = [tiny.own_score(model, [*made.ids[:c], *ends]) for c in range(made.start, made.stop + 1)]
    credit = red_closed(seen, model)
    np.testing.assert_allclose(credit.values, np.diff(wanted), rtol=0, atol=1e-4 * np.std(wanted))
    np.testing.assert_allclose(credit.meta["closed_scores"], wanted, rtol=0, atol=1e-4 * np.std(wanted))
    assert credit.reference == credit.meta["closed_scores"][0]
    assert credit.total == seen.score == credit.meta["closed_scores"][-1]
    assert credit.closing == 0.0 and credit.meta["closing_tokens"] == 2
    assert abs(credit.values - red(seen).values).max() > 0.05
    json.dumps(credit.meta)


@pytest.mark.parametrize("beta_c", [0.0, 0.3, 1.0])
def test_the_mix_with_the_sparse_reward(beta_c):
    model = tiny.model()
    seen = seen_by(model)
    whole, mixed = red_closed(seen, model), red_closed(seen, model, beta_c=beta_c)
    np.testing.assert_allclose(
        mixed.values, beta_c * whole.values + (1 - beta_c) * sparse(seen).values, rtol=0, atol=1e-5
    )
    assert mixed.reference == pytest.approx(beta_c * whole.reference)
    assert mixed.total == seen.score and abs(mixed.residual) < 1e-5


def test_a_linear_bag_gives_every_token_its_own_weight():
    model, seen = packed_bag([1.0, -2.0])
    credit = red_closed(seen, model)
    np.testing.assert_allclose(credit.values, [1.0, -4.0], atol=1e-5)
    assert credit.reference == pytest.approx(0.7 - 2 * 0.7 + 0.3 - 2 * 0.1)  # the prompt and the closing token


def test_where_the_closing_token_multiplies_it_is_heard_at_every_prefix():
    model, seen = packed_bag(lambda hidden: hidden[..., 0] * hidden[..., 1])
    credit = red_closed(seen, model)
    # The sums are (0.7, 0.7) after the prompt, (1, 0.8) with the closing token; then (1, 0) comes in, then (0, 2).
    np.testing.assert_allclose(credit.meta["closed_scores"], [0.8, 1.6, 5.6], atol=1e-5)
    np.testing.assert_allclose(credit.values, [0.8, 4.0], atol=1e-5)


@pytest.mark.parametrize("response", ["A superb film.", "A superb film.<|pad|><|pad|>"])
def test_without_closing_tokens_it_is_red_and_runs_nothing(response):
    model = tiny.model("Llama", "open")
    seen = seen_by(model, Example("The film", response))
    before = model.forwards
    credit, open_ = red_closed(seen, model, beta_c=0.7), red(seen, beta_c=0.7)
    assert model.forwards == before
    np.testing.assert_allclose(credit.values, open_.values, rtol=0, atol=1e-6)
    assert (credit.total, credit.reference, credit.closing) == (open_.total, open_.reference, open_.closing)
    assert credit.meta["closing_tokens"] == 0


def test_the_sum_holds_in_bfloat16():
    model = load_reward_model(str(tiny.checkpoint()), device="cpu", dtype="bfloat16")
    assert abs(red_closed(seen_by(model), model).residual) < 1e-5


def test_a_wrong_share_is_named():
    model = tiny.model()
    with pytest.raises(RedvizError, match="beta_c is 1.5"):
        red_closed(seen_by(model), model, beta_c=1.5)
