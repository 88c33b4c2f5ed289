"""Observe: one forward pass gives every prefix score and the attention rows that matter, for a whole padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from redviz.errors import RedvizError
from redviz.models.attention import reading
from redviz.models.reward_model import RewardModel, positions
from redviz.records import Array, Encoding, Observation


def observe(
    model: RewardModel, encodings: Sequence[Encoding], *, side: str = "right", attention: bool = True
) -> list[Observation]:
    """Run the model once over a padded batch.

    Parameters
    ----------
    model
        A loaded reward model.
    encodings
        The examples of the batch.
    side
        Where padding goes, "right" or "left"; the results do not depend on it.
    attention
        Whether to read the attention rows of the last response token and of the pooling position.

    Returns
    -------
    list[Observation]
        In the order given; ``column_scores`` ``[L]`` and rows ``[layer, head, L]`` are float32 and without padding.
    """
    width = max(len(e.ids) for e in encodings)
    starts = [width - len(e.ids) if side == "left" else 0 for e in encodings]
    ids = np.zeros((len(encodings), width), np.int64)  # [B, L]; padding is masked, so any id may fill it
    mask = np.zeros_like(ids)
    for row, (encoding, at) in enumerate(zip(encodings, starts, strict=True)):
        ids[row, at : at + len(encoding.ids)] = encoding.ids
        mask[row, at : at + len(encoding.ids)] = 1
    columns = [[at + e.stop - 1, at + e.read] for e, at in zip(encodings, starts, strict=True)]
    seen = torch.as_tensor(mask, device=model.device)
    inputs = {
        "input_ids": torch.as_tensor(ids, device=model.device),
        "attention_mask": seen,
        "position_ids": positions(seen),
    }
    with torch.inference_mode(), reading(torch.tensor(columns, device=model.device)) as rows:
        if not attention:
            rows.columns = rows.columns[:, :0]
        hidden = model.run(**inputs, use_cache=False).last_hidden_state  # [B, L, D]
        scores = model.scores(hidden).float().cpu().numpy()  # [B, L]
    layers = torch.stack(rows.layers, 1).cpu().numpy() if attention and rows.layers else None  # [B, layer, R, head, L]
    found = []
    for row, (encoding, at) in enumerate(zip(encodings, starts, strict=True)):
        own = slice(at, at + len(encoding.ids))
        pair = (None, None) if layers is None else (layers[row, :, 0, :, own].copy(), layers[row, :, 1, :, own].copy())
        found.append(Observation(encoding, scores[row, own].copy(), *pair))
    return found


def attention_matrix(model: RewardModel, encoding: Encoding, layer: int, head: int) -> Array:
    """The attention of every response token under one layer and head: ``[T, L]`` float32. One forward pass, one map kept."""
    ids = torch.as_tensor(encoding.ids[None], device=model.device)  # [1, L]
    columns = torch.arange(encoding.start, encoding.stop, device=model.device)[None]  # [1, T]
    mask = torch.ones_like(ids)
    with torch.inference_mode(), reading(columns, (layer, head)) as rows:
        model.run(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False)
    if not rows.layers:
        raise RedvizError(f"This model shows no attention weights for layer {layer}.")
    matrix: Array = rows.layers[0][0, :, 0].cpu().numpy()  # [T, L]
    return matrix
