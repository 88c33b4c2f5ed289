"""What the scenes' figures have in common: bars and lines over tokens, blue raises and orange lowers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import ArrayLike

from redviz.records import Analysis
from redviz.view.colour import Theme
from redviz.view.plotly_style import CLEAR, GRID, grey, shown
from redviz.view.plotly_style import dressed as in_colours

QUIET = grey(0.6)
MANY = 40  # tokens beyond which their texts are written small
PLOTLY_LETTERS = 12  # px, where a figure says nothing
END = "end"  # the cell of the template's closing tokens


def small(value: float) -> str:
    """A residual: its size alone, in one word that no line is broken in.

    >>> small(-2.98e-8), small(0.0), small(0.2)
    ('3·10⁻⁸', '0', '0.2')
    """
    if not value:
        return "0"
    digit, exponent = f"{abs(value):.0e}".split("e")
    return f"{abs(value):.1g}" if int(exponent) >= -2 else f"{digit}·10{exponent_of(int(exponent))}"


def exponent_of(power: int) -> str:
    """A power as it is written above the line."""
    return str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def fixed(value: float, digits: int = 3) -> str:
    """A number with its sign and so many digits; a real minus, and no sign where all digits are 0.

    >>> fixed(-0.11), fixed(-0.001, 2), fixed(2.0, 1)
    ('−0.110', '0.00', '+2.0')
    """
    said = f"{value:+.{digits}f}"
    return said[1:] if not float(said) else said.replace("-", "−")


def token_names(analysis: Analysis, end: bool = False) -> list[str]:
    """The tokens' texts, and "end" where it is asked for; places, not these, are the coordinates: texts repeat."""
    return [shown(token) for token in analysis.tokens] + ([END] if end else [])


def bars(
    values: ArrayLike,
    names: Sequence[str],
    theme: Theme,
    *,
    name: str = "",
    faint: int | None = None,
    hover: str = "%{customdata}: %{y:+.3f}",
) -> go.Bar:
    """One bar for each token, blue above zero and orange below; those from ``faint`` on are pale."""
    heights = np.asarray(values, np.float64).tolist()
    paler = [0.25 if faint is not None and i >= faint else 1.0 for i in range(len(heights))]
    return go.Bar(
        x=list(range(1, len(heights) + 1)),
        y=heights,
        customdata=list(names),
        name=name,
        marker={
            "color": [theme.positive if v >= 0 else theme.negative for v in heights],
            "opacity": paler,
            "line": {"width": 0},
        },
        hovertemplate=hover + "<extra></extra>",
    )


def line(
    x: ArrayLike,
    y: ArrayLike,
    colour: str,
    *,
    name: str = "",
    dash: str = "solid",
    mode: str = "lines",
    hover: str = "%{y:+.3f}",
    texts: Sequence[str] | None = None,
) -> go.Scatter:
    """A line."""
    return go.Scatter(
        x=np.asarray(x, np.float64).tolist(),
        y=np.asarray(y, np.float64).tolist(),
        mode=mode,
        name=name,
        customdata=None if texts is None else list(texts),
        line={"color": colour, "width": 2, "dash": dash},
        marker={"color": colour, "size": 7},
        hovertemplate=hover + "<extra></extra>",
    )


def token_axis(figure: go.Figure, names: Sequence[str], first: int = 1, **place: int) -> None:
    """Write the tokens under their places; ``first`` is the place of the first one."""
    figure.update_xaxes(
        tickmode="array",
        tickvals=list(range(first, first + len(names))),
        ticktext=list(names),
        tickangle=-60,
        tickfont={"size": 11 if len(names) <= MANY else 8},
        range=[first - 0.7, first + len(names) - 0.3],
        **place,
    )


def enlarged(figure: go.Figure, factor: float) -> go.Figure:
    """A copy whose letters are so much larger, and which is taller: for a projector."""
    made = go.Figure(figure)
    made.update_layout(
        height=int(1.45 * (made.layout.height or 320)),
        font_size=PLOTLY_LETTERS * factor,
        margin={"r": (made.layout.margin.r or 0) * factor, "t": 1.4 * (made.layout.margin.t or 0)},
    )
    for lettered in (*made.select_xaxes(), *made.select_yaxes()):
        if lettered.tickfont.size:
            lettered.tickfont.size *= factor
    for note in made.layout.annotations:
        if note.font.size:
            note.font.size = min(note.font.size, 1.15 * PLOTLY_LETTERS) * factor
    for trace in made.data:
        if getattr(trace, "textfont", None) is not None and trace.textfont.size:
            trace.textfont.size *= factor
    return made


def dressed(figure: go.Figure, theme: Theme, height: int = 320, *, legend: bool = False, **more: Any) -> go.Figure:
    """The figure in the app's colours."""
    figure.update_xaxes(showgrid=False, zeroline=False, automargin=True)
    figure.update_yaxes(gridcolor=GRID, zerolinecolor=QUIET, zerolinewidth=1.5, automargin=True)
    return in_colours(
        figure,
        theme,
        height=height,
        margin={"l": 8, "r": 8, "t": 64 if legend else 30, "b": 8},
        showlegend=legend,
        # above the titles of the panels, which stand at the top of the plot
        legend={"orientation": "h", "yref": "container", "y": 1, "yanchor": "top", "x": 0, "bgcolor": CLEAR},
        bargap=0.15,
        transition={"duration": 150},
        **more,
    )
