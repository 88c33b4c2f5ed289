"""What a model is asked and what one look at it shows: Example -> Encoding -> Observation. All are frozen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.messages import Prompt

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
    types
        Which of two segments each column belongs to, ``[L]`` int64, for models that read prompt and response as a pair; else None.
    unit
        What the response's tokens are: "token", or "step" for a process reward model.
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
    types: Array | None = None  # [L] int64
    unit: str = "token"


@dataclass(frozen=True)
class Observation:
    """What one forward pass of a reward model shows about one example; of a model that looks both ways, a pass for every prefix.

    Attributes
    ----------
    column_scores
        The scalar head applied to the hidden state of every column, ``[L]`` float32. Of a model that looks both ways: the prefix
        scores at the columns where a causal model has them, the score at the reading column, nan elsewhere.
    response_row, pooling_row
        Attention paid by the last response token and by the pooling position to every column, ``[layer, head, L]`` float32;
        nan in layers without attention weights (linear, recurrent), and None where the model offers none.
    prefix_scores
        ``P_0 .. P_T``, ``[T+1]`` float32. From ``column_scores`` of a causal model; from ``T + 1`` truncated forwards otherwise.
    black_box
        Whether the score is a function of text, with nothing to look into: then only P_0 and P_T are known, the others are nan.
    both_ways
        Whether the model's tokens see later ones, so that every prefix is closed and scored by a forward pass of its own.
    label_scores
        Of a model with several labels or objectives: the score of each at every column, before they are mixed; else None.
    stride
        Of such a model: only every stride-th prefix was scored, and the prefix scores between lie on a straight line.
    step_scores
        Of a process reward model or a classifier of tokens: its own score of each of the ``T`` steps or tokens, ``[T]`` float32; else
        None.
    """

    encoding: Encoding
    column_scores: Array  # [L] float32
    response_row: Array | None = None  # [layer, head, L] float32
    pooling_row: Array | None = None  # [layer, head, L] float32
    black_box: bool = False
    both_ways: bool = False
    stride: int = 1
    label_scores: Array | None = None  # [L, K] float32
    step_scores: Array | None = None  # [T] float32

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

    def of_label(self, label: int) -> Observation:
        """The same with one label's scores in place of the mixed ones.

        Raises
        ------
        RedvizError
            Where the model has one score only, or fewer labels.
        """
        known = 0 if self.label_scores is None else self.label_scores.shape[1]
        if self.label_scores is None or not 0 <= label < known:
            raise RedvizError(
                f"There is no objective {label}: this model has {known or 'one score and no'} objectives."
            )
        return replace(self, column_scores=self.label_scores[:, label], label_scores=None)

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


def without_weights(layer: int, those: Sequence[int], name: str) -> str:
    """What is said of a layer without attention weights, in a model of which others have them."""
    listed = ", ".join(map(str, those[:8])) + (" …" if len(those) > 8 else "")
    return (
        f"Layer {layer} of {name} has no attention weights (it is linear or recurrent); the layers that have are {listed}: "
        "choose one of them, or use red."
    )
