"""Scene: a convex mix of the redistributed and the sparse reward, and the baseline it amounts to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz import returns
from redviz.app.learn.scenes.figure import QUIET, bars, dressed, line, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.view.lanes import signed

TEXTS = {"film-paper-harbour/c": "uneven", "film-paper-harbour/a": "good", "film-paper-harbour/b": "bad"}


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """The mixed rewards above; below, the return they give and R less beta_c times the prefix score, which is the same."""
    mix, text, theme = float(values["mix"]), str(values["review"]), bench.theme
    analysis = bench.analysis(gallery_example(text), {"red": {"beta_c": mix}, "sparse": {}})
    credit = analysis.credits["red"]
    rewards = credit.values.astype(np.float64)  # [T]
    made = returns.monte_carlo(rewards)  # [T]
    before = analysis.prefix_scores[:-1].astype(np.float64)  # [T], P_{t-1}
    promised = analysis.score - mix * before  # [T]
    names, places = token_names(analysis), np.arange(1, len(rewards) + 1)
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.14,
        subplot_titles=("reward of each token", "return G from each token on"),
    )
    figure.add_trace(bars(rewards, names, theme), row=1, col=1)
    figure.add_trace(
        line(
            places, made, theme.series[0], name="G", mode="lines+markers", texts=names, hover="%{customdata}: %{y:+.3f}"
        ),
        row=2,
        col=1,
    )
    figure.add_trace(
        line(places, promised, theme.series[1], name="R − β<sub>c</sub> P<sub>t−1</sub>", dash="dash"), row=2, col=1
    )
    figure.add_hline(y=analysis.score, line={"color": QUIET, "dash": "dot"}, row=2, col=1)
    token_axis(figure, names, row=2, col=1)
    edge = 1.15 * max(abs(analysis.score), float(np.abs(np.diff(analysis.prefix_scores)).max()))
    figure.update_yaxes(range=[-edge, edge], row=1, col=1)
    low, high = (
        min(analysis.score, float((analysis.score - before).min())),
        max(analysis.score, float((analysis.score - before).max())),
    )
    figure.update_yaxes(range=[low - 0.4, high + 0.4], row=2, col=1)
    figure.data[0].showlegend = False
    share = abs(rewards[-1]) / max(float(np.abs(rewards).sum()), 1e-9)
    assert credit.residual is not None
    told = (
        f"Σ rewards = {signed(float(rewards.sum()))} = $R - \\beta_c P_0$ (residual "
        f"{small(credit.residual)}). The last token carries {share:.0%} of "
        f"the reward's absolute mass. Largest difference between $G_t$ and "
        f"$R - \\beta_c P_{{t-1}}$: {small(float(np.abs(made - promised).max()))}."
    )
    return Drawn(
        (dressed(figure, theme, 440, legend=True), told),
        inspect={"example": text, "methods": {"red": {"beta_c": mix} if mix != 1.0 else {}, "sparse": {}}},
    )


MIX = Scene(
    id="mix",
    title="How much to redistribute",
    text=(
        "RED need not replace the sparse reward. A number $\\beta_c$ between 0 and 1 "
        "mixes the two: at 0 everything stays on the last token, at 1 "
        "everything is redistributed. Look at the lower panel: whatever the mix, the return from a token on is the score "
        "**less $\\beta_c$ times what the model had already said before that token**. "
        "Redistribution subtracts a baseline; $\\beta_c$ is its strength. "
        "The paper uses 1 almost everywhere (0.5 for LLaMA3 on TL;DR)."
    ),
    formula=(
        r"\begin{gathered} \hat r_t = \beta_c\,(P_t - P_{t-1}) \\ {} + (1 - \beta_c)\,[t = T]\,R \\[6pt] "
        r"G_t = R - \beta_c\,P_{t-1} \end{gathered}"
    ),
    paper="Li et al., RED (EMNLP 2025), arXiv 2411.08302, eq. 7; shaping: Ng, Harada and Russell (ICML 1999)",
    question="Without discount, does $\\beta_c$ change which policy is best?",
    answer=(
        "No. $P_{t-1}$ depends only on what was written before token t, so subtracting any multiple of it leaves the expected policy "
        "gradient as it is; only its variance changes. It falls where the prefix score foretells the final score, and may rise "
        "where it does not. That is why a poor reward model can make redistribution worse than doing nothing."
    ),
    knobs=(
        Knob("mix", "$\\beta_c$, the share that is redistributed", 0.5),
        Knob("review", "Review", "film-paper-harbour/c", options=tuple(TEXTS), names=TEXTS),
    ),
    draw=draw,
    inspect={"rewards": "red"},
)
