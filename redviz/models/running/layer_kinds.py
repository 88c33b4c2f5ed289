"""Models of which not every layer attends: linear, recurrent and convolutional ones stand between, or beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.observation import without_weights
from redviz.records import Array

WITHOUT = frozenset(
    {"linear_attention", "mamba", "conv", "recurrent", "moe", "mlp"}
)  # kinds of layers that have no map


def layer_kinds(module: Any) -> list[str]:
    """What each layer is, in the words of the config; [] where it does not say, and every layer attends."""
    return list(getattr(module.config.get_text_config(), "layer_types", None) or [])


def attending(kinds: Sequence[str]) -> list[int]:
    """The layers that have attention weights.

    >>> attending(["linear_attention", "full_attention", "hybrid", "conv"])
    [1, 2]
    """
    return [layer for layer, kind in enumerate(kinds) if kind not in WITHOUT]


def carries_state(module: Any) -> bool:
    """Whether some layers carry a state from token to token, which no mask hides."""
    kinds = set(layer_kinds(module))
    return bool(kinds & (WITHOUT | {"hybrid"})) or bool(getattr(module.base_model, "_is_stateful", False))


def order_of(kinds: Sequence[str], layer: int, name: str) -> int:
    """Which of the layers that attend, counted as they run, this one is (-1 is the last of all).

    Raises
    ------
    RedvizError
        Where this layer has no attention weights.
    """
    those = attending(kinds)
    if len(those) in (0, len(kinds)) or not -len(kinds) <= layer < len(kinds):
        return layer
    if layer % len(kinds) in those:
        return those.index(layer % len(kinds))
    raise RedvizError(without_weights(layer % len(kinds), those, name))


def in_place(rows: Array, kinds: Sequence[str]) -> Array | None:
    """Rows of the layers that attend, ``[B, layer, ...]``, each at its layer's place: of the layers between they are nan.

    None where it cannot be told which layer a row is of.
    """
    those = attending(kinds)
    if len(those) == len(kinds):
        return rows
    if rows.shape[1] != len(those):
        return None
    whole: Array = np.full((rows.shape[0], len(kinds), *rows.shape[2:]), np.nan, rows.dtype)
    whole[:, those] = rows
    return whole
