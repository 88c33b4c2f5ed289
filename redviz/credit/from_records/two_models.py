"""One response under two models: their tokens matched by the characters that they stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.models.reading.alignment import tokens_read
from redviz.records import Analysis, Array
from redviz.text import units

if TYPE_CHECKING:
    import pandas as pd

Pair = tuple[float, float]


@dataclass(frozen=True)
class ModelSpan:
    """A span of the response under both models.

    Attributes
    ----------
    kind, text, start, end
        "span", its characters and where they stand; or "end" with no text, for what either template's closing tokens add.
    prefix_scores
        Both models' prefix scores after the span; their scores after the end.
    credits
        Label -> both models' credits.
    """

    kind: str
    text: str
    start: int
    end: int
    prefix_scores: Pair
    credits: Mapping[str, Pair]


def model_spans(one: Analysis, two: Analysis, granularity: str = "word") -> tuple[ModelSpan, ...]:
    """The units of a response that end where a unit ends under both models, and the end.

    Where one model's context cut the response, what only the other has read is one last span.

    Parameters
    ----------
    one, two
        The same response under two models, with credits under the same labels.
    granularity
        "token", "word" or "sentence".
    """
    groups = [units(analysis.response, analysis.offsets, granularity) for analysis in (one, two)]
    last = max(group[-1].end for group in groups)
    ends = {unit.end for unit in groups[0]} & {unit.end for unit in groups[1]} | {last}
    labels = [label for label in one.credits if label in two.credits]
    spans = []
    start, firsts = 0, [0, 0]
    for end in sorted(ends):
        stops = [max([0, *(unit.last for unit in group if unit.end <= end)]) for group in groups]
        credits = {
            label: (
                float(one.credits[label].own[firsts[0] : stops[0]].sum()),
                float(two.credits[label].own[firsts[1] : stops[1]].sum()),
            )
            for label in labels
        }
        prefix = (float(one.prefix_scores[stops[0]]), float(two.prefix_scores[stops[1]]))
        spans.append(ModelSpan("span", one.response[start:end], start, end, prefix, credits))
        start, firsts = end, stops
    if any(analysis.observation and analysis.observation.has_end for analysis in (one, two)):
        closing = {label: (one.credits[label].closing, two.credits[label].closing) for label in labels}
        spans.append(ModelSpan("end", "", last, last, (one.score, two.score), closing))
    return tuple(spans)


@dataclass(frozen=True)
class ModelComparison:
    """One response under two models, matched by its characters. Their scores are on scales of their own: there is no margin."""

    analyses: tuple[Analysis, Analysis]

    @property
    def prefix_scores(self) -> tuple[Array, Array]:
        """Both models' prefix scores at the first model's tokens, ``[T+1]`` float32 each.

        The second is read after its last token that ends at or before the end of each of the first model's.
        """
        one, two = self.analyses
        return one.prefix_scores, two.prefix_scores[tokens_read(two.offsets, one.offsets)]

    @property
    def characters(self) -> Array:
        """The character up to which each of :attr:`prefix_scores` has read, ``[T+1]`` int64."""
        return np.array([0, *(end for _, end in self.analyses[0].offsets)], dtype=np.int64)

    def spans(self, granularity: str = "word") -> tuple[ModelSpan, ...]:
        """Both models' prefix scores and credits, span by span; see :func:`model_spans`."""
        return model_spans(*self.analyses, granularity)

    def to_dict(self, granularity: str = "word") -> dict[str, Any]:
        """Plain JSON types: both analyses, the aligned prefix scores and the spans."""
        return {
            "analyses": [analysis.to_dict() for analysis in self.analyses],
            "characters": self.characters.tolist(),
            "prefix_scores": [[_known(p) for p in scores.tolist()] for scores in self.prefix_scores],
            "spans": [
                {
                    **asdict(span),
                    "prefix_scores": [_known(p) for p in span.prefix_scores],
                    "credits": {label: list(pair) for label, pair in span.credits.items()},
                }
                for span in self.spans(granularity)
            ],
        }

    def to_frame(self, granularity: str = "word") -> pd.DataFrame:
        """One row per span: its text, and "prefix_score a", "prefix_score b", "red a", "red b", and so on."""
        import pandas as pd

        rows = []
        for span in self.spans(granularity):
            row: dict[str, Any] = {"kind": span.kind, "text": span.text, "start": span.start, "end": span.end}
            for name, pair in {"prefix_score": span.prefix_scores, **span.credits}.items():
                row |= {f"{name} a": pair[0], f"{name} b": pair[1]}
            rows.append(row)
        return pd.DataFrame(rows)


def _known(value: float) -> float | None:
    """JSON has no nan: what is not known is null."""
    return value if math.isfinite(value) else None
