"""A scene as a page to print: one HTML file with its words, formula, figure and question. No network, nothing to fold."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from redviz import __version__
from redviz.app.learn.scenes.mathml import mathml
from redviz.app.learn.scenes.scene import CreditStrip, Drawn, Scene, Value
from redviz.view.escape import escape, tag
from redviz.view.lanes import strip_of
from redviz.view.static import lanes_html, stylesheet

WIDTH = 680  # px: what A4 holds between its margins
PAGE = """
@page { margin: 15mm }
html { color-scheme: light; background: #fff }
body { max-width: 680px; margin: 2rem auto; padding: 0 1rem; color: #1f2430; font: 16px/1.5 system-ui, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .6rem }
math[display=block] { font-size: 1.2rem; margin: 1rem 0 }
.paper, .knobs, footer { color: #555b66; font-size: .85rem }
.figure, table, .rv { break-inside: avoid }
.figure { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .85rem; margin: 1rem 0 }
th, td { text-align: left; padding: .2rem .4rem; border-bottom: 1px solid #d0d4dc }
.question { border-left: 4px solid #1f5fa8; padding-left: .8rem; margin: 1.2rem 0 }
@media print { body { margin: 0; padding: 0; font-size: 11pt } }
"""
INLINE = re.compile(r"\\([^\w\s])|\$([^$]+)\$|`([^`]+)`|(\*\*)|(\*)|( {2}\n)")


def handout(scene: Scene, values: Mapping[str, Value], drawn: Drawn, link: str) -> str:
    """The scene with its knobs as they stand.

    Parameters
    ----------
    scene, values
        What is shown, and where its knobs stand.
    drawn
        What the scene drew, in the colours of light paper.
    link
        Where the scene is to be found.

    Returns
    -------
    str
        A complete HTML document. It holds Plotly's own script, some 5 MB, so that its figures need no network.
    """
    knobs = "; ".join(
        f"{inline(k.label)}: {escape(k.names.get(str(values[k.name]), k.write(values[k.name])))}" for k in scene.knobs
    )
    parts: list[str] = []
    for part in drawn.parts:
        script = isinstance(part, go.Figure) and not any('class="figure"' in made for made in parts)
        parts.append(_part(part, script))
    body = (
        tag("h1", escape(scene.title))
        + tag("p", inline(scene.text))
        + mathml(scene.formula, display=True)
        + tag("p", escape(scene.paper), class_="paper")
        + tag("p", knobs, class_="knobs")
        + "".join(parts)
        + tag("p", f"<strong>Think.</strong> {inline(scene.question)}", class_="question")
        + tag("footer", f"redviz {__version__}, with its embedded models. {escape(link)}")
    )
    head = tag("meta", charset="utf-8").replace("</meta>", "") + tag("title", escape(scene.title))
    head += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    head += tag("style", stylesheet("strip.css") + PAGE)
    return f"<!doctype html>{tag('html', tag('head', head) + tag('body', body), lang='en')}"


def inline(text: str) -> str:
    """The Markdown of the scenes' sentences as HTML: bold, emphasis, code, formulas, line breaks and escaped characters.

    >>> inline("*a* is **b** & $c_1$")
    '<em>a</em> is <strong>b</strong> &amp; <math><mrow><msub><mi>c</mi><mn>1</mn></msub></mrow></math>'
    """
    made: list[str] = []
    at, opened = 0, list[str]()
    for found in INLINE.finditer(text):
        bare, formula, code, strong, emphasis, _ = found.groups()
        made.append(escape(text[at : found.start()]))
        at = found.end()
        if bare:
            made.append(escape(bare))
        elif formula:
            made.append(mathml(formula))
        elif code:
            made.append(tag("code", escape(code)))
        elif strong or emphasis:
            name = "strong" if strong else "em"
            made.append(f"</{name}>" if name in opened else f"<{name}>")
            opened.remove(name) if name in opened else opened.append(name)
        else:
            made.append("<br>")
    return "".join(made) + escape(text[at:])


def _part(part: object, script: bool) -> str:
    if isinstance(part, str):
        return tag("p", inline(part))
    if isinstance(part, CreditStrip):
        strip = strip_of(
            part.analysis, labels=part.labels, names=part.names, granularity=part.granularity, scale=part.scale, limits=part.limits
        )  # fmt: skip
        return tag("div", lanes_html(strip), class_="redviz")
    if isinstance(part, pd.DataFrame):
        head = "".join(tag("th", escape(name)) for name in part.columns)
        rows = "".join(
            tag("tr", "".join(tag("td", escape(cell)) for cell in row)) for row in part.itertuples(index=False)
        )
        return tag("table", tag("thead", tag("tr", head)) + tag("tbody", rows))
    assert isinstance(part, go.Figure)
    figure = go.Figure(part).update_layout(width=WIDTH)
    drawn: str = figure.to_html(full_html=False, include_plotlyjs=script, config={"displayModeBar": False})
    return tag("div", drawn, class_="figure")
