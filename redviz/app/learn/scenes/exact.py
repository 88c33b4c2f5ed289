"""Scene: the exact laboratory: 27 responses, their policy gradient under each token reward, its angle and its variance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from redviz.app.learn.scenes.figure import QUIET, dressed, fixed
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.batches import analyze_batch
from redviz.lab import exact
from redviz.lab.exact import GradientEstimate, Tree
from redviz.records import Analysis, Array, Example
from redviz.text import pool, units
from redviz.view.colour import Theme

PROMPT = "Your verdict on the film, in three words, please."
WORDS = ("not", "good", "bad")
MODELS = {
    "value": "true values",
    "model": "embedded model",
    "nothing": "says nothing",
    "misleading": "misleading",
}
STEPS, STRIDE = 300, 0.3  # exact steps uphill, and the length of the first
SAME = 1e-6  # degrees: rounding, not a bias
UNIFORM = np.zeros((13, 3))  # logits: where the policy starts


@dataclass(frozen=True)
class World:
    """The judge's own figures of all 27 responses: scores ``[N]``, prefix scores ``[N, T+1]``, ABC's shares ``[N, T]``."""

    tree: Tree
    scores: Array
    prefix: Array
    attention: Array


def world(analyses: list[Analysis]) -> World:
    """Read what the judge said after each word of every response."""
    prefix, shares = [], []
    for analysis in analyses:
        groups = units(analysis.response, analysis.offsets, "word")
        read = analysis.prefix_scores[[0, *(g.last for g in groups)]].astype(np.float64)  # [T+1]
        read[-1] = analysis.score
        prefix.append(read)
        attention = pool(analysis.credits["abc"].values, groups) / analysis.score
        shares.append(attention / attention.sum())
    made = np.array(prefix)
    return World(exact.every_response(3, 3), made[:, -1], made, np.array(shares))


def _scored(model: Any, job: Any) -> World:
    return world(list(analyze_batch(model, examples(), ["abc"])))


def examples() -> list[Example]:
    """All responses of three words, in the order of the laboratory's tree."""
    return [Example(PROMPT, " ".join(words)) for words in product(WORDS, repeat=3)]


def prefix_of(world: World, name: str) -> Array:
    """Prefix scores ``[N, T+1]``: the judge's, or made from the true values under the uniform policy."""
    if name == "model":
        return world.prefix
    values = exact.true_values(world.tree, exact.softmax_policy(UNIFORM), world.scores)
    return exact.prefix_scores(world.tree, values, {"value": 1.0, "nothing": 0.0, "misleading": -1.0}[name])


def weights(world: World, prefix: Array, gamma: float) -> dict[str, Array]:
    """What multiplies the gradient of each token's log-probability, by the name of the token reward: ``[N, T]`` each."""
    made = {
        "sparse": exact.token_rewards("sparse", prefix),
        "sparse less its mean": exact.token_rewards("sparse", prefix - world.scores.mean()),
        "RED": exact.token_rewards("red", prefix),
        "RED mixed half": exact.token_rewards("red", prefix, beta_c=0.5),
        "potential-based": exact.token_rewards("red_discounted", prefix, gamma=gamma),
        "uniform": exact.token_rewards("uniform", prefix),
        "ABC": exact.token_rewards("abc", prefix, attention=world.attention),
    }
    found = {name: exact.advantages(rewards, gamma) for name, rewards in made.items()}
    return found | {"RED as advantage": made["RED"]}


def estimates(world: World, found: Mapping[str, Array]) -> dict[str, GradientEstimate]:
    """Every estimator under the uniform policy, against the gradient of the expected score."""
    policy = exact.softmax_policy(UNIFORM)
    truth = exact.gradient(world.tree, policy, np.repeat(world.scores[:, None], world.tree.horizon, axis=1))
    return {name: exact.estimate(world.tree, policy, weight, truth) for name, weight in found.items()}


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """Angle and noise of every token reward, and where its gradient leads."""
    here: World = bench.work("Scoring all 27 responses", (PROMPT, WORDS), _scored)
    gamma = float(values["discount"])
    weighed = weights(here, prefix_of(here, str(values["prefix"])), gamma)
    estimated = estimates(here, weighed)
    ends = {
        name: exact.ascend(here.tree, UNIFORM, w, here.scores, STEPS, STRIDE / estimated[name].norm)[0][-1]
        for name, w in weighed.items()
    }
    kept = [name for name, e in estimated.items() if e.angle < SAME]
    best = int(here.scores.argmax())
    said = (
        f"At γ = {gamma:.2f} the exact gradient points the true way (angle below a millionth of a degree) for **{', '.join(kept)}**. "
        f"The best response is “{examples()[best].response}” ({fixed(here.scores[best], 2)}); a uniform policy scores "
        f"{fixed(here.scores.mean(), 2)}. RED's noise is **{estimated['RED'].noise / estimated['sparse'].noise:.2f} ×** the sparse "
        f"reward's and **{estimated['RED'].noise / estimated['sparse less its mean'].noise:.2f} ×** that of the sparse reward less its mean"
        + (
            "."
            if estimated["RED"].angle < SAME
            else f", but its gradient is {_degrees(estimated['RED'].angle)} off the true one."
        )
    )
    table = pd.DataFrame(
        {
            "token reward": list(estimated),
            "angle": [_degrees(e.angle) for e in estimated.values()],
            "length": [f"{e.norm:.3f}" for e in estimated.values()],
            "variance": [f"{e.variance:.3f}" for e in estimated.values()],
            f"score after {STEPS} exact steps": [fixed(ends[name], 2) for name in estimated],
        }
    )
    return Drawn((_figure(estimated, bench.theme), said, table))


def _figure(estimated: Mapping[str, GradientEstimate], theme: Theme) -> Any:
    names = list(estimated)[::-1]
    sparse = estimated["sparse"].noise
    figure = make_subplots(
        rows=1, cols=2, shared_yaxes=True, horizontal_spacing=0.04,
        subplot_titles=["angle to truth", "noise, sparse = 1"],
    )  # fmt: skip
    angles = [estimated[n].angle for n in names]
    noises = [estimated[n].noise / sparse for n in names]
    colours = [theme.positive if a < SAME else theme.negative for a in angles]
    for column, (numbers, hover) in enumerate(((angles, "%{y}: %{x:.2f}°"), (noises, "%{y}: %{x:.2f}")), 1):
        figure.add_bar(
            x=numbers, y=names, orientation="h", marker={"color": colours, "line": {"width": 0}}, showlegend=False,
            text=[f"{v:.0f}°" if column == 1 else f"{v:.2f}" for v in numbers], textposition="outside", cliponaxis=False,
            hovertemplate=hover + "<extra></extra>", row=1, col=column,
        )  # fmt: skip
    figure.add_vline(x=1, line={"color": QUIET, "dash": "dot", "width": 1}, row=1, col=2)
    dressed(figure, theme, 400)
    figure.update_yaxes(ticksuffix="  ")
    figure.update_xaxes(range=[0, 215], tickvals=[0, 90, 180], ticktext=["0°", "90°", "180°"], row=1, col=1)
    figure.update_xaxes(range=[0, 1.35 * max(*noises, 1.2)], row=1, col=2)
    figure.update_annotations(font_size=13)
    return figure


def _degrees(angle: float) -> str:
    return "0°" if angle < SAME else f"{angle:.1f}°"


EXACT = Scene(
    id="exact",
    title="The exact laboratory",
    text=(
        "Three words, three steps: *not*, *good*, *bad* make 27 responses, and the judge scores them all. So the policy gradient "
        "under each token reward is a **sum, not an estimate**, and so is its noise: the variance of the estimator that samples one "
        "response, over the squared length of the gradient. Blue bars point the true way; orange ones do not. Choose how good the "
        "prefix scores are, and the discount γ. $A_t$ is the discounted reward to go (times $\\gamma^{t-1}$, as the gradient of the "
        "discounted objective has it), except where RED is used as advantage. *RED mixed half* has $\\beta_c$ = 0.5; *potential-based* "
        "is $\\gamma P_t - P_{t-1}$ (and $R - P_{T-1}$ at the end)."
    ),
    formula=(
        r"\begin{gathered} "
        r"g(y) = \sum_t A_t(y)\, \nabla \log \pi(y_t|s_t) \\[6pt] "
        r"\bar g = \sum_{y} \pi(y)\, g(y) \\[6pt] "
        r"\mathrm{noise} = \frac{\sum_y \pi(y) \lVert g(y) - \bar g\rVert^2}{\lVert \bar g \rVert^2} "
        r"\end{gathered}"
    ),
    paper=(
        "Ng, Harada and Russell, Policy invariance under reward transformations (ICML 1999); Li et al., RED (EMNLP 2025), "
        "arXiv 2411.08302; Chan et al., Dense Reward for Free (ICML 2024), arXiv 2402.00782; the laboratory: redviz"
    ),
    question=(
        "With the true values as prefix scores even RED as an advantage points the true way. Why is that no licence to use it with "
        "a real reward model?"
    ),
    answer=(
        "If $P$ is the policy's true value function, the mean of $P_t - P_{t-1}$ given state and token *is* the advantage, and later "
        "differences have mean zero: nothing is lost by ignoring them. A real reward model's prefix scores are no such thing, and they "
        "do not follow the policy as it learns. At γ = 1 with reward to go, RED needs no such luck: its angle is 0° whatever the prefix "
        "scores say, and they decide its noise alone. Compare that with *sparse less its mean*, for the sparse reward has no baseline, "
        "and a constant added to all scores changes its noise but not RED's: prefix scores that say nothing give the same noise, true "
        "values and this model less, misleading ones more. Uniform and ABC pay early tokens for what later tokens do, and reward to go "
        "leaves that out of the later tokens' credit: their gradient is bent even at γ = 1."
    ),
    knobs=(
        Knob("prefix", "Prefix scores", "model", options=tuple(MODELS), names=MODELS),
        Knob("discount", "Discount γ", 1.0, low=0.1, high=1.0, step=0.05),
    ),
    draw=draw,
    inspect={"prompt": PROMPT, "response": "not bad good", "methods": {"red": {}, "abc": {}, "uniform": {}}},
)
