"""Figures that need no link to the strips, drawn by Plotly. Import this module only where one is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from redviz.records import Array
from redviz.view.colour import LIGHT, Theme, series_indices
from redviz.view.plotly_style import CLEAR, GRID, dressed, grey, shown

LONGEST = 24  # characters of a unit on an axis
NAMED = 80  # units up to which each has its text on the axis
MOST_ACROSS = 3  # charts side by side
QUIET = grey(0.8)  # axes and the diagonal
ROW_PIXELS, LEAST_PIXELS, MOST_PIXELS = 14, 240, 900


def attention_rows_figure(
    rows: Array, unit_texts: Sequence[str], *, pin: int | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """How much the reading token looks at every unit, one row of the map per layer and head.

    Parameters
    ----------
    rows
        ``[layer, head, unit]``, attention summed over the tokens of each unit.
    unit_texts
        The units' texts, ``U`` of them.
    pin
        The unit to mark.
    theme
        ``colour.LIGHT`` or ``colour.DARK``.

    Returns
    -------
    plotly.graph_objects.Figure
        Layer 0 on top; a thin gap parts the layers; hovering names layer, head, unit and share.
    """
    layers, heads, count = rows.shape
    names = [f"layer {k} · head {h}" for k in range(layers) for h in range(heads)]
    values = np.asarray(rows, dtype=np.float32).reshape(layers * heads, count)
    figure = _map(values, _numbered(unit_texts), names, theme, "%{y}<br>%{x}: %{z:.3f}")
    for k in range(1, layers):
        figure.add_hline(y=k * heads - 0.5, line={"color": theme.background, "width": 2})
    at = [k * heads + heads / 2 - 0.25 for k in range(layers)]  # between rows: Plotly hovers a tick's text on its row
    figure.update_yaxes(tickvals=at, ticktext=[f"layer {k}" for k in range(layers)])
    if pin is not None and 0 <= pin < count:
        figure.add_vrect(x0=pin - 0.5, x1=pin + 0.5, line={"color": theme.text, "width": 1.5}, fillcolor=CLEAR)
    figure.update_layout(height=_height(layers * heads))
    return figure


def attention_matrix_figure(matrix: Array, texts: Sequence[str], *, theme: Theme = LIGHT) -> go.Figure:
    """One head's attention: each row a token that looks, each column a token looked at.

    Parameters
    ----------
    matrix
        ``[T, T]``, rows sum to 1 over everything the token can see.
    texts
        The tokens, ``T`` of them.
    theme
        ``colour.LIGHT`` or ``colour.DARK``.

    Returns
    -------
    plotly.graph_objects.Figure
    """
    names = _numbered(texts)
    figure = _map(np.asarray(matrix, dtype=np.float32), names, names, theme, "%{y} looks at %{x}: %{z:.3f}")
    figure.update_yaxes(dtick=_every(names))
    figure.update_layout(height=_height(len(names)))
    return figure


def _height(rows: int) -> int:
    return min(MOST_PIXELS, max(LEAST_PIXELS, 120 + ROW_PIXELS * rows))


def _numbered(texts: Sequence[str]) -> list[str]:
    """A category for every unit: its place keeps equal texts apart."""
    return [f"{i + 1} {shown(text, LONGEST)}" for i, text in enumerate(texts)]


def _every(names: Sequence[str]) -> int | None:
    return 1 if len(names) <= NAMED else None


def _map(values: Array, columns: Sequence[str], rows: Sequence[str], theme: Theme, hover: str) -> go.Figure:
    """A map whose hover reads the names of its rows and columns: text sent once per row, not once per cell."""
    shades = [[0, theme.background], [1, theme.positive]]
    bar = {"thickness": 10, "outlinewidth": 0, "title": {"text": "share", "side": "top"}}
    top = float(np.nanquantile(values, 0.995)) if values.size else 1.0  # one sink token must not wash out the rest
    heat = go.Heatmap(
        z=values,
        x=columns,
        y=rows,
        hovertemplate=hover + "<extra></extra>",
        colorscale=shades,
        zmin=0,
        zmax=top or 1.0,
        colorbar=bar,
    )
    figure = go.Figure(heat)
    figure.update_xaxes(type="category", dtick=_every(columns), tickangle=60, showgrid=False, zeroline=False)
    figure.update_yaxes(type="category", autorange="reversed", showgrid=False, zeroline=False)
    return dressed(figure, theme, ground=theme.background, margin={"l": 8, "r": 8, "t": 16, "b": 8})


def objectives_figure(curves: Mapping[str, Array], texts: Sequence[str], *, theme: Theme = LIGHT) -> go.Figure:
    """Prefix scores of several objectives, ``[T+1]`` each: a line per objective, told apart by colour and dash."""
    figure = go.Figure()
    names = ["(empty)", *(shown(text, LONGEST) for text in texts)]
    dashes = ("solid", "dash", "dot", "dashdot", "longdash")
    for number, (name, curve) in enumerate(curves.items()):
        figure.add_scatter(
            x=list(range(len(curve))),
            y=np.asarray(curve, np.float64),
            text=names,
            name=shown(name, LONGEST),
            mode="lines",
            line={"color": theme.series[number % len(theme.series)], "dash": dashes[number % len(dashes)], "width": 2},
            hovertemplate="after %{text}: %{y:+.3f}",
        )
    figure.update_xaxes(title_text="tokens read", gridcolor=GRID)
    figure.update_yaxes(title_text="score of the objective", zerolinecolor=QUIET, gridcolor=GRID)
    return dressed(
        figure,
        theme,
        height=360,
        margin={"l": 60, "r": 10, "t": 10, "b": 50},
        legend={"orientation": "h", "y": -0.25},
    )


def causal_scatter_figure(
    points: Mapping[str, Sequence[tuple[float, float, str]]], *, theme: Theme = LIGHT
) -> go.Figure:
    """The change each method predicts against the change the model shows, one small chart per method on its own scale.

    Parameters
    ----------
    points
        Name -> (predicted, actual, text to hover) of every span. A point on the diagonal is a promise kept.
    """
    names = list(points)
    across = min(len(names), MOST_ACROSS)
    down = -(-len(names) // across)
    titles = [shown(n, LONGEST) for n in names]
    figure = make_subplots(rows=down, cols=across, subplot_titles=titles, vertical_spacing=min(0.3, 0.4 / down))
    colours = series_indices(names)
    for number, name in enumerate(names):
        place = {"row": number // across + 1, "col": number % across + 1}
        predicted, actual, texts = zip(*points[name], strict=True)
        wide, high = (1.1 * max(max(map(abs, values)), 1e-9) for values in (predicted, actual))
        end = min(
            wide, high
        )  # of the diagonal; the axes keep their own scales, or small changes would be one flat line
        line = {"color": QUIET, "width": 1, "dash": "dot"}
        figure.add_scatter(x=[-end, end], y=[-end, end], mode="lines", line=line, hoverinfo="skip", **place)
        figure.update_xaxes(range=[-wide, wide], **place)
        figure.update_yaxes(range=[-high, high], **place)
        figure.add_scatter(
            x=predicted,
            y=actual,
            text=[shown(t, LONGEST) for t in texts],
            mode="markers",
            marker={"color": theme.series[colours[name] % len(theme.series)], "size": 8, "opacity": 0.75},
            hovertemplate="%{text}<br>predicted %{x:+.3f}<br>actual %{y:+.3f}<extra></extra>",
            **place,
        )
        figure.update_xaxes(title_text="predicted", nticks=5, **place)
    figure.update_yaxes(title_text="actual change", col=1)
    return dressed(
        figure, theme, zero=QUIET, showlegend=False, height=40 + 250 * down, margin={"l": 60, "r": 10, "t": 30, "b": 50}
    )
