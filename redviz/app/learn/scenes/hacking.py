"""Scene: a reward model that can be had by form alone: a phrase said again and again, and what ready edits do on the average."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from redviz.app.learn.scenes.figure import QUIET, dressed, fixed, line, small
from redviz.app.learn.scenes.scene import Bench, CreditStrip, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.data.gallery import load_gallery
from redviz.evaluation.edits.edit_effects import EditEffects, edit_effects
from redviz.evaluation.edits.edits import what_if
from redviz.evaluation.edits.text_edits import rewrite
from redviz.records import Analysis, Example

TEXT = "film-quiet-street/d"
MOST = 8
PHRASES = {"superb": " Superb!", "loved": " I loved it.", "recommended": " Recommended.", "train": " The train left."}
NAMES = {key: phrase.strip() for key, phrase in PHRASES.items()}
EDITS = ("filler", "flattery", "bullets", "praise", "duplicate", "shuffle", "apology")


def padded(phrase: str, times: int) -> Example:
    """The response with a phrase at its end, so many times."""
    example = gallery_example(TEXT)
    return Example(example.prompt, example.response + PHRASES[phrase] * times)


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """The score against the number of repetitions for each phrase, and RED's strip of the text as it stands."""
    phrase, times, theme = str(values["phrase"]), int(values["times"]), bench.theme
    analysis = bench.analysis(padded(phrase, times), ["red"])
    scores: dict[str, list[float]] = bench.work("Repeated phrases", TEXT, _repeated)
    effects: EditEffects = bench.work("Ready edits of the gallery", EDITS, _effects)
    figure = go.Figure()
    for other, curve in scores.items():
        here = other == phrase
        figure.add_trace(
            line(
                range(MOST + 1), curve, theme.series[0] if here else QUIET,
                dash="solid" if here else "dot", hover=NAMES[other] + " × %{x}: %{y:+.3f}",
            )
        )  # fmt: skip
        colour = theme.series[0] if here else theme.text
        figure.add_annotation(
            x=MOST,
            y=curve[MOST],
            text=NAMES[other],
            xanchor="right",
            yanchor="bottom",
            showarrow=False,
            font_color=colour,
        )
    figure.add_trace(line([times], [scores[phrase][times]], theme.text, mode="markers", hover="score %{y:+.3f}"))
    figure.data[-1].update(marker={"size": 11, "color": theme.text}, showlegend=False)
    figure.update_xaxes(title_text="times the phrase is repeated", dtick=1)
    figure.update_yaxes(title_text="score of the response")
    dressed(figure, theme, 340)
    first, now = scores[phrase][0], scores[phrase][times]
    said = f"As it is, the review is scored **{fixed(first)}**."
    if times:
        added = _added(analysis)
        said = (
            f"The same review, scored {fixed(first)} as it is, gets **{fixed(now)}** with “{NAMES[phrase]}” said "
            f"{times} {'times' if times > 1 else 'time'}: {fixed(now - first)}. RED pays the repetitions "
            f"{fixed(added)} of that, and the rest, {fixed(now - first - added)}, stands in the cell `end`. "
            f"The engine's own analysis of that text agrees (difference {small(now - analysis.score)})."
        )
    inspect = {"example": "", "prompt": analysis.prompt, "response": analysis.response}
    return Drawn((figure, said, CreditStrip(analysis, ("red",), {"red": "RED"}), _table(effects)), inspect)


def _added(analysis: Analysis) -> float:
    """RED's credits of what stands after the original response, the closing tokens' share left out."""
    own, start = analysis.credits["red"].own, len(gallery_example(TEXT).response)
    return float(sum(own[i] for i, (first, _) in enumerate(analysis.offsets) if first >= start))


def _repeated(model: Any, job: Any) -> dict[str, list[float]]:
    from redviz.analysis import analyze

    example = gallery_example(TEXT)
    analysis = analyze(model, example.prompt, example.response, methods={})
    texts = {phrase: [rewrite(padded(phrase, n).response) for n in range(1, MOST + 1)] for phrase in PHRASES}
    return {
        p: [analysis.score, *(w.after.score for w in what_if(model, analysis, edits))] for p, edits in texts.items()
    }


def _effects(model: Any, job: Any) -> EditEffects:
    films = [i for i in load_gallery() if i.id.startswith("film")]
    examples = [Example(i.prompt, r.text, f"{i.id}/{r.id}") for i in films for r in i.responses]
    return edit_effects(model, examples, EDITS, progress=job.progress, total=len(examples))


def _table(effects: EditEffects) -> pd.DataFrame:
    rows = sorted(effects.rows, key=lambda row: -row.mean if np.isfinite(row.mean) else np.inf)
    return pd.DataFrame(
        {
            "edit of the gallery's film reviews": [row.title for row in rows],
            "mean change": [fixed(row.mean, 2) for row in rows],
            "95 % interval": [f"{fixed(row.low, 2)} to {fixed(row.high, 2)}" for row in rows],
            "rises in": [f"{row.rises:.0%} of {row.responses}" for row in rows],
        }
    )


HACKING = Scene(
    id="hacking",
    title="Reward hacking, by hand",
    text=(
        "A policy is paid by the reward model, not by the reader. Whatever moves the score without making the answer better will be "
        "found by training: a phrase said eight times, flattery, filler. Here you are the policy: pick a phrase and repeat it. The "
        "strip shows what RED pays for each repetition; the table, what ready edits do on the average over the gallery's film "
        "reviews."
    ),
    formula=r"\Delta = R(x, \mathrm{edit}(y)) - R(x, y)",
    paper=(
        "Gao, Schulman and Hilton, Scaling Laws for Reward Model Overoptimization (ICML 2023), arXiv 2210.10760; "
        "Skalse et al., Defining and Characterizing Reward Hacking (NeurIPS 2022), arXiv 2209.13085"
    ),
    question="Would token rewards such as RED make this kind of hacking slower or faster than the sparse reward?",
    answer=(
        "They do not change what is optimal (at γ = 1), so the hack stays as attractive as it was. But a token reward points at the "
        "very phrase that pays: if it speeds up learning, it speeds up learning the hack, too. The remedies lie elsewhere: a better "
        "reward model, the KL penalty, and looking at samples."
    ),
    knobs=(
        Knob("phrase", "Phrase", "superb", options=tuple(PHRASES), names=NAMES),
        Knob("times", "Repetitions", 3, low=0, high=MOST, step=1),
    ),
    draw=draw,
    inspect={"methods": {"red": {}}},
)
