"""The leaderboard's tables in Markdown, and the sentence below each: which differences are larger than chance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from redviz.evaluation.agreement.against_people import MethodsReport
from redviz.evaluation.agreement.ranking_figures import FIGURE_NAMES, FIGURES, spearman
from redviz.evaluation.statistics.intervals import Estimate, mean, resampling
from redviz.evaluation.statistics.paired_differences import Difference, paired_differences
from redviz.records import Array

SHOWN = ("average_precision", "auprc", "auroc", "token_f1", "iou_f1", "spearman")
RANDOM = "random order"


@dataclass(frozen=True)
class Ranking:
    """Figures per response of some measure, methods in columns: ``[n, m]``."""

    labels: tuple[str, ...]
    values: Array  # [n, m]


def people_table(report: MethodsReport, without: Sequence[str] = ()) -> str:
    """Methods and baselines by the report's main figure, best first."""
    rows = [row for row in report.methods if row.kind != "people"]
    main = report.metric
    order = [main, *(name for name in SHOWN if name != main and name not in without)]
    above = beaten(report.differences)
    blind = beaten(report.over_baselines)
    lines = []
    for row in sorted(rows, key=lambda row: -_known(row.figures[main].value)):
        cells = [shown(row.figures[name]) for name in order]
        if row.kind == "method":
            own = [row.label, *cells, str(len(above.get(row.label, ()))), f"{len(blind.get(row.label, ()))} of 4"]
        else:
            own = [f"*{row.label}*", *cells, "", ""]
        lines.append(own)
    head = ["", *(f"**{FIGURE_NAMES[name]}**" if name == main else FIGURE_NAMES[name] for name in order)]
    return markdown([*head, "methods it is above", "blind rankings it is above"], lines)


def below(report: MethodsReport) -> str:
    """What stands below a table: differences, what was left out, ties."""
    labels = [row.label for row in report.methods if row.kind == "method"]
    values = {row.label: row.figures[report.metric].value for row in report.methods}
    out = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in report.left_out.items() if count)
    said = [
        differences_said(report.differences, sorted(labels, key=lambda label: -_known(values[label])), report.metric),
        _blind_said(report),
        f"{report.responses} responses, {report.units:,} {report.granularity}s, {report.marked:,} of them marked; "
        f"left out: {out or 'none'}.",
        *(note for note in report.notes if "left out" not in note),
    ]
    return "\n\n".join(filter(None, said))


def differences_said(found: Sequence[Difference], ranked: Sequence[str], figure: str) -> str:
    """The best method's neighbours in words, and for each method those it is above."""
    above = beaten(found)
    first = ranked[0]
    told, level = above.get(first, {}), [label for label in ranked[1:] if label not in above.get(first, {})]
    apart = f"`{first}` is above {_list(list(told))}" if told else f"`{first}` is above no other method"
    nearest = next((label for label in ranked[1:] if label in told), None)
    if nearest:
        d = told[nearest].estimate
        apart += f" (over `{nearest}`, the nearest of them, by {d.value:.3f}, {d.low:.3f} to {d.high:.3f})"
    apart += f"; not told apart from it: {_list(level)}." if level else "."
    undecided = [
        f"`{one}` and `{two}`"
        for one, two in zip(ranked[1:], ranked[2:], strict=False)
        if two not in above.get(one, {}) and one not in above.get(two, {})
    ]
    name = FIGURE_NAMES.get(figure, figure)
    text = f"Differences in {name} larger than chance (paired bootstrap over responses, Holm for {len(found)} pairs, 5 %): {apart}"
    return text + (f" Further down, neighbours that are not told apart: {'; '.join(undecided)}." if undecided else "")


def _blind_said(report: MethodsReport) -> str:
    blind = beaten(report.over_baselines)
    rankings = sorted({name for d in report.over_baselines for name in (d.one, d.two)} - _methods(report))
    weak = {m: [b for b in rankings if b not in blind.get(m, {})] for m in _methods(report)}
    said = "; ".join(f"`{m}` ({', '.join(own)})" for m, own in sorted(weak.items()) if own)
    return f"Not above every ranking that has not read the response: {said or 'none'}."


def _methods(report: MethodsReport) -> set[str]:
    return {row.label for row in report.methods if row.kind == "method"}


def beaten(found: Sequence[Difference]) -> dict[str, dict[str, Difference]]:
    """Better one -> worse one -> the difference, where it is larger than chance."""
    above: dict[str, dict[str, Difference]] = {}
    for d in found:
        if d.significant and d.estimate.value > 0:
            above.setdefault(d.one, {})[d.two] = d
    return above


def measures_table(measures: Mapping[str, tuple[Ranking, int]], main: str, seed: int = 0) -> str:
    """Mean measures with intervals; each comes with +1 where more is better, -1 where less is. Ordered by the main one."""
    labels = next(iter(measures.values()))[0].labels
    draws = resampling(len(next(iter(measures.values()))[0].values), seed)
    found = {
        name: [draws.estimate(np.stack([np.ones(len(v)), v], 1), mean) for v in ranking.values.T]
        for name, (ranking, _) in measures.items()
    }
    order = np.argsort([-measures[main][1] * e.value for e in found[main]], kind="stable")
    rows = [
        [f"*{labels[m]}*" if labels[m] == RANDOM else labels[m], *(shown(found[name][m]) for name in measures)]
        for m in order
    ]
    heads = [f"{name} ({'more' if sign > 0 else 'less'} is better)" for name, (_, sign) in measures.items()]
    return markdown(["", *(f"**{h}**" if h.startswith(main) else h for h in heads)], rows)


def ranking_said(ranking: Ranking, figure: str, seed: int = 0) -> str:
    """The same sentence for one measure of which more is better, and which methods are not above a random order."""
    found = paired_differences(ranking.values, ranking.labels, seed)
    ranked = [ranking.labels[m] for m in np.argsort(-np.nanmean(ranking.values, 0), kind="stable")]
    above = beaten(found)
    weak = [label for label in ranked if label != RANDOM and RANDOM not in above.get(label, {})]
    return f"{differences_said(found, ranked, figure)} Not above a random order of the same words: {_list(weak)}."


def pooled_spearman(grades: Sequence[Array], credits: Sequence[Array], seed: int = 0) -> Estimate:
    """Rank correlation over the units of all responses together, with an interval over responses."""
    known = [n for n, own in enumerate(grades) if len(own)]
    value = spearman(np.concatenate([grades[n] for n in known]), np.concatenate([credits[n] for n in known]))
    random, drawn = np.random.default_rng(seed), []
    for _ in range(300):
        some = random.choice(known, len(known))
        drawn.append(spearman(np.concatenate([grades[n] for n in some]), np.concatenate([credits[n] for n in some])))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Estimate(value, float(low), float(high), len(known))


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; the first column is text."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(e: Estimate) -> str:
    if not np.isfinite(e.value):
        return ""
    if not np.isfinite(e.low) or e.low == e.high:
        return f"{e.value:.3f}"
    return f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})"


def best(report: MethodsReport, kind: Callable[[str], bool]) -> tuple[str, Estimate]:
    """The row of some kind with the highest main figure."""
    rows = [row for row in report.methods if kind(row.kind)]
    row = max(rows, key=lambda row: _known(row.figures[report.metric].value))
    return row.label, row.figures[report.metric]


def _known(value: float) -> float:
    return value if np.isfinite(value) else -np.inf


def _list(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels) or "none"


assert set(SHOWN) == set(FIGURES)
