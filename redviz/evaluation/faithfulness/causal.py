"""The causal check: take a span away, and set what the credits predicted beside what the model then does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from redviz.analysis import observe_examples
from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel
from redviz.models.reading.known_tokens import known_ids
from redviz.records import Analysis, Credit, Encoding, Example
from redviz.text import Unit, pool

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

OPERATORS = ("delete", "pad", "replace")


@dataclass(frozen=True)
class CausalCheck:
    """One span taken out of a response.

    Attributes
    ----------
    unit
        The span.
    operator
        "delete": the text without it is encoded and scored anew. "pad": its tokens become the pad token and nothing moves.
        "replace": other text stands in its place.
    before, after
        The model's score with and without it.
    edited
        The response as the model read it the second time.
    """

    unit: Unit
    operator: str
    before: float
    after: float
    edited: str

    @property
    def actual(self) -> float:
        """The change of the score."""
        return self.after - self.before

    def predicted(self, credit: Credit) -> float:
        """The change a method predicts: minus the span's credit, the closing tokens' share left out."""
        return -float(pool(credit.own, [self.unit])[0])


def causal_checks(
    model: RewardModel | FunctionModel,
    analysis: Analysis,
    units: Sequence[Unit],
    operator: str = "delete",
    replacement: str = "",
) -> list[CausalCheck]:
    """Take out each unit, one at a time, in one padded batch.

    Parameters
    ----------
    model, analysis
        The model and its analysis of the response.
    units
        Spans of that response (:func:`redviz.text.units`).
    operator, replacement
        See :class:`CausalCheck`; ``replacement`` is the text for "replace".

    Raises
    ------
    RedvizError
        Where nothing would remain of the response, or the operator is unknown.
    """
    if operator not in OPERATORS:
        raise RedvizError(f"There is no operator {operator!r}; use one of {', '.join(OPERATORS)}.")
    if analysis.observation is None:
        raise RedvizError("This analysis failed, so there is nothing to check.")
    encodings, texts = [], []
    for unit in units:
        text = (
            analysis.response[: unit.start]
            + (replacement if operator == "replace" else "")
            + analysis.response[unit.end :]
        )
        if operator == "pad":
            encodings.append(_padded(model, analysis.observation.encoding, unit))
        elif not text.strip():
            raise RedvizError("Nothing would remain of the response; choose a smaller span, or the operator pad.")
        else:
            encodings.append(model.encode(Example(analysis.prompt, text)))
        texts.append(analysis.response if operator == "pad" else text)
    after = [observation.score for observation in observe_examples(model, encodings, prefixes=False)]
    return [CausalCheck(u, operator, analysis.score, a, t) for u, a, t in zip(units, after, texts, strict=True)]


def _padded(model: RewardModel | FunctionModel, encoding: Encoding, unit: Unit) -> Encoding:
    if isinstance(model, FunctionModel):
        raise RedvizError("A function of text has no pad token; use the operator delete or replace.")
    pad = model.tokenizer.pad_token_id
    if pad is None or pad >= known_ids(model.module):
        raise RedvizError("There is no pad token that has an embedding; use the operator delete or replace.")
    ids = encoding.ids.copy()
    ids[encoding.start + unit.first : encoding.start + unit.last] = pad
    if model.first or model.read == "last" or model.pad_id is None:
        return replace(encoding, ids=ids)
    kept = np.flatnonzero(
        ids != model.pad_id
    )  # the model's own forward skips pad tokens when it looks for the last one
    return replace(encoding, ids=ids, read=int(kept[-1]))
