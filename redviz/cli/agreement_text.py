"""The tables of ``redviz agree`` in a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from redviz.cli.terminal import column, shown, table, wrapped

if TYPE_CHECKING:
    from redviz.evaluation.agreement.against_people import MethodAgreement, MethodsReport
    from redviz.evaluation.agreement.between_methods import BetweenReport
    from redviz.evaluation.agreement.people import PeopleReport
    from redviz.evaluation.faithfulness.faithfulness_report import FaithfulnessReport, MethodFaithfulness
    from redviz.evaluation.statistics.bradley_terry import Ranking
    from redviz.evaluation.statistics.intervals import Estimate

NAME = 28  # columns of a method's, a person's or a response's name
PARTINGS = 8
ORDER = {"method": 0, "people": 1, "baseline": 2}
KINDS = {"method": "method", "people": "human ceiling", "baseline": "baseline"}


def people_text(report: PeopleReport) -> str:
    """Alpha by level and set of units, then every person and every two."""
    alphas = table(
        [
            column("Krippendorff's alpha", list(report.alpha)),
            column(f"over all {report.units:,} {report.granularity}s", list(map(_number, report.alpha.values()))),
            column(
                f"over the {report.marked_units:,} that somebody marked",
                list(map(_number, report.alpha_marked.values())),
            ),
        ]
    )
    persons = table(
        [
            _names("person", [p.name for p in report.people]),
            column("responses", [f"{p.responses:,}" for p in report.people], right=True),
            column("marked", [_share(p.marked_share) for p in report.people], right=True),
            column(f"alpha ({report.level})", [_number(p.alpha) for p in report.people]),
            column("without", [_bare(p.alpha_without.value) for p in report.people], right=True),
            column("token F1", [_number(p.token_f1) for p in report.people]),
        ]
    )
    blocks = [
        f"People among themselves: {_counted(report.responses, 'response')} judged by two people or more, {report.left_out:,} not",
        wrapped(report.sentence),
        alphas,
        persons,
    ]
    if len(report.people) > 2:
        pairs = [
            _names("pair", [f"{p.one} and {p.two}" for p in report.pairs]),
            column("token F1", [_number(p.token_f1) for p in report.pairs]),
            column("responses", [f"{p.token_f1.count:,}" for p in report.pairs], right=True),
        ]
        blocks.append(table(pairs))
    return "\n\n".join([*blocks, *map(wrapped, report.notes)])


def methods_text(report: MethodsReport) -> str:
    """The leaderboard, best first in the figure asked for, people and baselines below; which differences are larger than chance."""
    from redviz.evaluation.agreement.ranking_figures import FIGURE_NAMES, FIGURES

    rows = leaderboard(report)
    others = [name for name in FIGURES if name != report.metric]
    halves = [[report.metric, *others[:2]], others[2:]]
    boards = [
        table(
            [
                _names("", [row.label for row in rows]),
                column("", [KINDS[row.kind] for row in rows]),
                *(column(FIGURE_NAMES[name], [_number(row.figures[name]) for row in rows]) for name in half),
                *([column("tied", [_share(row.tied) for row in rows], right=True)] if half is halves[-1] else []),
            ]
        )
        for half in halves
    ]
    title = (
        f"Methods against people: {_counted(report.responses, 'response')}, {report.units:,} {report.granularity}s, "
        f"{report.marked:,} of them marked (a grade beyond {report.threshold:g})"
    )
    parts = [report.sentence, *report.notes, f"How to read it: {report.rule}"]
    return "\n\n".join([title, *boards, *map(wrapped, parts)])


def leaderboard(report: MethodsReport) -> list[MethodAgreement]:
    """Methods by the report's figure, the best first; then people; then baselines."""

    def place(row: MethodAgreement) -> tuple[int, float]:
        value = row.figures[report.metric].value
        return ORDER[row.kind], -value if math.isfinite(value) else math.inf

    return sorted(report.methods, key=place)


def between_text(report: BetweenReport) -> str:
    """Rank correlations, overlaps of the top units, and where methods part most."""
    names = [shown(label) for label in report.labels]
    top = f"{report.share:.0%}" if report.k is None else f"{report.k}"
    blocks = [
        f"Methods among themselves: {_counted(report.responses, 'response')}"
        + (f", {report.left_out:,} left out (fewer than two methods)" if report.left_out else ""),
        f"Spearman's rank correlation over {report.granularity}s, mean over responses",
        _matrix(names, report.spearman),
        wrapped(
            f"Jaccard index of the {top} of {report.granularity}s with the largest absolute credits; by chance it is {report.chance:.2f}"
        ),
        _matrix(names, report.overlap),
    ]
    if report.partings:
        parted = report.partings[:PARTINGS]
        blocks += [
            "Where they part most (place in the order of credits: 0 the lowest, 1 the highest)",
            table(
                [
                    _names("response", [p.id for p in parted], 16),
                    _names(report.granularity, [p.text.strip() for p in parted]),
                    column("", [f"{shown(p.one)} {p.rank_one:.2f}" for p in parted]),
                    column("", [f"{shown(p.two)} {p.rank_two:.2f}" for p in parted]),
                ]
            ),
        ]
    return "\n\n".join(blocks)


def faithfulness_text(report: FaithfulnessReport) -> str:
    """Each measure by decreasing credit, in random order and by increasing credit; then the figures that know no order."""
    from redviz.evaluation.faithfulness.removal import MEASURES

    failed = f", {report.failed:,} left out" if report.failed else ""
    blocks = [
        f"Faithfulness: {_counted(report.responses, 'response')}{failed}; {report.granularity}s removed by {report.operator!r}, "
        f"random control the mean of {report.random_orders} orders",
    ]
    labels = [row.label for row in report.rows]
    for measure, better in MEASURES.items() if labels else ():
        rows = [row.asked["raises"][measure] for row in report.rows]
        blocks += [
            f"{measure.replace('_', ' ').capitalize()} ({better} is better), in the model's units",
            table(
                [
                    _names("", labels),
                    column("by credit", [_number(row.own) for row in rows]),
                    column("random", [_bare(row.random.value) for row in rows], right=True),
                    column("reversed", [_bare(row.reversed.value) for row in rows], right=True),
                    column("by credit less random", [_number(row.over_random) for row in rows]),
                ]
            ),
        ]
    for name in report.rows[0].single if labels else ():
        if not any(_known(report.rows, name)):
            continue
        others = [[row.controls[order].get(name) for row in report.rows] for order in ("random", "reversed")]
        blocks += [
            name.replace("_", " ").capitalize(),
            table(
                [
                    _names("", labels),
                    column("own", [_number(row.single[name]) for row in report.rows]),
                    *(
                        column(order, [_bare(one.value) for one in found if one is not None], right=True)
                        for order, found in zip(("random", "reversed"), others, strict=True)
                        if None not in found
                    ),
                ]
            ),
        ]
    from redviz.evaluation.faithfulness.faithfulness import NOTES

    return "\n\n".join([*blocks, *map(wrapped, NOTES.values())])


def ranking_text(ranking: Ranking) -> str:
    """Methods from the most to the least preferred."""
    answers, items = _counted(ranking.comparisons, "answer"), _counted(ranking.items, "item")
    return "\n\n".join(
        [
            f"Which map people preferred: {answers} about {items}",
            table(
                [
                    _names("method", [m.label for m in ranking.methods]),
                    column("log strength", [_number(m.strength) for m in ranking.methods]),
                    column("won", [str(m.wins) for m in ranking.methods], right=True),
                    column("lost", [str(m.losses) for m in ranking.methods], right=True),
                    column("neither", [str(m.ties) for m in ranking.methods], right=True),
                ]
            ),
            wrapped(ranking.rule),
        ]
    )


def _known(rows: Iterable[MethodFaithfulness], name: str) -> list[bool]:
    return [math.isfinite(row.single[name].value) for row in rows]


def _matrix(names: Sequence[str], values: np.ndarray) -> str:
    cells = [[_bare(float(value)) for value in values[:, n]] for n in range(len(names))]
    return table(
        [_names("", names), *(column(name[:12], own, right=True) for name, own in zip(names, cells, strict=True))]
    )


def _names(head: str, names: Sequence[str], widest: int = NAME) -> list[str]:
    return column(head, [shown(name) for name in names], widest=widest)


def _number(given: Estimate) -> str:
    if not math.isfinite(given.value):
        return "–"
    if not math.isfinite(given.low):
        return f"{given.value:6.3f}"
    return f"{given.value:6.3f} ({given.low:.3f} to {given.high:.3f})"


def _bare(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{value:.0%}" if math.isfinite(value) else ""


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
