"""Scene: discounted returns, and the one place where RED's guarantee ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz import returns
from redviz.app.learn.scenes.figure import QUIET, dressed, line, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_group
from redviz.records import Analysis
from redviz.view.lanes import signed

GROUP = "film-copper-moon"
FORMS = {"paper": "P after − P before", "shaping": "γ P after − P before"}
GAMMAS = np.round(np.linspace(0.9, 1.0, 51), 4)


def rewards_of(analysis: Analysis, form: str, gamma: float) -> np.ndarray:
    """The token rewards of a form, ``[T]``: the paper's differences, or those of potential-based shaping of the sparse reward."""
    if form == "paper":
        return analysis.credits["red"].values.astype(np.float64)
    # Shaping adds gamma Phi(s') - Phi(s) to the sparse reward, Phi(s_t) = P_{t-1} and 0 at the end: the TD error of the critic P.
    return returns.td_errors(analysis.credits["sparse"].values, analysis.prefix_scores[:-1], gamma)


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """Returns of the first response, token by token; and how three responses rank for every gamma."""
    gamma, form, theme = float(values["discount"]), str(values["difference"]), bench.theme
    group = bench.analyses(gallery_group(GROUP), ["red", "sparse"])
    first = group[0]
    made = returns.monte_carlo(rewards_of(first, form, gamma), gamma)  # [T]
    sparse = returns.monte_carlo(first.credits["sparse"].values, gamma)  # [T], gamma^{T-t} R
    promised = sparse - first.prefix_scores[:-1]  # [T]
    names, places = token_names(first), np.arange(1, len(made) + 1)
    figure = make_subplots(
        rows=2,
        cols=1,
        vertical_spacing=0.24,
        subplot_titles=("response A: return from each token on", "return of A, B and C, by γ"),
    )
    figure.add_trace(
        line(places, made, theme.series[0], name="redistributed", texts=names, hover="%{customdata}: %{y:+.3f}"),
        row=1,
        col=1,
    )
    figure.add_trace(
        line(places, promised, theme.series[1], name="promised by shaping", dash="dash"),
        row=1,
        col=1,
    )
    token_axis(figure, names, row=1, col=1)
    for i, analysis in enumerate(group):
        whole = [returns.monte_carlo(rewards_of(analysis, form, g), g)[0] for g in GAMMAS]
        colour, letter = theme.series[2 + i], "ABC"[i]
        solid = line(GAMMAS, whole, colour, mode="lines+text", hover=f"{letter}: %{{y:+.3f}} at γ %{{x:.3f}}")
        solid.text = ["" if at != 4 + 5 * i else letter for at in range(len(GAMMAS))]
        solid.update(textposition="top center", textfont={"color": colour, "size": 14}, showlegend=False)
        figure.add_trace(solid, row=2, col=1)
        ideal = [returns.monte_carlo(analysis.credits["sparse"].values, g)[0] - analysis.base for g in GAMMAS]
        dots = line(GAMMAS, ideal, colour, dash="dot", hover=f"{letter}, sparse: %{{y:+.3f}}")
        figure.add_trace(dots.update(showlegend=False), row=2, col=1)
    figure.add_vline(x=gamma, line={"color": QUIET}, row=2, col=1)
    figure.update_xaxes(range=[0.899, 1.001], title_text="γ; dotted: the sparse reward", row=2, col=1)
    methods: dict[str, Any] = {"red": {}, "sparse": {}}
    return Drawn(
        (dressed(figure, theme, 520, legend=True), _rank(group, form, gamma, made, promised)),
        inspect={"gamma": gamma, "methods": methods},
    )


def _rank(group: list[Analysis], form: str, gamma: float, made: np.ndarray, promised: np.ndarray) -> str:
    def order(whole: list[float]) -> str:
        return " > ".join("ABC"[i] for i in np.argsort(whole)[::-1])

    sparse = order([float(returns.monte_carlo(a.credits["sparse"].values, gamma)[0]) for a in group])
    shaped = order([float(returns.monte_carlo(rewards_of(a, form, gamma), gamma)[0]) for a in group])
    scores = ", ".join(
        f"{letter} {signed(a.score)} ({len(a.tokens)} tokens)" for letter, a in zip("ABC", group, strict=True)
    )
    verdict = "the same order" if sparse == shaped else "**another order: the task has changed**"
    return (
        f"Scores: {scores}. At γ = {gamma:g} the sparse reward ranks {sparse}; this redistribution ranks {shaped}: {verdict}. "
        f"Largest gap between the two lines of the upper panel: {np.abs(made - promised).max():.2g}."
    )


MONTE_CARLO = Scene(
    id="monte-carlo",
    title="Monte Carlo, discount, and where the guarantee ends",
    text=(
        "The Monte Carlo return of a token is the discounted sum of all rewards from it on. With γ = 1 the steps of the prefix score "
        "telescope: the return is R less what stood before the token, a **baseline**, and the best policy stays the best. "
        "With γ < 1 the plain differences no longer cancel: reward that comes early "
        "counts more than reward that comes late, and responses may "
        "change places. Potential-based shaping needs the discounted difference $\\gamma P_t - P_{t-1}$; with it the guarantee is back."
    ),
    formula=(
        r"\begin{gathered} G_t = \textstyle\sum_{k \ge t} \gamma^{k-t} r_k \\ r_t = "
        r"\gamma P_t - P_{t-1}\ (t < T) \\ r_T = R - P_{T-1} \\"
        r"\Rightarrow\quad G_t = \gamma^{T-t} R - P_{t-1} \end{gathered}"
    ),
    paper=(
        "Ng, Harada and Russell, Policy invariance under reward transformations (ICML 1999); "
        "Li et al., RED (EMNLP 2025), arXiv 2411.08302, eq. 6"
    ),
    question=(
        "At γ = 0.99 plain differences put A before C. Which response would a policy learn to prefer that the "
        "discounted task does not?"
    ),
    answer=(
        "A, which praises at once (*Superb, superb, superb!*) and keeps that early rise "
        "at full weight, while the sparse reward at γ = 0.99 "
        "discounts all of R by the whole length and so prefers the shorter C. With the discounted difference every dotted line is met: "
        "the order is that of the sparse reward again. In practice: use γ = 1 with prefix differences (as PPO for language models "
        "mostly does), or discount the potential."
    ),
    knobs=(
        Knob("discount", "Discount γ", 0.99, low=0.9, high=1.0, step=0.01),
        Knob("difference", "Reward of a token", "paper", options=tuple(FORMS), names=FORMS),
    ),
    draw=draw,
    inspect={"example": f"{GROUP}/a", "rewards": "red"},
)
