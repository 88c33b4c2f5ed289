"""Methods among themselves: SciPy's correlation, overlaps by hand and by chance, and the words where two methods part."""

import json
from itertools import combinations

import numpy as np
import pytest
from scipy.stats import spearmanr

import redviz
from redviz.errors import RedvizError
from redviz.evaluation.agreement.between_methods import between_methods, chance_overlap
from redviz.records import Analysis, Credit, Encoding, Example, Observation, Source

WORDS = ["aa", "bb", "cc", "dd", "ee", "ff", "gg", "hh", "ii", "jj"]


def analysis(id="1", words=10, **credits):
    """One token a word."""
    text = " ".join(WORDS[:words])
    offsets = tuple((max(0, 3 * n - 1), 3 * n + 2) for n in range(words))
    seen = Observation(
        Encoding(np.zeros(words + 1, np.int64), 1, words + 1, words, offsets, (), text), np.zeros(words + 1, np.float32)
    )
    made = {label: Credit(np.asarray(v, np.float32), None, None) for label, v in credits.items()}
    return Analysis(Example("Say.", text, id), Source("hand"), seen, made)


def test_correlations_are_scipys_averaged_over_responses():
    random = np.random.default_rng(0)
    given = [{m: random.integers(-3, 4, 10).astype(float) for m in "abc"} for _ in range(20)]
    given[3]["c"][:] = 1.0  # constant: no order
    del given[4]["b"]
    report = between_methods(analysis(str(n), **own) for n, own in enumerate(given))
    for i, j in combinations(range(3), 2):
        one, two = "abc"[i], "abc"[j]
        both = [own for own in given if one in own and two in own and np.ptp(own[one]) and np.ptp(own[two])]
        expected = np.mean([spearmanr(own[one], own[two]).statistic for own in both])
        assert report.spearman[i, j] == report.spearman[j, i] == pytest.approx(expected)
        assert report.counts[i, j] == len(both)
    assert report.responses == 20 and np.diag(report.spearman).tolist() == [1, 1, 1]


def test_the_overlap_is_of_the_largest_sizes():
    one = [9, -8, 1, 0.5, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7]
    two = [-9, 0.8, 7, 0.5, 0.1, 0.2, 0.3, 0.4, 0.6, 0.7]
    assert between_methods([analysis(a=one, b=two)]).overlap[0, 1] == 1  # one word of ten: the first, whatever its sign
    assert between_methods([analysis(a=one, b=two)], share=0.11).overlap[0, 1] == pytest.approx(
        1 / 3
    )  # rounded up to two
    assert between_methods([analysis(a=one, b=two)], k=3).overlap[0, 1] == 1
    whole = between_methods([analysis(a=one, b=two)], k=99)
    assert whole.overlap[0, 1] == 1 and whole.chance == pytest.approx(1)


def test_chance_is_what_two_random_choices_share():
    choices = [set(c) for c in combinations(range(6), 2)]
    expected = np.mean([len(a & b) / len(a | b) for a in choices for b in choices])
    assert chance_overlap(6, 2) == pytest.approx(expected)
    random = np.random.default_rng(0)
    flat = between_methods(
        analysis(str(n), a=np.zeros(10), b=np.zeros(10), c=random.normal(size=10)) for n in range(1000)
    )
    assert flat.chance == pytest.approx(chance_overlap(10, 1))
    for i, j in combinations(range(3), 2):  # equal credits are chosen from at random: no agreement out of nothing
        assert flat.overlap[i, j] == pytest.approx(flat.chance, abs=0.04)
    assert np.isnan(flat.spearman[0, 1]) and flat.counts[0, 1] == 0


def test_the_words_where_two_methods_part():
    rising = np.arange(10.0)
    report = between_methods(
        [
            analysis("near", a=rising, b=rising + 0.1),
            analysis("far", a=rising, b=[9, 1, 2, 3, 4, 5, 6, 7, 8, 0]),
            analysis("short", words=4, a=[0, 1, 2, 3], b=[3, 2, 1, 0]),
            analysis("flat", a=rising, b=np.ones(10)),
        ],
        most=3,
    )
    first, last, third = report.partings
    assert {first.text, last.text} == {"aa", " jj"} and first.id == last.id == "far" and first.apart == last.apart == 1
    low = next(p for p in (first, last) if p.text == "aa")
    assert (low.start, low.end, low.value_one, low.value_two, low.rank_one, low.rank_two) == (0, 2, 0, 9, 0, 1)
    assert (low.one, low.two) == ("a", "b") and third.apart == 0  # "short" has too few words, "flat" no order
    said = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert said["labels"] == ["a", "b"] and said["partings"][0]["apart"] == 1
    assert report.rows() == [
        {"one": "a", "two": "b", "spearman": report.spearman[0, 1], "overlap": report.overlap[0, 1], "responses": 3}
    ]


def test_every_pair_has_its_partings():
    report = between_methods(
        [analysis(a=np.arange(10.0), b=-np.arange(10.0), c=[0, 1, 2, 3, 4, 5, 6, 7, 9, 8])], most=2
    )
    assert sorted((p.one, p.two) for p in report.partings) == [("a", "b")] * 2 + [("a", "c")] * 2 + [("b", "c")] * 2
    assert [p.apart for p in report.partings] == sorted((p.apart for p in report.partings), reverse=True)


def test_what_has_one_method_is_left_out():
    broken = Analysis(Example("Say.", "aa"), Source("hand"), None, error="too long")
    report = between_methods([broken, analysis(a=np.arange(10.0)), analysis(a=np.arange(10.0), b=np.arange(10.0))])
    assert (report.responses, report.left_out) == (1, 2)
    with pytest.raises(RedvizError, match="at least two"):
        between_methods([analysis(a=np.arange(10.0))])
    with pytest.raises(RedvizError, match="share is 0"):
        between_methods([], share=0)


def test_real_credits_of_the_shipped_model(sentiment):
    made = redviz.analyze(
        sentiment, "Review the film.", "A superb, moving film, if a bit long.", methods=["red", "occlusion", "uniform"]
    )
    report = between_methods([made], "token")
    credits = [made.credits[label].own for label in ("red", "occlusion")]
    assert report.spearman[0, 1] == pytest.approx(spearmanr(*credits).statistic)
    assert report.counts[0].tolist() == [0, 1, 0] and {(p.one, p.two) for p in report.partings} == {
        ("red", "occlusion")
    }
    assert all(made.response[p.start : p.end] == p.text for p in report.partings)
