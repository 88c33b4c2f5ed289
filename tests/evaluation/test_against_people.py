"""Methods against people: scikit-learn's and SciPy's figures, answers known by hand, and what must not slip through."""

import json
import re
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import auc, average_precision_score, f1_score, precision_recall_curve, roc_auc_score

import redviz
from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.errors import RedvizError
from redviz.evaluation.agreement.against_people import against_people, report_of_table
from redviz.evaluation.agreement.agreement_table import agreement_table
from redviz.evaluation.agreement.ranking_figures import FIGURES, auroc, chance_figures, ranking_figures, spearman
from redviz.records import Analysis, Credit, Encoding, Example, Observation, Source

TEXT = "aa bb cc dd ee ff gg hh ii jj"


def item(id, *people, gold=None, text=TEXT, subset=""):
    """A response of two-letter words; grades of each person, one per word."""

    def marks(grades):
        return tuple(Mark(3 * n, 3 * n + 2, float(g)) for n, g in enumerate(grades) if g)

    said = tuple(Annotation(f"person {n}", marks(own)) for n, own in enumerate(people))
    return LabelledItem(id, "Say.", text, said, None if gold is None else marks(gold), subset)


def analysis(text=TEXT, closing=0.0, truncated=0, error=None, **credits):
    """Two tokens a word (" a", "a"), with the credits of words, all on the second token."""
    words = len(text.split())
    offsets = tuple(pair for n in range(words) for pair in ((max(0, 3 * n - 1), 3 * n + 1), (3 * n + 1, 3 * n + 2)))
    seen = Observation(
        Encoding(np.zeros(2 * words + 1, np.int64), 1, 2 * words + 1, 2 * words, offsets, (), text, truncated),
        np.zeros(2 * words + 1, np.float32),
    )

    def tokens(own):
        values = np.stack([np.zeros(words), own], 1).ravel().astype(np.float32)
        values[-1] += closing
        return Credit(values, None, None, closing)

    return Analysis(Example("Say.", text), Source("hand"), seen, {m: tokens(v) for m, v in credits.items()}, error)


def named(figures):
    return dict(zip(FIGURES, figures.tolist(), strict=True))


def test_the_figures_are_scikit_learns_and_scipys_with_ties():
    random = np.random.default_rng(0)
    for _ in range(50):
        truth, scores = random.integers(-1, 2, 20), random.integers(-3, 4, 20) / 2
        found = named(ranking_figures(truth, scores, random.permutation(20)))
        for name, theirs in (
            ("average_precision", average_precision_score),
            ("auroc", roc_auc_score),
            ("auprc", lambda y, s: auc(*precision_recall_curve(y, s)[1::-1])),
        ):
            expected = np.mean([theirs(truth > 0, scores), theirs(truth < 0, -scores)])
            assert found[name] == pytest.approx(expected), name
        assert found["spearman"] == pytest.approx(spearmanr(truth, scores).statistic)


def test_the_top_units_are_as_many_as_are_marked():
    random = np.random.default_rng(1)
    truth, scores = (random.random(30) < 0.3).astype(int), random.normal(size=30)
    k = truth.sum()
    found = named(ranking_figures(truth, scores, np.arange(30)))
    assert found["token_f1"] == pytest.approx(f1_score(truth, scores >= np.sort(scores)[-k]))
    by_hand = ranking_figures([1, 1, 0, 0, 1, 0], [9, 8, 7, 1, 2, 3], np.arange(6))  # top 3: words 0 to 2, one span
    assert named(by_hand)["token_f1"] == pytest.approx(2 / 3)
    assert named(by_hand)["iou_f1"] == pytest.approx(2 * 1 * 0.5 / 1.5)  # hits [0, 2) with 2/3, misses [4, 5)
    apart = ranking_figures([1, 1, 0, 0], [9, 1, 8, 0], np.arange(4), places=[0, 5, 6, 7])
    assert named(apart)["iou_f1"] == 0.5  # [0, 1) and [5, 6) against [0, 1) and [6, 7): what lies between is not there


@pytest.mark.parametrize("truth", [[1, 1, 0, 0, 0], [1, -1, -1, 0, 0], [1, 0], [1], [1, 1]])
def test_chance_is_the_mean_over_all_orders(truth):
    ties = np.arange(len(truth))
    orders = [ranking_figures(truth, order, ties) for order in permutations(range(len(truth)))]
    expected, found = named(np.mean(orders, axis=0)), named(chance_figures(truth)["chance"])
    assert np.isnan(found.pop("iou_f1"))
    assert found == pytest.approx({name: expected[name] for name in found}, nan_ok=True)
    share = np.mean([s for s in (np.mean(np.sign(truth) == 1), np.mean(np.sign(truth) == -1)) if s])
    assert named(chance_figures(truth)["prevalence"])["auprc"] == pytest.approx(share)


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(-3, 3)), min_size=1, max_size=9))
def test_turning_all_signs_changes_nothing(pairs):
    truth, scores = np.array(pairs).T
    ties = np.arange(len(truth))
    one, two = ranking_figures(truth, scores, ties), ranking_figures(-truth, -scores, ties)
    assert one == pytest.approx(two, nan_ok=True)
    assert np.isnan(one[:3]).all() == (not truth.any())


def test_edges():
    assert np.isnan(auroc([1, 1], [0.1, 0.2])) and np.isnan(spearman([1, 1], [0, 1])) and np.isnan(spearman([], []))
    bad = named(
        ranking_figures([-1, 0, 0], [1.0, 0.5, 0.0], np.arange(3))
    )  # what is marked as bad got the highest credit
    assert bad["average_precision"] == pytest.approx(1 / 3) and bad["auroc"] == 0 and bad["spearman"] < 0
    blind = named(ranking_figures([-1, 0, 0], [1.0, 0.5, 0.0], np.arange(3), signed=False))  # first first finds it
    assert blind["average_precision"] == 1 and blind["spearman"] > 0


def test_a_report_by_hand():
    good, bad = [2, 0, 0, 1, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, -1, 0, 0, 0, 0, 0]
    mixed = np.add(good, bad)
    rising = np.arange(10.0)
    pairs = [
        (item("good", good), analysis(right=np.add(good, rising / 100), wrong=-rising)),
        (item("bad", bad), analysis(right=bad, wrong=rising)),
        (item("mixed", gold=mixed), analysis(right=mixed, closing=50.0)),  # the closing tokens' share is no word's
        (item("calm", [0] * 10), analysis(right=rising)),
        (item("unread"), analysis(right=rising)),
        (item("broken", good), Analysis(Example("Say.", TEXT), Source("hand"), None, error="too long")),
        (item("half", good), analysis(right=good, truncated=3, error="wrong: no gradient")),
    ]
    report = against_people(iter(pairs))
    assert report.left_out == {"unlabelled": 1, "unmarked": 1, "failed": 1, "partly_failed": 1, "cut": 1}
    assert report.responses == 4 and report.units == 40 and report.marked == 2 + 1 + 3 + 2
    rows = {row.label: row for row in report.methods}
    assert {label: rows[label].kind for label in rows if rows[label].kind == "method"} == dict.fromkeys(
        ("right", "wrong"), "method"
    )
    for name in ("auprc", "average_precision", "auroc", "token_f1", "iou_f1"):
        assert rows["right"].figures[name].value == 1, name
    wrong = rows["wrong"].figures["auroc"]
    assert wrong.count == 2 and wrong.value == pytest.approx(
        np.mean([auroc(np.sign(good), -rising), auroc(np.abs(bad), -rising)])
    )
    last = np.mean([auroc(np.sign(good), rising), auroc(np.abs(bad), rising)])  # position has no sign
    both = [auroc(np.sign(good), rising), auroc(np.abs(bad), rising), last, auroc(np.sign(good), rising)]
    assert rows["last first"].figures["auroc"].value == pytest.approx(np.mean(both))
    assert rows["first first"].figures["auroc"].value == pytest.approx(1 - np.mean(both))
    assert rows["prevalence"].figures["auprc"].value == pytest.approx(np.mean([0.2, 0.1, 0.15, 0.2]))
    assert "people" not in rows  # nobody to compare one person with
    said = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert said["responses"] == 4 and "table" not in said and len(report.rows()) == len(rows) * len(FIGURES)
    assert [row["id"] for row in report.table.rows() if row["label"] == "wrong"] == ["good", "bad", "mixed", "half"]
    assert [row["auroc"] for row in report.table.rows() if row["label"] == "wrong"][2] is None
    assert any(note.startswith("Responses without any mark") for note in report.notes)


def test_intervals_hold_the_mean_and_come_from_responses():
    random = np.random.default_rng(0)
    pairs = []
    for n in range(60):
        truth = random.permutation([1, 1, 0, 0, 0, 0, 0, 0, 0, -1])
        pairs.append(
            (
                item(str(n), truth, subset="ab"[n % 2]),
                analysis(fair=truth + random.normal(0, 1, 10), noise=random.normal(0, 1, 10)),
            )
        )
    report = against_people(pairs, metric="auroc")
    fair = report.methods[0].figures["auroc"]
    own = report.table.figure("auroc", "method")[:, 0]
    assert fair.value == pytest.approx(own.mean())
    error = own.std() / np.sqrt(60)
    assert (fair.low, fair.high) == pytest.approx(
        (fair.value - 1.96 * error, fair.value + 1.96 * error), abs=0.3 * error
    )
    (difference,) = report.differences
    assert (difference.one, difference.two, difference.significant) == ("fair", "noise", True)
    assert (
        "fair over noise" in report.sentence
        and "noise (random order" in report.sentence
        and "fair (" not in report.sentence
    )
    half = report_of_table(report.table.only([s == "a" for s in report.table.subsets]), "auroc")
    assert half.responses == 30 and half.methods[0].figures["auroc"].value == pytest.approx(own[::2].mean())
    again = against_people(pairs[::2], metric="auroc")
    assert again.methods[0].figures == half.methods[0].figures and again.differences == half.differences


def test_people_are_held_against_the_rest():
    one, two, three = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0] * 10
    rows = {r.label: r for r in against_people([(item("1", one, two, three), analysis(m=np.arange(10.0)))]).methods}
    found = rows["people"]
    # against the mean of the rest: {0} of {0, 1}, {0, 1} of {0}, and nothing of {0, 1}
    assert found.kind == "people" and found.figures["token_f1"].value == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    rest = [(two, three, one), (one, three, two), (one, two, three)]
    expected = [roc_auc_score(np.add(a, b) > 0, own) for a, b, own in rest]
    assert found.figures["auroc"].value == pytest.approx(np.mean(expected))
    strict = against_people([(item("1", one, two, three), analysis(m=np.arange(10.0)))], threshold=0.5)
    assert (strict.marked, strict.methods[0].figures["auroc"].value) == (
        1,
        0,
    )  # two of three marked the first word only


def test_people_and_methods_are_held_against_the_same_label():
    one, two, gold = [1, 1] + [0] * 8, [0, 0, 1] + [0] * 7, [1, 0, 0, 1] + [0] * 6
    pairs = [
        (item("1", one, two, gold=gold), analysis(m=np.arange(10.0))),
        (item("2", one, gold=gold), analysis(m=gold)),
    ]
    report = against_people(pairs)
    rows = {row.label: row.figures for row in report.methods}
    assert rows["people"]["token_f1"].count == 2  # one person is enough where a label is settled
    assert rows["people"]["token_f1"].value == pytest.approx(np.mean([(0.5 + 0) / 2, 0.5]))
    ones = [roc_auc_score(gold, person) for person in (one, two)]
    assert rows["people"]["auroc"].value == pytest.approx(np.mean([np.mean(ones), ones[0]]))
    assert "against the settled label too" in report.rule
    perfect = {
        r.label: r.figures for r in against_people([(item("1", gold, one, gold=gold), analysis(m=gold))]).methods
    }
    assert perfect["people"]["spearman"].value == pytest.approx((1 + spearmanr(gold, one).statistic) / 2)


def test_words_left_out_are_as_if_they_were_not_there():
    truth, credit = [1, 0, 1, 0, 0, 0, 0, 1, 0, 0], np.array([5, 9, 4, 8, 1, 2, 3, 0.5, 7, 6])
    seen = {"bb", "dd", "hh"}
    pairs = [(item("1", truth), analysis(m=credit)), (item("2", [0, 1] + [0] * 8), analysis(m=credit))]
    table = agreement_table(pairs, leave_out=lambda _, units: [unit.text.strip() in seen for unit in units])
    keep = np.array([word not in seen for word in TEXT.split()])
    assert table.units.tolist() == [7] and table.marked.tolist() == [2] and table.left_out.unmarked == 1
    expected = ranking_figures(np.array(truth)[keep], credit[keep], np.arange(7))
    assert table.values[0, 0, :4] == pytest.approx(expected[:4])
    with pytest.raises(RedvizError, match="one value per unit"):
        agreement_table(pairs, leave_out=lambda *_: [True])


def test_ties_that_lift_eraser_s_area_are_told():
    sparse = np.zeros(10)
    report = against_people([(item("1", [1] + [0] * 9), analysis(sparse=sparse, red=np.arange(10.0)))])
    row = report.methods[0].figures
    assert row["auprc"].value == pytest.approx(0.55) and row["average_precision"].value == pytest.approx(0.1)
    assert "same credit as another one in: sparse." in report.notes[0]


def test_what_cannot_be_compared_is_an_error():
    with pytest.raises(RedvizError, match="1 unmarked"):
        against_people([(item("1", [0] * 10), analysis(m=np.arange(10.0)))])
    with pytest.raises(RedvizError, match="different texts"):
        against_people([(item("1", [1], text="aa"), analysis(m=np.arange(10.0)))])
    with pytest.raises(RedvizError, match="Unknown figure"):
        against_people([], metric="accuracy")


def test_real_credits_of_the_shipped_model(sentiment):
    texts = {
        "A superb, moving film.": {"superb": 2, "moving": 1},
        "A dull and empty film, but the music is lovely.": {"dull": -2, "empty": -1, "lovely": 2},
        "An awful mess.": {"awful": -2, "mess": -1},
    }
    items = [
        LabelledItem(
            text,
            "Review the film.",
            text,
            (),
            tuple(Mark(text.index(w), text.index(w) + len(w), g) for w, g in said.items()),
        )
        for text, said in texts.items()
    ]
    analyses = list(redviz.analyze_batch(sentiment, [own.example for own in items], ["red", "occlusion"]))
    report = against_people(zip(items, analyses, strict=True), seed=1)
    brute = []
    for own, made in zip(items, analyses, strict=True):
        truth, sums = own.truth, np.zeros(len(own.response))
        for (start, end), value in zip(made.offsets, made.credits["occlusion"].own, strict=True):
            sums[start:end] += value / (end - start)
        words = [m.span() for m in re.finditer(r"\s?\w+|[^\w\s]", own.response)]
        grades = np.array([truth[b - 1] for _, b in words])
        credit = np.array([sums[a:b].sum() for a, b in words])
        signs = [s for s in (1, -1) if (s * grades > 0).any()]
        brute.append(np.mean([average_precision_score(s * grades > 0, s * credit) for s in signs]))
    rows = {row.label: row.figures for row in report.methods}
    assert rows["occlusion"]["average_precision"].value == pytest.approx(np.mean(brute))
    assert rows["occlusion"]["auroc"].value > 0.8 > rows["random order"]["auroc"].value
