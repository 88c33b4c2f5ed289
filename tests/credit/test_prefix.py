"""RED: the worked numbers, and its identities on hand-made scores and on real models."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from bag import observation
from hypothesis import given
from hypothesis import strategies as st

from redviz import returns
from redviz.credit.baselines import sparse, uniform
from redviz.credit.prefix import INITIALS, red
from redviz.errors import RedvizError
from redviz.models.observe import observe
from redviz.records import Example

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
