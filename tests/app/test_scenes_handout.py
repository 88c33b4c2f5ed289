"""The handout of a scene: complete, at rest without a network, and with formulas that browsers draw."""

import re
import xml.etree.ElementTree as ET

import pytest
from scene_bench import drawn, figure

from redviz.app.engine import Engine
from redviz.app.learn.scenes.handout import handout, inline
from redviz.app.learn.scenes.mathml import mathml
from redviz.app.learn.scenes.table import SCENES
from redviz.errors import RedvizError

LINK = "http://localhost/learn?scene=exact&prefix=nothing"


@pytest.fixture(scope="module")
def engine():
    made = Engine()
    yield made
    made.close()


def said(element):
    return "".join(element.itertext())


def test_a_formula_is_read_as_latex_is():
    ratio = ET.fromstring(mathml(r"\tfrac12\mathrm{lr}^2 - \frac{a}{\sum_{k \ge t} b_k}", display=True))
    assert [said(f[0]) + "/" + said(f[1]) for f in ratio.iter("mfrac")] == ["1/2", "a/∑k≥tbk"]
    assert said(ratio.find(".//msup")) == "lr2" and ratio.find(".//munder") is not None
    both = ET.fromstring(mathml(r"\ell^{better}_t"))[0][0]
    assert both.tag == "msubsup" and [said(part) for part in both] == ["ℓ", "t", "better"]
    rows = list(ET.fromstring(mathml(SCENES["sparse-reward"].formula, display=True)).iter("mtr"))
    assert [[said(cell) for cell in row] for row in rows] == [["0", "t<T"], ["R(x,y)", "t=T"]]
    assert "closing tokens" in mathml(SCENES["closed-prefixes"].formula)
    with pytest.raises(RedvizError, match=r"^\\unknown is not known"):
        mathml(r"\unknown{x}")


@pytest.mark.parametrize("name", list(SCENES))
def test_all_words_and_formulas_of_a_scene_can_be_written(name):
    scene = SCENES[name]
    assert ET.fromstring(mathml(scene.formula, display=True)).get("display") == "block"
    for text in (scene.text, scene.question, scene.answer, *(knob.label for knob in scene.knobs)):
        made = ET.fromstring(f"<p>{inline(text)}</p>")  # every tag is closed
        assert not re.search(r"[$`\\]|\*\*", said(made))


def test_the_handout_holds_the_scene_as_it_stands_and_fetches_nothing(engine):
    scene = SCENES["exact"]
    values = {"prefix": "nothing", "discount": 0.5}
    found = drawn(scene, engine, values)
    page = handout(scene, values, found, LINK)
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert (
        not re.search(r"(src|href)=|url\(|@import", outside)
        and 'src="http' not in page
        and "cdn.plot.ly" not in page.split("<body>")[0]
    )
    assert "says nothing" in outside and "0.5" in outside and "&amp;prefix=nothing" in outside
    assert page.count("Plotly.newPlot(") >= 1 and f"{figure(found).data[0].x[0]:.6f}"[:6] in page
    assert outside.count("<tr>") == 9  # a head and eight token rewards
    assert 'class="rv lanes' in handout(
        SCENES["hacking"], SCENES["hacking"].defaults, drawn(SCENES["hacking"], engine), LINK
    )


def test_a_response_is_shown_in_the_handout_never_run():
    assert inline(r"\<b\> <script>`<i>`") == "&lt;b&gt; &lt;script&gt;<code>&lt;i&gt;</code>"
