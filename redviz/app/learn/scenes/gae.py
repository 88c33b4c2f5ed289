"""Scene: GAE between the TD error and Monte Carlo, and RED as GAE with the reward model as critic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from redviz import returns
from redviz.app.learn.scenes.figure import QUIET, bars, dressed, line, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.records import Array

TEXT = "film-velvet-tunnel/b"
CRITICS = {"prefix": "the reward model", "base": "a constant, P₀", "zero": "no critic"}


def two_ways(sparse: Array, red: Array, before: Array, critic: Array, lam: float) -> tuple[Array, Array]:
    """GAE of the sparse reward with a critic V, and of RED's rewards with ``V - P_{t-1}``: both ``[T]``, and the same."""
    return returns.gae(sparse, critic, 1.0, lam), returns.gae(red, critic - before, 1.0, lam)


def critic_of(name: str, before: Array) -> Array:
    """V(s_t) before each token, ``[T]``, from the prefix scores before each token."""
    return {"prefix": before, "base": np.full_like(before, before[0]), "zero": np.zeros_like(before)}[name]


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """Advantages at this lambda as bars, the two ends as lines, and RED's own as dots on the bars."""
    analysis = bench.analysis(gallery_example(TEXT), ["red", "sparse"])
    theme, lam = bench.theme, float(values["between"])
    sparse, red = (analysis.credits[k].values.astype(np.float64) for k in ("sparse", "red"))  # [T]
    before = analysis.prefix_scores[:-1].astype(np.float64)  # [T], P_{t-1}
    critic = critic_of(str(values["critic"]), before)
    plain, shaped = two_ways(sparse, red, before, critic, lam)
    ends = [two_ways(sparse, red, before, critic, x)[0] for x in (0.0, 1.0)]
    names = token_names(analysis)
    places = np.arange(1, len(names) + 1)
    figure = go.Figure(bars(plain, names, theme, name="sparse reward, critic V", hover="%{customdata}: A = %{y:+.3f}"))
    figure.add_trace(line(places, ends[0], QUIET, name="λ = 0, TD error", dash="dot"))
    figure.add_trace(line(places, ends[1], QUIET, name="λ = 1, Monte Carlo"))
    figure.add_trace(
        line(places, shaped, theme.text, name="RED's rewards, critic V − P", mode="markers", hover="RED: A = %{y:+.3f}")
    )
    figure.update_yaxes(title_text="advantage A", range=_range(ends))
    token_axis(figure, names)
    dressed(figure, theme, 400, legend=True)
    figure.data[0].showlegend = False
    gap = float(np.abs(plain - shaped).max())
    said = (
        f"GAE of the sparse reward with V (bars) and of RED's rewards with $V - P_{{t-1}}$ (dots), at λ = {lam:.2f}: "
        f"largest difference **{small(gap)}**."
    )
    if values["critic"] == "prefix":
        said += (
            f" With the reward model as critic, λ = 0 is RED's credit itself (largest difference {small(np.abs(ends[0] - red).max())}) "
            f"and λ = 1 is $R - P_{{t-1}}$ ({small(np.abs(ends[1] - (analysis.score - before)).max())})."
        )
    return Drawn((figure, said), {"lam": lam})


def _range(ends: list[Array]) -> list[float]:
    """The same axis for every lambda: GAE lies between its ends or near them."""
    edge = 1.15 * max(float(np.abs(end).max()) for end in ends)
    return [-edge, edge]


GAE = Scene(
    id="gae",
    title="GAE: between one step and the whole rest",
    text=(
        "An advantage may trust the critic after one step (λ = 0, the **TD error**: little noise, but the critic's errors stay) or "
        "wait for the real outcome (λ = 1, **Monte Carlo**: no bias, all the noise). **GAE** mixes them. Take the reward model "
        "itself as critic, $V(s_t) = P_{t-1}$: at λ = 0 (γ = 1 throughout) the *sparse* reward's advantages are RED's credits. "
        "For any critic V and every λ, the sparse reward with V and RED's rewards with $V - P_{t-1}$ give the same advantages."
    ),
    formula=(
        r"\begin{gathered} "
        r"A_t = \sum_{k \ge t} (\gamma\lambda)^{k-t} \delta_k \\[6pt] "
        r"\delta_t = r_t + \gamma V(s_{t+1}) - V(s_t) "
        r"\end{gathered}"
    ),
    paper=(
        "Schulman et al., High-dimensional continuous control using generalized advantage estimation (ICLR 2016), arXiv 1506.02438; "
        "the shaping identity: Ng, Harada and Russell (ICML 1999), Wiewiora (JAIR 2003)"
    ),
    question=(
        "Many PPO programs start the critic from the reward model's weights. What does that mean for an experiment that finds RED "
        "faster than the sparse reward?"
    ),
    answer=(
        "A critic that starts as the reward model gives the sparse reward RED-like advantages from the first step, so RED adds "
        "nothing there. A fair comparison fixes the critic: the sparse reward with V against RED with $V - P_{t-1}$ is no "
        "comparison at all (they are equal), and RED with V itself subtracts a baseline twice if V already knows what the reward "
        "model knows."
    ),
    knobs=(
        Knob("between", "λ", 0.9, help="0 is the TD error, 1 is Monte Carlo."),
        Knob("critic", "Critic V of the sparse reward", "prefix", options=tuple(CRITICS), names=CRITICS),
    ),
    draw=draw,
    inspect={"example": TEXT, "methods": {"sparse": {}, "red": {}}, "rewards": "sparse", "baseline": "prefix score"},
)
