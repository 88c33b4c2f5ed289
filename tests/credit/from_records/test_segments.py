"""Segment credits: sums of words and sentences, and what must not move."""

from dataclasses import replace

import numpy as np
import pytest
from bag import encoding, observation
from hypothesis import given
from hypothesis import strategies as st

from redviz.credit.from_records.abc import abc
from redviz.credit.from_records.prefix import red
from redviz.credit.from_records.segments import PLACES, segmented
from redviz.errors import RedvizError
from redviz.records import Credit, Example, Observation
from redviz.text import GRANULARITIES, pool, units

TEXT = "Not bad. A superb film!"
PIECES = ["Not", " b", "ad", ".", " A", " su", "per", "b", " film", "!"]
VALUES = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]
WORDS = [[0], [1, 2], [3], [4], [5, 6, 7], [8], [9]]
SENTENCES = [[0, 1, 2, 3], [4, 5, 6, 7, 8, 9]]


def read(pieces=PIECES):
    """What a reward model saw of these pieces."""
    ends = np.cumsum([len(piece) for piece in pieces])
    offsets = tuple(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))
    made = replace(encoding([2], [4] * len(pieces)), offsets=offsets, example=Example("Hi", "".join(pieces)))
    return Observation(made, np.zeros(1 + len(pieces), np.float32))


def credit(values=VALUES, closing=0.0):
    return Credit(np.float32(values), sum(values) + 3.0, 3.0, closing, {"method": "red", "options": {"beta_c": 1.0}})


@pytest.mark.parametrize(("segment", "groups"), [("word", WORDS), ("sentence", SENTENCES)])
def test_each_segment_holds_its_own_sum(segment, groups):
    even, end = (segmented(credit(), read(), segment, place).values for place in ("even", "end"))
    for group in groups:
        total = sum(VALUES[t] for t in group)
        np.testing.assert_allclose(even[group], total / len(group), rtol=1e-6)
        assert end[group].tolist() == [0.0] * (len(group) - 1) + [total]
    assert even.dtype == end.dtype == np.float32 and len(even) == len(end) == len(VALUES)


def test_the_closing_share_stays_on_the_last_token():
    # the last sentence earns 1008 of its own; the template's closing tokens earn 100 beside it
    given = credit([*VALUES[:-1], VALUES[-1] + 100], closing=100.0)
    even, end = (segmented(given, read(), "sentence", place) for place in ("even", "end"))
    np.testing.assert_allclose(even.values, [3.75] * 4 + [168.0] * 5 + [268.0])
    np.testing.assert_allclose(even.own, [3.75] * 4 + [168.0] * 6)
    np.testing.assert_allclose(end.values, [0, 0, 0, 15, 0, 0, 0, 0, 0, 1108.0])
    assert even.closing == end.closing == 100


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("segment", GRANULARITIES)
def test_what_the_credit_promises_is_kept(segment, place):
    given = credit(closing=50.0)
    made = segmented(given, read(), segment, place)
    assert (made.total, made.reference, made.closing, made.meta) == (1026.0, 3.0, 50.0, given.meta)
    assert made.residual == given.residual == 0
    again = segmented(made, read(), segment, place)
    np.testing.assert_array_equal(again.values, made.values)


def test_tokens_are_left_as_they_are():
    given = credit()
    assert segmented(given, read(), "token", "end") is given


@given(
    st.lists(st.sampled_from(["a", " b", "ç", ". ", "\n", "é!", " ", "👍", "7"]), min_size=1, max_size=12),
    st.data(),
    st.sampled_from(["word", "sentence"]),
    st.sampled_from(PLACES),
)
def test_sums_survive_float32(pieces, data, segment, place):
    numbers = st.floats(-1e4, 1e4, width=32)
    values = data.draw(st.lists(numbers, min_size=len(pieces), max_size=len(pieces)))
    before = Credit(np.float32(values), 1.0, 0.0, data.draw(st.floats(-10, 10)))
    seen = read(pieces)
    after = segmented(before, seen, segment, place)
    groups = units(seen.encoding.example.response, seen.encoding.offsets, segment)
    largest = max(abs(before.own).max() * len(pieces), 1.0)  # that may have to be written
    ulp = float(np.spacing(np.float32(largest)))
    np.testing.assert_allclose(pool(after.own, groups), pool(before.own, groups), rtol=0, atol=2 * ulp)
    assert after.values.sum(dtype=np.float64) == pytest.approx(before.values.sum(dtype=np.float64), rel=0, abs=ulp)


def test_rounding_errors_do_not_add_up():
    # one word's sum needs more digits than float32 has: 1000 of them would miss by 8e-5
    values = [0.1, 3.3, -0.7] * 1000
    made = segmented(credit(values), read([" w", "o", "r"] * 1000), "word", "end")
    wanted = np.float32(values).sum(dtype=np.float64)
    assert made.values.sum(dtype=np.float64) == pytest.approx(wanted, rel=0, abs=3e-7)


@pytest.mark.parametrize("method", [red, abc])
def test_on_credits_of_a_reward_model(method):
    rows = np.full((1, 1, 5), 0.2, np.float32)
    seen = observation([0.2, 0.5, -0.1], 1.4, rows)  # two response tokens, "e" twice, and a closing token
    made = method(seen)
    word = segmented(made, seen, "word", "even")
    assert word.residual == pytest.approx(made.residual, abs=1e-6) and word.closing == made.closing
    np.testing.assert_allclose(word.own, [made.own.sum() / 2] * 2, atol=1e-6)


def test_standard_errors_of_tokens_are_not_those_of_segments():
    given = replace(credit(), meta={"stderr": [0.1] * 10, "samples": 4})
    assert segmented(given, read(), "word").meta == {"samples": 4}
    assert segmented(given, read(), "token").meta == given.meta


@pytest.mark.parametrize(
    ("options", "message"),
    [(("phrase",), "token, word, sentence"), (("word", "start"), "even, end"), (("token", "start"), "even, end")],
)
def test_choices_that_do_not_exist(options, message):
    with pytest.raises(RedvizError, match=message):
        segmented(credit(), read(), *options)


def test_credits_without_a_sum_have_no_segments():
    with pytest.raises(RedvizError, match='use segment "token"'):
        segmented(Credit(np.float32(VALUES), None, None), read(), "word")
