"""Run only what follows a known beginning: its keys and values are computed once and reused by every pass after it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.pooling import after
from redviz.records import Encoding


@dataclass(frozen=True)
class PromptCache:
    """Keys and values of a conversation's first columns, per layer ``[1, H_kv, n, d]``; of a model that reads means also these."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int
    means: Tensor | None = None  # [1, n, D]

    def cropped(self, length: int) -> PromptCache:
        """The first columns of these: views, no copies."""
        means = None if self.means is None else self.means[:, :length]
        return PromptCache(tuple((k[:, :, :length], v[:, :, :length]) for k, v in self.layers), length, means)

    def expanded(self, batch: int) -> DynamicCache:
        """A fresh cache of expanded views. Fresh, because a cache is changed by use; plain, because one built with the config of a
        sliding-window model drops what it still needs once the prompt is longer than the window.
        """
        return DynamicCache([(k.expand(batch, -1, -1, -1), v.expand(batch, -1, -1, -1)) for k, v in self.layers])


def prompt_cache(model: RewardModel, encoding: Encoding, length: int | None = None) -> PromptCache:
    """One pass over the columns before the response, or over the first ``length`` columns.

    Under ``no_grad``: inference tensors could not join a gradient later.
    """
    if model.both_ways:
        raise RedvizError(f"{model.name} looks both ways, so what follows changes the keys and values of the prompt.")
    length = encoding.start if length is None else length
    ids = torch.as_tensor(encoding.ids[None, :length], device=model.device)  # [1, n]
    cache = DynamicCache()
    with torch.no_grad():
        hidden = model.run(input_ids=ids, past_key_values=cache, use_cache=True).last_hidden_state  # [1, n, D]
    layers = []
    for layer in cache.layers:
        if not (isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None):
            raise RedvizError(f"{model.name} has layers without keys and values to reuse; use red, abc or truncation.")
        layers.append((layer.keys, layer.values))
    return PromptCache(tuple(layers), length, hidden if model.pooled else None)


def tail_scores(model: RewardModel, cache: PromptCache, embeddings: Tensor) -> Tensor:
    """Rewards at every column after the prompt: ``[B, S, D] -> [B, S]`` float32, with gradients where the embeddings ask for them."""
    return model.scores(_hidden(model, cache, embeddings, None))


def scores_at(
    model: RewardModel, cache: PromptCache, embeddings: Tensor, columns: Tensor, seen: Tensor | None = None
) -> Tensor:
    """The reward at one column of each row: ``[B]`` float32.

    Parameters
    ----------
    embeddings
        What follows the cached columns, ``[B, S, D]``, rows of unequal length padded on the right with anything: no column that
        is read looks ahead.
    columns
        Where each row is read, counted from the first of these, ``[B]``.
    seen
        Which columns may be attended to, ``[B, S]``; None means all. Positions do not depend on it.
    """
    hidden = _hidden(model, cache, embeddings, seen)  # [B, S, D]
    return model.scores(hidden[torch.arange(len(hidden), device=hidden.device), columns])


def _hidden(model: RewardModel, cache: PromptCache, embeddings: Tensor, seen: Tensor | None) -> Tensor:
    """Hidden states of every column after the cached ones: ``[B, S, D]``."""
    batch, width, _ = embeddings.shape
    places = torch.arange(cache.length, cache.length + width, device=embeddings.device).expand(batch, -1)  # [B, S]
    mask = None
    if seen is not None:
        mask = torch.cat([seen.new_ones(batch, cache.length), seen], 1).long()  # [B, n+S]
    hidden: Tensor = model.run(
        inputs_embeds=embeddings,
        past_key_values=cache.expanded(batch),
        position_ids=places,
        attention_mask=mask,
        use_cache=True,
    ).last_hidden_state
    return after(cache.means, hidden, mask)


def tail_embeddings(model: RewardModel, encoding: Encoding) -> Tensor:
    """Embeddings of the response and of what follows it up to the reading column: ``[1, S, D]``."""
    stop = max(encoding.read + 1, encoding.stop)
    ids = torch.as_tensor(encoding.ids[None, encoding.start : stop], device=model.device)
    with torch.no_grad():
        embedded: Tensor = model.module.get_input_embeddings()(ids)
    return embedded
