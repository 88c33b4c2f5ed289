"""Scene: open prefixes, read in the middle of a response, and closed ones, read as if it ended there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz.app.learn.scenes.figure import QUIET, dressed, fixed, line, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.view.markdown import plain

TEXT = "film-tin-orchard/c"
LENGTH = 18  # tokens of that response under the embedded judge


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """Both curves, a mark at the token that the slider has reached, and the credits that follow from each."""
    analysis = bench.analysis(gallery_example(TEXT), ["red", "red_closed", "truncation"])
    theme, t = bench.theme, min(int(values["cut"]), len(analysis.tokens))
    names = token_names(analysis)
    open_, closed = _curves(analysis)
    cut = closed[0] + np.cumsum(
        analysis.credits["truncation"].values.astype(np.float64)
    )  # [T], scores of the texts cut off
    places = np.arange(len(open_))
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.06)
    for which, (curve, colour, dash) in enumerate(
        ((open_, theme.series[0], "solid"), (closed, theme.series[1], "solid"))
    ):
        name = ("open P: read in mid-sentence", "closed Q: read as finished")[which]
        figure.add_trace(line(places, curve, colour, name=name, dash=dash, hover=name[:6] + " %{y:+.3f}"), row=1, col=1)
        figure.add_trace(line([t], curve[t : t + 1], colour, mode="markers", hover="%{y:+.3f}"), row=1, col=1)
        figure.data[-1].update(showlegend=False, marker={"size": 11})
        figure.add_bar(
            x=places[1:], y=np.diff(curve), marker={"color": colour, "line": {"width": 0}}, customdata=names, showlegend=False,
            hovertemplate="%{customdata}: %{y:+.3f}<extra></extra>", row=2, col=1,
        )  # fmt: skip
    for row in (1, 2):
        figure.add_vline(x=t, line={"color": QUIET, "dash": "dot", "width": 1}, row=row, col=1)
    token_axis(figure, ["∅", *names], first=0, row=2, col=1)
    figure.update_xaxes(range=[-0.7, len(names) + 0.7], row=1, col=1)
    figure.update_yaxes(title_text="score", row=1, col=1)
    figure.update_yaxes(title_text="credit", row=2, col=1)
    dressed(figure, theme, 430, legend=True)
    end = analysis.offsets[t - 1][1] if t else 0
    said = (
        f"Cut after token {t}: “{plain(analysis.response[:end].strip()) or '…'}”. Open: P = **{fixed(open_[t])}**, closed: "
        f"Q = **{fixed(closed[t])}**"
        + (f"; the text cut there, scored on its own: {fixed(cut[t - 1])}." if t else ".")
        + f" Sums: $\\sum d$ = R − P₀ (residual {small(analysis.credits['red'].residual or 0.0)}), "
        f"and R − Q₀ (residual {small(analysis.credits['red_closed'].residual or 0.0)}); $Q_T - R$ = {small(closed[-1] - analysis.score)}, "
        f"$R - P_T$ = {fixed(analysis.score - open_[-1])}, which RED folds into the last token."
    )
    return Drawn((figure, said))


def _curves(analysis: Any) -> tuple[np.ndarray, np.ndarray]:
    """P and Q, both ``[T+1]`` float64."""
    closed = np.asarray(analysis.credits["red_closed"].meta["closed_scores"], np.float64)
    return analysis.prefix_scores.astype(np.float64), closed


CLOSED = Scene(
    id="closed-prefixes",
    title="Open and closed prefixes",
    text=(
        "A reward model was trained to be read at the *end* of a finished answer. RED reads the same head in mid-sentence: an "
        "**open** prefix, where the head was not trained to be read. A **closed** prefix adds the template's closing tokens "
        "after each token in turn, as if the answer ended there, so the head is at home. Both telescope; they differ in what they say on "
        "the way. Move the cut and compare."
    ),
    formula=(
        r"\begin{gathered} "
        r"P_t = R(x, y_{\le t}) \\[6pt] "
        r"Q_t = R(x, y_{\le t} + \text{closing tokens}) \\[6pt] "
        r"\textstyle\sum_t (Q_t - Q_{t-1}) = R - Q_0 "
        r"\end{gathered}"
    ),
    paper=(
        "Open: Li et al., RED (EMNLP 2025), arXiv 2411.08302. Doubts about prefix scores: Reward Models Are Secretly Value Functions "
        "(2026), arXiv 2604.22981. Closed prefixes: redviz"
    ),
    question="Which of the two is the better estimate of the final score, and which would you want as a baseline in policy gradients?",
    answer=(
        "Q_t answers “what is this text worth if it stops here?”, P_t something nearer to “what is this start worth?”; neither was "
        "trained as a value function. As a baseline both are safe at γ = 1, because both depend on the state alone; the better one is "
        "the one closer to the mean final score from that state, which lowers the variance. That is to be measured, not assumed."
    ),
    knobs=(Knob("cut", "Cut after token", 5, low=0, high=LENGTH, step=1),),
    draw=draw,
    inspect={"example": TEXT, "methods": {"red": {}, "red_closed": {}}, "rewards": "red_closed"},
)
