"""Charts and figures: panels that fit their tokens, an SVG that is well formed, maps whose labels stay text."""

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import numpy as np
import pytest

from redviz.errors import RedvizError
from redviz.view import colour
from redviz.view.charts import line_chart, ticks
from redviz.view.panels import Level, Panel, Series, curves_payload
from redviz.view.svg import advance, strips_svg
from tests.browser import analyses

SVG = "{http://www.w3.org/2000/svg}"
PREFIX = Panel("Prefix score", [Series("P_t", [0.2, 0.5, -0.1, 0.9, 1.4])], [Level("P₀", 0.2)], x0=-1)


def test_prefix_scores_start_before_the_first_token():
    sent = curves_payload([PREFIX], n=4)
    assert sent["panels"][0]["x0"] == -1
    assert sent["end"] is False


def test_a_value_after_the_last_token_opens_the_end_cell():
    longer = Panel("Prefix score", [Series("P_t", [0.2, 0.5, -0.1, 0.9, 1.4, 1.6])], x0=-1)
    assert curves_payload([longer], n=4)["end"] is True


@pytest.mark.parametrize("panel", [Panel("x", [Series("a", np.zeros(6))]), Panel("x", [Series("a", [0.0])], x0=-2)])
def test_a_curve_that_does_not_fit_is_refused_with_the_room_there_is(panel):
    with pytest.raises(RedvizError, match=r"room for tokens -1 \(P_0\) to 4"):
        curves_payload([panel], n=4)


def test_one_colour_per_method_and_one_dash_where_asked():
    panel = Panel("Cumulative credit", [Series("ig", [0.0]), Series("red", [0.0], dashed=True)])
    sent = curves_payload([panel], n=1)["panels"][0]["series"]
    assert [(s["colour"], s["dashed"]) for s in sent] == [(2, False), (0, True)]


@pytest.mark.parametrize(("low", "high"), [(-0.1, 1.5), (0.0, 4000.0), (1e-5, 3e-5), (-7.0, -7.0)])
def test_ticks_are_few_round_and_inside(low, high):
    found = ticks(low, high, 4)
    assert all(low - 1e-9 <= v <= high + 1e-9 for v, _ in found)
    assert len(found) <= 9


def test_a_static_chart_puts_every_prefix_score_at_its_token():
    chart = ElementTree.fromstring(line_chart(PREFIX, n=4))
    path = next(e for e in chart.iter("path")).get("d")
    xs = [float(point.split()[0]) for point in path.replace("M", "L").split("L")[1:]]
    assert np.diff(xs) == pytest.approx(np.full(4, np.diff(xs)[0]), abs=0.2)
    labels = {
        e.text: float(e.get("x"))
        for e in chart.iter("text")
        if e.text in ("0", "4") and e.get("text-anchor") == "middle"
    }
    assert labels == {"0": pytest.approx(xs[0], abs=0.1), "4": pytest.approx(xs[4], abs=0.1)}


def test_the_paper_figure_is_well_formed_and_says_everything():
    for made in (analyses.hostile(), analyses.long(200), analyses.analysis_of((), [0.2], {})):
        root = ElementTree.fromstring(strips_svg(made))
        assert not [e for e in root.iter() if e.tag in (f"{SVG}script", f"{SVG}image", f"{SVG}foreignObject")]
    text = [e.text for e in ElementTree.fromstring(strips_svg(analyses.hostile())).iter(f"{SVG}text")]
    assert "<script>alert(1)</script>" in text


def test_the_paper_figure_carries_where_it_comes_from():
    made = analyses.worked(0.1)
    hostile = replace(made.source, model="</metadata><script>")
    red = replace(made.credits["red"], meta={"method": "red", "options": {"beta_c": 0.5}})
    made = replace(made, source=hostile, credits={**made.credits, "mine": red})
    told = json.loads(ElementTree.fromstring(strips_svg(made, ["mine"])).find(f"{SVG}metadata").text)
    assert told.pop("redviz")
    assert told == {
        "model": "</metadata><script>",
        "fingerprint": "0123abcd",
        "template_hash": "beef",
        "reading_column": 6,
        "methods": {"mine": {"method": "red", "options": {"beta_c": 0.5}}},
    }


def test_bands_of_the_paper_figure_carry_the_credits_colours():
    root = ElementTree.fromstring(strips_svg(analyses.worked(), ["red"]))
    group = next(g for g in root.iter(f"{SVG}g") if g.find(f"{SVG}title").text == "token 2: RED −0.600")
    red = colour.limit([0.3, -0.6, 1.0, 0.5])
    track = colour.tint(0.05, colour.Theme("", "#ffffff", "", colour.LIGHT.text, colour.LIGHT.text, ()))
    assert group.find(f"{SVG}rect").get("fill") == colour.tint(-0.6 / red, colour.LIGHT, track)


def test_no_line_of_the_paper_figure_leaves_it():
    root = ElementTree.fromstring(strips_svg(analyses.long(300), width=500))
    ends = [float(r.get("x")) + float(r.get("width")) for g in root.iter(f"{SVG}g") for r in g.findall(f"{SVG}rect")]
    assert max(ends) <= 500 - 10 + advance(" ") * 13


def test_right_to_left_words_are_placed_from_the_right():
    root = ElementTree.fromstring(strips_svg(analyses.drawn(("مرحبا", " بك", " جدا"))))
    x = {e.text: float(e.get("x")) for g in root.iter(f"{SVG}g") for e in g.findall(f"{SVG}text")}
    assert x["مرحبا"] > x["بك"] > x["جدا"]


def test_attention_maps_keep_hostile_text_as_text():
    from redviz.app.inspect import figures

    made = analyses.hostile()
    count = len(made.tokens)
    rows = np.full((2, 3, count), 1 / count, np.float32)
    figure = figures.attention_rows_figure(rows, made.tokens, pin=1)
    assert figure.data[0].z.shape == (6, count)
    assert not [t for t in figure.data[0].x if "<" in t]
    matrix = figures.attention_matrix_figure(np.eye(count), made.tokens, theme=colour.DARK)
    assert matrix.layout.paper_bgcolor == colour.DARK.background
    assert "<script" not in matrix.to_json().replace("<extra>", "")


def test_attention_maps_name_every_cell_without_a_text_per_cell():
    from redviz.app.inspect import figures

    rows = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    figure = figures.attention_rows_figure(rows, ["so", "so", "\n", "good"])
    heat = figure.data[0]
    assert (heat.customdata, heat.text, heat.hovertemplate) == (None, None, "%{y}<br>%{x}: %{z:.3f}<extra></extra>")
    at = heat.y.index("layer 1 · head 2"), heat.x.index("2 so")
    assert heat.z[at] == rows[1, 2, 1]
    assert len(set(heat.x)) == 4 and len(set(heat.y)) == 6
    assert all(v % 1 for v in figure.layout.yaxis.tickvals)  # on a row, "layer 1" would replace the row's name
    matrix = figures.attention_matrix_figure(np.eye(2), ["so", "so"]).data[0]
    assert (matrix.customdata, matrix.x, matrix.y) == (None, ("1 so", "2 so"), ("1 so", "2 so"))
