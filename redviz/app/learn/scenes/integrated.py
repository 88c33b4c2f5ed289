"""Scene: integrated gradients as a walk from a baseline to the response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz.app.learn.scenes.figure import bars, dressed, line, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.records import Credit, Example
from redviz.view.lanes import signed

TEXT = "film-velvet-tunnel/c"
BASELINES = ("pad", "eos", "mean", "zero")
STEPS = ("1", "2", "4", "8", "16", "32", "64")
POINTS = np.linspace(0.0, 1.0, 101)


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """The score along the path with the nodes at which its gradient is taken, and the credits below."""
    from redviz.credit.from_models.straight_path import gauss_legendre

    example, theme = gallery_example(TEXT), bench.theme
    baseline, steps = str(values["from"]), int(values["steps"])
    analysis = bench.analysis(example, {"ig": {"baseline": baseline, "steps": steps}})
    credit = analysis.credits["ig"]
    path = _path(bench, example, baseline)  # [101]
    nodes = gauss_legendre(steps)
    names = token_names(analysis)
    figure = make_subplots(
        rows=2,
        cols=1,
        vertical_spacing=0.24,
        subplot_titles=(f"score on the way from {baseline} to the response", "credit of each token"),
    )
    figure.add_trace(line(POINTS, path, theme.text, hover="a = %{x:.2f}: %{y:+.3f}"), row=1, col=1)
    marks = line(
        nodes, np.interp(nodes, POINTS, path), theme.series[1], mode="markers", hover="gradient taken at a = %{x:.3f}"
    )
    figure.add_trace(marks, row=1, col=1)
    figure.add_trace(bars(credit.own, names, theme), row=2, col=1)
    token_axis(figure, names, row=2, col=1)
    figure.update_xaxes(range=[-0.02, 1.02], title_text="a, the share of the way", row=1, col=1)
    figure.update_yaxes(title_text="score", row=1, col=1)
    figure.update_yaxes(title_text="credit", row=2, col=1)
    return Drawn(
        (dressed(figure, theme, 500), _sum(credit)),
        inspect={"methods": {"ig": {"baseline": baseline, "steps": steps}, "red": {}}},
    )


def _path(bench: Bench, example: Example, baseline: str) -> np.ndarray:
    def walk(model: Any, job: Any) -> np.ndarray:
        from redviz.credit.from_models.straight_path import path_scores

        return path_scores(model, model.encode(example), POINTS, baseline=baseline, progress=job.progress)

    found: np.ndarray = bench.work("The score along the path", (example.id, baseline), walk)
    return found


def _sum(credit: Credit) -> str:
    assert credit.total is not None and credit.reference is not None and credit.residual is not None
    rise = credit.total - credit.reference
    return (
        f"R − R(baseline) = {signed(credit.total)} − ({signed(credit.reference)}) = **{signed(rise)}**; the credits sum to "
        f"**{signed(float(credit.values.sum(dtype=np.float64)))}**. Residual: **{signed(credit.residual)}**, "
        f"{abs(credit.residual / rise):.1%} of what was to be explained."
    )


INTEGRATED = Scene(
    id="integrated-gradients",
    title="Integrated gradients: a path, its steps, its start",
    text=(
        "Replace every token of the response by a **baseline** embedding, then walk in a "
        "straight line to the real embeddings and add up, "
        "token by token, how fast the score changes on the way. In the limit of many steps the credits sum exactly to the "
        "rise of the score from baseline to response. With few steps they do not: the **residual** says by how much the sum is off. "
        "Take more steps and watch it shrink; then change the baseline and see that a *correct* sum is not a *unique* answer."
    ),
    formula=(
        r"\begin{gathered} \phi_t = (e_t - b) \cdot \int_0^1 \nabla_{e_t} R\big(b + a\,(e - b)\big)\, da \\ "
        r"\textstyle\sum_t \phi_t = R(e) - R(b) \end{gathered}"
    ),
    paper=(
        "Sundararajan, Taly and Yan, Axiomatic Attribution for Deep Networks (ICML 2017), arXiv 1703.01365; "
        "Gauss-Legendre nodes as in Captum"
    ),
    question="From zero, even 64 steps leave a large residual. What does the path show, and what would you do?",
    answer=(
        "The whole rise happens in a jump right at the start. Each block of this model first normalises what it reads, so an "
        "embedding scaled by almost nothing already looks like the full one, and at exactly zero there is nothing to normalise. "
        "Gradients at a few nodes miss the jump. Choose a baseline inside the range of "
        "real embeddings (pad, end of sequence, the mean), and "
        "never trust credits whose residual is large. Left to itself, "
        "redviz doubles the steps (up to 256) until it is small, and always shows it."
    ),
    knobs=(
        Knob("from", "Baseline", "pad", options=BASELINES, names={"eos": "end of sequence"}),
        Knob("steps", "Steps", "4", options=STEPS),
    ),
    draw=draw,
    inspect={"example": TEXT, "rewards": "ig"},
)
