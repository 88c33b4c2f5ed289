"""Scene: the steps of the prefix curve add up, and where the sum starts is a choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import plotly.graph_objects as go

from redviz.app.learn.scenes.figure import END, QUIET, bars, dressed, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import UMBRELLA
from redviz.credit.from_records.prefix import red
from redviz.records import Credit
from redviz.view.lanes import signed

STARTS = {"prefix": "the empty response", "zero_first": "itself", "zero_base": "zero"}
REFERENCES = {"prefix": "P<sub>0</sub>", "zero_first": "P<sub>1</sub>", "zero_base": "0"}
WRITTEN = {"prefix": "$P_0$", "zero_first": "$P_1$", "zero_base": "0"}


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """A staircase from the reference to the score; each stair is a credit."""
    analysis = bench.analysis(UMBRELLA, ["red"])
    assert analysis.observation is not None
    theme, start, shift = bench.theme, str(values["start"]), float(values["shift"])
    # A constant in the head's bias adds it to every score.
    shifted = replace(analysis.observation, column_scores=analysis.observation.column_scores + np.float32(shift))
    credit = red(shifted, initial=start)
    stairs = np.append(credit.own, credit.closing)  # [T+1], the last is the end cell
    assert credit.reference is not None
    below = credit.reference + np.concatenate([[0.0], np.cumsum(stairs)[:-1]])  # [T+1]
    names = token_names(analysis, end=True)
    figure = go.Figure(bars(stairs, names, theme))
    figure.data[0].base = below
    figure.data[0].customdata = [f"{name}: {signed(step)}" for name, step in zip(names, stairs, strict=True)]
    figure.data[0].hovertemplate = "%{customdata}<extra></extra>"
    for level, name in ((credit.reference, REFERENCES[start]), (shifted.score, "R")):
        figure.add_hline(y=level, line={"color": QUIET, "dash": "dot"})
        written = f"{name} {signed(level)}" if name != "0" else "0"
        figure.add_annotation(x=1.01, xref="paper", xanchor="left", y=level, text=written, showarrow=False)
    token_axis(figure, names)
    figure.update_yaxes(title_text="score so far", range=[-5.2, 5.2])
    dressed(figure, theme, 400).update_layout(margin_r=74)  # room for the names of the two levels
    methods = {"red": {} if start == "prefix" else {"initial": start}}
    return Drawn(
        (figure, _sum(credit, start), _first(shifted, credit, names[0])),
        inspect={"methods": methods},
    )


def _sum(credit: Credit, start: str) -> str:
    assert credit.reference is not None and credit.total is not None and credit.residual is not None
    total = float(credit.values.sum(dtype=np.float64))
    return (
        f"{WRITTEN[start]} + Σ credits = {signed(credit.reference)} + ({signed(total)}) = **{signed(credit.reference + total)}**, "
        f"and R = **{signed(credit.total)}** (residual {small(credit.residual)}). `{END}` is what the template's closing tokens add."
    )


def _first(shifted: Any, credit: Credit, first: str) -> str:
    prefix = shifted.prefix_scores
    return (
        f"The first token, `{first.strip()}`, gets **{signed(float(credit.own[0]))}**; "
        f"$P_0$ = {signed(float(prefix[0]))}, $P_1$ = {signed(float(prefix[1]))}."
    )


TELESCOPING = Scene(
    id="telescoping",
    title="Telescoping, and where the sum starts",
    text=(
        "Add up all steps of the prefix curve and everything in between cancels: what remains is the last value less the first. So "
        "RED's credits sum to $R - P_0$, **not** to R: what the model says of the prompt alone, $P_0$, is earned by no token. "
        "Comparing the first token with the empty response is called *dynamic initialisation*. "
        "Two other choices: the first token is compared with itself and gets nothing, or with zero and gets $P_0$ on top. "
        "Preference data fix a reward model only up to a constant for each prompt: move that constant and see which choice notices."
    ),
    formula=r"\begin{gathered} \sum_{t=1}^{T} (P_t - P_{t-1}) = P_T - P_0 \\ = R(x, y) - R(x, \varnothing) \end{gathered}",
    paper="Li et al., RED (EMNLP 2025), arXiv 2411.08302, sections 3.3 and 4.5 (dynamic initialisation)",
    question="Which choice gives the first token a credit that depends on the constant, and why is that a fault?",
    answer=(
        "Comparing with zero: the first token's credit is then $P_1$, which moves with the constant, although no preference between two "
        "responses to this prompt can say anything about it. The two others cancel it. Comparing the first token with itself has a "
        "fault of its own: its true effect is lost, and the return from the first token on then has a baseline $P_1$ that depends on "
        "the token, so the gradient is biased."
    ),
    knobs=(
        Knob("start", "The first token is compared with", "prefix", options=tuple(STARTS), names=STARTS),
        Knob(
            "shift",
            "Constant added to every score",
            0.0,
            low=-2.0,
            high=2.0,
            step=0.25,
            help="As a change of the head's bias does.",
        ),
    ),
    draw=draw,
    inspect={"prompt": UMBRELLA.prompt, "response": UMBRELLA.response, "rewards": "red"},
)
