"""Paired differences of methods: only pairs show them, and many pairs do not hide them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redviz.evaluation.statistics.paired_differences import differences_in_words, holm, paired_differences


def test_differences_are_paired():
    random = np.random.default_rng(0)
    hard = random.normal(0, 10, 50)  # some responses are harder for everybody: only pairs show the difference
    better = hard + 0.5 + random.normal(0, 0.5, 50)
    found = paired_differences(np.stack([hard, better, hard], 1), ["a", "b", "same"])
    by_pair = {frozenset((d.one, d.two)): d for d in found}
    clear, none = by_pair[frozenset("ab")], by_pair[frozenset(("a", "same"))]
    assert clear.one == "b" and clear.significant and clear.estimate.value == pytest.approx((better - hard).mean())
    assert 0 < clear.estimate.low < clear.estimate.value < clear.estimate.high
    assert none.p == none.adjusted == 1 and none.estimate.value == 0
    said = differences_in_words(found, "AUROC")
    assert "b over a by" in said and "Not told apart: a and same." in said
    few = paired_differences([[0, 1], [0, 2], [0, 3]], ["a", "b"])[0]
    assert few.p == 0.25 and not few.significant  # three responses cannot show more
    holes = paired_differences([[1, 2, np.nan], [1, np.nan, 4], [1, 3, np.nan]], ["a", "b", "c"])
    assert {frozenset((d.one, d.two)): d.estimate.count for d in holes} == {
        frozenset("ab"): 2,
        frozenset("ac"): 1,
        frozenset("bc"): 0,
    }


@given(st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), max_size=8))
def test_holm_step_by_step(p):
    given_, known = np.array(p), sorted(x for x in p if x == x)
    running = 0.0
    expected = {}
    for step, smallest in enumerate(known):
        running = max(running, min(1.0, (len(known) - step) * smallest))
        expected.setdefault(smallest, running)
    found = holm(given_)
    assert (np.isnan(found) == np.isnan(given_)).all()
    assert [x for x in found if x == x] == pytest.approx([expected[x] for x in p if x == x])


def test_a_clear_winner_of_many_methods_is_found():
    random = np.random.default_rng(3)
    figures = random.normal(0, 1, (40, 25))  # 300 pairs
    figures[:, 7] += 5
    found = paired_differences(figures, [f"m{n}" for n in range(25)])
    assert len(found) == 300
    clear = [d for d in found if d.one == "m7"]
    assert len(clear) == 24 and all(d.significant for d in clear)
    assert not any(d.significant for d in found if d.one != "m7")
