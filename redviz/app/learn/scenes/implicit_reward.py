"""Scene: the reward that a DPO policy implies token by token, and RTO, which pays it beside the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from redviz.app.learn.scenes.figure import QUIET, bars, dressed, fixed, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, CreditStrip, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example

TEXT = "film-second-umbrella/b"
PARTNERS = {"policy": "embedded:writer-dpo", "reference": "embedded:writer"}


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """RTO's shaping term after the clip as bars over what it was before, and the sum of all that is paid."""
    weight, clip = float(values["weight"]), float(values["clip"])
    options: dict[str, dict[str, Any]] = {
        "rto": {"beta_1": weight, "clip": clip},
        "shaping": {"method": "rto", "beta_1": weight, "clip": clip, "beta_3": 0.0},
        "dpo": {"beta": weight},
        "red": {},
    }
    analysis = bench.analysis(gallery_example(TEXT), options, **PARTNERS)
    theme, names = bench.theme, token_names(analysis, end=bool(analysis.credits["dpo"].closing))
    credits = analysis.credits
    paid, implied = (_with_end(credits[k]) for k in ("shaping", "dpo"))
    places = list(range(1, len(implied) + 1))
    figure = go.Figure()
    figure.add_trace(
        go.Bar(
            x=places, y=implied, customdata=names, name="before the clip",
            marker={"color": "rgba(0,0,0,0)", "line": {"color": QUIET, "width": 1.5}},
            hovertemplate="%{customdata}: implied %{y:+.4f}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_trace(bars(paid, names, theme, name="paid to the token", hover="%{customdata}: paid %{y:+.4f}"))
    if clip:
        for bound in (clip, -clip):
            figure.add_hline(y=bound, line={"color": QUIET, "dash": "dot", "width": 1})
    token_axis(figure, names)
    figure.update_yaxes(title_text="reward of the token")
    dressed(figure, theme, 360, barmode="overlay")
    rto = credits["rto"]
    ratio = float(implied.sum())
    total = float(paid.sum()) + analysis.score
    agree = float(np.corrcoef(credits["dpo"].own, credits["red"].own)[0, 1]) if weight else float("nan")
    said = (
        f"Sum of the implied rewards: β₁ · log-ratio = **{fixed(ratio)}**. After the clip, which touches "
        f"**{rto.meta['clipped']}** of {len(implied)} tokens: {fixed(float(paid.sum()))}. The last token also gets the score, "
        f"R = {fixed(analysis.score)} (not drawn), so RTO pays {fixed(total)} in all "
        f"(residual {small(total - float(rto.values.sum(dtype=np.float64)))})."
    )
    if weight:
        said += f" Correlation with RED's credits of the same tokens: {fixed(agree, 2)}."
    strip = CreditStrip(analysis, ("dpo", "red"), {"dpo": "DPO policy", "red": "RED"})
    inspect = {"methods": {"dpo": {}, "rto": {"beta_1": weight, "clip": clip}, "red": {}}}
    return Drawn((figure, said, strip), inspect)


def _with_end(credit: Any) -> np.ndarray:
    """Credits with the end-of-turn token's share in a place of its own."""
    own = np.asarray(credit.own, np.float64)
    return np.append(own, credit.closing) if credit.closing else own


IMPLICIT = Scene(
    id="implicit-reward",
    title="A policy is a reward: DPO and RTO",
    text=(
        "DPO never trains a reward model, yet its policy holds one: a token that tuning made likelier than the reference did is a "
        "token it *implicitly rewards*. At DPO's optimum this is the token's **advantage**. **RTO** pays it to every token, beside "
        "the score at the end, and its released code clips it. The two rows under the text compare that "
        "opinion with the reward model's own, read by RED."
    ),
    formula=(
        r"\begin{gathered} "
        r"q_t = \beta_1 \log\frac{\pi_{dpo}(y_t|s_t)}{\pi_{ref}(y_t|s_t)} \\[6pt] "
        r"r_t = \mathrm{clip}(q_t, -c, c) + [t = T]\,\beta_3 R "
        r"\end{gathered}"
    ),
    paper=(
        "Rafailov et al., From r to Q*: Your Language Model is Secretly a Q-Function (2024), arXiv 2404.12358; "
        "Zhong et al., DPO Meets PPO: Reinforced Token Optimization for RLHF (ICML 2025), arXiv 2404.18922"
    ),
    question=(
        "The implied rewards of a response sum to β₁ times its log-ratio. Does RTO at γ = 1 still have the same best policy as the "
        "sparse reward?"
    ),
    answer=(
        "Not in general: the sum of the shaping term differs from response to response, so the total reward is "
        "$\\beta_3 R + \\beta_1 \\log \\pi_{dpo}/\\pi_{ref}(y)$, another objective. Were the DPO policy optimal for the *same* reward and "
        "β₁ its β, "
        "its implied rewards would be a shaped copy of it (their sum: the score, less a constant of the prompt), and the best policy "
        "would stay. The embedded DPO policy was tuned briefly, and the clip breaks the sum, too."
    ),
    knobs=(
        Knob(
            "weight",
            "β₁, weight of the implied reward",
            0.05,
            low=0.0,
            high=0.5,
            step=0.05,
            help="RTO's released script uses 0.05.",
        ),
        Knob(
            "clip", "Clip c (0 is none)", 0.05, low=0.0, high=0.2, step=0.05, help="RTO's released code clips at 0.05."
        ),
    ),
    draw=draw,
    inspect={"example": TEXT, "policy": PARTNERS["policy"], "reference": PARTNERS["reference"], "rewards": "rto"},
)
