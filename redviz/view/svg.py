"""A strip as a figure for a paper: static SVG text, the response once with one band per method under it."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from itertools import groupby

from redviz import __version__
from redviz.records import Analysis
from redviz.text import Unit
from redviz.view import colour
from redviz.view.escape import escape, tag
from redviz.view.lanes import Strip, number, signed, strip_of
from redviz.view.marks import pieces

FONT = "Helvetica, Arial, 'Liberation Sans', 'Noto Sans', sans-serif"
SIZE, LANE, LEADING = 13.0, 6.0, 19.0  # text size, height of a band, from one line's bands to the next line's baseline
MARGIN, KEY = 10.0, 150.0  # around the figure; width of the legend at its left
# Advance widths of Helvetica, Arial and Liberation Sans, in thousandths of the text size, from " " to "~".
WIDTHS = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 "
    "556 556 278 278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 "
    "667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 "
    "556 222 222 500 222 833 556 556 556 556 333 500 278 556 500 722 500 500 500 334 260 334 584 "
)
ADVANCE = {chr(32 + i): int(w) for i, w in enumerate(WIDTHS.split())}
WIDE, USUAL, CAPITAL = 1000, 556, 690  # other scripts: SVG stretches each unit to the width it is given here


def strips_svg(
    analysis: Analysis,
    labels: Sequence[str] | None = None,
    *,
    granularity: str = "token",
    width: float = 720.0,
    theme: colour.Theme = colour.LIGHT,
) -> str:
    """The credits of a response as a self-contained SVG figure.

    Parameters
    ----------
    analysis
        What to draw.
    labels
        Which credits, from the top band to the bottom one; all by default.
    granularity
        "token", "word" or "sentence".
    width
        Of the figure, in CSS pixels; its height follows from the text.
    theme
        ``colour.LIGHT`` (for print) or ``colour.DARK``.

    Returns
    -------
    str
        An SVG document: text stays text, and nothing is loaded from elsewhere. Its ``<metadata>`` says, as JSON text, where
        the numbers come from.
    """
    strip = strip_of(analysis, labels=labels, granularity=granularity)
    words, height = _words(strip, theme, width)
    key = _legend(strip, theme)
    height = max(height, MARGIN + 44 * len(strip.lanes)) + MARGIN
    ground = tag("rect", width=f"{width:g}", height=f"{height:g}", fill=theme.background)
    title = tag("title", escape("Credit of each " + granularity + ": " + ", ".join(lane.name for lane in strip.lanes)))
    size = {"width": f"{width:g}", "height": f"{height:g}", "viewBox": f"0 0 {width:g} {height:g}"}
    style = {"font_family": FONT, "font_size": f"{SIZE:g}", "fill": theme.text}
    return (
        tag(
            "svg",
            title + _metadata(strip) + ground + key + words,
            xmlns="http://www.w3.org/2000/svg",
            role="img",
            **size,
            **style,
        )
        + "\n"
    )


def _metadata(strip: Strip) -> str:
    analysis = strip.analysis
    source, credits = analysis.source, {lane.label: analysis.credits[lane.label] for lane in strip.lanes}
    told = {
        "redviz": __version__,
        "model": source.model,
        "fingerprint": source.fingerprint,
        "template_hash": source.template_hash,
        "reading_column": analysis.observation.encoding.read if analysis.observation else None,
        "methods": {
            label: {"method": c.meta.get("method", label), "options": dict(c.meta.get("options") or {})}
            for label, c in credits.items()
        },
    }
    return tag("metadata", escape(json.dumps(told, ensure_ascii=False)))


def advance(text: str) -> float:
    """About how wide a text is, in units of the text size."""
    return sum(_character(c) for c in text) / 1000


def _character(c: str) -> int:
    if unicodedata.category(c) in ("Mn", "Me", "Cf"):
        return 0
    if unicodedata.east_asian_width(c) in "WF":
        return WIDE
    return ADVANCE.get(c, CAPITAL if c.isupper() else USUAL)


def _words(strip: Strip, theme: colour.Theme, width: float) -> tuple[str, float]:
    """Every unit at its place, and the height that the text takes."""
    left, right = MARGIN + KEY + 18, width - MARGIN
    lines: list[list[tuple[int, str]]] = [[]]
    x = left
    for u, run, ends in _runs(strip):
        if x > left and x + advance(run.rstrip()) * SIZE > right:
            x, run = left, run.lstrip(" ") or run
            lines.append([])
        lines[-1].append((u, run))
        x += _wide(run)
        if ends:
            lines.append([])
            x = left
    pitch = LEADING + LANE * len(strip.lanes)
    parts = []
    for row, line in enumerate(lines):
        x = left
        for u, run in _visual(line):
            parts.append(_unit(strip, u, run, (x, MARGIN + SIZE + row * pitch), theme))
            x += _wide(run)
    return "".join(parts), MARGIN + SIZE + len(lines) * pitch


def _wide(run: str) -> float:
    return max(advance(run) * SIZE, 2.0)


def _visual(line: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Runs from left to right as they are read: those of right-to-left scripts turn round, stretch by stretch."""
    found: list[tuple[int, str]] = []
    for _, group in groupby(line, key=lambda run: any(unicodedata.bidirectional(c) in ("R", "AL") for c in run[1])):
        stretch = list(group)
        rtl = any(unicodedata.bidirectional(c) in ("R", "AL") for c in stretch[0][1])
        found += [(u, run.lstrip(" ") + " " * (run[:1] == " ")) for u, run in reversed(stretch)] if rtl else stretch
    return found


def _runs(strip: Strip) -> list[tuple[int, str, bool]]:
    """(unit, text on one line, whether the line ends after it): a unit over several words or lines has several runs."""
    runs = []
    for u, text in enumerate(strip.texts):
        for part in "".join(pieces(strip.gaps.get(u, "") + text)).replace("\t", "  ").splitlines(keepends=True):
            words = _split(part.rstrip("\n"))
            runs += [(u, word, False) for word in words[:-1]] + [(u, words[-1], part.endswith("\n"))]
    return [*runs, (len(strip.units), " end", False)] if strip.has_end else runs


def _split(text: str) -> list[str]:
    """Words with the blank before each, so that a line can end between any two of them."""
    first, *others = text.split(" ")
    return ([first] if first else []) + [" " + word for word in others] or [""]


def _unit(strip: Strip, u: int, run: str, at: tuple[float, float], theme: colour.Theme) -> str:
    (x, y), wide = at, _wide(run)
    end = u == len(strip.units)
    shapes = []
    for k, lane in enumerate(strip.lanes):
        value = lane.end if end else float(lane.values[u])
        fill = colour.tint(colour.strength(value, lane.limit), theme, _track(theme))
        place = {"x": f"{x:.1f}", "y": f"{y + 4 + k * LANE:.1f}"}
        shapes.append(tag("rect", **place, width=f"{max(wide - 0.7, 0.7):.1f}", height=f"{LANE - 1:g}", fill=fill))
    values = ", ".join(f"{lane.name} {signed(lane.end if end else float(lane.values[u]))}" for lane in strip.lanes)
    title = tag("title", escape(f"{_place(strip, u)}: {values}"))
    shown = run.strip(" ")
    lead = advance(run[: len(run) - len(run.lstrip(" "))]) * SIZE
    length = {"textLength": f"{advance(shown) * SIZE:.1f}", "lengthAdjust": "spacingAndGlyphs"} if shown else {}
    style = {"font_style": "italic"} if end else {}
    text = tag("text", escape(shown), x=f"{x + lead:.1f}", y=f"{y:.1f}", **length, **style) if shown else ""
    return tag("g", title + "".join(shapes) + text)


def _place(strip: Strip, u: int) -> str:
    if u == len(strip.units):
        return "end"
    unit: Unit = strip.units[u]
    return f"{strip.analysis.unit} {unit.first + 1}" + (f"–{unit.last}" if unit.last - unit.first > 1 else "")


def _track(theme: colour.Theme) -> str:
    return colour.tint(0.05, colour.Theme("track", theme.background, theme.text, theme.text, theme.text, ()))


def _legend(strip: Strip, theme: colour.Theme) -> str:
    parts = []
    stops = "".join(
        tag("stop", offset=f"{at:g}", stop_color=colour.tint(x, theme)) for at, x in ((0, -1.0), (0.5, 0.0), (1, 1.0))
    )
    parts.append(tag("defs", tag("linearGradient", stops, id=f"redviz-{theme.name}")))
    for k, lane in enumerate(strip.lanes):
        y = MARGIN + SIZE + 44 * k
        for i in range(len(strip.lanes)):
            fill = (
                theme.text
                if i == k
                else colour.tint(0.25, colour.Theme("", theme.background, "", theme.text, theme.text, ()))
            )
            height = (SIZE - 2) / len(strip.lanes)
            parts.append(
                tag(
                    "rect",
                    x=f"{MARGIN:g}",
                    y=f"{y - SIZE + 2 + i * height:.1f}",
                    width="12",
                    height=f"{height - 1:.1f}",
                    fill=fill,
                )
            )
        parts.append(tag("text", escape(lane.name), x=f"{MARGIN + 18:g}", y=f"{y:g}", font_weight="bold"))
        parts.append(
            tag("text", escape(f"Σ {signed(lane.total)}"), x=f"{MARGIN + KEY:g}", y=f"{y:g}", text_anchor="end")
        )
        parts.append(
            tag(
                "rect", x=f"{MARGIN:g}", y=f"{y + 5:g}", width=f"{KEY:g}", height="6", fill=f"url(#redviz-{theme.name})"
            )
        )
        for x, text, anchor in (
            (0.0, number(-lane.limit), "start"),
            (KEY / 2, "0", "middle"),
            (KEY, signed(lane.limit), "end"),
        ):
            parts.append(
                tag("text", escape(text), x=f"{MARGIN + x:g}", y=f"{y + 21:g}", font_size="9.5", text_anchor=anchor)
            )
    return "".join(parts)
