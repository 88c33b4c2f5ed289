"""Strengths of methods: closed forms, an independent fit, simulated preferences."""

import json

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from redviz.errors import RedvizError
from redviz.evaluation.statistics.bradley_terry import PRIOR, bradley_terry, log_strengths

METHODS = ("abc", "ig", "red", "uniform")
TRUE = np.array([0.3, 0.0, 0.9, -1.2])


def simulated(n: int, seed: int, ties: float = 0.0) -> list[tuple[str, str, float, str]]:
    random = np.random.default_rng(seed)
    found = []
    for item in range(n):
        a, b = random.choice(len(METHODS), 2, replace=False)
        chance = 1 / (1 + np.exp(TRUE[b] - TRUE[a]))
        outcome = 0.5 if random.random() < ties else float(random.random() < chance)
        found.append((METHODS[a], METHODS[b], outcome, str(item)))
    return found


def strengths(ranking) -> dict[str, float]:
    return {method.label: method.strength.value for method in ranking.methods}


def test_two_methods_have_the_log_odds_of_their_wins_and_a_tie_is_half_a_win_each():
    answers = [("red", "abc", 1.0, str(n)) for n in range(7)] + [("abc", "red", 1.0, str(n)) for n in range(2)]
    answers += [("abc", "red", 0.5, "9"), ("red", "abc", 0.5, "9")]
    found = strengths(bradley_terry(answers))
    assert found["red"] - found["abc"] == pytest.approx(np.log((8 + PRIOR) / (3 + PRIOR)), abs=1e-12)
    assert found["red"] + found["abc"] == pytest.approx(0, abs=1e-12)


def test_the_same_strengths_as_a_logistic_regression_on_the_same_counts():
    answers = simulated(200, 3, ties=0.1)
    rows, sides, weights = [], [], []

    def add(a, b, won, weight):
        rows.append(np.eye(len(METHODS))[METHODS.index(a)] - np.eye(len(METHODS))[METHODS.index(b)])
        sides.append(won)
        weights.append(weight)

    for a, b, outcome, _ in answers:
        for won, weight in ((1, outcome), (0, 1 - outcome)):
            if weight:
                add(a, b, won, weight)
    for n, a in enumerate(METHODS):
        for b in METHODS[n + 1 :]:
            add(a, b, 1, PRIOR)
            add(a, b, 0, PRIOR)
    fit = LogisticRegression(C=1e12, fit_intercept=False, tol=1e-10, max_iter=10_000).fit(rows, sides, weights)
    wanted = fit.coef_[0] - fit.coef_[0].mean()
    found = strengths(bradley_terry(answers, draws=0))
    assert [found[label] for label in METHODS] == pytest.approx(wanted.tolist(), abs=1e-5)


def test_simulated_strengths_lie_within_their_intervals_about_as_often_as_they_say():
    truth = dict(zip(METHODS, TRUE - TRUE.mean(), strict=True))
    inside = [
        m.strength.low < truth[m.label] < m.strength.high
        for seed in range(50)
        for m in bradley_terry(simulated(300, seed), draws=200).methods
    ]
    assert 0.92 < np.mean(inside) < 0.98


def test_more_answers_narrow_the_intervals_and_order_the_methods():
    few, many = bradley_terry(simulated(150, 0)), bradley_terry(simulated(1500, 0))
    width = [np.mean([m.strength.high - m.strength.low for m in ranking.methods]) for ranking in (few, many)]
    assert 2.5 < width[0] / width[1] < 4  # the square root of ten is about 3.2
    assert [m.label for m in many.methods] == ["red", "abc", "ig", "uniform"]
    assert [m.strength.value for m in many.methods] == pytest.approx(sorted(TRUE - TRUE.mean())[::-1], abs=0.2)


def test_answers_about_one_item_are_drawn_together():
    spread = [("red", "abc", float(n % 3 > 0), str(n)) for n in range(60)]
    clumped = [("red", "abc", float(n % 3 > 0), str(n % 3)) for n in range(60)]
    wide, narrow = (r.methods[0].strength for r in (bradley_terry(clumped), bradley_terry(spread)))
    assert wide.value == pytest.approx(narrow.value)
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)


def test_a_method_that_won_everything_stays_finite_and_a_chain_of_them_too():
    chain = [(a, b, 1.0, f"{a}{n}") for a, b in zip(METHODS, METHODS[1:], strict=False) for n in range(100)]
    ranking = bradley_terry(chain)
    assert [m.label for m in ranking.methods] == list(METHODS)
    assert np.isfinite([m.strength.high for m in ranking.methods]).all()
    assert ranking.chance("abc", "ig") == pytest.approx(
        (100 + PRIOR) / (100 + 2 * PRIOR)
    )  # each link of a chain is a pair


def test_the_slope_is_zero_at_the_strengths_found_however_uneven_the_counts():
    random = np.random.default_rng(1)
    wins = random.gamma(0.05, 200, (50, 8, 8)) + 0.01
    wins[:, range(8), range(8)] = 0
    s = log_strengths(wins)
    expected = (wins + wins.swapaxes(1, 2)) / (1 + np.exp(s[:, None, :] - s[:, :, None]))
    assert np.abs(expected.sum(-1) - wins.sum(-1)).max() < 1e-6


def test_groups_that_were_never_compared_are_named():
    with pytest.raises(RedvizError, match=r"never compared with each other \(abc, ig; red, uniform\)"):
        bradley_terry([("ig", "abc", 1.0, "1"), ("red", "uniform", 0.5, "2")])
    with pytest.raises(RedvizError, match="no comparison"):
        bradley_terry([])
    with pytest.raises(RedvizError, match="with itself"):
        bradley_terry([("red", "red", 1.0, "1")])
    with pytest.raises(RedvizError, match="give 1 where the first won"):
        bradley_terry([("red", "abc", 0.7, "1")])


def test_the_dictionary_is_json_counts_the_answers_and_one_item_has_no_interval():
    ranking = bradley_terry([("red", "abc", 1.0, "1"), ("abc", "red", 0.0, "1"), ("abc", "red", 0.5, "1")])
    told = json.loads(json.dumps(ranking.to_dict(), allow_nan=False))
    first = told["methods"][0]
    assert (first["label"], first["wins"], first["losses"], first["ties"]) == ("red", 2, 0, 1)
    assert (told["comparisons"], told["items"], first["strength"]["low"]) == (3, 1, None)
    assert "half a win" in told["rule"] and str(PRIOR) in told["rule"]
