"""Scene: several responses to one prompt, and the advantage that each of them gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz import returns
from redviz.app.learn.scenes.figure import bars, dressed, small
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_group
from redviz.records import Analysis
from redviz.view.lanes import signed
from redviz.view.markdown import plain
from redviz.view.plotly_style import shown

GROUP = "film-second-umbrella"
ESTIMATORS = {"reinforce": "REINFORCE", "rloo": "RLOO", "grpo": "GRPO", "dr_grpo": "Dr. GRPO"}
LONGEST = 34  # characters of a response beside its bar


def advantages_of(scores: np.ndarray, estimator: str, baseline: float = 0.0) -> np.ndarray:
    """The advantage of every response of a group, ``[k]``."""
    if estimator == "reinforce":
        return returns.reinforce(scores[:, None], baseline)[:, 0]
    if estimator == "rloo":
        return returns.rloo(scores)
    return returns.grpo(scores, std=None if estimator == "dr_grpo" else "sample")


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """Scores at the left, advantages at the right, one row for each response."""
    estimator, baseline, theme = str(values["estimator"]), float(values["b"]), bench.theme
    group = bench.analyses(gallery_group(GROUP), ["red"])
    scores = np.array([a.score for a in group])  # [k]
    advantages = advantages_of(scores, estimator, baseline)
    letters = "ABCD"[: len(group)]
    names = [shown(f"{letter}: {_short(a.response)}") for letter, a in zip(letters, group, strict=True)]
    figure = make_subplots(
        rows=2,
        cols=1,
        vertical_spacing=0.2,
        subplot_titles=("score R of each response", f"advantage under {ESTIMATORS[estimator]}"),
    )
    for row, numbers in enumerate((scores, advantages), 1):
        figure.add_trace(bars(numbers, names, theme), row=row, col=1)
        figure.data[-1].text = [signed(float(v)) for v in numbers]
        figure.data[-1].textposition = "outside"
        figure.data[-1].cliponaxis = False
        edge = 1.5 * float(np.abs(numbers).max())
        figure.update_yaxes(range=[-edge, edge], row=row, col=1)
        figure.update_xaxes(tickvals=list(range(1, len(group) + 1)), ticktext=list(letters), row=row, col=1)
    listed = "  \n".join(
        f"**{letter}** {plain(_short(a.response, 90))}" for letter, a in zip(letters, group, strict=True)
    )
    return Drawn(
        (dressed(figure, theme, 400), _numbers(group, scores, advantages), listed),
        inspect={"example": f"{GROUP}/a", "baseline": {"rloo": "RLOO", "grpo": "GRPO"}.get(estimator, "zero")},
    )


def _short(text: str, longest: int = LONGEST) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


def _numbers(group: list[Analysis], scores: np.ndarray, advantages: np.ndarray) -> str:
    k = len(scores)
    scaled = k / (k - 1) * (scores - scores.mean())
    totals = np.array([float(a.credits["red"].values.sum(dtype=np.float64)) for a in group])  # R - P_0
    return (
        f"Mean score {signed(float(scores.mean()))}. The advantages sum to **{signed(float(advantages.sum()))}**, their mean square is "
        f"**{np.mean(advantages**2):.3g}**. RLOO is k/(k−1) times the centred score "
        f"(difference {small(float(np.abs(returns.rloo(scores) - scaled).max()))}), "
        f"and on RED's totals $R - P_0$ it is the same as on R (difference "
        f"{small(float(np.abs(returns.rloo(totals) - returns.rloo(scores)).max()))})."
    )


GROUP_SCENE = Scene(
    id="group",
    title="A baseline from the group: REINFORCE, RLOO, GRPO",
    text=(
        "Is a score below zero bad? That depends on what else could have been written. "
        "REINFORCE subtracts any **baseline** b that does not "
        "depend on the response; the expected gradient stays, its noise changes. RLOO takes the mean score of the *other* responses to "
        "the same prompt, so no baseline has to be learned. GRPO takes the mean of all and divides by their standard deviation; Dr. GRPO "
        "leaves out the division. Every token of a response gets its response's advantage: who earned it is still open."
    ),
    formula=(
        r"\begin{gathered} A_i^{\text{RLOO}} = R_i - \frac{1}{k-1} \sum_{j \ne i} R_j \\ "
        r"A_i^{\text{GRPO}} = \frac{R_i - \bar R}{\operatorname{std}(R) + \varepsilon} \end{gathered}"
    ),
    paper=(
        "Williams, Simple statistical gradient-following algorithms (1992): REINFORCE; Ahmadian et al., Back to Basics (ACL 2024), "
        "arXiv 2402.14740, after Kool et al. (2019): RLOO; Shao et al., DeepSeekMath (2024), arXiv 2402.03300: GRPO; Liu et al., "
        "Understanding R1-Zero-Like Training (2025), arXiv 2503.20783: Dr. GRPO"
    ),
    question="All responses score below zero. What does REINFORCE with b = 0 do with the best of them, and what does RLOO do?",
    answer=(
        "REINFORCE with b = 0 makes every one of them less likely, the best one too, "
        "only less so; it learns by elimination, slowly and with "
        "noise. RLOO raises those above the mean of the others. For RED nothing changes here: $P_0$ belongs to the prompt, so it cancels "
        "in every group baseline, and RLOO on RED's totals *is* RLOO. What RED can add is inside a response: the return to go, "
        "$R - P_{t-1}$. Never subtract a baseline of whole responses from the credit of a single token: that rewards length."
    ),
    knobs=(
        Knob("estimator", "Advantage", "reinforce", options=tuple(ESTIMATORS), names=ESTIMATORS),
        Knob(
            "b",
            "b of REINFORCE",
            0.0,
            low=-4.0,
            high=4.0,
            step=0.1,
            help="The others find their baseline in the group.",
        ),
    ),
    draw=draw,
    inspect={"methods": {"red": {}, "sparse": {}}, "rewards": "sparse"},
)
