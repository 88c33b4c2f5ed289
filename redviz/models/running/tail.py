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

Layers = tuple[tuple[Tensor, Tensor], ...]  # keys and values, [1, H_kv, n, d]


@dataclass(frozen=True)
class PromptCache:
    """Keys and values of a conversation's first columns, per layer ``[1, H_kv, n, d]``; of a model that reads means also these.

    Of a model whose layers carry a state, which cannot be cut, there are the embeddings of these columns in place of them: every
    pass then runs the whole text.
    """

    layers: Layers
    length: int
    means: Tensor | None = None  # [1, n, D]
    ahead: Tensor | None = None  # [1, n, D]

    def cropped(self, length: int) -> PromptCache:
        """The first columns of these: views, no copies."""
        means, ahead = (None if part is None else part[:, :length] for part in (self.means, self.ahead))
        return PromptCache(tuple((k[:, :, :length], v[:, :, :length]) for k, v in self.layers), length, means, ahead)

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
    with torch.no_grad():
        if not model.reuses:
            return PromptCache((), length, ahead=model.module.get_input_embeddings()(ids))
        found = keys_and_values(model, ids)
    if found is None:
        raise RedvizError(f"{model.name} has layers without keys and values to reuse; use red, abc or truncation.")
    hidden, layers = found
    return PromptCache(layers, length, hidden if model.pooled else None)


def keys_and_values(model: RewardModel, ids: Tensor) -> tuple[Tensor, Layers] | None:
    """One pass over ids ``[1, n]``: hidden states ``[1, n, D]``, and every layer's keys and values of all of them, if they have such."""
    cache = DynamicCache()  # plain: one with the config of a sliding-window model drops what later passes still need
    places = torch.arange(ids.shape[1], device=ids.device)[None]  # [1, n]
    hidden = model.run(input_ids=ids, position_ids=places, past_key_values=cache, use_cache=True).last_hidden_state
    layers = tuple(
        (layer.keys, layer.values)
        for layer in cache.layers
        if isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
    )
    whole = layers and len(layers) == len(cache.layers) and all(k.shape[2] == ids.shape[1] for k, _ in layers)
    return (hidden, layers) if whole else None


def tail_scores(model: RewardModel, cache: PromptCache, embeddings: Tensor) -> Tensor:
    """Rewards at every column after the prompt: ``[B, S, D] -> [B, S]`` float32, with gradients where the embeddings ask for them."""
    return model.scores(hidden_after(model, cache, embeddings))


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
    hidden = hidden_after(model, cache, embeddings, seen)  # [B, S, D]
    return model.scores(hidden[torch.arange(len(hidden), device=hidden.device), columns])


def hidden_after(model: RewardModel, cache: PromptCache, embeddings: Tensor, seen: Tensor | None = None) -> Tensor:
    """Hidden states of every column after the cached ones: ``[B, S, D]``."""
    batch, width, _ = embeddings.shape
    mask = None
    if seen is not None:
        mask = torch.cat([seen.new_ones(batch, cache.length), seen], 1).long()  # [B, n+S]
    places = torch.arange(cache.length + width, device=embeddings.device).expand(batch, -1)  # [B, n+S]
    if cache.ahead is not None:
        whole = torch.cat([cache.ahead.expand(batch, -1, -1), embeddings], 1)  # [B, n+S, D]
        found = model.run(inputs_embeds=whole, position_ids=places, attention_mask=mask, use_cache=False)
        return torch.as_tensor(found.last_hidden_state[:, cache.length :])
    hidden: Tensor = model.run(
        inputs_embeds=embeddings,
        past_key_values=cache.expanded(batch),
        position_ids=places[:, cache.length :],
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
