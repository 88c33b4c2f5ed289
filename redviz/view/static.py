"""Strips as static HTML: no script, values in each unit's title. For reports and notebooks."""

from __future__ import annotations

from pathlib import Path

from redviz.view import colour
from redviz.view.escape import escape, tag
from redviz.view.lanes import Lane, Strip, number, signed
from redviz.view.marks import flat, pieces

HERE = Path(__file__).parent
STEPS = 50  # shades on each side of zero; shared variables keep a page of thousands of cells small
TEXT_SIZE, LANE = 16, 7


def stylesheet(*names: str) -> str:
    """The CSS files of this folder, nested under ``.redviz`` so that they touch nothing else on a page."""
    files = "".join((HERE / name).read_text("utf-8") for name in names)
    shades = "".join(
        f"--{side}{k}:color-mix(in srgb,var(--rv-{side}) {100 * k / STEPS:g}%,var(--zero));"
        for side in ("pos", "neg")
        for k in range(STEPS + 1)
    )
    return f"{colour.css_variables('.redviz')}.redviz{{container-type:inline-size;{files}\n.rv{{{shades}}}\n}}"


def shade(value: float, end: float) -> str:
    """The CSS variable that holds the colour of a value on a scale that ends at ``end``."""
    x = colour.strength(value, end)
    return f"var(--{'pos' if x > 0 else 'neg'}{round(abs(x) * STEPS)})"


def lanes_html(strip: Strip) -> str:
    """The text once, one band per method under it, and the legend that says which band is which."""
    count = len(strip.lanes)
    at = ",".join(f"left 0 bottom {(count - 1 - i) * LANE}px" for i in range(count)) or "0 0"
    cards = "".join(_card(lane, i, count) for i, lane in enumerate(strip.lanes))
    style = f"--size:{TEXT_SIZE}px;--lane:{LANE}px;--lanes:{count};--at:{at}"
    legend = tag("div", cards, class_="legend")
    return tag("div", legend + tag("div", _text(strip), class_="text"), class_="rv lanes static", style=style)


def marked(text: str) -> str:
    """A unit's text as HTML: what cannot be seen as a dimmed mark."""
    return "".join(tag("i", escape(p)) if i % 2 else escape(p) for i, p in enumerate(pieces(text)))


def _text(strip: Strip) -> str:
    parts = []
    for u, text in enumerate(strip.texts):
        parts.append(escape(strip.gaps.get(u, "")))
        values = [(lane, float(lane.values[u])) for lane in strip.lanes]
        parts.append(_cell(marked(text), values, _title(strip, u, values), "u"))
    if strip.has_end:
        ends = [(lane, lane.end) for lane in strip.lanes]
        path = f"P{len(strip.analysis.offsets)} {number(strip.analysis.score - strip.analysis.closing)}"
        title = _lines(
            "end: what the template adds after the response", ends, path, f"score {number(strip.analysis.score)}"
        )
        parts.append(_cell(tag("i", "end"), ends, title, "u close"))
    if strip.rest:
        parts.append(tag("span", escape(strip.rest), class_="rest", title="Cut off: the model never read this part."))
    return "".join(parts) or "The response is empty: no token earns anything."


def _cell(content: str, values: list[tuple[Lane, float]], title: str, kind: str) -> str:
    layers = ",".join(f"linear-gradient({shade(value, lane.limit)} 0 0)" for lane, value in values)
    return tag("span", content, class_=kind, style=f"background-image:{layers}" if layers else None, title=title)


def _title(strip: Strip, u: int, values: list[tuple[Lane, float]]) -> str:
    unit, noun, scores = strip.units[u], strip.analysis.unit, strip.analysis.prefix_scores
    several = unit.last - unit.first > 1
    place = f"{noun}s {unit.first + 1}–{unit.last}" if several else f"{noun} {unit.last}"
    before, after = (f"P{t} {number(float(scores[t]))}" for t in (unit.first, unit.last))
    return _lines(f"{flat(strip.texts[u]).strip()}  ({place} of {len(strip.analysis.offsets)})", values, before, after)


def _lines(head: str, values: list[tuple[Lane, float]], before: str, after: str) -> str:
    return "\n".join([head, *(f"{lane.name} {signed(value)}" for lane, value in values), f"{before} → {after}"])


def _card(lane: Lane, i: int, count: int) -> str:
    bands = "".join(tag("i", class_="on" if k == i else None) for k in range(count))
    which = tag("span", bands, class_="which", title=f"band {i + 1} of {count}, from the top")
    head = which + tag("span", escape(lane.name), class_="name") + tag("span", f"Σ {signed(lane.total)}", class_="sum")
    ends = "".join(tag("span", end, class_="tick") for end in (number(-lane.limit), "0", signed(lane.limit)))
    return tag(
        "div",
        tag("span", head, class_="head") + tag("span", tag("span", class_="ramp") + ends, class_="bar"),
        class_="card",
    )
