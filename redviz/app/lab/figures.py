"""The curves of the Lab screen, drawn by Plotly. Import this module only where they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from redviz.lab.steps import Step
from redviz.records import Array
from redviz.view.colour import LIGHT, Theme, series_indices
from redviz.view.plotly_style import GRID, dressed, grey

QUIET = grey(0.5)
DASHES = ("solid", "dash", "dot", "dashdot")  # a second sign beside the colour


@dataclass(frozen=True)
class Curve:
    """One line: the mean over seeds at every step, and the lowest and the highest seed; ``[steps]`` each.

    Attributes
    ----------
    seeds
        How many runs have come to each step.
    """

    mean: Array
    low: Array
    high: Array
    seeds: Array


def curve(runs: Sequence[Sequence[Step]], field: str, smooth: int = 1) -> Curve:
    """A figure of every step over the runs of one line; a run that has not come so far is left out there.

    Parameters
    ----------
    runs
        The steps of every seed.
    field
        Of :class:`redviz.lab.steps.Step`.
    smooth
        Every point is the mean of this many steps of its run, the step itself the last of them; fewer at the beginning.

    Examples
    --------
    >>> from types import SimpleNamespace as S
    >>> found = curve([[S(reward=1.0), S(reward=3.0)], [S(reward=2.0)]], "reward")
    >>> found.mean.tolist(), found.high.tolist(), found.seeds.tolist()
    ([1.5, 3.0], [2.0, 3.0], [2, 1])
    """
    length = max((len(steps) for steps in runs), default=0)
    table = np.full((len(runs), length), np.nan)  # [run, step]
    for row, steps in enumerate(runs):
        sums = np.cumsum([0.0, *(getattr(step, field) for step in steps)])  # [steps + 1]
        ends = np.arange(1, len(sums))
        starts = np.maximum(0, ends - smooth)
        table[row, : len(steps)] = (sums[ends] - sums[starts]) / (ends - starts)
    if not length:
        return Curve(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, int))
    return Curve(np.nanmean(table, 0), np.nanmin(table, 0), np.nanmax(table, 0), np.isfinite(table).sum(0))


def curves_figure(
    curves: Mapping[str, Curve],
    steps: int,
    title: str,
    *,
    names: Mapping[str, str] | None = None,
    start: float | None = None,
    logarithmic: bool = False,
    legend: bool = False,
    height: int = 230,
    theme: Theme = LIGHT,
) -> go.Figure:
    """One line per token reward with its band over seeds.

    Parameters
    ----------
    curves
        By the label of their token rewards, which has its colour in every figure.
    names
        What a person reads for a label.
    steps
        Where the axis ends from the beginning on, so that a curve grows into its room.
    start
        A dotted line, such as the reward before training.
    """
    figure = go.Figure()
    colours = series_indices(sorted(curves))
    if start is not None:
        figure.add_hline(y=start, line={"color": QUIET, "dash": "dot", "width": 1})
    for number, (label, line) in enumerate(curves.items()):
        colour = theme.series[colours[label] % len(theme.series)]
        x = np.arange(1, len(line.mean) + 1)
        if (line.seeds > 1).any():
            there = line.seeds > 1  # one seed alone has no band
            figure.add_scatter(
                x=np.concatenate([x[there], x[there][::-1]]),
                y=np.concatenate([line.high[there], line.low[there][::-1]]),
                fill="toself",
                fillcolor=_veil(colour),
                line={"width": 0},
                hoverinfo="skip",
                showlegend=False,
                legendgroup=label,
            )
        figure.add_scatter(
            x=x,
            y=line.mean,
            name=(names or {}).get(label, label),
            legendgroup=label,
            customdata=np.stack([line.low, line.high, line.seeds], -1),
            mode="lines+markers" if len(x) < 2 else "lines",
            line={"color": colour, "width": 2, "dash": DASHES[number % len(DASHES)]},
            hovertemplate="%{y:.3g} (%{customdata[0]:.3g} to %{customdata[1]:.3g}, seeds: %{customdata[2]})",
        )
    figure.update_xaxes(range=[1, max(2, steps)], zeroline=False, gridcolor=GRID, title_text="step" if legend else None)
    figure.update_yaxes(
        zerolinecolor=QUIET, gridcolor=GRID, automargin=True, type="log" if logarithmic else "linear", nticks=6
    )
    if steps <= 10:
        figure.update_xaxes(dtick=1)  # no half steps
    if logarithmic:
        figure.update_yaxes(minor={"showgrid": False}, tickformat=".2~g")
    return dressed(
        figure,
        theme,
        height=height,
        title={"text": title, "font": {"size": 14}, "x": 0, "xref": "paper", "y": 0.98, "yanchor": "top"},
        showlegend=legend,
        legend={"orientation": "h", "y": -0.22, "yanchor": "top", "x": 0},
        hovermode="x unified",
        margin={"l": 8, "r": 12, "t": 34, "b": 28},
        hoverlabel={"bgcolor": theme.background, "font": {"color": theme.text}},
        uirevision="kept",  # what was zoomed into stays while the curves grow
    )


def _veil(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"
