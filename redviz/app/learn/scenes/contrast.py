"""Scene: contrastive prompts, T-REG's token rewards from one language model under two instructions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

from redviz.app.learn.scenes.figure import bars, dressed, fixed, small, token_axis, token_names
from redviz.app.learn.scenes.scene import Bench, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.credit.choices import BETTER, WORSE
from redviz.models.spec import ModelSpec
from redviz.records import Credit

REFERENCE = "embedded:writer"
PRAISE, SCORN = (
    "Write a positive film review.",
    "Write a negative film review.",
)  # as the writer's training requests say it
PAIRS = {
    "quality": (BETTER, WORSE),
    "swapped": (WORSE, BETTER),
    "praise": (PRAISE, SCORN),
    "same": (BETTER, BETTER),
}
PAIR_NAMES = {
    "quality": "better | worse",
    "swapped": "worse | better",
    "praise": "positive | negative",
    "same": "better | better",
}
TEXTS = {"film-lemon-parade/a": "“Yes. It is a gentle …”", "film-paper-harbour/b": "“A terrible film …”"}


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """Every token's reward under the chosen pair of instructions, and what the swapped pair makes of it."""
    name, pair = str(values["text"]), str(values["pair"])
    example = gallery_example(name)
    analysis = bench.analysis(example, ["red"])
    credits: dict[str, Credit] = bench.work("Contrastive prompts", repr((example, PAIRS)), _contrasts(bench, analysis))
    theme, names = bench.theme, token_names(analysis)
    credit = credits[pair]
    figure = go.Figure(bars(credit.own, names, theme, hover="%{customdata}: %{y:+.4f}"))
    edge = 1.15 * max(float(np.abs(c.own).max()) for c in credits.values())
    figure.update_yaxes(title_text="token reward", range=[-edge, edge])
    token_axis(figure, names)
    dressed(figure, theme, 340)
    first, second = PAIRS[pair]
    swapped = float(np.abs(credits["quality"].values + credits["swapped"].values).max())
    alike = float(np.abs(credits["same"].values).max())
    said = (
        f"First instruction: *{first}* Second: *{second}* Largest reward in size: **{np.abs(credit.own).max():.3f}** of the "
        f"0.5 that is possible. Swapping the two negates every reward (residual {small(swapped)}); equal instructions give "
        f"{small(alike)}. Correlation with RED's credits: {_correlation(credit.own, analysis.credits['red'].own)}."
    )
    return Drawn((figure, said), {"example": name})


def _contrasts(bench: Bench, analysis: Any) -> Any:
    spec = {"reference": ModelSpec(REFERENCE, role="policy")}

    def work(model: Any, job: Any) -> dict[str, Credit]:
        from redviz.credit.from_models.contrast import contrast

        with bench.engine.partners(spec) as partners:
            return {name: contrast(analysis.observation, partners["reference"], *pair) for name, pair in PAIRS.items()}

    return work


def _correlation(one: Any, two: Any) -> str:
    return fixed(float(np.corrcoef(one, two)[0, 1]), 2) if np.std(one) > 0 and np.std(two) > 0 else "not defined"


CONTRAST = Scene(
    id="contrast",
    title="Contrastive prompts: ask for better, ask for worse",
    text=(
        "No reward model at all: **T-REG** asks one language model twice. The same response, token by token, stands once behind an "
        "instruction to do *better* and once behind one to do *worse*; a token that the first makes likelier earns a positive "
        "reward. The instructions' wording here is redviz's own. The embedded writer is tiny and follows instructions weakly, so "
        "the rewards are small: look at how small, and at which pair of instructions it notices."
    ),
    formula=(
        r"\begin{gathered} "
        r"r_t = \sigma(\ell^{better}_t - \ell^{worse}_t) - \tfrac12 \\[6pt] "
        r"\ell_t = \log\pi(y_t \mid x, y_{<t}) "
        r"\end{gathered}"
    ),
    paper="Zhou et al., T-REG: Preference Optimization with Token-Level Reward Regularization (ACL 2025), arXiv 2412.02685",
    question="What do these token rewards sum to, and what would an offset between the two prompts do to them?",
    answer=(
        "To nothing in particular: no total is promised, so they regularise a preference loss rather than replace its reward. "
        "If one prompt makes *every* text likelier (say, because it is closer to the training texts), all tokens drift to one side: "
        "the sign of a single token then says little, and only differences between tokens do. Always look at the sum and at the "
        "swapped pair."
    ),
    knobs=(
        Knob("pair", "First and second instruction", "quality", options=tuple(PAIRS), names=PAIR_NAMES),
        Knob("text", "Response", next(iter(TEXTS)), options=tuple(TEXTS), names=TEXTS),
    ),
    draw=draw,
    inspect={"methods": {"treg": {}, "red": {}}, "reference": REFERENCE, "rewards": "red"},
)
