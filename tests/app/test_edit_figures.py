"""The figure of edits over a data set: order, signs, intervals, and what is left out."""

import math

from redviz.app.inspect.edit_figures import edit_effects_figure
from redviz.evaluation.edits.edit_effects import EditEffect
from redviz.view import colour

NAN = math.nan
ROWS = (
    EditEffect("lower", "Lower case", "…", 5, -0.5, -0.75, -0.125, 0.2, 0.8, 0, 0),
    EditEffect("shuffle", "Shuffle", "…", 0, NAN, NAN, NAN, NAN, NAN, 5, 0),
    EditEffect("praise", "Praise", "…", 5, 1.0, 0.5, 1.25, 1.0, 0.0, 0, 0),
    EditEffect("upper", "Upper case", "…", 1, 0.25, NAN, NAN, 1.0, 0.0, 4, 0),
)


def test_the_largest_rise_stands_on_top_and_an_edit_without_responses_is_left_out():
    for theme in (colour.LIGHT, colour.DARK):
        (bars,) = edit_effects_figure(ROWS, theme=theme).data
        assert list(bars.y) == ["Lower case", "Upper case", "Praise"]  # Plotly counts from below
        assert list(bars.x) == [-0.5, 0.25, 1.0]
        assert list(bars.marker.color) == [theme.negative, theme.positive, theme.positive]


def test_whiskers_end_where_the_interval_does_and_one_response_has_none():
    (bars,) = edit_effects_figure(ROWS).data
    assert list(bars.error_x.array) == [0.375, 0.0, 0.25]
    assert list(bars.error_x.arrayminus) == [0.25, 0.0, 0.5]
    assert [row[0] for row in bars.customdata] == [" (-0.750 to -0.125)", "", " (+0.500 to +1.250)"]
