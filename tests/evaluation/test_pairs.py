"""Statistics of preference pairs: closed forms, brute force, SciPy, and intervals that cover what they should."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from redviz.errors import RedvizError
from redviz.evaluation.statistics.intervals import correlation, correlation_sums, mean, resampling, share
from redviz.evaluation.statistics.pairs import (
    Pairs,
    calibration,
    credits_of_rows,
    disagreement,
    mean_of,
    pair_report,
    pairs_of_frame,
)

FLAT = {"chosen_length": [2, 2, 2, 2], "rejected_length": [1, 3, 2, 1]}


def pairs(chosen, rejected, chosen_length=None, rejected_length=None, subsets=None):
    n = len(chosen)
    arrays = [np.asarray(a if a is not None else np.ones(n), float) for a in (chosen_length, rejected_length)]
    names = tuple(map(str, range(n)))
    return Pairs(names, np.asarray(chosen, float), np.asarray(rejected, float), *arrays, tuple(subsets or [""] * n))


def test_accuracy_counts_a_tie_as_half_and_length_alone_is_a_judge_too():
    report = pair_report(pairs([1, 2, 3, 4], [0, 2, 4, 1], **FLAT, subsets=["a", "a", "b", "b"]))
    assert report.accuracy.value == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert report.margin.value == pytest.approx((1 + 0 - 1 + 3) / 4)
    assert report.longer_wins.value == pytest.approx((1 + 0 + 0.5 + 1) / 4)
    assert report.shorter_wins.value == pytest.approx(1 - report.longer_wins.value)
    assert {name: (e.value, e.count) for name, e in report.by_subset.items()} == {"a": (0.75, 2), "b": (0.5, 2)}
    expected = spearmanr([1, 2, 3, 4, 0, 2, 4, 1], FLAT["chosen_length"] + FLAT["rejected_length"]).statistic
    assert report.score_with_length.value == pytest.approx(expected)
    json.dumps(report.to_dict(), allow_nan=False)


def test_calibration_mirrors_every_pair():
    random = np.random.default_rng(0)
    margin = random.normal(0, 2, 500)
    found = calibration(margin)
    chance = 1 / (1 + np.exp(-margin))
    both = np.concatenate([chance, 1 - chance])
    outcome = np.concatenate([np.ones(500), np.zeros(500)])
    place = np.minimum((both * 10).astype(int), 9)
    assert found.counts.tolist() == np.bincount(place, minlength=10).tolist()
    gaps = []
    for bin_number in range(10):
        own = place == bin_number
        assert found.predicted[bin_number] == pytest.approx(both[own].mean())
        assert found.preferred[bin_number] == pytest.approx(outcome[own].mean())
        gaps.append(abs(both[own].mean() - outcome[own].mean()) * own.sum())
    assert found.error.value == pytest.approx(sum(gaps) / 1000)


def test_calibration_knows_a_calibrated_model_from_a_boastful_one():
    random = np.random.default_rng(1)
    truth = random.normal(0, 1.5, 20_000)  # the log-odds that the first of two responses is preferred
    first_won = random.random(20_000) < 1 / (1 + np.exp(-truth))
    margin = np.where(first_won, truth, -truth)  # as a data set tells it: chosen minus rejected
    assert calibration(margin).error.value < 0.01
    boastful = calibration(4 * margin)
    assert boastful.error.value > 0.1
    assert boastful.error.low < boastful.error.value < boastful.error.high
    assert calibration(np.zeros(3)).error.value == 0  # nothing claimed, nothing wrong


def test_empty_bins_and_one_pair():
    found = calibration(np.array([0.1]))
    assert found.counts.tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    assert np.isnan(found.predicted[0]) and np.isnan(found.preferred[9])
    assert pair_report(pairs([2], [1])).to_dict()["calibration"]["predicted"][0] is None


def test_intervals_cover_as_often_as_they_say():
    random = np.random.default_rng(2)
    covered = 0
    for seed in range(200):
        values = random.normal(3, 2, 60)
        found = mean_of(resampling(60, seed), values)
        covered += found.low <= 3 <= found.high
    assert 180 <= covered <= 199  # 95 %, a little less for 60 values


def test_blocks_of_many_pairs_give_the_same_interval():
    values = np.random.default_rng(3).normal(0, 1, 50_000)
    found = mean_of(resampling(50_000), values)
    width = 2 * 1.96 * values.std() / np.sqrt(50_000)
    assert found.high - found.low == pytest.approx(width, rel=0.08)
    assert found.value == pytest.approx(values.mean())


def test_correlation_from_sums_is_pearsons():
    x, y = np.random.default_rng(4).normal(1e4, 1, (2, 40, 2))
    y = y + x
    found = resampling(40).estimate(correlation_sums(x, y), correlation)
    assert found.value == pytest.approx(pearsonr(x.ravel(), y.ravel()).statistic, abs=1e-9)
    assert found.low < found.value < found.high
    constant = resampling(40).estimate(correlation_sums(np.full(40, 0.1), y[:, 0]), correlation)
    assert np.isnan([constant.value, constant.low]).all()
    assert np.isnan(resampling(0).estimate(np.zeros((0, 2)), mean).value)


def frame():
    rows = [
        ("1", "chosen", 2.0, "red", ["a", "b"], "x"),
        ("1", "chosen", 2.0, "abc", ["a", "b"], "x"),  # a second label of the same response
        ("2", "rejected", 1.0, "red", ["a"], None),
        ("1", "rejected", 0.5, "red", ["a", "b", "c"], "x"),
        ("2", "chosen", None, None, [], None),  # failed
        ("3", "chosen", 1.0, "red", ["a"], "y"),  # alone
        ("4", "1", 1.0, "red", ["a"], "y"),  # not of a pair
        ("5", "rejected", -1.0, "red", ["a"], "y"),
        ("5", "chosen", 3.0, "red", ["a", "b"], "y"),
    ]
    return pd.DataFrame(rows, columns=["example_id", "response_id", "score", "label", "tokens", "subset"])


@pytest.mark.parametrize("order", ["as written", "backwards"])
def test_pairs_of_rows(order):
    rows = frame() if order == "as written" else frame()[::-1]
    found = pairs_of_frame(rows)
    by_id = {i: n for n, i in enumerate(found.ids)}
    assert sorted(by_id) == ["1", "5"] and found.left_out == 2
    one, five = by_id["1"], by_id["5"]
    assert (found.chosen[one], found.rejected[one], found.chosen[five], found.rejected[five]) == (2, 0.5, 3, -1)
    assert (found.chosen_length[one], found.rejected_length[one], found.subsets[one]) == (2, 3, "x")


def test_rows_without_pairs_or_columns_are_refused():
    with pytest.raises(RedvizError, match="no pair with both scores"):
        pairs_of_frame(frame()[4:7])
    with pytest.raises(RedvizError, match="no column 'score'"):
        pairs_of_frame(frame().drop(columns="score"))
    with pytest.raises(RedvizError, match="no column 'tokens'"):
        pairs_of_frame(frame().drop(columns="tokens"))


def test_disagreement_is_one_less_spearman():
    random = np.random.default_rng(5)
    responses = [
        {"a": random.normal(size=t), "b": random.integers(0, 4, t), "c": random.normal(size=t)} for t in (9, 30)
    ]
    found = disagreement(responses)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        names = "abc"[i], "abc"[j]
        expected = np.mean([1 - spearmanr(r[names[0]], r[names[1]]).statistic for r in responses])
        assert found.matrix[i, j] == found.matrix[j, i] == pytest.approx(expected)
    assert found.labels == ("a", "b", "c") and found.counts[0, 1] == 2
    assert found.mean == pytest.approx(found.matrix[np.triu_indices(3, 1)].mean())


def test_constant_credits_have_no_order():
    found = disagreement([{"red": [1.0, 2.0], "uniform": [0.5, 0.5]}, {"abc": [2.0, 1.0], "red": [1.0, 2.0]}])
    red, uniform, abc = (found.labels.index(name) for name in ("red", "uniform", "abc"))
    assert np.isnan(found.matrix[red, uniform]) and found.counts[red, uniform] == 0
    assert found.matrix[red, abc] == found.mean == pytest.approx(2.0)
    assert np.isnan(disagreement([{"red": [1.0]}]).mean)
    assert np.isnan(disagreement([]).mean)


def test_credits_of_rows_join_the_labels_of_a_response():
    base = {"example_id": "1", "response_id": "chosen"}
    rows = [
        base | {"label": "red", "credits": [1.0, 2.0]},
        base | {"response_id": "rejected", "label": "red", "credits": np.array([3.0])},
        base | {"label": "abc", "credits": [2.0, 1.0]},
        base | {"label": None, "credits": []},
    ]
    found = credits_of_rows(rows)
    assert [{label: list(v) for label, v in r.items()} for r in found] == [
        {"red": [1, 2], "abc": [2, 1]},
        {"red": [3]},
    ]


@pytest.mark.parametrize(("rate", "n"), [(0.9, 12), (0.95, 30)])
def test_intervals_of_shares_cover_as_often_as_they_say(rate, n):
    random = np.random.default_rng(6)
    found = [pair_report(pairs(won, ~won)).accuracy for won in random.random((250, n)) < rate]
    assert np.mean([e.low <= rate <= e.high for e in found]) > 0.92


def test_a_share_of_all_has_an_interval_and_of_one_has_none():
    five = pair_report(pairs([1] * 5, [0] * 5, subsets=["a"] * 4 + ["b"])).to_dict()
    assert (five["accuracy"]["value"], five["accuracy"]["high"]) == (1, 1) and 0.5 < five["accuracy"]["low"] < 0.6
    assert five["by_subset"]["b"] == {"value": 1.0, "low": None, "high": None, "count": 1}
    ties = share([0.5] * 9)
    assert ties.value == 0.5 and ties.low == pytest.approx(1 - ties.high)
    one = pair_report(pairs([2], [1]))
    assert (
        np.isnan([one.accuracy.low, one.margin.low, one.margin.high, share([]).value]).all() and one.margin.value == 1
    )


def test_accuracy_beyond_length_is_paired():
    """Right wherever length is right and now and then beside: the intervals of both overlap, the difference does not hold 0."""
    random = np.random.default_rng(7)
    longer = random.random(300) < 0.7
    right = longer | (random.random(300) < 0.2)
    lengths = np.where(longer, 2, 1), np.where(longer, 1, 2)
    report = pair_report(pairs(right, ~right, *lengths))
    assert report.longer_wins.high > report.accuracy.low
    assert report.beyond_length.value == pytest.approx(right.mean() - longer.mean()) and report.beyond_length.low > 0
    alike = pair_report(pairs(longer, ~longer, *lengths[::-1]))  # a judge by length: here the shorter wins
    assert (alike.beyond_length.value, alike.beyond_length.low, alike.shorter_wins.value) == (0, 0, longer.mean())
    apart = pair_report(pairs(random.random(300) < 0.7, np.full(300, 0.5), *lengths))
    assert apart.beyond_length.low <= 0


def best_of_three(order=1):
    rows = [
        ("1", "chosen", 2.0, 3, "x"), ("1", "rejected", 1.0, 1, "x"), ("1", "rejected-2", 1.5, 2, "x"),
        ("2", "chosen", 2.0, 1, "x"), ("2", "rejected", 1.0, 2, "x"), ("2", "rejected-2", 3.0, 3, "x"),
        ("3", "chosen", 0.0, 5, "y"), ("3", "chosen-2", 4.0, 6, "y"), ("3", "rejected", -1.0, 4, "y"),
        ("4", "chosen", 9.0, 1, "y"), ("4", "rejected", 0.0, 1, "y"), ("4", "rejected-2", float("nan"), 1, "y"),
        ("5", "1", 9.0, 1, "y"), ("5", "chosen-x", 9.0, 1, "y"), ("6", "chosen", 9.0, 1, "y"),
    ]  # fmt: skip
    return pd.DataFrame(rows[::order], columns=["example_id", "response_id", "score", "length", "subset"])


@pytest.mark.parametrize("order", [1, -1])
def test_the_best_of_n_is_right_where_the_chosen_are_above_all_others(order):
    found = pairs_of_frame(best_of_three(order))
    decided = {i: (found.chosen[n], found.rejected[n], found.chosen_length[n]) for n, i in enumerate(found.ids)}
    assert decided == {"1": (2, 1.5, 3), "2": (2, 3, 1), "3": (0, -1, 5)}
    assert found.left_out == 2  # a score that is missing, a side that is
    report = pair_report(found)
    assert report.best_of_n and report.accuracy.value == pytest.approx(2 / 3)
    assert {name: one.value for name, one in report.by_subset.items()} == {"x": 0.5, "y": 1.0}
    assert report.margin.value == pytest.approx((0.5 - 1 + 1) / 3)
    assert report.comparisons.value == pytest.approx((1 + 0.5 + 1) / 3)
    assert report.chance == pytest.approx(1 / 3)
    # By length alone: the chosen is the longest of all in 1 and 3; in 2 it is the shortest of all.
    assert (report.longer_wins.value, report.shorter_wins.value) == pytest.approx((2 / 3, 1 / 3))
    scores, lengths = [2, 1, 1.5, 2, 1, 3, 0, 4, -1], [3, 1, 2, 1, 2, 3, 5, 6, 4]
    assert report.score_with_length.value == pytest.approx(spearmanr(scores, lengths).statistic)
    assert report.calibration.counts.sum() == 2 * 6  # every comparison in both orders


def test_pairs_are_the_best_of_two():
    report = pair_report(pairs([1, 2, 3], [0, 3, 1], [1, 2, 3], [2, 2, 1]))
    assert (report.best_of_n, report.chance) == (False, 0.5)
    assert report.comparisons.value == report.accuracy.value == pytest.approx(2 / 3)
