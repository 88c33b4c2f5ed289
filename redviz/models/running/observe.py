"""Observe: one forward pass gives every prefix score and the attention rows that matter, for a whole padded batch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel, positions
from redviz.models.running.attention import reading
from redviz.models.running.both_ways import inputs_of, observe_both_ways
from redviz.models.running.budgets import Progress
from redviz.models.running.finite import all_finite
from redviz.models.running.layer_kinds import in_place, layer_kinds, order_of
from redviz.models.running.micro_batches import padded
from redviz.records import Array, Encoding, Observation


def observe(
    model: RewardModel,
    encodings: Sequence[Encoding],
    *,
    side: str = "right",
    attention: bool = True,
    prefixes: bool = True,
    stride: int = 1,
    progress: Progress | None = None,
) -> list[Observation]:
    """Run the model once over a padded batch; one that looks both ways also over every prefix.

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
    prefixes, stride, progress
        For a model that looks both ways alone (:func:`redviz.models.running.both_ways.observe_both_ways`).

    Returns
    -------
    list[Observation]
        In the order given; ``column_scores`` ``[L]`` and rows ``[layer, head, L]`` are float32 and without padding.

    Raises
    ------
    RedvizError
        Where a score is NaN or infinite.
    """
    if model.both_ways:
        if side != "right":
            raise RedvizError(f"{model.name} looks both ways and counts positions from column 0; pad on the right.")
        options = {"attention": attention, "prefixes": prefixes, "stride": stride, "progress": progress}
        return observe_both_ways(model, encodings, **options)  # type: ignore[arg-type]
    attention = attention and not model.pooled  # no one row says what a mean was made of
    width = max(len(e.ids) for e in encodings)
    starts = [width - len(e.ids) if side == "left" else 0 for e in encodings]
    # Padding is masked, so any id may fill it.
    ids, seen = (part.to(model.device) for part in padded([e.ids for e in encodings], side=side))  # [B, L]
    columns = [[at + e.stop - 1, at + e.read] for e, at in zip(encodings, starts, strict=True)]
    inputs = {"input_ids": ids, "attention_mask": seen, "position_ids": positions(seen)}
    with torch.inference_mode(), reading(torch.tensor(columns, device=model.device)) as rows:
        if not attention:
            rows.columns = rows.columns[:, :0]
        hidden = model.run(**inputs, use_cache=False).last_hidden_state  # [B, L, D]
        labels = model.label_scores(hidden)  # [B, L, K]
        mixes = _mixes(model, hidden, encodings, starts)  # [B or 1, K]
        scores = (labels @ mixes[..., None])[..., 0].float().cpu().numpy()  # [B, L]
    layers = torch.stack(rows.layers, 1).cpu().numpy() if attention and rows.layers else None  # [B, layer, R, head, L]
    layers = None if layers is None else in_place(layers, layer_kinds(model.module))
    observations = []
    for row, (encoding, at) in enumerate(zip(encodings, starts, strict=True)):
        own = slice(at, at + len(encoding.ids))
        ends, read = (None, None) if layers is None else (layers[row, :, i, :, own].copy() for i in (0, 1))
        each = labels[row, own].float().cpu().numpy() if labels.shape[-1] > 1 else None  # [L, K]
        observations.append(Observation(encoding, scores[row, own].copy(), ends, read, label_scores=each))
    return all_finite(model.source, observations)


def _mixes(model: RewardModel, hidden: Tensor, encodings: Sequence[Encoding], starts: Sequence[int]) -> Tensor:
    """How every row's labels make its score: the model's mix, or what its gate gives to each prompt, ``[B or 1, K]``."""
    if model.gate is None:
        return model.mix[None]
    return torch.stack(
        [
            model.gated(hidden[row, at : at + encoding.start], [int(i) for i in encoding.ids[: encoding.start]])
            for row, (encoding, at) in enumerate(zip(encodings, starts, strict=True))
        ]
    )


def attention_matrix(model: RewardModel, encoding: Encoding, layer: int, head: int) -> Array:
    """The attention of every response token under one layer and head: ``[T, L]`` float32. One forward pass, one map kept."""
    columns = torch.arange(encoding.start, encoding.stop, device=model.device)[None]  # [1, T]
    order = order_of(layer_kinds(model.module), layer, model.name)
    with torch.inference_mode(), reading(columns, (order, head)) as rows:
        model.run(**inputs_of(model, encoding), use_cache=False)
    if not rows.layers:
        raise RedvizError(f"This model shows no attention weights for layer {layer}.")
    matrix: Array = rows.layers[0][0, :, 0].cpu().numpy()  # [T, L]
    return matrix
