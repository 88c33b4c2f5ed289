"""A prompt and a response as the two segments of one text, as BERT and its kin read them: ``[CLS] prompt [SEP] response [SEP]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from redviz.records import Array


@dataclass(frozen=True)
class Tokenized:
    """Ids, the characters of prompt + response that each token stands for, and its segment where there are two."""

    ids: Array  # [L] int64
    spans: list[tuple[int, int]]  # L
    types: Array | None  # [L] int64


def joins_pairs(tokenizer: Any) -> bool:
    """Whether the tokenizer writes something of its own between two segments.

    One without a chat template that does so is for models that read pairs.
    """
    if tokenizer.chat_template:
        return False
    segments = tokenizer("a", "a").sequence_ids()  # [L]: 0, 1, or None for a token of the tokenizer's own
    return 1 in segments and None in segments[segments.index(0) : segments.index(1)] if 0 in segments else False


def tokenized_pair(tokenizer: Any, prompt: str, response: str) -> Tokenized:
    """``tokenizer(prompt, response)``; blanks between tokens, which many such tokenizers drop, go to the token that follows."""
    batch = tokenizer(prompt, response, return_offsets_mapping=True, truncation=False, verbose=False)
    segments: list[int | None] = batch.sequence_ids()
    spans: list[tuple[int, int]] = []
    begins, reached = (0, len(prompt)), 0
    lasts = [max((i for i, s in enumerate(segments) if s == which), default=-1) for which in (0, 1)]
    ends = (len(prompt), len(prompt) + len(response))
    for i, ((a, b), segment) in enumerate(zip(batch["offset_mapping"], segments, strict=True)):
        if segment is None:
            spans.append((reached, reached))
            continue
        reached = max(reached, begins[segment])
        end = ends[segment] if i == lasts[segment] else max(reached, begins[segment] + b)
        # A character that falls into several tokens (an accent, an emoji in bytes) belongs to each of them.
        spans.append((min(begins[segment] + a, reached) if b > a else reached, end))
        reached = end
    types = batch.get("token_type_ids")
    return Tokenized(_whole(batch["input_ids"]), spans, None if types is None else _whole(types))


def _whole(numbers: Sequence[int]) -> Array:
    return np.asarray(numbers, dtype=np.int64)
