"""Does the model do what the credits say? Predicted against actual change over the most credited spans, for any method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

from redviz.batches import analyze_batch
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.evaluation.faithfulness.causal import CausalCheck, causal_checks
from redviz.records import Analysis, Array, Credit, Example
from redviz.text import Unit, pool, units

if TYPE_CHECKING:
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel

    Model = RewardModel | FunctionModel

RESAMPLES = 1000
FEW = 8  # responses analysed together
Methods = Sequence[str] | Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class CausalPoint:
    """One span taken out of one response: the change a method predicts (minus its credit) and the model's actual change."""

    example: str
    label: str
    span: str
    start: int
    end: int
    predicted: float
    actual: float


@dataclass(frozen=True)
class CausalAgreement:
    """How well one method's credits predict what the model then does.

    Attributes
    ----------
    label, spans, responses
        The method, and how many spans of how many responses were taken out.
    pearson, spearman
        Correlation of predicted with actual change; nan where either does not vary.
    same_sign
        Share of spans whose change has the predicted sign, among those where neither is 0; nan for a method that predicts one sign
        only, for which it would be the base rate.
    interval
        95 % bootstrap interval of ``pearson`` over responses (spans of one response are not independent); None for a single response.
    """

    label: str
    spans: int
    responses: int
    pearson: float
    spearman: float
    same_sign: float
    interval: tuple[float, float] | None = None


def top_units(credit: Credit, groups: Sequence[Unit], k: int) -> list[Unit]:
    """The ``k`` units with the largest credits in absolute value, largest first; the closing tokens' share is left out."""
    order = np.argsort(-np.abs(pool(credit.own, groups)), kind="stable")
    return [groups[i] for i in order[:k]]


def causal_points(
    model: Model,
    analysis: Analysis,
    *,
    top: int = 8,
    operator: str = "delete",
    granularity: str = "word",
    replacement: str = "",
) -> list[CausalPoint]:
    """Take out the ``top`` most credited units of every method, one at a time, and set both changes side by side.

    Every method is asked about the spans of all methods: each is judged on its own favourites and on the others'.

    Parameters
    ----------
    model, analysis
        The model and its analysis of one response, with the credits to be checked.
    top
        Spans per method.
    operator, replacement
        As in :func:`redviz.evaluation.faithfulness.causal.causal_checks`.
    granularity
        "token", "word" or "sentence".
    """
    groups = units(analysis.response, analysis.offsets, granularity)
    if len(groups) == 1 and operator == "delete":
        raise RedvizError(f"The response is one {granularity}, so nothing would remain of it; split it finer.")
    chosen = {u.first: u for credit in analysis.credits.values() for u in top_units(credit, groups, top)}
    checks = causal_checks(model, analysis, list(chosen.values()), operator, replacement)
    return [
        CausalPoint(
            analysis.example.id, label, c.unit.text, c.unit.start, c.unit.end, c.predicted(credit), float(c.actual)
        )
        for label, credit in analysis.credits.items()
        for c in sorted(checks, key=_place)
    ]


def causal_over(
    model: Model,
    examples: Iterable[Example],
    methods: Methods,
    *,
    top: int = 5,
    operator: str = "delete",
    granularity: str = "word",
    progress: Callable[[int, int], None] | None = None,
    total: int = 0,
    **partners: Any,
) -> tuple[list[CausalPoint], list[str]]:
    """:func:`causal_points` over many responses.

    Parameters
    ----------
    examples, methods, partners
        As :func:`redviz.analyze_batch` takes them.
    progress, total
        Called with (responses done, ``total``).

    Returns
    -------
    points, problems
        All points in order, and one sentence per response that gave none or not all.
    """
    points: list[CausalPoint] = []
    problems: list[str] = []
    seen: set[str] = set()
    for done, analysis in enumerate(_one_by_one(model, examples, methods, partners)):
        if progress is not None:
            progress(done, total)
        name = analysis.example.id or f"response {done + 1}"
        if name in seen:
            name = f"{name} (row {done + 1})"  # responses are counted and resampled by name
        seen.add(name)
        if analysis.error:
            problems.append(f"{name}: {analysis.error}")
        if not analysis.credits:
            continue
        try:
            found = causal_points(model, analysis, top=top, operator=operator, granularity=granularity)
        except RedvizError as error:
            problems.append(f"{name}: {error}")
            continue
        points += [CausalPoint(name, *(getattr(p, f) for f in FIELDS)) for p in found]
    return points, problems


def _one_by_one(
    model: Model, examples: Iterable[Example], methods: Methods, partners: Mapping[str, Any]
) -> Iterator[Analysis]:
    """Few at a time, so that progress is seen and a cancelled job ends soon; methods that call the model take one by one."""
    few = FEW if all(recipe.arithmetic for recipe in recipes(methods).values()) else 1
    stream = iter(examples)
    while group := list(islice(stream, few)):
        yield from analyze_batch(model, group, methods, **partners)


FIELDS = ("label", "span", "start", "end", "predicted", "actual")


def causal_agreement(points: Sequence[CausalPoint], seed: int = 0) -> list[CausalAgreement]:
    """One line per method, in the order of the points."""
    return [_agreement(label, [p for p in points if p.label == label], seed) for label in _labels(points)]


def _labels(points: Sequence[CausalPoint]) -> list[str]:
    return list(dict.fromkeys(p.label for p in points))


def _place(check: CausalCheck) -> int:
    return check.unit.first


def _agreement(label: str, points: Sequence[CausalPoint], seed: int) -> CausalAgreement:
    predicted = np.array([p.predicted for p in points])  # [N]
    actual = np.array([p.actual for p in points])  # [N]
    responses = list(dict.fromkeys(p.example for p in points))
    rows = [np.flatnonzero([p.example == r for p in points]) for r in responses]
    interval = _interval(predicted, actual, rows, seed) if len(responses) > 1 else None
    moved = (np.abs(predicted) > 1e-9) & (np.abs(actual) > 1e-9)
    both = len(set(np.sign(predicted[moved]))) == 2
    same = float(np.mean(np.sign(predicted[moved]) == np.sign(actual[moved]))) if both else float("nan")
    ranks = pearson(stats.rankdata(predicted), stats.rankdata(actual))
    return CausalAgreement(label, len(points), len(responses), pearson(predicted, actual), ranks, same, interval)


def pearson(a: Array, b: Array) -> float:
    """Pearson's correlation; nan where either does not vary (up to rounding) or there are fewer than three points.

    >>> round(pearson(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 7.0])), 3)
    0.993
    """
    if len(a) < 3 or any(x.std() <= 1e-9 * max(1.0, np.abs(x).max()) for x in (a, b)):
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])


def _interval(predicted: Array, actual: Array, rows: Sequence[Array], seed: int) -> tuple[float, float] | None:
    """A percentile interval over resampled responses."""
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(RESAMPLES):
        picked = np.concatenate([rows[i] for i in rng.integers(0, len(rows), len(rows))])
        drawn.append(pearson(predicted[picked], actual[picked]))
    kept = np.array(drawn)[np.isfinite(drawn)]
    if len(kept) < RESAMPLES // 2:
        return None
    low, high = np.percentile(kept, [2.5, 97.5])
    return float(low), float(high)
