"""Scene: the KL penalty and its three estimators, with their exact mean and spread over the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from redviz.app.learn.scenes.figure import dressed, fixed, line, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.lab.kl_states import ESTIMATORS, KLStates, kl_states
from redviz.models.spec import ModelSpec

POLICY, REFERENCE = "embedded:writer-dpo", "embedded:writer"
TEXTS = {"film-copper-moon/a": "“Superb, superb …”", "film-second-umbrella/b": "“Not a good film …”"}
WORDS = {"k1": "k1 = log-ratio", "k2": "k2 = half its square", "k3": "k3 = exp(−lr) − 1 + lr"}


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """The chosen estimator at every token as bars, what it estimates as a line, and one standard deviation around its mean."""
    example, chosen, theme = gallery_example(str(values["text"])), str(values["estimator"]), bench.theme
    beside = {"policy": POLICY, "reference": REFERENCE}
    analysis = bench.analysis(example, {"dpo": {"beta": 1.0}}, **beside)
    states: KLStates = bench.work("KL at every state", repr(example), _states(bench, example))
    names = token_names(analysis, end=len(states.divergence) > len(analysis.tokens))
    places = np.arange(1, len(names) + 1)
    mean, spread = states.means[chosen], states.spreads[chosen]
    figure = go.Figure()
    for edge, fill in ((mean - spread, None), (mean + spread, "tonexty")):
        figure.add_trace(
            go.Scatter(
                x=places, y=edge, mode="lines", line={"width": 0}, fill=fill, hoverinfo="skip", showlegend=fill is not None,
                fillcolor="rgba(128,128,128,0.25)", name=f"mean ± one standard deviation of {chosen}",
            )
        )  # fmt: skip
    shades = [theme.positive if v < 0 else theme.negative for v in states.estimates[chosen]]
    figure.add_trace(
        go.Bar(
            x=places, y=states.estimates[chosen], marker={"color": shades}, customdata=names, showlegend=False,
            hovertemplate="%{customdata}: " + chosen + " = %{y:+.3f}<extra></extra>",
        )
    )  # fmt: skip
    figure.add_trace(line(places, states.divergence, theme.text, name="exact KL at the state", hover="KL = %{y:.3f}"))
    token_axis(figure, names)
    figure.update_yaxes(title_text=f"{chosen} at the token")
    dressed(figure, theme, 400, legend=True)
    ratio = float(analysis.credits["dpo"].values.sum(dtype=np.float64))
    gap = abs(float(states.estimates["k1"].sum()) - ratio)
    said = (
        f"Along this response $\\sum k_1$ = {fixed(float(states.estimates['k1'].sum()))}, the log-ratio of the whole sequence "
        f"(residual {small(gap)}). Bars below zero exist for k1 alone: there the penalty *pays* the token (blue)."
    )
    inspect = {"example": str(values["text"]), "methods": {"kl": {"estimator": chosen}}}
    return Drawn((figure, said, _table(states)), inspect)


def _states(bench: Bench, example: Any) -> Any:
    specs = {role: ModelSpec(name, role="policy") for role, name in (("policy", POLICY), ("reference", REFERENCE))}

    def work(model: Any, job: Any) -> KLStates:
        with bench.engine.partners(specs) as partners:
            return kl_states(partners["policy"], partners["reference"], example)

    return work


def _table(states: KLStates) -> pd.DataFrame:
    """What each estimator says of this response, on the average, and how much it scatters at a state."""
    exact = float(states.divergence.sum())
    return pd.DataFrame(
        {
            "estimator": list(ESTIMATORS),
            "sum at this text": [fixed(float(states.estimates[k].sum())) for k in ESTIMATORS],
            "sum of exact means": [fixed(float(states.means[k].sum())) for k in ESTIMATORS],
            "bias": [_tiny(float(states.means[k].sum()) - exact) for k in ESTIMATORS],
            "mean spread": [f"{states.spreads[k].mean():.3f}" for k in ESTIMATORS],
        }
    )


def _tiny(value: float) -> str:
    return fixed(value) if abs(value) >= 5e-4 else small(value)


KL = Scene(
    id="kl",
    title="The KL penalty and its three estimators",
    text=(
        "Every token of RLHF also pays for leaving the reference model: the reward loses β times an estimate of "
        "$\\mathrm{KL}(\\pi \\| \\pi_{ref})$, made from the one sampled token. **k1** is the plain log-ratio, right on average but "
        "often negative; **k2** is half its square, never negative and biased; **k3** is never negative *and* right on average. "
        "The vocabulary here has 5,120 tokens, so the mean and the spread of each at every state (grey band) are sums, not samples."
    ),
    formula=(
        r"\begin{gathered} "
        r"\mathrm{lr} = \log\frac{\pi(y_t|s_t)}{\pi_{ref}(y_t|s_t)} \\[6pt] "
        r"k_1 = \mathrm{lr}, \quad k_2 = \tfrac12\mathrm{lr}^2 \\[6pt] "
        r"k_3 = e^{-\mathrm{lr}} - 1 + \mathrm{lr} "
        r"\end{gathered}"
    ),
    paper="Schulman, Approximating KL divergence (2020), joschu.net/blog/kl-approx.html",
    question="k1 is negative at some tokens, although a divergence never is. Is that an error, and would k3 repair it?",
    answer=(
        "No error: where the policy finds a token *less* likely than the reference does, the log-ratio is negative; only the mean "
        "over the policy's own tokens is the divergence. k3 is never negative and has the same mean with less spread while the "
        "two models are close. But this response was not sampled from the policy: for such a text no estimator promises anything, "
        "and the sums in the table may lie far from the exact means."
    ),
    knobs=(
        Knob("estimator", "Estimator", "k1", options=ESTIMATORS, names=WORDS),
        Knob("text", "Response", next(iter(TEXTS)), options=tuple(TEXTS), names=TEXTS),
    ),
    draw=draw,
    inspect={"policy": POLICY, "reference": REFERENCE, "rewards": "kl"},
)
