"""A loaded reward model: trunk, scalar head, tokenizer, and where its score is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from redviz.models.encode import encode
from redviz.records import Encoding, Example, Source


@dataclass
class RewardModel:
    """Made by :func:`redviz.load_reward_model`; the only object of redviz that holds weights.

    Attributes
    ----------
    module, tokenizer
        The Transformers model and its fast tokenizer.
    head
        The scalar head in float32: hidden states ``[..., D]`` to label scores ``[..., K]``.
    mix
        ``[K]`` float32: how the label scores make the one reward (one-hot, or +1 and -1 for a difference).
    max_length
        Context in tokens; longer responses are cut at their end.
    trained_length
        Lengths up to which the model was trained, where its card says so.
    read
        "model": where Transformers' own forward reads the score. "last": at the last token.
    forwards
        How many forward passes have run, for the engine's counter.
    """

    name: str
    module: Any
    tokenizer: Any
    head: Any
    mix: Tensor  # [K] float32
    max_length: int
    source: Source
    trained_length: int | None = None
    read: str = "model"
    forwards: int = 0

    @property
    def trunk(self) -> Any:
        return self.module.base_model

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.module.parameters()).dtype

    @property
    def pad_id(self) -> int | None:
        """The id that the model's own forward skips when it looks for the last token."""
        pad = self.module.config.get_text_config().pad_token_id
        return None if pad is None else int(pad)

    def encode(self, example: Example) -> Encoding:
        """Ids, span and offsets of one example under this model's tokenizer, template and context."""
        encoding = encode(self.tokenizer, example, max_length=self.max_length, read=self.read, pad_id=self.pad_id)
        if self.trained_length and len(encoding.ids) > self.trained_length:
            notice = f"This text has {len(encoding.ids)} tokens; the model was trained on lengths up to {self.trained_length}."
            encoding = replace(encoding, notices=(*encoding.notices, notice))
        return encoding

    def run(self, **inputs: Any) -> Any:
        """One forward pass of the trunk; every pass of redviz goes through here and is counted."""
        self.forwards += 1
        return self.trunk(**inputs)

    def scores(self, hidden: Tensor) -> Tensor:
        """The reward at every hidden state, in float32: ``[..., D] -> [...]``."""
        return self.head(hidden.float()) @ self.mix

    def own_scores(self, batch: Sequence[Sequence[int]], side: str = "right") -> Tensor:
        """The model's own forward, head and pooling rule untouched: ``[B]`` float32. For checks."""
        fill = 0 if self.pad_id is None else self.pad_id
        width = max(len(ids) for ids in batch)
        rows = [(list(ids), [fill] * (width - len(ids)), [1] * len(ids), [0] * (width - len(ids))) for ids in batch]
        left = side == "left"
        ids = torch.tensor([pad + own if left else own + pad for own, pad, _, _ in rows], device=self.device)
        mask = torch.tensor([zeros + ones if left else ones + zeros for _, _, ones, zeros in rows], device=self.device)
        self.forwards += 1
        with torch.inference_mode():
            logits = self.module(
                input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False
            ).logits
        return logits.float() @ self.mix


def positions(mask: Tensor) -> Tensor:
    """Position ids from an attention mask, so that left padding does not shift them: ``[B, L] -> [B, L]``."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
