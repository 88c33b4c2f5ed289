"""What Plotly's figures have in common: their dress in both themes, texts, intervals. Import this module only where one is shown.

The dress is no template of ``plotly.io``: Streamlit writes its own theme over the template of a figure, and leaves alone what the
figure says itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from redviz.evaluation.statistics.intervals import Estimate
from redviz.view.colour import DARK, Theme
from redviz.view.marks import flat

CLEAR = "rgba(0,0,0,0)"


def grey(opacity: float) -> str:
    """A line that is seen on either ground."""
    return f"rgba(128,128,128,{opacity})"


GRID = grey(0.15)


def dressed(
    figure: go.Figure, theme: Theme, *, zero: str | None = None, ground: str = CLEAR, **layout: Any
) -> go.Figure:
    """The figure in the theme's colours; ``zero`` is the colour of its zero lines, where it has a grid."""
    if zero is not None:
        figure.update_xaxes(zerolinecolor=zero, gridcolor=GRID)
        figure.update_yaxes(zerolinecolor=zero, gridcolor=GRID)
    template = "plotly_dark" if theme is DARK else "plotly_white"
    return figure.update_layout(
        template=template, paper_bgcolor=ground, plot_bgcolor=ground, font={"color": theme.text}, **layout
    )


def shown(text: str, longest: int | None = None) -> str:
    """A text as Plotly shows it as it stands, cut after ``longest`` characters: it reads tags even where they are entities.

    >>> shown("<b> & a long name", 10)
    '‹b› &amp; a l…'
    """
    marked = flat(text)
    short = marked if longest is None or len(marked) <= longest else marked[: longest - 1] + "…"
    return short.replace("&", "&amp;").replace("<", "‹").replace(">", "›")


def on_one_line(text: str, longest: int) -> str:
    """:func:`shown` for a name: its line breaks are blanks."""
    return shown(" ".join(text.split()), longest)


def intervals(estimates: Sequence[Estimate], colour: str, thickness: float) -> dict[str, object]:
    """Error bars; an interval that is not known has none."""
    above = [float(np.nan_to_num(one.high - one.value)) for one in estimates]
    below = [float(np.nan_to_num(one.value - one.low)) for one in estimates]
    return {"array": above, "arrayminus": below, "color": colour, "thickness": thickness, "width": 4}
