"""Several responses side by side: strips on one scale with what they share dimmed, and curves that part where they do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from redviz.comparison import Comparison
from redviz.credit.advantages import return_curves
from redviz.credit.from_records.two_models import ModelComparison
from redviz.errors import RedvizError
from redviz.records import Analysis
from redviz.view.lanes import Strip, signature, strip_payload
from redviz.view.marks import pieces
from redviz.view.panels import Level, Panel, Series

PARTS_HERE = "┃"  # stands before the unit in which a response parts from another


def part_payload(strip: Strip, shared: int, **look: Any) -> dict[str, Any]:
    """:func:`strip_payload`, with the units that end within the first ``shared`` tokens dimmed and a bar after them.

    A unit in which the responses part is not dimmed.
    """
    payload = strip_payload(strip, **look)
    if not shared:
        return payload
    same = sum(1 for unit in strip.units if unit.last <= shared)
    dimmed = [["", "".join(pieces(text)), ""] for text in strip.texts[:same]]
    payload["units"] = [*dimmed, *payload["units"][same:]]
    if same < len(strip.units):
        at = str(same)
        payload["gaps"] = {**payload["gaps"], at: payload["gaps"].get(at, "") + PARTS_HERE}
    return payload | {"sig": signature(payload)}


def response_panels(comparison: Comparison, names: Sequence[str], label: str, title: str, gamma: float) -> list[Panel]:
    """Prefix scores and returns of all responses, on the tokens since the prompt: what they share lies on one line."""
    known = [
        (index, analysis)
        for index, analysis in enumerate(comparison.analyses)
        if np.isfinite(analysis.prefix_scores).all()
    ]
    lines = [Series(names[index], analysis.prefix_scores, colour=index) for index, analysis in known]
    marks = [Level(f"score {name}", analysis.score) for name, analysis in zip(names, comparison.analyses, strict=True)]
    panels = [Panel("Prefix score P_t", lines, marks, x0=-1, note="one line until the responses part")] if lines else []
    returns = [
        Series(names[index], made, colour=index)
        for index, analysis in enumerate(comparison.analyses)
        if (made := _returns(analysis, label, gamma)) is not None
    ]
    if returns:
        note = f"what is still to come of the {title} rewards, γ = {gamma:g}"
        panels.append(Panel("Return G_t", returns, note=note))
    return panels


def _returns(analysis: Analysis, label: str, gamma: float) -> np.ndarray | None:
    """The returns at the response's own tokens, ``[T]``; None where this method has none."""
    if label not in analysis.credits:
        return None
    try:
        return return_curves(analysis, label, gamma=gamma).returns[: len(analysis.tokens)]
    except RedvizError:
        return None


def model_panels(both: ModelComparison, models: Sequence[str]) -> list[Panel]:
    """Both models' prefix scores after the same characters, each on a scale of its own."""
    panels = []
    for index, (name, scores, analysis) in enumerate(zip(models, both.prefix_scores, both.analyses, strict=True)):
        if np.isfinite(scores).all():
            marks = [Level("score", analysis.score)]
            panels.append(Panel(f"Prefix score, {name}", [Series("P_t", scores, colour=index)], marks, x0=-1))
    return panels


def sums_line(terms: Mapping[str, float], margin: float, digits: int = 4) -> str:
    """The terms and the margin as one equation.

    >>> sums_line({"A": 1.25, "B": -0.5}, 0.75, 2)
    'A +1.25 + B −0.50 = margin +0.75'
    """
    told = [f"{name} {value:+.{digits}f}" for name, value in terms.items()]
    return f"{' + '.join(told)} = margin {margin:+.{digits}f}".replace("-", "−")
