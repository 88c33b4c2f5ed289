"""Faithfulness over many responses: averages with intervals, and every method against random orders of the same response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.batches import analyze_batch
from redviz.errors import Cancelled, RedvizError
from redviz.evaluation.faithfulness.erasure import FRACTIONS
from redviz.evaluation.faithfulness.faithfulness import (
    DIRECTIONS,
    NOTES,
    CreditFaithfulness,
    Faithfulness,
    check_asked,
    faithfulness,
    plain,
)
from redviz.evaluation.faithfulness.removal import MEASURES, Curves, Progress
from redviz.evaluation.faithfulness.shuffled import SINGLE
from redviz.evaluation.statistics.intervals import Estimate, Resampling, mean, resampling
from redviz.records import Array, Example

if TYPE_CHECKING:
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel

Methods = Sequence[str] | Mapping[str, Mapping[str, Any]]
LINES = ("deletion", "insertion")


@dataclass(frozen=True)
class Compared:
    """One measure over responses, in the order of the credits and of the controls.

    Attributes
    ----------
    own, random, reversed
        By decreasing credit, in random order, by increasing credit.
    over_random
        ``own - random``, paired per response.
    """

    own: Estimate
    random: Estimate
    reversed: Estimate
    over_random: Estimate


@dataclass(frozen=True)
class MethodFaithfulness:
    """One method over responses.

    Attributes
    ----------
    responses
        That the method has credits of.
    asked
        "raises" and "lowers", each with every measure of :data:`.removal.MEASURES` and its ``_normalised`` form.
    single
        ``infidelity``, ``infidelity_scaled``, ``infidelity_share``, ``truncation_error``, ``truncation_correlation`` and ``sensitivity``.
    controls
        "random" and "reversed": the same without ``sensitivity``, where the credits belong to other units of the response.
    curves
        ``deletion`` and ``insertion`` for "own", "random" and "reversed": the mean change from the score of the response, one estimate per
        share of the report.
    not_normalised
        Responses left out of normalised figures, for what is left when everything is removed scores nearly the same.
    note
        Why there is no max-sensitivity, where there is none.
    """

    label: str
    responses: int
    asked: Mapping[str, Mapping[str, Compared]]
    single: Mapping[str, Estimate]
    controls: Mapping[str, Mapping[str, Estimate]]
    curves: Mapping[str, Mapping[str, tuple[Estimate, ...]]]
    not_normalised: int
    note: str = ""


@dataclass(frozen=True)
class FaithfulnessReport:
    """Methods side by side, under one removal operator.

    Attributes
    ----------
    operator
        As it was applied.
    shares
        ``[G]``: where the mean curves are known; the curve of a short response is read between its own points.
    responses, failed
        How many gave figures, and how many gave none.
    problems
        A sentence for each response that gave none or not all.
    each
        Every response's own record, under its name.
    """

    operator: str
    granularity: str
    fractions: tuple[float, ...]
    seed: int
    random_orders: int
    shares: Array  # [G]
    responses: int
    failed: int
    rows: tuple[MethodFaithfulness, ...]
    problems: tuple[str, ...]
    each: tuple[tuple[str, Faithfulness], ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without the records of single responses; what is not known is None."""
        kept = {name: plain(value) for name, value in vars(self).items() if name != "each"}
        return {**kept, "measures": dict(MEASURES), "notes": dict(NOTES)}


def faithfulness_over(
    model: RewardModel | FunctionModel,
    examples: Iterable[Example | Mapping[str, Any]],
    methods: Methods,
    *,
    operator: str = "pad",
    granularity: str = "word",
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    random_orders: int = 5,
    sensitivity_samples: int = 0,
    progress: Progress | None = None,
    total: int = 0,
    **partners: Any,
) -> FaithfulnessReport:
    """:func:`redviz.evaluation.faithfulness.faithfulness.faithfulness` over many responses, one after the other.

    On the truncation curve red is exact by construction; it is reported beside in-place removal, never instead of it.

    Parameters
    ----------
    examples, methods, partners
        As :func:`redviz.analyze_batch` takes them.
    operator, granularity, fractions, random_orders, sensitivity_samples
        As for one response.
    seed
        Of the bootstrap and, with the place of the response added to it, of its random orders.
    progress, total
        Called with (responses done, ``total``) before each response and at the end; may raise to cancel.

    Returns
    -------
    FaithfulnessReport
        With 95 % bootstrap intervals over responses, nan where there is one response only.

    Raises
    ------
    RedvizError
        For an unknown method, operator or granularity, for bad fractions, or a partner that is missing.
        A response that fails is counted, with its reason.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.reward_function(lambda prompt, response: response.count("good"))
    >>> rows = [{"prompt": "?", "response": "a good film"}, {"prompt": "?", "response": "good"}]
    >>> report = faithfulness_over(model, rows, ["occlusion"], operator="delete")
    >>> report.responses, report.problems
    (1, ('response 2: The response is one word, so there is no order to remove in; split it finer.',))
    """
    from redviz.credit.from_models.coalitions import operator_for

    operator = operator_for(model, operator)
    check_asked(granularity, fractions, random_orders)
    measured: list[tuple[str, Faithfulness]] = []
    problems: list[str] = []
    seen: set[str] = set()
    done = 0
    for done, example in enumerate(examples, 1):
        if progress is not None:
            progress(done - 1, total)
        [analysis] = analyze_batch(model, [example], methods, **partners)
        name = analysis.example.id or f"response {done}"
        name = f"{name} (row {done})" if name in seen else name
        seen.add(name)
        if analysis.error:
            problems.append(f"{name}: {analysis.error}")
        if not analysis.credits:
            if not analysis.error:
                problems.append(f"{name}: No method gave credits; name at least one.")
            continue
        try:
            one = faithfulness(
                model,
                analysis,
                operator=operator,
                granularity=granularity,
                fractions=fractions,
                seed=seed + done - 1,
                random_orders=random_orders,
                sensitivity_samples=sensitivity_samples,
            )
        except Cancelled:
            raise
        except RedvizError as error:
            problems.append(f"{name}: {error}")
            continue
        measured.append((name, one))
    if progress is not None and done:
        progress(done, total)
    shares = np.unique([0.0, 1.0, *fractions, *(1.0 - np.asarray(fractions, np.float64))])  # [G]
    rows = _rows([one for _, one in measured], shares, seed)
    asked = (operator, granularity, tuple(fractions), seed, random_orders)
    return FaithfulnessReport(
        *asked, shares, len(measured), done - len(measured), rows, tuple(problems), tuple(measured)
    )


def _rows(each: Sequence[Faithfulness], shares: Array, seed: int) -> tuple[MethodFaithfulness, ...]:
    draws = resampling(len(each), seed) if each else None
    labels = dict.fromkeys(label for one in each for label in one.credits)
    return tuple(_row(label, each, shares, draws) for label in labels) if draws else ()


def _row(label: str, each: Sequence[Faithfulness], shares: Array, draws: Resampling) -> MethodFaithfulness:
    given = [one.credits.get(label) for one in each]  # one per response, None where the method failed
    having = [(one, credit) for one, credit in zip(each, given, strict=True) if credit is not None]
    names = [f"{measure}{form}" for measure in MEASURES for form in ("", "_normalised")]
    asked = {way: {name: _compared(given, way, name, draws) for name in names} for way in DIRECTIONS}
    singles = np.array([_singles(credit) for credit in given])  # [n, 6]
    single = {name: _estimate(column, draws) for name, column in zip((*SINGLE, "sensitivity"), singles.T, strict=True)}
    absent = dict.fromkeys(("random", "reversed"), dict.fromkeys(SINGLE, float("nan")))
    others = [absent if credit is None else credit.controls for credit in given]
    controls = {
        order: {name: _estimate(np.array([one[order][name] for one in others]), draws) for name in SINGLE}
        for order in absent
    }
    curves = {
        order: {
            line: tuple(_estimate(column, draws) for column in _changes(each, given, order, line, shares).T)
            for line in LINES
        }
        for order in ("own", "random", "reversed")
    }
    notes = (credit.sensitivity.note for _, credit in having if credit.sensitivity is not None)
    skipped = sum(not np.isfinite(one.scale) for one, _ in having)
    return MethodFaithfulness(
        label, len(having), asked, single, controls, curves, skipped, next(filter(None, notes), "")
    )


def _singles(credit: CreditFaithfulness | None) -> list[float]:
    if credit is None:
        return [float("nan")] * (len(SINGLE) + 1)
    missed = credit.infidelity
    steady = float("nan") if credit.sensitivity is None else credit.sensitivity.value
    return [missed.raw, missed.scaled, missed.share, credit.truncation_error, credit.truncation_correlation, steady]


def _compared(given: Sequence[CreditFaithfulness | None], way: str, name: str, draws: Resampling) -> Compared:
    orders = ("own", "random", "reversed")
    absent = dict.fromkeys(orders, {name: float("nan")})
    rows = [absent if credit is None else vars(credit.asked[way]) for credit in given]
    own, random, backwards = (np.array([row[order][name] for row in rows]) for order in orders)  # [n] each
    return Compared(*(_estimate(figures, draws) for figures in (own, random, backwards, own - random)))


def _changes(
    each: Sequence[Faithfulness], given: Sequence[CreditFaithfulness | None], order: str, line: str, shares: Array
) -> Array:
    """The change of the score along one curve of every response, at the shares of the report: ``[n, G]``."""
    rows = []
    for one, credit in zip(each, given, strict=True):
        if credit is None:
            rows.append(np.full(len(shares), np.nan))
            continue
        curves: Curves = {"own": credit.curves, "random": one.random, "reversed": credit.curves.reversed}[order]
        rows.append(np.interp(shares, one.shares, getattr(curves, line)) - one.score)
    return np.array(rows)


def _estimate(figures: Array, draws: Resampling) -> Estimate:
    """The mean of the responses that have the figure ``[n]``, and its interval over them."""
    known = np.isfinite(figures)
    sums = np.stack([known, np.where(known, figures, 0.0)], 1)  # [n, 2]
    found = draws.estimate(sums, mean, int(known.sum()))
    return found if found.count > 1 else Estimate(found.value, float("nan"), float("nan"), found.count)
