"""Run only what follows the prompt: the prompt's keys and values are computed once and reused by every pass after it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from redviz.errors import RedvizError
from redviz.models.reward_model import RewardModel
from redviz.records import Encoding


@dataclass(frozen=True)
class PromptCache:
    """Keys and values of the columns before the response, per layer ``[1, H_kv, n, d]``."""

    layers: tuple[tuple[Tensor, Tensor], ...]
    length: int

    def expanded(self, batch: int) -> DynamicCache:
        """A fresh cache of expanded views. Fresh, because a cache is changed by use; plain, because one built with the config of a
        sliding-window model drops what it still needs once the prompt is longer than the window.
        """
        return DynamicCache([(k.expand(batch, -1, -1, -1), v.expand(batch, -1, -1, -1)) for k, v in self.layers])


def prompt_cache(model: RewardModel, encoding: Encoding) -> PromptCache:
    """One pass over the columns before the response. Under ``no_grad``: inference tensors could not join a gradient later."""
    ids = torch.as_tensor(encoding.ids[None, : encoding.start], device=model.device)  # [1, n]
    cache = DynamicCache()
    with torch.no_grad():
        model.run(input_ids=ids, past_key_values=cache, use_cache=True)
    layers = []
    for layer in cache.layers:
        if not (isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None):
            raise RedvizError(
                f"{model.name} has layers without keys and values, so gradients cannot reuse its prompt; use red or abc."
            )
        layers.append((layer.keys, layer.values))
    return PromptCache(tuple(layers), encoding.start)


def tail_scores(model: RewardModel, cache: PromptCache, embeddings: Tensor) -> Tensor:
    """Rewards at every column after the prompt: ``[B, S, D] -> [B, S]`` float32, with gradients where the embeddings ask for them."""
    batch, width, _ = embeddings.shape
    places = torch.arange(cache.length, cache.length + width, device=embeddings.device).expand(batch, -1)  # [B, S]
    hidden = model.run(
        inputs_embeds=embeddings, past_key_values=cache.expanded(batch), position_ids=places, use_cache=True
    ).last_hidden_state  # [B, S, D]
    return model.scores(hidden)


def tail_embeddings(model: RewardModel, encoding: Encoding) -> Tensor:
    """Embeddings of the response and of what follows it up to the reading column: ``[1, S, D]``."""
    stop = max(encoding.read + 1, encoding.stop)
    ids = torch.as_tensor(encoding.ids[None, encoding.start : stop], device=model.device)
    with torch.no_grad():
        embedded: Tensor = model.module.get_input_embeddings()(ids)
    return embedded
