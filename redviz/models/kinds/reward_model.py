"""A loaded reward model: trunk, scalar head, tokenizer, and where its score is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.families.family import gate_column
from redviz.models.reading.encode import encode
from redviz.models.reading.known_tokens import check_known, filler_id
from redviz.models.running.micro_batches import padded
from redviz.models.running.pooling import running_mean
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
    both_ways
        Whether a token sees later ones, so that every prefix needs a forward pass of its own; found out by trying at load.
    first
        Whether the score is read at the first token ([CLS]).
    pairs
        Whether prompt and response are encoded as two segments.
    appended
        The id of a token that is put behind every conversation, where the score is read; None for none.
    notices
        What a person should know of every score of this model.
    gate, header
        Where several objectives are weighed by the prompt: a module from one hidden state ``[D]`` to weights ``[K]``, and the ids of the
        header before the response, at whose last occurrence it reads. ``mix`` is not used then.
    pooled
        Whether the head reads the mean of all hidden states up to a column, and not that column's own.
    reuses
        Whether keys and values of a text's beginning can serve passes over what follows; layers that carry a state have none. Found
        out by trying at load.
    own_forward
        Whether the score is that of the model's own forward on a whole text, because its head is no function of one hidden state
        (:mod:`redviz.models.running.own_forward`). ``head`` is not used then.
    takes_embeddings, takes_padding
        Of such a model: whether that forward takes embeddings in place of ids, and whether padding and a mask leave scores alone.
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
    both_ways: bool = False
    first: bool = False
    pairs: bool = False
    appended: int | None = None
    notices: tuple[str, ...] = ()
    gate: Any = None
    header: tuple[int, ...] = ()
    pooled: bool = False
    reuses: bool = True
    own_forward: bool = False
    takes_embeddings: bool = True
    takes_padding: bool = True

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
        encoding = encode(
            self.tokenizer,
            example,
            max_length=self.max_length,
            read=self.read,
            pad_id=self.pad_id,
            pairs=self.pairs,
            first=self.first,
            appended=self.appended,
        )
        check_known(self.module, self.tokenizer, encoding.ids, self.name)
        encoding = replace(encoding, notices=(*encoding.notices, *self.notices)) if self.notices else encoding
        if self.trained_length and len(encoding.ids) > self.trained_length:
            notice = f"This text has {len(encoding.ids)} tokens; the model was trained on lengths up to {self.trained_length}."
            encoding = replace(encoding, notices=(*encoding.notices, notice))
        return encoding

    def run(self, **inputs: Any) -> Any:
        """One forward pass of the trunk; every pass of redviz goes through here and is counted.

        Where the head reads means, these are the hidden states: ``last_hidden_state`` is the running mean over the columns of this pass.
        """
        self.forwards += 1
        found = self.trunk(**inputs)
        if self.pooled:
            found.last_hidden_state = running_mean(found.last_hidden_state, inputs.get("attention_mask"))
        return found

    def label_scores(self, hidden: Tensor) -> Tensor:
        """The score of every label at every hidden state, in float32: ``[..., D] -> [..., K]``."""
        scores: Tensor = self.head(hidden.float())
        return scores

    def scores(self, hidden: Tensor) -> Tensor:
        """The reward at every hidden state, in float32: ``[..., D] -> [...]``."""
        if self.gate is not None:
            raise RedvizError(f"{self.name} weighs its objectives by the prompt; choose one objective with --head.")
        return self.label_scores(hidden) @ self.mix

    def gated(self, hidden: Tensor, ids: Sequence[int]) -> Tensor:
        """The weights that the gate gives to a prompt: hidden states ``[n, D]`` and ids of its columns ``-> [K]`` float32."""
        weights: Tensor = self.gate(hidden[gate_column(ids, self.header, self.name)].float())
        return weights

    def for_prompt(self, encoding: Encoding) -> RewardModel:
        """The model with the weights its gate gives to this prompt; itself where there is no gate. One pass over the prompt."""
        if self.gate is None:
            return self
        ids = [int(i) for i in encoding.ids[: encoding.start]]
        with torch.no_grad():
            hidden = self.run(input_ids=torch.tensor([ids], device=self.device), use_cache=False).last_hidden_state[0]
            return replace(self, gate=None, mix=self.gated(hidden, ids))

    def own_scores(self, batch: Sequence[Sequence[int]], side: str = "right") -> Tensor:
        """The model's own forward, head and pooling rule untouched: ``[B]`` float32. For checks of causal models."""
        if self.both_ways:
            raise RedvizError(
                f"{self.name} reads segments, which ids do not show; redviz.check_model compares its scores."
            )
        fill = filler_id(self.module, self.pad_id)
        ids, mask = (part.to(self.device) for part in padded(batch, fill, side))  # [B, L]
        self.forwards += 1
        with torch.inference_mode():
            logits = self.module(
                input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False
            ).logits
        return logits.float() @ self.mix


def positions(mask: Tensor) -> Tensor:
    """Position ids from an attention mask, so that left padding does not shift them: ``[B, L] -> [B, L]``."""
    return (mask.cumsum(-1) - 1).clamp(min=0)
