"""Observe several responses to one prompt: what they have in common runs once, and its keys and values serve them all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.attention import reading
from redviz.models.running.finite import all_finite
from redviz.models.running.micro_batches import padded
from redviz.models.running.observe import observe
from redviz.models.running.tail import PromptCache, keys_and_values
from redviz.records import Array, Encoding, Observation


def observe_responses(model: RewardModel, encodings: Sequence[Encoding]) -> list[Observation]:
    """One pass over the columns that all encodings share, then one padded pass over the rest, reusing its keys and values.

    The shared columns are the prompt and, where the responses begin alike, that beginning too. Their scores are the very same
    numbers in every observation, so that differences between responses cancel there exactly.

    Parameters
    ----------
    model
        A loaded reward model.
    encodings
        Responses to one prompt, by this model. What decides is the token ids that they have in common, so a first token that
        straddles the end of the prompt only makes the shared part shorter.

    Returns
    -------
    list[Observation]
        What :func:`redviz.models.running.observe.observe` gives. It is called where there is nothing to share, or where the model's layers
        do not reuse keys and values.
    """
    shared = 0 if model.both_ways else shared_columns(encodings)
    if len(encodings) < 2 or shared < 2:
        return observe(model, encodings)
    started = begin(model, encodings[0].ids[:shared])
    if started is None:
        return observe(model, encodings)
    beginning, cache = started  # [n]
    rest, rows = continued(model, cache.cropped(shared - 1), encodings)  # [B, 1+S], [B, layer, 2, head, n+S]
    # Both passes score the last shared column: a model that drops or misplaces what it is given shows there.
    slack = max(0.01, 32 * torch.finfo(model.dtype).eps) * float(beginning.std())
    if not (np.abs(rest[:, 0] - beginning[-1]) <= slack).all():
        return observe(model, encodings)
    observations = []
    for row, encoding in enumerate(encodings):
        own = len(encoding.ids)
        columns = np.concatenate([beginning, rest[row, 1 : own - shared + 1]])  # [L]
        pair = (None, None) if rows is None else (rows[row, :, 0, :, :own].copy(), rows[row, :, 1, :, :own].copy())
        observations.append(Observation(encoding, columns, *pair))
    return all_finite(model.source, observations)


def shared_columns(encodings: Sequence[Encoding]) -> int:
    """How many first columns are the same in all, up to those whose attention is read (of which each keeps its own).

    One column at least is left over, so that the pass over the rest is never a single query: Transformers gives that no mask.
    """
    first, *others = (encoding.ids for encoding in encodings)
    common = min([len(first), *(common_columns(first, ids) for ids in others)])
    ends = [min(encoding.stop, encoding.read + 1) for encoding in encodings]
    return min(common, *ends, max(len(encoding.ids) for encoding in encodings) - 1)


def common_columns(one: Array, two: Array) -> int:
    """The length of the longest common beginning."""
    width = min(len(one), len(two))
    differ = np.flatnonzero(one[:width] != two[:width])
    return int(differ[0]) if len(differ) else width


@torch.inference_mode()
def begin(model: RewardModel, ids: Array) -> tuple[Array, PromptCache] | None:
    """Scores ``[n]`` float32 and keys and values of the shared columns; None where the layers have none to reuse, or means are read."""
    if model.pooled or not model.reuses:
        return None
    found = keys_and_values(model, torch.as_tensor(ids[None], device=model.device))
    if found is None:
        return None
    return model.scores(found[0][0]).cpu().numpy(), PromptCache(found[1], len(ids))


@torch.inference_mode()
def continued(model: RewardModel, cache: PromptCache, encodings: Sequence[Encoding]) -> tuple[Array, Array | None]:
    """Scores of every column after the cached ones, ``[B, S]``, and the two attention rows, ``[B, layer, 2, head, n+S]``; float32."""
    begin = cache.length
    ids, mask = padded([encoding.ids for encoding in encodings])  # [B, n+S]; padding is masked, so any id may fill it
    # Queries are counted from the first column after the cache, keys from the first of all.
    columns = torch.tensor([[e.stop - 1 - begin, e.read - begin] for e in encodings], device=model.device)  # [B, 2]
    with reading(columns) as rows:
        hidden = model.run(
            input_ids=ids[:, begin:].to(model.device),
            attention_mask=mask.to(model.device),
            position_ids=torch.arange(begin, ids.shape[1], device=model.device).expand(len(encodings), -1),
            past_key_values=cache.expanded(len(encodings)),
            use_cache=True,
        ).last_hidden_state  # [B, S, D]
    layers = torch.stack(rows.layers, 1).cpu().numpy() if rows.layers else None
    return model.scores(hidden).cpu().numpy(), layers
