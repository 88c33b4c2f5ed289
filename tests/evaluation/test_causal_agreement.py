"""Predicted against actual changes: on a linear model every promise is kept, and what is drawn is what the model did."""

import numpy as np
import pytest
import tiny
from bag import bag, encoding
from close import recomputed, summed
from scipy import stats

import redviz
from redviz.analysis import with_credits
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.evaluation.faithfulness import causal_agreement as agreement
from redviz.evaluation.faithfulness.causal_agreement import CausalPoint, causal_over, causal_points, top_units
from redviz.models.running.observe import observe
from redviz.records import Example
from redviz.text import units

PROMPT = "Review the film."
RESPONSE = "A superb, moving film. But the last act is dull."


@pytest.fixture(scope="module")
def model():
    return tiny.model("Llama")


def test_on_a_linear_model_every_exact_method_keeps_its_promise():
    toy = bag([[0.0], [0.0], [0.2], [0.3], [-0.6], [1.0], [0.5]], [1.0])
    (seen,) = observe(toy, [encoding([2], [3, 4, 5, 6])])
    asked = recipes({"red": {}, "occlusion": {"operator": "pad"}, "sparse": {}})
    found = with_credits(toy, seen, asked)
    points = causal_points(toy, found, top=4, operator="pad", granularity="token")
    for point in points:
        if point.label != "sparse":
            assert point.actual == pytest.approx(point.predicted, abs=recomputed(point.predicted))
    by = {a.label: a for a in agreement.causal_agreement(points)}
    assert by["red"].pearson == pytest.approx(1) and by["red"].same_sign == 1 and by["red"].spans == 4
    assert by["sparse"].pearson < 0.5 and by["red"].interval is None


def test_every_method_is_asked_about_the_spans_of_all(model):
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red", "abc"])
    groups = units(RESPONSE, analysis.offsets, "word")
    wanted = {u.first for c in analysis.credits.values() for u in top_units(c, groups, 3)}
    points = causal_points(model, analysis, top=3)
    for label, credit in analysis.credits.items():
        own = [p for p in points if p.label == label]
        assert len(own) == len(wanted) and [p.start for p in own] == sorted(p.start for p in own)
        for p in own:
            assert p.span == RESPONSE[p.start : p.end]
            without = RESPONSE[: p.start] + RESPONSE[p.end :]
            own_score = float(model.own_scores([model.encode(Example(PROMPT, without)).ids])[0])
            assert p.actual == pytest.approx(own_score - analysis.score, abs=1e-4)
            unit = next(u for u in groups if u.start == p.start)
            assert p.predicted == pytest.approx(-credit.own[unit.first : unit.last].sum(), abs=summed(credit.own))


def test_top_units_are_the_largest_in_absolute_value(model):
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red"])
    groups = units(RESPONSE, analysis.offsets, "word")
    sizes = [
        abs(analysis.credits["red"].own[u.first : u.last].sum()) for u in top_units(analysis.credits["red"], groups, 99)
    ]
    assert len(sizes) == len(groups) and sizes == sorted(sizes, reverse=True)


def test_over_a_file_a_bad_row_stops_nothing(model):
    rows = [Example(PROMPT, RESPONSE, "one"), Example(PROMPT, "", "empty"), Example(PROMPT, "Dull.", "short")]
    rows += [Example(PROMPT, RESPONSE.replace("dull", "funny"), "two")]
    seen = []
    points, problems = causal_over(
        model, rows, ["red", "abc"], top=2, granularity="sentence", progress=lambda *a: seen.append(a), total=4
    )
    assert {p.example for p in points} == {"one", "two"}
    assert len(problems) == 2 and "empty" in problems[0] and "split it finer" in problems[1]
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4)]
    single = causal_points(
        model, redviz.analyze(model, PROMPT, RESPONSE, ["red", "abc"]), top=2, granularity="sentence"
    )
    for one, alone in zip([p for p in points if p.example == "one"], single, strict=True):
        assert one.predicted == pytest.approx(alone.predicted, abs=1e-4)
        assert one.actual == pytest.approx(alone.actual, abs=1e-4)


def test_the_interval_is_over_responses():
    rng = np.random.default_rng(0)
    points = []
    for r in range(40):
        for x in rng.normal(size=5):
            points.append(CausalPoint(str(r), "m", "x", 0, 1, float(x), float(x + rng.normal())))
    [found] = agreement.causal_agreement(points)
    x, y = (np.array([getattr(p, f) for p in points]) for f in ("predicted", "actual"))
    assert found.pearson == pytest.approx(stats.pearsonr(x, y).statistic)
    assert found.spearman == pytest.approx(stats.spearmanr(x, y).statistic)
    assert found.responses == 40 and found.spans == 200
    assert found.interval[0] < found.pearson < found.interval[1]
    assert found.interval[1] - found.interval[0] < 0.35
    twice = [CausalPoint(p.example + s, *(getattr(p, f) for f in agreement.FIELDS)) for p in points for s in "ab"]
    [narrower] = agreement.causal_agreement(twice)  # twice the responses, the same points
    assert narrower.interval[1] - narrower.interval[0] < found.interval[1] - found.interval[0]


def test_what_does_not_vary_has_no_correlation():
    flat = [CausalPoint("a", "m", "x", 0, 1, 1.0, float(k)) for k in range(5)]
    [found] = agreement.causal_agreement(flat)
    assert np.isnan(found.pearson) and np.isnan(found.spearman)


def test_a_function_is_asked_too_and_has_no_pad():
    rule = redviz.reward_function(lambda prompt, response: float("superb" in response) - float("dull" in response))
    analysis = redviz.analyze(rule, PROMPT, RESPONSE, ["occlusion"])
    points = causal_points(rule, analysis, top=3)
    assert all(p.actual == p.predicted for p in points) and {p.actual for p in points} == {-1.0, 1.0, 0.0}
    with pytest.raises(RedvizError, match="no pad token"):
        causal_points(rule, analysis, operator="pad")


def test_a_response_that_is_one_unit_cannot_be_deleted(model):
    analysis = redviz.analyze(model, PROMPT, "Dull.", ["red"])
    with pytest.raises(RedvizError, match="split it finer"):
        causal_points(model, analysis, granularity="sentence")
