"""A reward model small enough to know by heart: hidden states are running sums of embeddings, the head is any function of them.

With a linear head every method that is exact must agree: the credit of a token is w . x. With a polynomial head integrated
gradients have a closed form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from redviz.models.kinds.reward_model import RewardModel
from redviz.records import Array, Encoding, Example, Observation, Source

PAD, EOS = 0, 1


class Bag(nn.Module):
    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(embeddings)
        self.base_model = self.forward
        self.config = SimpleNamespace(get_text_config=lambda: SimpleNamespace(pad_token_id=PAD))

    def get_input_embeddings(self) -> nn.Embedding:
        return self.embedding

    def forward(
        self,
        input_ids: Any = None,
        inputs_embeds: Any = None,
        past_key_values: Any = None,
        attention_mask: Any = None,
        **_: Any,
    ) -> Any:
        x = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds  # [B, S, D]
        seen = x[:, None]  # [B, 1, S, D]: kept in the cache as keys, so that a reused prompt counts
        if past_key_values is not None:
            seen, _ = past_key_values.update(seen, seen, 0)
        if attention_mask is not None:
            seen = seen * attention_mask[:, None, :, None]
        return SimpleNamespace(last_hidden_state=seen[:, 0].cumsum(1)[:, -x.shape[1] :])


def bag(embeddings: Sequence[Sequence[float]], head: Callable[[Tensor], Tensor] | Sequence[float]) -> RewardModel:
    """A model over these embeddings (``[V, D]``, id 0 pads, 1 ends) with a head ``[..., D] -> [...]`` or linear weights ``[D]``."""
    if not callable(head):
        weights = torch.tensor(head, dtype=torch.float32)
        score = lambda hidden: hidden @ weights  # noqa: E731
    else:
        score = head
    tokenizer = SimpleNamespace(pad_token_id=PAD, eos_token_id=EOS)
    module = Bag(torch.tensor(embeddings, dtype=torch.float32))
    return RewardModel("bag", module, tokenizer, lambda h: score(h)[..., None], torch.ones(1), 64, Source("bag"))


def encoding(prompt: Sequence[int], response: Sequence[int], closing: Sequence[int] = ()) -> Encoding:
    """Ids by hand: the score is read at the last of them; every token stands for one character."""
    ids = np.array([*prompt, *response, *closing], dtype=np.int64)
    stop = len(prompt) + len(response)
    offsets = tuple((t, t + 1) for t in range(len(response)))
    text = "".join(chr(97 + i) for i in ids)
    example = Example(text[: len(prompt)], text[len(prompt) : stop])
    return Encoding(ids, len(prompt), stop, len(ids) - 1, offsets, tuple(text), text, example=example)


def observation(prefix: Sequence[float], score: float | None = None, rows: Array | None = None) -> Observation:
    """Scores by hand: two prompt columns, the T response columns and, where ``score`` is given, one closing column."""
    length = len(prefix) - 1
    made = encoding([2, 3], [4] * length, [] if score is None else [EOS])
    columns = np.array([9.0, *prefix, *([] if score is None else [score])], dtype=np.float32)  # [L]
    return Observation(made, columns, rows, rows)
