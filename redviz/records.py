"""The records that flow through redviz: Example -> Encoding -> Observation -> Credit -> Analysis. All are frozen.

The first three are in :mod:`redviz.observation`, a prompt's messages in :mod:`redviz.messages`; all are imported from here.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.messages import Message, Prompt
from redviz.observation import Array, Encoding, Example, LogProbs, Observation

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Analysis", "Array", "Credit", "Encoding", "Example", "LogProbs", "Message", "Observation", "Prompt", "Source",
]  # fmt: skip


@dataclass(frozen=True)
class Credit:
    """One number per response token, and what the numbers promise to add up to.

    Attributes
    ----------
    values
        ``[T]`` float32.
    total, reference
        The credits promise to explain ``total - reference``; both None where the method promises no sum.
    closing
        The part of ``values[-1]`` that the template's closing tokens earn; screens show it as a cell of its own, "end".
    meta
        ``method``, ``options``, and what the method reports about itself (steps, baseline, standard errors).
    """

    values: Array  # [T] float32
    total: float | None
    reference: float | None
    closing: float = 0.0
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def own(self) -> Array:
        """The values without the closing tokens' share: what screens draw on the response's text, ``[T]`` float64."""
        own = self.values.astype(np.float64)
        if len(own):
            own[-1] -= self.closing
        return own

    @property
    def residual(self) -> float | None:
        """``(total - reference) - values.sum()``, or None where the method promises no sum."""
        if self.total is None or self.reference is None:
            return None
        return self.total - self.reference - float(np.sum(self.values, dtype=np.float64))


@dataclass(frozen=True)
class Source:
    """Where a result comes from: written into every export."""

    model: str
    revision: str = ""
    fingerprint: str = ""
    dtype: str = ""
    device: str = ""
    template_hash: str = ""
    heads: tuple[str, ...] = ("score",)
    versions: Mapping[str, str] = field(default_factory=dict)
    head: str = ""  # which of several heads is the reward, as it was asked for
    read: str = "model"  # where the score is read: "model" or "last"
    template: str = ""  # the text that was asked for; "" is the tokenizer's own
    family: str = (
        ""  # the adapter that built the model, of redviz.models.families; "" for plain sequence classification
    )

    def reads_as(self, other: Source) -> bool:
        """Whether another has the same weights and reads the same text."""
        return (self.fingerprint, self.template_hash) == (other.fingerprint, other.template_hash)


@dataclass(frozen=True)
class Analysis:
    """One response under one model: its score, its prefix scores and its credits, with where they came from.

    A failed example has ``error`` set, a ``nan`` score and empty arrays. Where only a method failed (in a batch), ``error`` names
    it, and the score and the other credits are there.
    """

    example: Example
    source: Source
    observation: Observation | None
    credits: Mapping[str, Credit] = field(default_factory=dict)
    error: str | None = None

    @property
    def prompt(self) -> Prompt:
        return self.example.prompt

    @property
    def unit(self) -> str:
        """What its tokens are: "token", or "step" for a process reward model."""
        return self.observation.encoding.unit if self.observation else "token"

    @property
    def response(self) -> str:
        return self.example.response

    @property
    def score(self) -> float:
        return self.observation.score if self.observation else float("nan")

    @property
    def prefix_scores(self) -> Array:
        return self.observation.prefix_scores if self.observation else np.zeros(0, np.float32)  # [T+1]

    @property
    def base(self) -> float:
        return float(self.prefix_scores[0]) if self.observation else float("nan")

    @property
    def closing(self) -> float:
        return self.observation.closing if self.observation else float("nan")

    @property
    def heads(self) -> tuple[str, ...]:
        return self.source.heads

    @property
    def head_scores(self) -> dict[str, Array]:
        """Prefix scores ``[T+1]`` of every objective of a model that has several, by name; empty where it has one score."""
        if self.observation is None or self.observation.label_scores is None:
            return {}
        return {name: self.observation.of_label(k).prefix_scores for k, name in enumerate(self.heads)}

    @property
    def offsets(self) -> tuple[tuple[int, int], ...]:
        return self.observation.encoding.offsets if self.observation else ()

    @property
    def tokens(self) -> tuple[str, ...]:
        if not self.observation:
            return ()
        encoding = self.observation.encoding
        return encoding.pieces[encoding.start : encoding.stop]

    @property
    def token_ids(self) -> tuple[int, ...]:
        if not self.observation:
            return ()
        encoding = self.observation.encoding
        return tuple(int(i) for i in encoding.ids[encoding.start : encoding.stop])

    @property
    def truncated(self) -> int:
        return self.observation.encoding.truncated if self.observation else 0

    @property
    def notices(self) -> tuple[str, ...]:
        return self.observation.encoding.notices if self.observation else ()

    def to_dict(self) -> dict[str, Any]:
        """Everything but the attention rows, as plain JSON types."""
        credits = {
            label: {
                "values": [float(v) for v in credit.values],
                "total": credit.total,
                "reference": credit.reference,
                "residual": credit.residual,
                "closing": credit.closing,
                "meta": dict(credit.meta),
            }
            for label, credit in self.credits.items()
        }
        prompt = self.prompt if isinstance(self.prompt, str) else [dict(m) for m in self.prompt]
        source = {**vars(self.source), "heads": list(self.source.heads), "versions": dict(self.source.versions)}
        return {
            "id": self.example.id,
            "prompt": prompt,
            "response": self.response,
            "score": _known(self.score),
            "reading_column": self.observation.encoding.read if self.observation else None,
            "base": _known(self.base),
            "closing": _known(self.closing),
            "unit": self.unit,
            "tokens": list(self.tokens),
            "token_ids": list(self.token_ids),
            "offsets": [list(pair) for pair in self.offsets],
            "prefix_scores": [_known(float(p)) for p in self.prefix_scores],
            "head_scores": {name: [_known(float(p)) for p in own] for name, own in self.head_scores.items()},
            "credits": credits,
            "truncated": self.truncated,
            "notices": list(self.notices),
            "error": self.error,
            "source": source,
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per response token: text, id, offsets, the prefix score after it, and one column per credit."""
        import pandas as pd

        starts, ends = zip(*self.offsets, strict=True) if self.offsets else ((), ())
        columns: dict[str, Any] = {
            "token": list(self.tokens),
            "token_id": list(self.token_ids),
            "start": list(starts),
            "end": list(ends),
            "prefix_score": self.prefix_scores[1:],
        }
        columns |= {label: credit.values for label, credit in self.credits.items()}
        return pd.DataFrame(columns)

    def to_html(self) -> str:
        """A self-contained HTML report: no network, no script made from data."""
        from redviz.view.report import report

        return report(self)

    def _repr_html_(self) -> str:
        from redviz.view.report import strips_html

        return strips_html(self)


def _known(value: float) -> float | None:
    """JSON has no nan: what is not known is null."""
    return value if math.isfinite(value) else None
