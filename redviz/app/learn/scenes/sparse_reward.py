"""Scene: one number at the end, and what every token gets to hear of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz import returns
from redviz.app.learn.scenes.figure import bars, dressed, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import DISNEY, gallery_example
from redviz.records import Analysis
from redviz.view.lanes import signed
from redviz.view.markdown import plain

TEXTS = {"disney": DISNEY, "film": gallery_example("film-paper-harbour/c")}
SCHEMES = {"sparse": "all at the end", "uniform": "spread evenly", "red": "redistributed"}


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """Rewards of every token above, and below them what each token is told: the return from it on."""
    example, scheme, theme = TEXTS[values["answer"]], str(values["reward"]), bench.theme
    analysis = bench.analysis(example, ["sparse", "uniform", "red"])
    rewards = analysis.credits[scheme].values.astype(np.float64)  # [T]
    told = returns.monte_carlo(rewards)  # [T]
    names = token_names(analysis)
    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.12,
        subplot_titles=("reward of each token", "what each token is told: its return G"),
    )
    figure.add_trace(bars(rewards, names, theme), row=1, col=1)
    figure.add_trace(bars(told, names, theme), row=2, col=1)
    token_axis(figure, names, row=2, col=1)
    most = max(float(np.abs(c.values).max()) for c in analysis.credits.values())
    edge = 1.15 * max(most, abs(analysis.score), float(np.abs(told).max()))
    figure.update_yaxes(range=[-edge, edge])
    where = {"prompt": example.prompt, "response": example.response} if not example.id else {"example": example.id}
    return Drawn(
        (
            f"**{plain(example.prompt)}** {plain(example.response)}",
            dressed(figure, theme, 430),
            _told(analysis, scheme, told),
        ),
        inspect={**where, "rewards": scheme},
    )


def _told(analysis: Analysis, scheme: str, told: np.ndarray) -> str:
    red = analysis.credits["red"].own
    best, worst = int(red.argmax()), int(red.argmin())
    names = [f"`{analysis.tokens[i].strip()}`" for i in (best, worst)]
    score = f"This model's score is R = **{signed(analysis.score)}**. "
    total = signed(float(analysis.credits[scheme].values.sum(dtype=np.float64)))
    if scheme == "sparse":
        return score + (
            f"All {len(told)} tokens are told the same number, {signed(told[0])} (the largest difference between two of them is "
            f"{small(float(np.ptp(told)))}): {names[0]}, after which the model's score rises "
            f"by {signed(red[best])}, as well as {names[1]}, after "
            f"which it moves by {signed(red[worst])}."
        )
    if scheme == "uniform":
        return score + (
            f"Every token gets R / {len(told)} = {signed(analysis.score / len(told))}; the sum is {total}. "
            "Early tokens are told more than late ones, whatever they say."
        )
    return score + (
        f"{names[0]} gets {signed(red[best])} and {names[1]} {signed(red[worst])}; the sum is $R - P_0$ = {total}. "
        "What a token is told, R less the score that was there before it, now differs from token to token."
    )


SPARSE_REWARD = Scene(
    id="sparse-reward",
    title="One reward at the end",
    text=(
        "A policy writes a whole response, token by token, and only then a reward model gives **one number**. Learning from it is hard: "
        "without discount every token is told the same, good or bad, and which of them earned the reward has to be found out "
        "by averaging over many responses. The more tokens share one number, the more noise each of them hears. "
        "Figure 1 of the RED paper shows it on the answer about Walt Disney: 0.8 on `<EOS>` and 0 elsewhere when the reward is "
        "sparse; redistributed, 0.40 for *Yes*, 0.10 for *Walter* and 0.01 for others (the remaining values are not known to us). "
        "The figure here is drawn from **our** model, a judge of film reviews that knows nothing of Disney."
    ),
    formula=r"r_t = \begin{cases} 0 & t < T \\ R(x, y) & t = T \end{cases} \qquad G_t = \sum_{k \ge t} r_k",
    paper="Li et al., RED (EMNLP 2025), arXiv 2411.08302, eq. 3 and figure 1; the figure's values from summaries of the paper",
    question="Spread the reward evenly: every token now has a reward of its own. Has the policy learned more about which token was good?",
    answer=(
        "No. R / T says nothing about single tokens. It does change what each token is told: the return of token t becomes "
        "R (T − t + 1) / T, so early tokens hear more than late ones. That is a different signal, not a better one, and its "
        "total still rewards a response as a whole. It is the control that every method of redistribution has to beat, and in ABC's "
        "own experiments on dialogue it comes close."
    ),
    knobs=(
        Knob(
            "answer",
            "Response",
            "disney",
            options=tuple(TEXTS),
            names={"disney": "Walt Disney", "film": "a film review"},
        ),
        Knob("reward", "The reward is", "sparse", options=tuple(SCHEMES), names=SCHEMES),
    ),
    draw=draw,
    inspect={"methods": {"sparse": {}, "uniform": {}, "red": {}}},
)
