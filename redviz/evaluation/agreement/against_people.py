"""Do methods credit what people marked? Each method, baselines and people themselves, with intervals and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from redviz.data.labels.labels import LabelledItem
from redviz.errors import RedvizError
from redviz.evaluation.agreement.agreement_table import AgreementTable, LeaveOut, agreement_table
from redviz.evaluation.agreement.ranking_figures import BLIND, FIGURE_NAMES, FIGURES
from redviz.evaluation.statistics.intervals import Estimate, Resampling, mean, resampling
from redviz.evaluation.statistics.paired_differences import Difference, differences_in_words, paired_differences
from redviz.evaluation.statistics.pairs import plain
from redviz.records import Analysis, Array

MANY_TIES = 0.5

RULE = (
    "Every figure is a mean over responses, with its 95 % bootstrap interval over responses. Units graded above 0 are sought by high "
    "credits, those below 0 by low ones; a response with both has the mean of the two. Token F1 and IoU F1 take the top k units, "
    "where k is the number of marked ones, neighbours forming one span; a tie at the cut is broken at random, the same way for all "
    "methods. AUPRC is ERASER's trapezoid, which tied credits lift; average precision takes tied units in one step, which earns no more "
    "than the prevalence. Chance is the mean over all orders of the units. Methods are held against the settled label where there is "
    "one, else against the mean of the people. People: each person's grades against the settled label too (on which whoever helped "
    "to settle it has a lead), else against the mean of the others', and what the person marked in place of the top k; a person "
    "gives few grades and many ties, so compare people with methods by token F1, IoU F1 and Spearman."
)


@dataclass(frozen=True)
class MethodAgreement:
    """One row: a method, a baseline, or people.

    Attributes
    ----------
    kind
        "method", "baseline" or "people".
    figures
        By the names in ``FIGURES``; ``count`` is the number of responses that have the figure.
    tied
        Mean share of units whose credit another unit has too.
    """

    label: str
    kind: str
    figures: Mapping[str, Estimate]
    tied: float


@dataclass(frozen=True)
class MethodsReport:
    """How far methods agree with people.

    Attributes
    ----------
    metric, differences
        Paired differences of the methods in one figure.
    over_baselines
        The same of every method with every ranking that has not read the response (``BLIND``).
    sentence
        Which of them are larger than chance, and which are not.
    notes
        What to know before reading the figures.
    table
        The figures per response that all of this is made of; ``table.only(mask)`` gives subsets for :func:`report_of_table`.
    """

    granularity: str
    threshold: float
    responses: int
    units: int
    marked: int
    left_out: Mapping[str, int]
    methods: tuple[MethodAgreement, ...]
    metric: str
    differences: tuple[Difference, ...]
    over_baselines: tuple[Difference, ...]
    sentence: str
    notes: tuple[str, ...]
    table: AgreementTable
    rule: str = RULE

    def rows(self) -> list[dict[str, Any]]:
        """One row per method and figure: ``label``, ``kind``, ``figure``, ``value``, ``low``, ``high``, ``responses``."""
        return [
            plain(
                {
                    "label": row.label,
                    "kind": row.kind,
                    "figure": name,
                    "value": e.value,
                    "low": e.low,
                    "high": e.high,
                    "responses": e.count,
                }
            )
            for row in self.methods
            for name, e in row.figures.items()
        ]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types, without the table per response (``table.rows()``); nan as null."""
        own: dict[str, Any] = {name: value for name, value in vars(self).items() if name != "table"}
        own["methods"] = [asdict(row) for row in self.methods]
        for name in ("differences", "over_baselines"):
            own[name] = [asdict(d) | {"significant": d.significant} for d in getattr(self, name)]
        found: dict[str, Any] = plain(own)
        return found


def against_people(
    pairs: Iterable[tuple[LabelledItem, Analysis]],
    granularity: str = "word",
    seed: int = 0,
    *,
    metric: str = "average_precision",
    threshold: float = 0.0,
    leave_out: LeaveOut | None = None,
) -> MethodsReport:
    """Set every method's credits against what people marked; parameters as in :func:`agreement_table`.

    Parameters
    ----------
    metric
        Of the paired differences; one of ``FIGURES``.

    Examples
    --------
    >>> import redviz
    >>> from redviz.data.labels.labels import Annotation, Mark
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> item = LabelledItem("1", "Review the film.", "A superb, moving film.", (Annotation("ada", (Mark(2, 8, 2),)),))
    >>> report = against_people([(item, redviz.analyze(model, item.prompt, item.response, methods=["red"]))])
    >>> report.methods[0].label, report.methods[0].figures["auroc"].value > 0.5
    ('red', True)
    """
    if metric not in FIGURES:
        raise RedvizError(f"Unknown figure {metric!r}; use one of {', '.join(FIGURES)}.")
    table = agreement_table(pairs, granularity, seed, threshold=threshold, leave_out=leave_out)
    return report_of_table(table, metric, seed)


def report_of_table(table: AgreementTable, metric: str = "average_precision", seed: int = 0) -> MethodsReport:
    """The report of a table or of a subset of it; the same draws of responses serve all methods."""
    draws = resampling(len(table.ids), seed)
    methods = tuple(
        MethodAgreement(
            label,
            table.kinds[m],
            {name: _mean(draws, table.values[:, m, f]) for f, name in enumerate(FIGURES)},
            _mean(draws, table.tied[:, m]).value,
        )
        for m, label in enumerate(table.labels)
    )
    labels = [row.label for row in methods if row.kind == "method"]
    differences = paired_differences(table.figure(metric, "method"), labels, seed)
    over = paired_differences(table.figure(metric), table.labels, seed, [(m, b) for m in labels for b in BLIND])
    said = differences_in_words(differences, FIGURE_NAMES[metric])
    return MethodsReport(
        table.granularity,
        table.threshold,
        len(table.ids),
        int(table.units.sum()),
        int(table.marked.sum()),
        asdict(table.left_out),
        methods,
        metric,
        differences,
        over,
        f"{said} {_beaten_in_words(labels, over)}",
        tuple(_notes(table, methods)),
        table,
    )


def _mean(draws: Resampling, values: Array) -> Estimate:
    """The mean of what is known, ``[n]``."""
    known = np.isfinite(values)
    return draws.estimate(np.stack([known, np.where(known, values, 0.0)], 1), mean, int(known.sum()))


def _beaten_in_words(labels: list[str], over: tuple[Difference, ...]) -> str:
    """Which methods are not better than some ranking that has not read the response."""
    beaten = {(d.one, d.two) for d in over if d.significant}
    weak = {m: [b for b in BLIND if (m, b) not in beaten] for m in labels}
    said = "; ".join(f"{m} ({', '.join(own)})" for m, own in weak.items() if own)
    return f"Not above every baseline that has not read the response: {said or 'none'}."


def _notes(table: AgreementTable, methods: tuple[MethodAgreement, ...]) -> list[str]:
    notes = []
    tied = [row.label for row in methods if row.kind != "baseline" and row.tied > MANY_TIES]
    if tied:
        notes.append(
            f"More than half of the {table.granularity}s have the same credit as another one in: {', '.join(tied)}. "
            "ERASER's AUPRC is too high there; read average precision."
        )
    reasons = {
        "unmarked": "without any mark, left out",
        "unlabelled": "that nobody judged, left out",
        "failed": "that could not be analysed, left out",
        "partly_failed": "that lack some methods' credits",
        "cut": "that were cut to fit the model, so that marks past the cut do not count",
    }
    counts = asdict(table.left_out)
    notes += [f"Responses {said}: {counts[name]}." for name, said in reasons.items() if counts[name]]
    return notes
