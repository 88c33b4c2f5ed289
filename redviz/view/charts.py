"""Line charts as static SVG text, for reports: the same panels that the browser draws."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from redviz.view.colour import series_indices
from redviz.view.escape import escape, tag
from redviz.view.lanes import number
from redviz.view.panels import Panel, Series

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 900, 170, 52, 96, 8, 26

INDEX = re.compile(r"\b([^\W\d_])_(\w)\b")


def line_chart(panel: Panel, n: int, end: bool = False, unit: str = "token") -> str:
    """One panel over ``n`` tokens or steps (and the end cell) as an SVG element with the page's colours (``--rv-s0`` ...)."""
    low, high = extent(panel)
    cell = (WIDTH - LEFT - RIGHT) / (n + 1 + end)  # P_0 has a cell too

    def x(token: float) -> float:
        return LEFT + (token + 1.5) * cell

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = []
    for value, text in ticks(low, high, 3):
        parts.append(_line(LEFT, y(value), WIDTH - RIGHT, y(value), "zero" if value == 0 else "grid"))
        parts.append(_text(LEFT - 8, y(value) + 4, text, "end"))
    for value, text in ticks(0, n, min(8, n)):
        parts.append(_line(x(value - 1), TOP, x(value - 1), HEIGHT - BOTTOM + 4, "grid"))
        parts.append(_text(x(value - 1), HEIGHT - BOTTOM + 17, text, "middle"))
    parts.append(_text(LEFT - 8, HEIGHT - BOTTOM + 17, unit, "end"))
    free = -math.inf
    for mark in sorted(panel.marks, key=lambda m: -m.value):
        parts.append(_line(LEFT, y(mark.value), WIDTH - RIGHT, y(mark.value), "level"))
        free = max(y(mark.value) + 4, free + 12)
        parts.append(_text(WIDTH - RIGHT + 6, free, f"{mark.label} {number(mark.value)}", "start"))
    for series, colour in zip(panel.series, colours(panel.series), strict=True):
        style = f"stroke:var(--rv-s{colour % 8})" + (";stroke-dasharray:6 4" if series.dashed else "")
        points = [(x(panel.x0 + i), y(float(v)), cell) for i, v in enumerate(series.values) if math.isfinite(float(v))]
        parts.append(tag("path", class_="curve", d=_path(points, panel.step), style=style))
    title = escape(f"{panel.title}: " + ", ".join(s.label for s in panel.series))
    return tag(
        "svg", f"<title>{title}</title>" + "".join(parts), viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", class_="chart"
    )


def colours(series: Sequence[Series]) -> list[int]:
    """The colour index of every line: its own, or one by its label."""
    chosen = series_indices([s.label for s in series])
    return [chosen[s.label] if s.colour is None else s.colour for s in series]


def extent(panel: Panel) -> tuple[float, float]:
    """All values with a little air; zero too, unless the values are far from it."""
    values = np.concatenate(
        [np.asarray(s.values, dtype=np.float64) for s in panel.series] + [[m.value for m in panel.marks]]
    )
    values = values[np.isfinite(values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    if 0 < low < high - low:
        low = 0.0
    if 0 < -high < high - low:
        high = 0.0
    air = 0.06 * ((high - low) or abs(high) or 1.0)
    return low - air, high + air


def ticks(low: float, high: float, wanted: int) -> list[tuple[float, str]]:
    """Round positions (steps of 1, 2 or 5 times a power of ten), about ``wanted`` of them, with their text.

    >>> ticks(-0.1, 1.5, 3)
    [(0.0, '0'), (1.0, '1')]
    """
    raw = (high - low) / wanted or 1.0
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    places = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(k * step, f"{k * step:.{digits}f}".replace("-", "−") if k else "0") for k in places]


def _path(points: Sequence[tuple[float, float, float]], step: bool) -> str:
    if step:
        return "".join(
            f"{'L' if i else 'M'}{x - c / 2:.1f} {y:.1f}H{x + c / 2:.1f}" for i, (x, y, c) in enumerate(points)
        )
    return "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y, _) in enumerate(points))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=kind)


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return tag("text", escape(text), x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def legend(panel: Panel) -> str:
    """The lines of a panel by colour and label, as HTML."""
    items = []
    for series, colour in zip(panel.series, colours(panel.series), strict=True):
        style = f"border-top:3px {'dashed' if series.dashed else 'solid'} var(--rv-s{colour % 8})"
        items.append(tag("span", tag("i", style=style) + indexed(series.label), class_="item"))
    return tag("span", "".join(items), class_="legend")


def indexed(text: str) -> str:
    """Text as HTML in which P_t is written with its index set low.

    >>> indexed("Return G_t")
    'Return G<sub>t</sub>'
    """
    return INDEX.sub(r"\1<sub>\2</sub>", escape(text))
