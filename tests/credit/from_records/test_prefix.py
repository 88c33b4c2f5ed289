"""RED: the worked numbers, and its identities on hand-made scores and on real models."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from bag import observation
from hypothesis import given
from hypothesis import strategies as st

from redviz import returns
from redviz.credit.from_records.baselines import sparse, uniform
from redviz.credit.from_records.prefix import INITIALS, red
from redviz.errors import RedvizError
from redviz.models.running.observe import observe
from redviz.records import Example, LogProbs, Observation

P = [0.2, 0.5, -0.1, 0.9, 1.4]  # P_0 .. P_4, no closing: R = P_4
EXAMPLE = Example("The film opens on a quiet street", "The lead is superb, funny and moving.")
numbers = st.floats(-8, 8, width=32)


def near(actual, expected, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


# ---------------------------------------------------------------- worked numbers


@pytest.mark.parametrize(
    ("options", "values", "reference"),
    [
        ({}, [0.3, -0.6, 1.0, 0.5], 0.2),
        ({"beta_c": 0.5}, [0.15, -0.30, 0.50, 0.95], 0.1),
        ({"beta_c": 0.8}, [0.24, -0.48, 0.80, 0.68], 0.16),
        ({"beta_c": 0.0}, [0, 0, 0, 1.4], 0.0),
        ({"initial": "zero_first"}, [0, -0.6, 1.0, 0.5], 0.5),
        ({"initial": "zero_base"}, [0.5, -0.6, 1.0, 0.5], 0.0),
        ({"initial": "zero_first", "beta_c": 0.5}, [0, -0.3, 0.5, 0.95], 0.25),
    ],
)
def test_worked_numbers(options, values, reference):
    credit = red(observation(P), **options)
    near(credit.values, values)
    assert credit.values.dtype == np.float32
    assert (credit.total, credit.reference) == (pytest.approx(1.4), pytest.approx(reference))
    assert credit.residual == pytest.approx(0, abs=1e-6)
    assert credit.closing == 0


def test_what_the_closing_tokens_add_goes_to_the_last_token_and_is_named():
    credit = red(observation(P, score=2.0))
    near(credit.values, [0.3, -0.6, 1.0, 0.5 + 0.6])
    assert credit.closing == pytest.approx(0.6)
    half = red(observation(P, score=2.0), beta_c=0.5)
    near(
        half.values, [0.15, -0.30, 0.50, 0.25 + 0.3 + 1.0]
    )  # the mix's sparse share is 0.5 * 2.0, the closing's 0.5 * 0.6
    assert half.closing == pytest.approx(0.3)


def test_the_controls():
    near(sparse(observation(P, score=2.0)).values, [0, 0, 0, 2.0])
    near(uniform(observation(P, score=2.0)).values, [0.5] * 4)
    for credit in (sparse(observation(P)), uniform(observation(P))):
        assert (credit.total, credit.reference) == (pytest.approx(1.4), 0.0)
        assert credit.residual == pytest.approx(0, abs=1e-6)
        assert credit.values.dtype == np.float32


def test_one_token():
    near(red(observation([0.2, 0.5])).values, [0.3])
    near(red(observation([0.2, 0.5], score=0.9), initial="zero_first").values, [0.4])
    near(red(observation([0.2, 0.5]), initial="zero_base").values, [0.5])


@pytest.mark.parametrize("beta_c", [-0.1, 1.1, float("nan")])
def test_a_share_outside_its_range_is_refused(beta_c):
    with pytest.raises(RedvizError, match="from 0 to 1"):
        red(observation(P), beta_c=beta_c)


def test_an_unknown_start_is_refused_with_the_valid_ones():
    with pytest.raises(RedvizError, match="prefix, zero_first, zero_base"):
        red(observation(P), initial="dynamic")


# ---------------------------------------------------------------- with a KL penalty

LOG_PROBS = LogProbs(
    np.array([-1.0, -0.5, -2.0, -0.1], np.float32),
    np.array([-1.2, -0.4, -2.5, -0.1], np.float32),
    np.zeros(4, np.float32),
)


@pytest.mark.parametrize(
    ("estimator", "terms"),
    [
        ("k1", [0.2, -0.1, 0.5, 0]),
        ("k2", [0.02, 0.005, 0.125, 0]),
        ("k3", [0.0187307531, 0.0051709181, 0.1065306597, 0]),
    ],
)
def test_the_kl_penalty_is_taken_from_every_credit(estimator, terms):
    credit = red(observation(P), kl_coef=0.1, kl_estimator=estimator, log_probs=LOG_PROBS)
    near(credit.values, np.array([0.3, -0.6, 1.0, 0.5]) - 0.1 * np.array(terms))
    assert credit.total == pytest.approx(1.4 - 0.1 * sum(terms)) and credit.reference == pytest.approx(0.2)
    assert credit.residual == pytest.approx(0, abs=1e-6)


def test_the_worked_numbers_with_k1():
    credit = red(observation(P), kl_coef=0.1, log_probs=LOG_PROBS)
    near(credit.values, [0.28, -0.59, 0.95, 0.50])
    assert credit.values.sum() == pytest.approx(1.14)
    returned = returns.monte_carlo(credit.values)
    to_go = np.cumsum([0.2, -0.1, 0.5, 0][::-1])[::-1]
    near(returned, 1.4 - np.array(P[:-1]) - 0.1 * to_go)


def test_the_end_of_turn_tokens_penalty_is_in_the_closing_share():
    ended = replace(LOG_PROBS, closing=(-0.1, -0.6, 0.0))
    credit = red(observation(P, score=2.0), beta_c=0.5, kl_coef=0.1, log_probs=ended)
    plain = red(observation(P, score=2.0), beta_c=0.5)
    near(credit.values, plain.values - [0.02, -0.01, 0.05, 0.05])
    assert credit.closing == pytest.approx(plain.closing - 0.05)
    assert credit.total == pytest.approx(2.0 - 0.11) and credit.residual == pytest.approx(0, abs=1e-6)


def test_what_a_penalty_and_a_cost_need_is_named():
    with pytest.raises(RedvizError, match="pass policy and reference"):
        red(observation(P), kl_coef=0.1)
    with pytest.raises(RedvizError, match="pass cost_model"):
        red(observation(P), alpha=-1.0)
    with pytest.raises(RedvizError, match="of 4 tokens and the response has 2"):
        red(observation(P[:3]), kl_coef=0.1, log_probs=LOG_PROBS)
    unknown = np.full_like(observation(P).column_scores, np.nan)  # such as a function of text
    with pytest.raises(RedvizError, match="has no score of every prefix; give a causal reward model"):
        red(observation(P), alpha=1.0, cost=replace(observation(P), column_scores=unknown))


# ---------------------------------------------------------------- with a cost model

COST = [-1.0, -0.8, 0.4, 0.4, 1.0]


@pytest.mark.parametrize("alpha", [-1.0, 1.0, 0.25])
@pytest.mark.parametrize("initial", INITIALS)
def test_two_models_are_redistributed_apart_and_then_mixed(alpha, initial):
    seen, paid = observation(P, score=2.0), observation(COST, score=0.5)
    options = {"beta_c": 0.8, "initial": initial}
    one, two = red(seen, **options), red(paid, **options)
    both = red(seen, alpha=alpha, cost=paid, **options)
    near(both.values, 0.5 * (one.values + alpha * two.values))
    assert both.total == pytest.approx(0.5 * (2.0 + alpha * 0.5))
    assert both.reference == pytest.approx(0.5 * (one.reference + alpha * two.reference))
    assert both.closing == pytest.approx(0.5 * (one.closing + alpha * two.closing))
    assert both.residual == pytest.approx(0, abs=1e-6)


def test_the_penalty_is_taken_once_and_whole_with_two_models():
    paid = observation(COST)
    with_penalty = red(observation(P), alpha=-1.0, cost=paid, kl_coef=0.1, log_probs=LOG_PROBS)
    near(with_penalty.values, red(observation(P), alpha=-1.0, cost=paid).values - [0.02, -0.01, 0.05, 0])
    assert with_penalty.residual == pytest.approx(0, abs=1e-6)


def test_a_cost_models_other_tokens_are_matched_by_characters():
    seen = observation([0.0] * 5)  # one character each: 0-1, 1-2, 2-3, 3-4
    paid = observation([1.0, 3.0, 6.0], score=10.0)
    paid = Observation(replace(paid.encoding, offsets=((0, 2), (2, 4))), paid.column_scores)
    credit = red(seen, alpha=2.0, cost=paid)
    # nothing of the cost's first token is whole after the first character; the last character gets what closes too
    near(credit.values, [0, 2.0, 0, 3.0 + 4.0])
    assert credit.closing == pytest.approx(4.0)
    assert (credit.total, credit.reference) == (pytest.approx(10.0), pytest.approx(1.0))
    straddling = Observation(replace(paid.encoding, offsets=((0, 3), (3, 4))), paid.column_scores)
    near(red(seen, alpha=2.0, cost=straddling).values, [0, 0, 2.0, 7.0])


# ---------------------------------------------------------------- identities, for any scores


@given(st.lists(numbers, min_size=2, max_size=20), st.none() | numbers, st.floats(0, 1), st.sampled_from(INITIALS))
def test_reference_and_credits_make_the_total(prefix, score, beta_c, initial):
    seen = observation(prefix, score)
    credit = red(seen, beta_c=beta_c, initial=initial)
    start = {"prefix": seen.prefix_scores[0], "zero_first": seen.prefix_scores[1], "zero_base": 0.0}[initial]
    assert credit.reference == pytest.approx(beta_c * start, abs=1e-6)
    assert credit.reference + credit.values.sum(dtype=np.float64) == pytest.approx(seen.score, abs=1e-4)
    assert credit.residual == pytest.approx(0, abs=1e-4)


@given(st.lists(numbers, min_size=2, max_size=20), st.none() | numbers)
def test_without_redistribution_the_reward_is_sparse(prefix, score):
    seen = observation(prefix, score)
    np.testing.assert_array_equal(red(seen, beta_c=0.0).values, sparse(seen).values)


@given(st.lists(numbers, min_size=2, max_size=20), st.none() | numbers, st.floats(-5, 5), st.floats(-3, 3))
def test_a_constant_changes_nothing_and_a_scale_scales(prefix, score, shift, scale):
    seen = observation(prefix, score)
    moved = replace(seen, column_scores=seen.column_scores + np.float32(shift))
    near(red(moved).values, red(seen).values, atol=1e-4)
    scaled = replace(seen, column_scores=seen.column_scores * np.float32(scale))
    near(red(scaled).values, scale * red(seen).values, atol=1e-4)


@given(st.lists(numbers, min_size=2, max_size=20), st.none() | numbers, st.floats(0, 1))
def test_returns_are_the_score_less_the_prefix_score(prefix, score, beta_c):
    seen = observation(prefix, score)
    made = returns.monte_carlo(red(seen, beta_c=beta_c).values)
    near(made, seen.score - beta_c * seen.prefix_scores[:-1], atol=1e-4)


# ---------------------------------------------------------------- identities, on real models


@pytest.fixture(scope="module", params=["Llama", "Qwen3", "Mistral", "GPT2"])
def model(request):
    return tiny.model(request.param)


def test_credits_telescope_to_brute_force(model):
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    prefixes = tiny.brute_prefixes(model, seen.encoding)
    score = tiny.own_score(model, seen.encoding.ids)
    credit = red(seen)
    near(credit.values[:-1], np.diff(prefixes)[:-1], atol=1e-4)
    assert credit.values[-1] == pytest.approx(score - prefixes[-2], abs=1e-4)
    assert credit.closing == pytest.approx(score - prefixes[-1], abs=1e-4)
    assert abs(credit.closing) > 1e-3
    assert credit.values.sum() == pytest.approx(score - prefixes[0], abs=1e-4)


def test_a_later_word_leaves_earlier_credits_alone(model):
    one, two = (
        observe(model, [model.encode(Example(EXAMPLE.prompt, EXAMPLE.response + end))])[0]
        for end in (" Superb", " Dull")
    )
    ids = [s.encoding.ids[s.encoding.start : s.encoding.stop] for s in (one, two)]
    same = next(t for t, (a, b) in enumerate(zip(*ids, strict=False)) if a != b)
    assert same > 5
    near(red(one).values[:same], red(two).values[:same], atol=1e-5)
    assert abs(red(one).values[same] - red(two).values[same]) > 1e-3


def test_padding_earns_nothing_and_has_no_place(model):
    encodings = [model.encode(Example("Hi", "A superb film, " * k)) for k in (1, 4)]
    short, long = observe(model, encodings)
    assert len(red(short).values) == encodings[0].stop - encodings[0].start < len(red(long).values)
    (alone,) = observe(model, encodings[:1])
    near(red(short).values, red(alone).values, atol=1e-5)


def test_a_bias_and_a_scale_of_the_head(model):
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    (biased,) = observe(replace(model, head=lambda hidden: model.head(hidden) + 3), [seen.encoding])
    assert biased.score == pytest.approx(seen.score + 3, abs=1e-5)
    near(red(biased).values, red(seen).values, atol=1e-5)
    (scaled,) = observe(replace(model, head=lambda hidden: model.head(hidden) * -2), [seen.encoding])
    near(red(scaled).values, -2 * red(seen).values, atol=1e-5)
