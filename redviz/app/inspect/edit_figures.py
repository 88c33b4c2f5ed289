"""The figure of edits over a data set, drawn by Plotly. Import this module only where it is shown."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from redviz.evaluation.edits.edit_effects import EditEffect
from redviz.view.colour import LIGHT, Theme
from redviz.view.plotly_style import GRID, dressed, grey

ROW_PIXELS, LEAST_PIXELS = 30, 160


def edit_effects_figure(rows: Sequence[EditEffect], *, theme: Theme = LIGHT) -> go.Figure:
    """The mean change of the score per edit, with its 95 % interval; what raises the score most stands on top.

    Parameters
    ----------
    rows
        Edits; those that changed no response are left out.
    theme
        ``colour.LIGHT`` or ``colour.DARK``.
    """
    shown = sorted((row for row in rows if row.responses), key=lambda row: row.mean)
    above = [row.high - row.mean if math.isfinite(row.high) else 0.0 for row in shown]
    below = [row.mean - row.low if math.isfinite(row.low) else 0.0 for row in shown]
    figure = go.Figure(
        go.Bar(
            x=[row.mean for row in shown],
            y=[row.title for row in shown],
            orientation="h",
            marker={"color": [theme.positive if row.mean > 0 else theme.negative for row in shown]},
            error_x={"array": above, "arrayminus": below, "color": theme.text, "thickness": 1.2, "width": 4},
            customdata=[[_interval(row), f"{row.rises:.0%}", row.responses] for row in shown],
            hovertemplate="%{y}<br>mean change %{x:+.3f}%{customdata[0]}<br>rises in %{customdata[1]} of %{customdata[2]} "
            "responses<extra></extra>",
        )
    )
    figure.update_xaxes(title_text="mean change of the score", zeroline=True, zerolinecolor=grey(0.5), gridcolor=GRID)
    figure.update_yaxes(automargin=True, ticksuffix="  ")
    return dressed(
        figure,
        theme,
        ground=theme.background,
        height=max(LEAST_PIXELS, 70 + ROW_PIXELS * len(shown)),
        bargap=0.35,
        margin={"l": 8, "r": 16, "t": 8, "b": 48},
    )


def _interval(row: EditEffect) -> str:
    return f" ({row.low:+.3f} to {row.high:+.3f})" if math.isfinite(row.low) else ""
