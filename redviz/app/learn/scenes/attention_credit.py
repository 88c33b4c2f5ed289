"""Scene: the score split by attention, and why no token can then be blamed in a good response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz.app.learn.scenes.figure import bars, dressed, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, CreditStrip, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.records import Analysis
from redviz.view.lanes import signed

TEXTS = {
    "film-paper-harbour/c": "uneven",
    "film-quiet-street/b": "good",
    "film-quiet-street/c": "bad",
    "film-borrowed-coats/c": "near zero",
}
LAYERS = ("0", "1", "2", "3")


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """ABC's credits above, RED's below, and both on the text."""
    text, layer, theme = str(values["review"]), int(values["layer"]), bench.theme
    analysis = bench.analysis(gallery_example(text), {"abc": {"layer": layer}, "red": {}})
    names = token_names(analysis)
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.14,
        subplot_titles=("attention credit (ABC)", "steps of the prefix score (RED)"),
    )
    for row, label in enumerate(("abc", "red"), 1):
        own = analysis.credits[label].own
        figure.add_trace(bars(own, names, theme), row=row, col=1)
        edge = 1.15 * float(np.abs(own).max())
        figure.update_yaxes(range=[-edge, edge], row=row, col=1)
    token_axis(figure, names, row=2, col=1)
    strip = CreditStrip(analysis, ("abc", "red"), {"abc": f"ABC, layer {layer}", "red": "RED"})
    return Drawn(
        (dressed(figure, theme, 420), strip, _signs(analysis)),
        inspect={"example": text, "methods": {"abc": {"layer": layer}, "red": {}}},
    )


def _signs(analysis: Analysis) -> str:
    abc, red = analysis.credits["abc"].own, analysis.credits["red"].own
    residual = analysis.credits["abc"].residual
    against = [int((np.sign(own) == -np.sign(analysis.score)).sum()) for own in (abc, red)]
    return (
        f"R = {signed(analysis.score)}. Tokens whose credit has the sign opposite to R: **{against[0]}** of {len(abc)} under ABC, "
        f"**{against[1]}** under RED. Largest ABC credit: {signed(float(abc[np.abs(abc).argmax()]))}; "
        f"Σ ABC = {signed(float(abc.sum()))} (residual {small(residual or 0.0)})."
    )


ATTENTION = Scene(
    id="attention-credit",
    title="Credit by attention",
    text=(
        "ABC (*attention-based credit*) asks where the reward model **looks** when it gives its score: the attention of the last response "
        "token in the last layer, averaged over heads, says how the one number R is split over the response. It costs nothing "
        "extra, and it sums to R. But attention weights are never negative, so every credit has the sign of R: in a good review even "
        "*but* and *never* are rewarded, in a bad one even *wonderful* is punished. And where R is near zero, nobody gets anything."
    ),
    formula=r"\begin{gathered} r_t = R(x, y)\,\alpha_t, \qquad \alpha_t \ge 0 \\ \textstyle\sum_t \alpha_t = 1 \end{gathered}",
    paper="Chan et al., Dense Reward for Free in Reinforcement Learning from Human Feedback (ICML 2024), arXiv 2402.00782",
    question="The layers give quite different splits. Can one of them tell which tokens were good and which were bad?",
    answer=(
        "No. Another layer changes the sizes, never the signs: α is a share. Attention says what was *used*, not in which direction. "
        "It is also hindsight: change the last word and every share may change, so α is not a function of what was written "
        "before the token. Then ABC's rewards are no potential-based shaping, and the guarantee that RED has at γ = 1 does not cover it."
    ),
    knobs=(
        Knob("review", "Review", "film-paper-harbour/c", options=tuple(TEXTS), names=TEXTS),
        Knob("layer", "Layer", "3", options=LAYERS, names={"3": "3, the last"}, help="The paper takes the last layer."),
    ),
    draw=draw,
    inspect={"rewards": "abc"},
)
