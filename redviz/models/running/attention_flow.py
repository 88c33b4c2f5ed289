"""Attention that no single row shows: whole maps folded row block by row block, and how much of a value each weight carries on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.running.attention import Kept, Layer, keeping
from redviz.models.running.both_ways import inputs_of
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.layer_kinds import layer_kinds, order_of
from redviz.models.running.micro_batches import micro_batches
from redviz.records import Encoding

# What attention modules call the map from their heads to the model's width.
PROJECTIONS = ("o_proj", "out_proj", "dense", "c_proj")
AGREES = 0.05  # relative; bfloat16 attention differs from ours by about 0.01, a gate by about 0.5


class Runs(Protocol):
    """A reward model or a policy."""

    name: str
    module: Any

    @property
    def device(self) -> torch.device: ...

    @property
    def trunk(self) -> Any: ...

    def run(self, **inputs: Any) -> Any: ...


def kept_pass(model: Runs, encoding: Encoding, only: int | None = None) -> Kept:
    """One forward pass that keeps the queries and keys of every layer, or all of one layer (-1 is the last)."""
    kinds = layer_kinds(model.module)
    order = None if only is None else order_of(kinds, only, model.name)
    with torch.inference_mode(), keeping(order) as kept:
        model.run(**inputs_of(model, encoding), use_cache=False)
    if not kept.passed:
        raise RedvizError(
            f"{model.name} shows no attention weights, so attention-based credit is not defined for it; use red or ig."
        )
    count = len(kinds) or kept.passed
    if only is not None and not -count <= only < count:
        raise RedvizError(f"layer is {only}; {model.name} has layers 0 to {count - 1} (or -1 for the last).")
    return kept


def head_mean_rows(layer: Layer, columns: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Head-mean attention of these query columns (``[C]``), in blocks of (columns ``[R]``, weights ``[R, L]`` float32)."""
    heads, length = layer.query.shape[1:3]
    columns = columns.to(layer.query.device)
    blocks = micro_batches(
        range(len(columns)),
        lambda _: at_once("weights", columns.device) // (heads * length),
        lambda rows: layer.rows(columns[None, rows[0] : rows[-1] + 1])[0].mean(1),  # [R, L]
        lambda _: "Memory ran out on a single row of attention; use a shorter response or a smaller dtype.",
    )
    yield from ((columns[rows[0] : rows[-1] + 1], weights) for rows, weights in blocks)


def rolled(kept: Kept, column: int, residual: float, progress: Progress | None) -> Tensor:
    """One row of the product of every layer's ``(1 - residual) x attention + residual x identity``: ``[L]`` float32.

    From the last layer back it is vector times matrix, and rows that the vector does not touch are never computed.
    """
    flow = torch.zeros(kept.layers[0].query.shape[2], device=kept.layers[-1].query.device)  # [L]
    flow[column] = 1
    for done, layer in enumerate(reversed(kept.layers)):
        flow = flow.to(layer.query.device)
        passed = residual * flow  # [L]
        for block, weights in head_mean_rows(layer, flow.nonzero()[:, 0]):
            if progress is not None:
                progress(done, len(kept.layers))
            passed += (1 - residual) * (flow[block] @ weights)  # [L]
        flow = passed
    if progress is not None:
        progress(len(kept.layers), len(kept.layers))
    return flow


def carried_norms(model: Runs, encoding: Encoding, only: int, column: int) -> Tensor:
    """Norm of what the heads of one layer carry from every column to this one, ``sum_h alpha_hj W_O^h v_hj``: ``[L]`` float32."""
    inputs: dict[Any, Tensor] = {}

    def note(module: Any, arguments: tuple[Tensor, ...]) -> None:
        read = arguments[0].flatten(0, -2)  # [L, H * d_v]
        if len(read) == len(encoding.ids):  # a pooler or an expert of the same name reads fewer
            inputs[module] = read[column].clone()  # a view would hold the whole layer

    maps = [part for name, part in model.trunk.named_modules() if name.rpartition(".")[2] in PROJECTIONS]
    hooks = [part.register_forward_pre_hook(note) for part in maps]
    try:
        layer = kept_pass(model, encoding, only).layers[0]
    finally:
        for hook in hooks:
            hook.remove()
    with torch.inference_mode():
        weights = layer.rows(torch.tensor([[column]], device=layer.query.device))[0, 0]  # [H, L]
        values = layer.value[0].float().repeat_interleave(len(weights) // layer.value.shape[1], 0)  # [H, L, d_v]
        parts = (weights[..., None] * values).transpose(0, 1).flatten(1)  # [L, H * d_v]
        return _projected(_projection(layer.module, inputs, parts.sum(0)), parts, layer.value.dtype).norm(dim=-1)


def _projection(module: Any, inputs: dict[Any, Tensor], heads: Tensor) -> Any:
    """The module that takes the heads' output (``[H * d_v]``) to the model's width, which is what it was seen to read."""
    kind = type(module).__name__
    projections = [part for name, part in module.named_children() if name in PROJECTIONS and part in inputs]
    if len(projections) != 1:
        raise RedvizError(
            f"{kind} has no output projection that redviz knows ({', '.join(PROJECTIONS)}), so attention_norm is not "
            "defined for it; use abc."
        )
    read = inputs[projections[0]].float()  # [H * d_v]
    if read.shape != heads.shape or (read - heads).norm() > AGREES * read.norm():
        raise RedvizError(
            f"{kind} changes the heads' output before its projection (a gate or a norm), so attention_norm is not defined "
            "for it; use abc."
        )
    return projections[0]


def _projected(projection: Any, parts: Tensor, dtype: torch.dtype) -> Tensor:
    """A projection's linear part, whatever its kind: its value minus its value at zero, ``[L, N] -> [L, D]`` float32.

    Parts go in at unit length: a small one would drown beside the bias in bfloat16.
    """
    size = parts.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(parts.dtype).tiny)  # [L, 1]
    unit = (parts / size).to(dtype)
    linear: Tensor = projection(unit).float() - projection(torch.zeros_like(unit[:1])).float()  # [L, D]
    return linear * size
