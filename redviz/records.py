"""The records that flow through redviz: Example -> Encoding -> Observation -> Credit -> Analysis. All are frozen."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

Message = Mapping[str, str]
Prompt = str | tuple[Message, ...]
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Example:
    """A prompt (text, or chat messages) and one response to it."""

    prompt: Prompt
    response: str
    id: str = ""


@dataclass(frozen=True)
class Encoding:
    """What the model reads for one example, and where the response and the score stand in it.

    Attributes
    ----------
    ids
        Token ids of the whole conversation, ``[L]`` int64.
    start, stop
        Columns of the first response token and one past the last: ``T = stop - start``.
    read
        The column whose score is the model's own (its pooling position).
    offsets
        ``T`` pairs (start, end): characters of the response that each response token stands for.
    pieces
        ``L`` strings: the rendered text of every token.
    rendered
        The text that was tokenized: prompt, response and every template token.
    truncated
        How many response tokens were cut to fit the model's context.
    notices
        Sentences a person should see beside the result.
    example
        What was encoded, for methods that alter the text and ask again.
    """

    ids: Array  # [L] int64
    start: int
    stop: int
    read: int
    offsets: tuple[tuple[int, int], ...]  # T
    pieces: tuple[str, ...]  # L
    rendered: str
    truncated: int = 0
    notices: tuple[str, ...] = ()
    example: Example = Example("", "")


@dataclass(frozen=True)
class Observation:
    """What one forward pass of a reward model shows about one example.

    Attributes
    ----------
    column_scores
        The scalar head applied to the hidden state of every column, ``[L]`` float32.
    response_row, pooling_row
        Attention paid by the last response token and by the pooling position to every column, ``[layer, head, L]`` float32;
        None where the model offers none.
    prefix_scores
        ``P_0 .. P_T``, ``[T+1]`` float32. From ``column_scores`` of a causal model; from ``T + 1`` truncated forwards otherwise.
    black_box
        Whether the score is a function of text, with nothing to look into: then only P_0 and P_T are known, the others are nan.
    """

    encoding: Encoding
    column_scores: Array  # [L] float32
    response_row: Array | None = None  # [layer, head, L] float32
    pooling_row: Array | None = None  # [layer, head, L] float32
    black_box: bool = False

    @property
    def prefix_scores(self) -> Array:
        return self.column_scores[self.encoding.start - 1 : self.encoding.stop]  # [T+1]

    @property
    def score(self) -> float:
        return float(self.column_scores[self.encoding.read])

    @property
    def has_end(self) -> bool:
        """Whether the score is read after the response, at a closing token that has a share of its own."""
        return self.encoding.read >= self.encoding.stop

    @property
    def closing(self) -> float:
        """What the template's closing tokens add: score - P_T."""
        return self.score - float(self.prefix_scores[-1])


@dataclass(frozen=True)
class LogProbs:
    """What a policy and its reference think of the response that a reward model read, token by token of that reward model.

    Attributes
    ----------
    policy, reference
        Log-probabilities of the response tokens, teacher-forced, ``[T]`` float32.
    kl
        ``KL(reference || policy)`` over the whole vocabulary at the state before each token, ``[T]`` float32.
    closing
        The same three numbers at the end-of-turn token, where the policy's template closes the response with one; else None.
    names
        The policy and the reference.
    """

    policy: Array  # [T] float32
    reference: Array  # [T] float32
    kl: Array  # [T] float32
    closing: tuple[float, float, float] | None = None
    names: tuple[str, str] = ("", "")


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
    unit: str = "token"

    @property
    def prompt(self) -> Prompt:
        return self.example.prompt

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
