"""Heads of reward models, built from a checkpoint's tensors: hidden states ``[..., D]`` to scores ``[..., K]``, in float32."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from redviz.errors import RedvizError
from redviz.models.loading.weights import Weights


def linear(weights: Weights, prefix: str) -> nn.Linear:
    """``prefix.weight`` ``[K, D]`` and, where it is there, ``prefix.bias`` ``[K]``."""
    names = [f"{prefix}.weight", *([f"{prefix}.bias"] if f"{prefix}.bias" in weights else [])]
    tensors = weights.read(names)
    matrix = tensors[names[0]].float()
    if matrix.dim() != 2:
        raise RedvizError(
            f"{weights.name} holds {names[0]} of shape {tuple(matrix.shape)}, which is no linear head; save the model again."
        )
    head = nn.Linear(matrix.shape[1], matrix.shape[0], bias=len(names) > 1)
    with torch.no_grad():
        head.weight.copy_(matrix)
        if len(names) > 1:
            head.bias.copy_(tensors[names[1]].float())
    return head.requires_grad_(False)


def sequence(weights: Weights, prefix: str) -> nn.Sequential:
    """``nn.Sequential`` of linear layers with ReLU between, as its state dict names them: ``prefix.0``, ``prefix.2``, ..."""
    depths = sorted({int(name.removeprefix(f"{prefix}.").split(".")[0]) for name in weights.starting(f"{prefix}.")})
    if not depths or depths != list(range(0, 2 * len(depths), 2)):
        raise RedvizError(
            f"{weights.name} holds layers {depths} of {prefix}, not linear ones with one activation between; save the model again."
        )
    parts: list[nn.Module] = []
    for depth in depths:
        parts += [linear(weights, f"{prefix}.{depth}"), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def dense(weights: Weights, prefix: str) -> nn.Module:
    """A linear head, or an MLP where the checkpoint holds its layers."""
    return linear(weights, prefix) if f"{prefix}.weight" in weights else sequence(weights, prefix)


class Scaled(nn.Module):
    """A head whose scores are shifted and divided: ``(head(h) - mean) / std``; buffers, so that they move with the head."""

    mean: Tensor
    std: Tensor

    def __init__(self, head: nn.Module, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(-1))  # [1 or K]
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(-1))  # [1 or K]

    def forward(self, hidden: Tensor) -> Tensor:
        scores: Tensor = (self.head(hidden) - self.mean) / self.std
        return scores
