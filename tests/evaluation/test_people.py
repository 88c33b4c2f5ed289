"""Agreement among people: the sums against the krippendorff package, also on resampled responses, and answers known by hand."""

import json

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.errors import RedvizError
from redviz.evaluation.agreement.labelled_units import runs, text_spans, top_places, truth_of_units, unit_grades
from redviz.evaluation.agreement.people import among_people
from redviz.evaluation.statistics.coincidences import LEVELS, alpha_of, coincidences
from redviz.evaluation.statistics.intervals import resampling
from redviz.text import units

PEOPLE = ("ada", "bob", "cyd", "dan")
WORDS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def item(id, grades, gold=None):
    """A response of so many words; grades by person, one per word."""
    words = WORDS[: len(next(iter(grades.values())))]
    ends = np.cumsum([len(word) + 1 for word in words])
    spans = [(int(end) - 1 - len(word), int(end) - 1) for word, end in zip(words, ends, strict=True)]

    def marks(own):
        return tuple(Mark(a, b, float(g)) for (a, b), g in zip(spans, own, strict=True) if g)

    said = tuple(Annotation(name, marks(own)) for name, own in grades.items())
    return LabelledItem(id, "Count.", " ".join(words), said, None if gold is None else marks(gold))


def crowd(n=40, seed=0):
    """Responses of different lengths, judged by some of four people: ratings by person, as a test would write them down."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        truth = random.choice([-2, -1, 0, 0, 0, 1, 2], random.integers(2, len(WORDS) + 1))
        who = random.permutation(PEOPLE)[: random.integers(1, 5)]
        found.append({str(p): np.clip(truth + random.choice([-1, 0, 0, 1], len(truth)), -2, 2) for p in who})
    return found


def theirs(ratings, level):
    """The package's alpha of responses: one row per person, nan where the person is missing."""
    columns = [[grades.get(p, np.full(len(next(iter(grades.values()))), np.nan)) for p in PEOPLE] for grades in ratings]
    return krippendorff.alpha(reliability_data=np.concatenate(columns, 1).astype(float), level_of_measurement=level)


@pytest.mark.parametrize("level", LEVELS)
def test_alpha_is_the_packages_also_on_resampled_responses(level):
    ratings = crowd()
    both = [own for own in ratings if len(own) > 1]
    report = among_people([item(str(n), own) for n, own in enumerate(ratings)], level, seed=3)
    assert (report.responses, report.left_out) == (len(both), len(ratings) - len(both))
    assert report.alpha[level].value == pytest.approx(theirs(both, level))
    marked = [{p: g[np.any([x != 0 for x in own.values()], axis=0)] for p, g in own.items()} for own in both]
    assert report.marked_units == sum(len(next(iter(own.values()))) for own in marked)
    assert report.alpha_marked[level].value == pytest.approx(theirs(marked, level))
    drawn = [  # the interval, draw by draw, from the package
        theirs([own for own, times in zip(both, weights, strict=True) for _ in range(int(times))], level)
        for weights in resampling(len(both), 3).weights
    ]
    low, high = np.quantile(drawn, (0.025, 0.975))
    assert (report.alpha[level].low, report.alpha[level].high) == pytest.approx((low, high))
    one = next(n for n, own in enumerate(both) if len({*np.concatenate(list(own.values()))}) > 1)
    assert report.items[one].alpha == pytest.approx(theirs([both[one]], level))


@pytest.mark.parametrize("level", LEVELS)
def test_everybodys_disagreement_is_the_mean_of_the_persons(level):
    ratings = [own for own in crowd(seed=1) if len(own) > 1]
    report = among_people([item(str(n), own) for n, own in enumerate(ratings)], level)
    alphas, weights = zip(*((p.alpha.value, p.units) for p in report.people), strict=True)
    assert np.average(alphas, weights=weights) == pytest.approx(report.alpha[level].value)
    for person in report.people:
        rest = [{p: g for p, g in own.items() if p != person.name} for own in ratings]
        assert person.alpha_without.value == pytest.approx(theirs(rest, level))
        assert person.responses == sum(person.name in own for own in ratings)


@given(
    arrays.arrays(np.int64, st.tuples(st.integers(2, 4), st.integers(1, 12)), elements=st.integers(-2, 2)),
    st.sampled_from(LEVELS),
)
def test_the_sums_are_alpha_for_any_ratings(grades, level):
    values = np.unique(grades)
    found = alpha_of(sum(coincidences(dict(enumerate(grades)), values).values()), values, level)
    if len(values) == 1:
        assert np.isnan(found)
    else:
        expected = krippendorff.alpha(reliability_data=grades, level_of_measurement=level, value_domain=values)
        assert found == pytest.approx(expected)


def test_overlap_of_two_people_by_hand():
    report = among_people(
        [
            item("1", {"ada": [1, 2, 0, 0], "bob": [2, 0, 0, 0]}),  # precision 1/2, recall 1
            item("2", {"bob": [1, 0], "ada": [-1, 0]}),  # the same word, the other sign
            item("3", {"ada": [0, 0], "bob": [0, 0]}),
            item("4", {"ada": [1, 1], "bob": [1, 1]}),
            item("5", {"ada": [1, 1]}),
        ]
    )
    (pair,) = report.pairs
    assert (pair.one, pair.two, pair.both_unmarked) == ("ada", "bob", 1)
    assert pair.token_f1.value == pytest.approx((2 / 3 + 0 + 1) / 3) == report.token_f1.value
    assert pair.token_f1.count == 3 and report.left_out == 1
    assert [own.id for own in report.items if own.why] == ["3", "4"] and np.isnan(report.items[2].alpha)
    assert np.isnan(report.people[0].alpha_without.value) and "nobody left" in report.notes[-1]
    said = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert said["items"][2]["alpha"] is None and len(report.rows()) == 6


def test_where_nothing_varies_it_says_so():
    report = among_people([item("1", {"ada": [1, 1], "bob": [1, 1]})])
    assert np.isnan(report.alpha["ordinal"].value) and "not defined" in report.sentence
    assert "every unit has the same grade" in report.notes[0]
    with pytest.raises(RedvizError, match="two people"):
        among_people([item("1", {"ada": [1, 0]})])
    with pytest.raises(RedvizError, match="nominal, ordinal, interval"):
        among_people([item("1", {"ada": [1, 0], "bob": [1, 0]})], "ratio")


def test_a_unit_has_the_grade_of_most_of_its_characters():
    text = "good bad"
    spans = [(0, 5), (5, 8)]  # "good " and "bad"
    assert unit_grades(text, [0, 1, 1, 1, 0, 0, 0, -1], spans).tolist() == [1, 0]
    assert unit_grades(text, [0, 0, 1, 1, 0, 1, 2, 2], spans).tolist() == [1, 2]  # a tie: the larger magnitude
    assert unit_grades("ab", [1, -1], [(0, 2)]).tolist() == [1]  # then the positive one
    assert unit_grades("a   ", [0, 1, 1, 1], [(0, 4)]).tolist() == [0]  # blanks have no say
    assert unit_grades("a\n\n", [0, 1, 1], [(0, 1), (1, 3), (3, 3)]).tolist() == [0, 1, 0]  # unless they are alone
    assert unit_grades("", [], []).tolist() == []
    with pytest.raises(RedvizError, match="offsets inside"):
        truth_of_units(LabelledItem("1", "p", "ab", (Annotation("ada", (Mark(0, 3, 1),)),)), [(0, 2)])


def test_people_are_averaged_after_each_is_reduced_to_units():
    # Ada marked most of the word, Bob did not. Characters averaged first would hold 1, 1, 1/2, 0, 0: a grade of 1.
    said = (Annotation("ada", (Mark(0, 3, 1.0),)), Annotation("bob", (Mark(0, 2, 1.0),)))
    given_ = LabelledItem("1", "p", "three", said)
    assert truth_of_units(given_, [(0, 5)]).tolist() == [0.5]
    assert truth_of_units(LabelledItem("1", "p", "three", said, (Mark(0, 5, -2.0),)), [(0, 5)]).tolist() == [-2]
    assert truth_of_units(LabelledItem("1", "p", "three"), [(0, 5)]) is None


@given(st.text(st.sampled_from("ab_é' -.,\n\u0301👍🏽٣"), max_size=12), st.sampled_from(["token", "word", "sentence"]))
def test_spans_without_a_model_are_those_of_single_characters(text, granularity):
    single = [(n, n + 1) for n in range(len(text))]
    expected = [unit.text.strip() for unit in units(text, single, granularity) if unit.text.strip()]
    assert [text[a:b] for a, b in text_spans(text, granularity)] == expected


def test_scripts_without_blanks_have_a_word_for_each_character():
    text = "很好！ film ทีวี"
    assert [text[a:b] for a, b in text_spans(text)] == ["很", "好", "！", "film", "ที", "วี"]
    assert [text[a:b] for a, b in text_spans(text, "sentence")] == ["很好！", "film ทีวี"]


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(0, 9)), min_size=1, max_size=8, unique_by=lambda x: x[1]))
def test_the_top_are_no_smaller_than_the_rest(given_):
    scores, ties = (np.array(x) for x in zip(*given_, strict=True))
    for k in range(len(scores) + 1):
        top = top_places(scores, k, ties)
        rest = np.setdiff1d(np.arange(len(scores)), top)
        assert len(top) == k and (np.diff(top) > 0).all()
        assert all((-scores[t], ties[t]) < (-scores[r], ties[r]) for t in top for r in rest)
        assert [u for a, b in runs(top) for u in range(a, b)] == top.tolist()
        assert all(b < c for (_, b), (c, _) in zip(runs(top), runs(top)[1:], strict=False))
