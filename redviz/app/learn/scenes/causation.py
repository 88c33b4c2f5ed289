"""Scene: why attribution is not causation: what credits predict of a deletion, and what the model then does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from redviz.app.inspect.figures import causal_scatter_figure
from redviz.app.learn.scenes.figure import fixed, small
from redviz.app.learn.scenes.scene import Bench, CreditStrip, Drawn, Knob, Scene
from redviz.app.learn.scenes.texts import gallery_example
from redviz.evaluation.faithfulness.causal_agreement import CausalPoint, causal_agreement, causal_points
from redviz.records import Analysis
from redviz.text import units
from redviz.view.markdown import plain

TEXT = "film-paper-harbour/b"
METHODS = {"red": "RED", "red_closed": "RED closed", "abc": "ABC", "ig": "IG", "shapley": "Shapley"}
OPERATORS = {"delete": "delete the word", "pad": "turn it into pad tokens"}
ALL = 10_000  # words: every one of them is taken away


def draw(bench: Bench, values: Mapping[str, Any]) -> Drawn:
    """One dot per word for the chosen method, its strip, and how all the methods do."""
    method, operator, theme = str(values["method"]), str(values["operator"]), bench.theme
    analysis = bench.analysis(gallery_example(TEXT), list(METHODS))
    points: list[CausalPoint] = bench.work(
        "Taking words away", (TEXT, operator, tuple(METHODS)), _points(analysis, operator)
    )
    own = [(p.predicted, p.actual, p.span) for p in points if p.label == method]
    figure = causal_scatter_figure({METHODS[method]: own}, theme=theme)
    figure.update_layout(height=360, transition={"duration": 150})
    rows = causal_agreement(points)
    table = pd.DataFrame(
        {
            "method": [METHODS[row.label] for row in rows],
            "words": [row.spans for row in rows],
            "correlation": [fixed(row.pearson, 2) for row in rows],
            "rank correlation": [fixed(row.spearman, 2) for row in rows],
            "same sign": [
                "one sign only" if row.same_sign != row.same_sign else f"{row.same_sign:.0%}" for row in rows
            ],
        }
    )
    strip = CreditStrip(analysis, (method,), METHODS, granularity="word")
    predicted, actual, word = max(own, key=lambda p: abs(p[0] - p[1]))
    said = (
        f"Worst surprise for {METHODS[method]}: without “{plain(word.strip())}” its credit predicts {fixed(predicted, 2)}, and the score "
        f"changes by **{fixed(actual, 2)}**."
    )
    if operator == "delete":
        residual = last_word(analysis, points)
        said += (
            f" One promise is exact: the *last* unit's closed credit is what deleting it takes away (residual {small(residual)}); "
            "nothing that follows can change its meaning."
        )
    return Drawn((figure, said, strip, table), {"methods": {method: {}}})


def last_word(analysis: Analysis, points: list[CausalPoint]) -> float:
    """How far RED on closed prefixes is off for the last unit of the response, which is deleted."""
    last = units(analysis.response, analysis.offsets, "word")[-1]
    point = next(p for p in points if p.label == "red_closed" and p.start == last.start)
    return abs(point.predicted - point.actual)


def _points(analysis: Analysis, operator: str) -> Any:
    def work(model: Any, job: Any) -> list[CausalPoint]:
        return causal_points(model, analysis, top=ALL, operator=operator)

    return work


CAUSATION = Scene(
    id="causation",
    title="Attribution is not causation",
    text=(
        "A credit of +1 sounds like a claim: *without this word the score would be 1 lower*. It is not. A credit divides one score "
        "of one text; taking a word away makes another text. Here every word of the response is taken away, one at a time, and the "
        "model is asked again. A dot on the dotted line is a word whose credit predicted what happened."
    ),
    formula=(
        r"\begin{gathered} "
        r"\text{predicted} = -\textstyle\sum_{t \in w} \mathrm{credit}_t \\[6pt] "
        r"\text{actual} = R(x, y \setminus w) - R(x, y) "
        r"\end{gathered}"
    ),
    paper=(
        "Jain and Wallace, Attention is not Explanation (NAACL 2019), arXiv 1902.10186; "
        "Bilodeau et al., Impossibility theorems for feature attribution (PNAS 2024), arXiv 2212.11870; the check: redviz"
    ),
    question="Occlusion would win this contest easily. Why is it not in the list, and does winning make a method better?",
    answer=(
        "Occlusion *is* such a removal: it would be compared with itself. The contest measures how well credits forecast one kind of "
        "change. RED answers another question (what did reading this word add, given what stood before it?), and a token that "
        "repeats what was said already earns little there although deleting the first mention would do little, too. Choose the "
        "method by the question, and check it by the change you care about."
    ),
    knobs=(
        Knob("method", "Method", "red", options=tuple(METHODS), names=METHODS),
        Knob("operator", "What happens to a word", "delete", options=tuple(OPERATORS), names=OPERATORS),
    ),
    draw=draw,
    inspect={"example": TEXT, "rewards": "red", "granularity": "word"},
)
