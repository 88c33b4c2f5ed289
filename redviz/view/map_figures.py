"""A credit map as static HTML: a response whose cells are coloured by one number each, without names and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from redviz.view.escape import escape, tag
from redviz.view.marks import pieces
from redviz.view.static import shade, stylesheet

LIMIT_RMS = 3.0  # colour ends at this many times the root mean square, as on every strip
STRONGEST = 0.65  # of the full colour, so that the text stays dark on light, or light on dark


def map_html(
    response: str, cells: Sequence[tuple[int, int]], values: Sequence[float], limit: float | None = None
) -> str:
    """The response with every cell on the colour of its value.

    Parameters
    ----------
    cells, values
        Characters ``[start, end)`` and one number for each.
    limit
        Where the colour ends; None takes ``LIMIT_RMS`` times the root mean square.
    """
    given = np.asarray(values, np.float64)
    if limit is None:
        limit = LIMIT_RMS * float(np.sqrt(np.mean(given**2))) if len(given) else 0.0
    parts, reached = [], 0
    for (start, end), value in zip(cells, given, strict=True):
        parts.append(escape(response[reached:start]))
        colour = f"background-image:linear-gradient({shade(_softened(float(value), limit), 1.0)} 0 0)"
        parts.append(tag("span", _marked(response[start:end]), class_="u", style=colour))
        reached = end
    parts.append(escape(response[reached:]))
    text = tag("div", "".join(parts), class_="text", dir="auto")
    strip = tag("div", text, class_="rv full static map", style="--size:17px")
    return f"<style>{stylesheet('strip.css')}</style>" + tag("div", strip, class_="redviz")


def _softened(value: float, limit: float) -> float:
    return STRONGEST * max(-1.0, min(1.0, value / limit)) if limit else 0.0


def _marked(text: str) -> str:
    return "".join(tag("i", escape(piece)) if n % 2 else escape(piece) for n, piece in enumerate(pieces(text)))
