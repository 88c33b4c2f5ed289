"""Scene: the reward model reads the response token by token, and each step of its curve is a credit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from plotly.subplots import make_subplots

from redviz.app.learn.scenes.figure import QUIET, bars, dressed, line, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.view.lanes import signed
from redviz.view.markdown import plain

TEXT = "film-velvet-tunnel/c"
LENGTH = 27  # tokens of that response under the embedded judge


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """The curve up to the token that the slider has reached, and its steps below it."""
    analysis = bench.analysis(gallery_example(TEXT), ["red"])
    theme, t = bench.theme, min(int(values["t"]), len(analysis.tokens))
    prefix = analysis.prefix_scores.astype(np.float64)  # [T+1]
    steps = analysis.credits["red"].own  # [T], without the closing tokens' share
    names = token_names(analysis)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.06)
    places, texts = np.arange(t + 1), ["nothing yet", *names]
    figure.add_trace(
        line(
            places,
            prefix[: t + 1],
            theme.text,
            mode="lines+markers",
            texts=texts[: t + 1],
            hover="after %{customdata}: %{y:+.3f}",
        ),
        row=1,
        col=1,
    )
    if t:
        figure.add_trace(
            line([t, t], prefix[t - 1 : t + 1], theme.positive if steps[t - 1] >= 0 else theme.negative), row=1, col=1
        )
        figure.data[-1].line.width = 7
    figure.add_trace(bars(steps[:t], names[:t], theme), row=2, col=1)
    token_axis(figure, ["∅", *(name if i < t else "·" for i, name in enumerate(names))], first=0, row=2, col=1)
    figure.update_xaxes(range=[-0.7, len(names) + 0.7], row=1, col=1)
    low, high = float(prefix.min()), float(prefix.max())
    figure.update_yaxes(title_text="prefix score P", range=[low - 0.4, high + 0.4], row=1, col=1)
    edge = 1.1 * float(np.abs(steps).max())
    figure.update_yaxes(title_text="credit", range=[-edge, edge], row=2, col=1)
    figure.add_hline(y=prefix[0], line={"color": QUIET, "dash": "dot", "width": 1}, row=1, col=1)
    return Drawn(
        (_read(analysis.response, analysis.offsets, t), dressed(figure, theme, 430), _step(prefix, steps, names, t))
    )


def _read(response: str, offsets: tuple[tuple[int, int], ...], t: int) -> str:
    """What the model has read so far."""
    if t == 0:
        return "The model has read the prompt and **nothing** of the response."
    end = offsets[t - 1][1]
    return f"The model has read: **{plain(response[:end].strip())}**" + (" …" if end < len(response) else "")


def _step(prefix: np.ndarray, steps: np.ndarray, names: list[str], t: int) -> str:
    if t == 0:
        return f"$P_0$ = {signed(prefix[0])}: what the model says of this prompt before the first token."
    gap = abs(prefix[t] - prefix[t - 1] - steps[t - 1])
    return (
        f"Token {t}, `{names[t - 1].strip()}`: $P_{{{t}}} - P_{{{t - 1}}}$ = {signed(prefix[t])} − ({signed(prefix[t - 1])}) "
        f"= **{signed(steps[t - 1])}**, its credit (residual {small(gap)})."
    )


PREFIX_WALK = Scene(
    id="prefix-walk",
    title="The prefix walk",
    text=(
        "A reward model is a language model with one number read from its last position. That position may be any position: "
        "the same linear head, applied after every token, scores every **prefix** of the response in one forward pass. "
        "Drag the slider to let the model read on. Where the curve goes up, the token that was just read raised the score "
        "(blue); where it goes down, it lowered it (orange). The height of each step is the token's **credit**."
    ),
    formula=r"d_t = P_t - P_{t-1}, \qquad P_t = R(x, y_{\le t})",
    paper="Li et al., RED (reward redistribution; EMNLP 2025), arXiv 2411.08302, eq. 6",
    question="Can a credit change when a *later* word is changed? Why does that matter to a learner that acts token by token?",
    answer=(
        "No. $P_t$ depends on nothing after token $t$ in a model that reads from left to right, so $d_t$ is settled as soon as "
        "token $t$ is there. Attention and gradient credits are hindsight: change the last word and all of them may move. "
        "A credit without hindsight can act as a baseline that depends on the state alone, which is what makes RED safe at γ = 1 "
        "(see the later scenes)."
    ),
    knobs=(Knob("t", "Tokens read", 11, low=0, high=LENGTH, step=1),),
    draw=draw,
    inspect={"example": TEXT, "methods": {"red": {}}, "rewards": "red"},
)
