"""The figures of the Agreement screen, drawn by Plotly. Import this module only where they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from redviz.evaluation.agreement.against_people import MethodAgreement
from redviz.evaluation.faithfulness.faithfulness_report import MethodFaithfulness
from redviz.evaluation.statistics.bradley_terry import Ranking
from redviz.evaluation.statistics.intervals import Estimate
from redviz.records import Array
from redviz.view.colour import LIGHT, Theme, series_indices
from redviz.view.plotly_style import GRID, dressed, grey, intervals, on_one_line

QUIET = grey(0.8)
LONGEST = 28  # characters of a name beside a dot
SYMBOLS = {"method": "circle", "people": "diamond", "baseline": "circle-open"}
LINES = {"deletion": "share of units taken out", "insertion": "share of units put back"}


def leaderboard_figure(
    rows: Sequence[MethodAgreement], metric: str, title: str, names: Mapping[str, str], *, theme: Theme = LIGHT
) -> go.Figure:
    """A dot with its 95 % interval for every row, from top to bottom as given; a dotted line at chance, a dashed one at people.

    Parameters
    ----------
    rows
        Methods, people and baselines, in the order to draw.
    metric, title
        The figure, and what stands below the axis.
    names
        What a person reads for a method's label.
    """
    drawn = [row for row in rows if np.isfinite(row.figures[metric].value)]
    shades = {"method": theme.positive, "people": theme.negative, "baseline": QUIET}
    labels = {row.label: on_one_line(names.get(row.label, row.label), LONGEST) for row in drawn}
    figure = go.Figure()
    for kind, symbol in SYMBOLS.items():
        own = [row for row in drawn if row.kind == kind]
        found = [row.figures[metric] for row in own]
        figure.add_scatter(
            x=[e.value for e in found],
            y=[labels[row.label] for row in own],
            error_x=intervals(found, shades[kind], 1.4),
            customdata=[[_interval(e), e.count] for e in found],
            mode="markers",
            marker={"color": shades[kind], "size": 10, "symbol": symbol, "line": {"width": 1.5, "color": shades[kind]}},
            hovertemplate="%{y}: %{x:.3f}%{customdata[0]}, %{customdata[1]} responses<extra></extra>",
        )
    for row in drawn:
        if row.label == "chance" or row.kind == "people":
            dash = "dot" if row.kind == "baseline" else "dash"
            figure.add_vline(x=row.figures[metric].value, line={"color": shades[row.kind], "dash": dash, "width": 1})
    figure.update_xaxes(title_text=title)
    order = [labels[row.label] for row in drawn]
    figure.update_yaxes(automargin=True, ticksuffix="  ", categoryorder="array", categoryarray=order[::-1])
    return _dressed(figure, 80 + 27 * len(drawn), theme)


def matrix_figure(values: Array, names: Sequence[str], low: float, hover: str, *, theme: Theme = LIGHT) -> go.Figure:
    """``[label, label]`` with its numbers: from ``low`` (-1 or 0) to 1."""
    labels = [on_one_line(name, LONGEST) for name in names]
    ends = [[0, theme.background], [1, theme.positive]]
    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=labels,
            y=labels,
            text=[["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in values],
            texttemplate="%{text}",
            zmin=low,
            zmax=1,
            colorscale=ends if low == 0 else [[0, theme.negative], [0.5, theme.background], [1, theme.positive]],
            showscale=False,
            hovertemplate=f"%{{y}} and %{{x}}: {hover} %{{z:.3f}}<extra></extra>",
        )
    )
    figure.update_xaxes(automargin=True)
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _dressed(figure, 110 + 36 * len(labels), theme)


def curves_figure(
    rows: Sequence[MethodFaithfulness],
    shares: Array,
    line: str,
    controls: str,
    names: Mapping[str, str],
    *,
    theme: Theme = LIGHT,
) -> go.Figure:
    """Mean change of the score while units go ("deletion") or while they come ("insertion"), by decreasing credit.

    Parameters
    ----------
    shares
        ``[G]``: of the units.
    controls
        The label whose interval, random order (dotted) and reversed order (dashed) are drawn too.
    """
    figure = go.Figure()
    colours = series_indices([row.label for row in rows])
    for row in rows:
        colour = theme.series[colours[row.label] % len(theme.series)]
        name = on_one_line(names.get(row.label, row.label), LONGEST)
        chosen = row.label == controls
        orders = {"own": ("solid", colour, name)}
        if chosen:
            orders |= {
                "reversed": ("dash", colour, f"{name}, reversed"),
                "random": ("dot", QUIET, "random order"),
            }
        for order, (dash, ink, said) in orders.items():
            curve = row.curves[order][line]
            figure.add_scatter(
                x=shares,
                y=[e.value for e in curve],
                error_y=intervals(curve, ink, 1.4) if chosen and order == "own" else None,
                name=said,
                mode="lines+markers",
                line={"color": ink, "dash": dash, "width": 2.2 if chosen and order == "own" else 1.4},
                marker={"size": 5},
                customdata=[_interval(e) for e in curve],
                hovertemplate=f"{said} at %{{x:.0%}}: %{{y:+.3f}}%{{customdata}}<extra></extra>",
            )
    figure.update_xaxes(title_text=LINES[line], tickformat=".0%", range=[-0.03, 1.03])
    figure.update_yaxes(title_text="change of the score", automargin=True)
    _dressed(figure, 380, theme)
    return figure.update_layout(showlegend=True, legend={"orientation": "h", "yanchor": "top", "y": -0.22, "x": 0})


def strengths_figure(ranking: Ranking, names: Mapping[str, str], *, theme: Theme = LIGHT) -> go.Figure:
    """Bradley-Terry log strengths with their 95 % intervals, the most preferred on top; 0 is the mean of the methods."""
    strengths = [method.strength for method in ranking.methods]
    labels = [on_one_line(names.get(method.label, method.label), LONGEST) for method in ranking.methods]
    figure = go.Figure(
        go.Scatter(
            x=[e.value for e in strengths],
            y=labels,
            error_x=intervals(strengths, theme.positive, 1.4),
            customdata=[[_interval(m.strength), m.wins, m.losses, m.ties] for m in ranking.methods],
            mode="markers",
            marker={"color": theme.positive, "size": 10},
            hovertemplate="%{y}: %{x:+.3f}%{customdata[0]}<br>%{customdata[1]} won, %{customdata[2]} lost, "
            "%{customdata[3]} neither<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": QUIET, "dash": "dot"})
    figure.update_xaxes(title_text="log strength")
    figure.update_yaxes(automargin=True, ticksuffix="  ", autorange="reversed", type="category")
    return _dressed(figure, 90 + 34 * len(labels), theme)


def _interval(found: Estimate) -> str:
    return f" ({found.low:.3f} to {found.high:.3f})" if np.isfinite(found.low) else ""


def _dressed(figure: go.Figure, height: int, theme: Theme) -> go.Figure:
    margin = {"l": 8, "r": 16, "t": 10, "b": 48}
    return dressed(figure, theme, zero=GRID, height=height, showlegend=False, margin=margin)
