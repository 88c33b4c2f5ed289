"""Can this model be split? Models whose answer is known: additive, all on the last token, all in the closing tokens, noise."""

import json

import numpy as np
import pytest

from redviz.batches import analyze_batch
from redviz.errors import RedvizError
from redviz.evaluation.statistics.splitting import FRACTIONS, split_report, split_report_of_rows, split_report_of_sides
from redviz.models.kinds.function import reward_function
from redviz.models.running.observe import observe
from redviz.records import Analysis, Example, Source
from tests.bag import bag, encoding

T, PAIRS = 40, 300


def steps(gap, seed=0, pairs=PAIRS, length=T):
    """Credits of independent tokens: chosen ones have a mean of +gap, rejected ones of -gap: ``[side, pair, token]``."""
    drawn = np.random.default_rng(seed).normal(0, 1, (2, pairs, length))
    drawn[0] += gap
    drawn[1] -= gap
    return drawn


def sides(prefix, score=None):
    """(P, R) of both sides of every pair, from prefix scores ``[side, pair, T + 1]``."""
    score = prefix[:, :, -1] if score is None else score
    return [tuple((prefix[s, p], float(score[s, p])) for s in (0, 1)) for p in range(prefix.shape[1])]


def additive(gap, **options):
    given = steps(gap, **options)
    return np.concatenate([np.zeros((*given.shape[:2], 1)), given.cumsum(2)], 2)


def test_an_additive_model_can_be_split():
    prefix = additive(0.3)
    report = split_report_of_sides(sides(prefix))
    assert report.verdict == "yes" and report.sentence.startswith("Yes: ")
    assert report.count == PAIRS and report.left_out == 0
    for f, share in enumerate(FRACTIONS):  # brute force
        t = int(share * T)
        at = prefix[:, :, t]
        assert report.accuracy[f].value == pytest.approx((at[0] > at[1]).mean())
        expected = np.corrcoef(at.ravel(), prefix[:, :, -1].ravel())[0, 1]
        assert report.correlation[f].value == pytest.approx(expected)
        assert report.accuracy[f].low <= report.accuracy[f].value <= report.accuracy[f].high
    assert report.correlation[-1].value == pytest.approx(1)
    sizes = np.abs(np.diff(prefix, axis=2))
    assert report.last_share.value == pytest.approx((sizes[:, :, -1] / sizes.sum(2)).mean())
    assert report.closing_share.value == 0
    assert report.end_share.value == pytest.approx(report.last_share.value)


def test_independent_tokens_take_their_share_off_the_variance():
    report = split_report_of_sides(sides(additive(0.0, seed=1, pairs=3000)))
    found = [e.value for e in report.variance_reduction]
    # The return left before token t is the sum of T - t + 1 independent tokens: 1 - Var / Var(R) = (t - 1) / T; a tenth of 40
    # tokens are four. The mean of the squares of a sum left is what counts, so the middle of each tenth is right.
    expected = [(4 * p + 1.5) / T for p in range(10)]
    assert found == pytest.approx(expected, abs=0.04)
    assert report.late_reduction.value == pytest.approx(np.mean(expected[5:]), abs=0.04)
    assert report.late_reduction.low < np.mean(expected[5:]) < report.late_reduction.high


def test_a_linear_bag_is_split_exactly():
    random = np.random.default_rng(2)
    weights = random.normal(0, 1, 26)
    model = bag([[0.0], [0.0], *[[w] for w in weights[2:]]], [1.0])
    good, bad = (2 + np.flatnonzero(sign * weights[2:] > 0) for sign in (1, -1))

    def analysis(pool, name):
        ids = random.permutation([*random.choice(pool, 14), *random.integers(2, 26, 6)])
        return Analysis(Example("p", "r", name), Source("bag"), observe(model, [encoding([2, 3], ids)])[0])

    pairs = [(analysis(good, f"{n}/chosen"), analysis(bad, f"{n}/rejected")) for n in range(60)]
    report = split_report(pairs)
    assert report.verdict == "yes"
    assert report.accuracy[-1].value == report.score_accuracy.value == 1.0
    assert report.end_share.value < 0.1
    rows = [
        {
            "example_id": a.example.id.split("/")[0],
            "response_id": a.example.id.split("/")[1],
            "label": label,
            "score": a.score,
            "prefix_scores": a.prefix_scores,
        }
        for label in ("red", "abc")  # two rows per response count once
        for pair in pairs
        for a in pair
    ]
    assert split_report_of_rows(rows).to_dict() == report.to_dict()


def test_a_verdict_on_the_last_token_cannot_be_split():
    prefix = np.full((2, PAIRS, T + 1), 0.25)
    prefix[:, :, -1] += steps(1.5, length=1)[:, :, 0]
    report = split_report_of_sides(sides(prefix))
    assert report.verdict == "no" and "sparse reward plus noise" in report.sentence
    assert report.last_share.value == report.end_share.value == 1.0
    assert [e.value for e in report.variance_reduction] == pytest.approx([0.0] * 10, abs=1e-9)
    assert [e.value for e in report.accuracy[:3]] == [0.5] * 3  # ties
    assert report.accuracy[3].value == report.score_accuracy.value > 0.9
    assert np.isnan(report.correlation[0].value)


def test_a_verdict_in_the_closing_tokens_cannot_be_split():
    prefix = np.zeros((2, PAIRS, T + 1))
    report = split_report_of_sides(sides(prefix, score=steps(1.5, length=1)[:, :, 0]))
    assert report.verdict == "no"
    assert (report.closing_share.value, report.last_share.value) == (1.0, 0.0)
    assert report.accuracy[3].value == 0.5  # P_T itself knows nothing


def test_prefixes_of_noise_raise_the_variance():
    random = np.random.default_rng(3)
    prefix = random.normal(0, 3, (2, PAIRS, T + 1))
    prefix[:, :, -1] = steps(1.0, length=1)[:, :, 0]
    report = split_report_of_sides(sides(prefix))
    assert report.verdict == "no" and "neither at 50 %" in report.sentence
    assert report.late_reduction.value < -1
    informed = prefix + 4 * np.sign(prefix[:, :, -1:])  # now right in the middle, and still shaking
    informed[:, :, -1] = prefix[:, :, -1]
    raised = split_report_of_sides(sides(informed))
    assert raised.verdict == "no" and "raises the variance" in raised.sentence


def test_some_doubt_is_in_part_and_is_named():
    # What counts falls in the last two tokens but not on the last alone; before it there is a weak sign.
    prefix = additive(0.3, pairs=PAIRS)
    score = prefix[:, :, -1] + np.sign(prefix[:, :, -1]) * np.abs(np.diff(prefix, axis=2)).sum(2) * 1.5
    report = split_report_of_sides(sides(prefix, score))
    assert report.verdict == "in part"
    assert f"{report.end_share.value:.0%} of |credit|" in report.sentence
    assert 0.5 <= report.end_share.value < 0.8


def test_unclear_without_pairs_enough_or_without_a_verdict():
    few = split_report_of_sides(sides(additive(0.5, pairs=7)))
    assert few.verdict == "unclear" and "7 pairs" in few.sentence
    blind = split_report_of_sides(sides(additive(0.0)))
    assert blind.verdict == "unclear" and "no verdict to split" in blind.sentence


def test_what_cannot_be_read_is_left_out_and_counted():
    good = sides(additive(0.3, pairs=3, length=1))
    broken = (np.array([0.0, np.nan, 1.0]), 1.0), (np.array([0.0, 1.0]), 1.0)
    empty = (np.zeros(0), float("nan")), (np.array([0.0, 1.0]), 1.0)
    flat = (np.zeros(3), 0.0), (np.zeros(3), 0.0)  # no credit at all: no share
    report = split_report_of_sides([*good, broken, empty, flat])
    assert (report.count, report.left_out) == (4, 2)
    assert report.accuracy[0].value == 0.5  # a quarter of one token is nothing: P_0 against P_0
    assert report.last_share.value == 1.0  # of those that have credit
    json.dumps(report.to_dict(), allow_nan=False)
    with pytest.raises(RedvizError, match="a rule does not"):
        split_report_of_sides([broken])


def test_a_rule_has_nothing_to_split():
    model = reward_function(lambda prompt, response: len(response))
    one, two = analyze_batch(model, [Example("p", "a b c", "1/chosen"), Example("p", "a b", "1/rejected")], ["sparse"])
    with pytest.raises(RedvizError, match="no pair with prefix scores"):
        split_report([(one, two)])


def test_what_the_prompt_explains_is_not_to_the_credit_of_red():
    """Prompts that differ much, and prefixes that shake around the score of their prompt: RED adds noise to every baseline."""
    random = np.random.default_rng(4)
    prompt = random.normal(0, 3, (1, PAIRS, 1))
    last = steps(1.0, length=1)
    prefix = prompt + np.sign(last) * 0.7 + random.normal(0, 2, (2, PAIRS, T + 1))
    prefix[:, :, :1] = prompt
    prefix[:, :, -1:] = prompt + last
    easy_and_hard = split_report_of_sides(sides(prefix))
    alike = split_report_of_sides(sides(prefix - prompt))
    assert easy_and_hard.variance_reduction[7].low > 0.3  # the figure as it is specified holds the prompt's part
    assert easy_and_hard.verdict == alike.verdict == "no"
    assert (
        easy_and_hard.late_reduction.value == pytest.approx(alike.late_reduction.value)
        and alike.late_reduction.high < 0
    )
    assert "beside what the prompt alone explains" in easy_and_hard.sentence
    noise = prefix - prompt
    noise[:, :, :1] = random.normal(
        0, 9, (2, PAIRS, 1)
    )  # a score of the prompt that means nothing is no baseline to beat
    assert split_report_of_sides(sides(noise)).late_reduction.value == pytest.approx(alike.late_reduction.value)
