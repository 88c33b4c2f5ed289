"""The dress of Plotly's figures, in both themes."""

import numpy as np
import plotly.graph_objects as go
import pytest

from redviz.app.dataset.figures import accuracy_figure
from redviz.app.inspect.figures import attention_rows_figure, causal_scatter_figure
from redviz.app.learn.scenes.figure import dressed as as_scene
from redviz.evaluation.statistics.intervals import Estimate
from redviz.view.colour import DARK, LIGHT
from redviz.view.plotly_style import intervals, shown

CLEAR, GRID = "rgba(0,0,0,0)", "rgba(128,128,128,0.15)"
FIGURES = {  # name: how it is made, its ground or none, and the colour of its zero lines
    "data set": (lambda theme: accuracy_figure({"a": Estimate(0.5, 0.4, 0.6, 9)}, theme=theme), CLEAR, 0.5),
    "causal": (lambda theme: causal_scatter_figure({"red": [(1.0, 2.0, "t")]}, theme=theme), CLEAR, 0.8),
    "scene": (lambda theme: as_scene(go.Figure(go.Bar(x=[1], y=[1])), theme), CLEAR, 0.6),
    "map": (lambda theme: attention_rows_figure(np.ones((1, 1, 2)), ["a", "b"], theme=theme), None, None),
}


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_says_its_colours_itself_since_streamlit_writes_over_its_template(name, theme):
    make, ground, zero = FIGURES[name]
    figure = make(theme)
    layout = figure.layout
    assert layout.font.color == theme.text
    assert layout.paper_bgcolor == layout.plot_bgcolor == (ground or theme.background)
    assert layout.template.layout.font.color == ("#f2f5fa" if theme is DARK else "#2a3f5f")
    if zero:
        assert layout.yaxis.zerolinecolor == f"rgba(128,128,128,{zero})" and layout.yaxis.gridcolor == GRID


def test_a_text_stands_as_it_is_written_and_is_cut():
    assert shown("<b>&lt;</b>\n") == "‹b›&amp;lt;‹/b›" + shown("\n")
    assert shown("abcdef", 4) == "abc…" and shown("abcd", 4) == "abcd"


def test_an_interval_that_is_not_known_has_no_bar():
    bars = intervals([Estimate(0.5, 0.4, 0.7, 9), Estimate(0.5, float("nan"), float("nan"), 1)], "red", 1.2)
    np.testing.assert_allclose(bars["array"], [0.2, 0.0])
    np.testing.assert_allclose(bars["arrayminus"], [0.1, 0.0])
