"""Line charts over tokens, before they are drawn: panels, series, marks, and what the browser is sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redviz.errors import RedvizError
from redviz.records import Array
from redviz.view.colour import series_indices
from redviz.view.lanes import rounded, signature


@dataclass(frozen=True)
class Series:
    """One line: values at consecutive tokens; ``colour`` indexes the series colours, None picks it by label."""

    label: str
    values: Array | Sequence[float]
    colour: int | None = None
    dashed: bool = False


@dataclass(frozen=True)
class Level:
    """A labelled level across a panel, such as the base or the final score."""

    label: str
    value: float


@dataclass(frozen=True)
class Panel:
    """One small chart.

    Attributes
    ----------
    title, note
        What is drawn, and a few words on how to read it.
    series, marks
        Lines and levels.
    x0
        The token index of every line's first value. Prefix scores start at -1: P_0 lies before the first token, P_t at
        token t's cell, and a value at index ``n`` belongs to the "end" cell.
    step
        Hold each value until the next token instead of joining them by straight lines.
    """

    title: str
    series: Sequence[Series]
    marks: Sequence[Level] = field(default=())
    x0: int = 0
    note: str = ""
    step: bool = False


def curves_payload(panels: Sequence[Panel], *, n: int, group: str = "main", unit: str = "token") -> dict[str, Any]:
    """What the browser needs to draw the panels, as plain JSON types; ``sig`` changes when anything in it does."""
    for panel in panels:
        for series in panel.series:
            if not -1 <= panel.x0 <= panel.x0 + len(series.values) <= n + 1:
                raise RedvizError(
                    f"Curve {series.label!r} of {panel.title!r} has {len(series.values)} values from token {panel.x0}; "
                    f"a response of {n} tokens has room for tokens -1 (P_0) to {n} (the end cell)."
                )
    payload: dict[str, Any] = {
        "group": group,
        "n": n,
        "unit": unit,
        "end": any(p.x0 + len(s.values) > n for p in panels for s in p.series),
        "panels": [_panel(panel) for panel in panels],
    }
    return payload | {"sig": signature(payload)}


def _panel(panel: Panel) -> dict[str, Any]:
    chosen = series_indices([s.label for s in panel.series])
    return {
        "title": panel.title,
        "note": panel.note,
        "x0": panel.x0,
        "step": panel.step,
        "marks": [{"label": m.label, "value": rounded(m.value)} for m in panel.marks],
        "series": [
            {
                "label": s.label,
                "colour": (chosen[s.label] if s.colour is None else s.colour) % 8,
                "dashed": s.dashed,
                "values": [rounded(float(v)) for v in s.values],
            }
            for s in panel.series
        ],
    }
