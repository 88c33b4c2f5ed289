"""The figures of a data set, drawn by Plotly. Import this module only where they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from redviz.data.results.result_files import Histogram
from redviz.evaluation.statistics.intervals import Estimate
from redviz.evaluation.statistics.pairs import Calibration, MethodDisagreement
from redviz.evaluation.statistics.splitting import SplitReport
from redviz.view.colour import LIGHT, Theme
from redviz.view.plotly_style import dressed, grey, intervals, on_one_line

QUIET = grey(0.5)
LONGEST = 40  # characters of a name beside a bar


def histogram_figure(histogram: Histogram, name: str, *, theme: Theme = LIGHT) -> go.Figure:
    """How often each range of a number occurs."""
    middles, widths = (histogram.edges[1:] + histogram.edges[:-1]) / 2, np.diff(histogram.edges)  # [bins]
    ranges = [f"{low:.3g} to {high:.3g}" for low, high in zip(histogram.edges[:-1], histogram.edges[1:], strict=True)]
    figure = go.Figure(
        go.Bar(
            x=middles,
            y=histogram.counts,
            width=widths,
            customdata=ranges,
            marker={"color": theme.positive, "line": {"width": 0}},
            hovertemplate="%{customdata}: %{y} rows<extra></extra>",
        )
    )
    figure.update_xaxes(title_text=on_one_line(name, LONGEST))
    figure.update_yaxes(title_text="rows", rangemode="tozero")
    return _dressed(figure, 220, theme, bargap=0.05)


def accuracy_figure(rows: Mapping[str, Estimate], *, chance: float = 0.5, theme: Theme = LIGHT) -> go.Figure:
    """Accuracy per subset with its 95 % interval; the dotted line is chance."""
    names = sorted(rows, key=lambda name: rows[name].value)
    subsets = [rows[name] for name in names]
    figure = go.Figure(
        go.Scatter(
            x=[e.value for e in subsets],
            y=[on_one_line(name, LONGEST) for name in names],
            error_x=intervals(subsets, theme.text, 1.2),
            customdata=[[e.low, e.high, e.count] for e in subsets],
            mode="markers",
            marker={"color": theme.positive, "size": 9},
            hovertemplate="%{y}: %{x:.1%} (%{customdata[0]:.0%} to %{customdata[1]:.0%}, %{customdata[2]} pairs)<extra></extra>",
        )
    )
    figure.add_vline(x=chance, line={"color": QUIET, "dash": "dot"})
    figure.update_xaxes(title_text="accuracy", range=[-0.02, 1.02], tickformat=".0%")
    figure.update_yaxes(automargin=True, ticksuffix="  ", type="category")
    return _dressed(figure, 90 + 28 * len(names), theme)


def calibration_figure(calibration: Calibration, *, theme: Theme = LIGHT) -> go.Figure:
    """Bradley-Terry probability against the share preferred; on the dotted line the model is calibrated."""
    there = calibration.counts > 0  # [bins]
    counts = calibration.counts[there]
    sizes = 6 + 16 * np.sqrt(counts / max(1, counts.max(initial=0)))
    figure = go.Figure()
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": QUIET, "dash": "dot"}, hoverinfo="skip", showlegend=False
    )
    figure.add_scatter(
        x=calibration.predicted[there],
        y=calibration.preferred[there],
        customdata=counts,
        mode="lines+markers",
        line={"color": theme.positive, "width": 1},
        marker={"color": theme.positive, "size": sizes},
        hovertemplate="predicted %{x:.0%}, preferred %{y:.0%} (%{customdata} of both orders)<extra></extra>",
    )
    figure.update_xaxes(title_text="predicted probability", range=[-0.04, 1.04], tickformat=".0%")
    figure.update_yaxes(title_text="share preferred", range=[-0.04, 1.04], tickformat=".0%")
    return _dressed(figure, 320, theme)


def disagreement_figure(disagreement: MethodDisagreement, names: Sequence[str], *, theme: Theme = LIGHT) -> go.Figure:
    """Each method against each: 0 is the same order of tokens, 1 none, 2 the reverse."""
    labels = [on_one_line(name, LONGEST) for name in names]
    texts = [["" if np.isnan(value) else f"{value:.2f}" for value in row] for row in disagreement.matrix]
    figure = go.Figure(
        go.Heatmap(
            z=disagreement.matrix,
            x=labels,
            y=labels,
            text=texts,
            texttemplate="%{text}",
            zmin=0,
            zmax=2,
            colorscale=[[0, theme.background], [1, theme.negative]],
            showscale=False,
            hovertemplate="%{x} and %{y}: %{z:.3f}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", automargin=True)
    return _dressed(figure, 110 + 36 * len(labels), theme)


def prefix_accuracy_figure(report: SplitReport, *, theme: Theme = LIGHT) -> go.Figure:
    """Accuracy of prefix scores by the share of the response read, with intervals; the dotted line is chance."""
    figure = _line(list(report.fractions), list(report.accuracy), theme)
    figure.add_hline(y=0.5, line={"color": QUIET, "dash": "dot"})
    figure.update_xaxes(title_text="share of the response", tickvals=list(report.fractions))
    figure.update_yaxes(title_text="accuracy of P_t", tickformat=".0%")
    figure.update_xaxes(tickformat=".0%", range=[0.2, 1.05])
    return _dressed(figure, 280, theme)


def variance_figure(report: SplitReport, *, theme: Theme = LIGHT) -> go.Figure:
    """How much less the return that is left varies than the whole return, by position; below zero RED makes it vary more."""
    tenths = len(report.variance_reduction)
    middles = [(i + 0.5) / tenths for i in range(tenths)]
    figure = _line(middles, list(report.variance_reduction), theme)
    figure.add_hline(y=0, line={"color": QUIET, "dash": "dot"})
    figure.update_xaxes(title_text="position in the response", tickformat=".0%", range=[0, 1])
    figure.update_yaxes(title_text="1 − Var(R − P_t−1) / Var(R)", tickformat=".0%")
    return _dressed(figure, 280, theme)


def _line(x: list[float], estimates: list[Estimate], theme: Theme) -> go.Figure:
    return go.Figure(
        go.Scatter(
            x=x,
            y=[e.value for e in estimates],
            error_y=intervals(estimates, theme.text, 1.2),
            customdata=[[e.low, e.high, e.count] for e in estimates],
            mode="lines+markers",
            line={"color": theme.positive, "width": 1},
            marker={"size": 8},
            hovertemplate="%{y:.1%} (%{customdata[0]:.0%} to %{customdata[1]:.0%})<extra></extra>",
        )
    )


def _dressed(figure: go.Figure, height: int, theme: Theme, **layout: Any) -> go.Figure:
    margin = {"l": 60, "r": 16, "t": 10, "b": 48}
    return dressed(figure, theme, zero=QUIET, height=height, showlegend=False, margin=margin, **layout)
