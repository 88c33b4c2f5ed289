"""Read single rows of attention while the model runs on its fast kernel.

Transformers lets a model be pointed at a registered attention function. Ours hands the work to the SDPA kernel and, while a
:class:`Rows` capture is open, recomputes the few query rows that were asked for from the layer's own queries and keys. Memory is
layers x heads x length, never length squared. A :class:`Kept` capture holds the queries and keys themselves, as linear as a cache,
for methods that need more rows than they could hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

FAST = "redviz_sdpa"  # rows beside the SDPA kernel
PLAIN = "redviz_eager"  # rows beside a plain softmax, for the few models that refuse SDPA (Gemma 2, gpt-oss)


@dataclass
class Rows:
    """The query rows to read and, after the forward pass, their attention: one ``[B, R, heads, L]`` tensor per layer."""

    columns: Tensor  # [B, R] int64, the query columns
    only: tuple[int, int] | None = None  # one (layer, head), for a full map; None reads every layer and head
    layers: list[Tensor] = field(default_factory=list)
    passed: int = 0  # layers that have run


@dataclass(frozen=True)
class Layer:
    """What one attention layer worked with in a forward pass, from which any of its rows can be computed."""

    module: Any
    query: Tensor  # [B, H, L, d]
    key: Tensor  # [B, H_kv, L, d]
    value: Tensor  # [B, H_kv, L, d_v]; empty where every layer is kept
    mask: Tensor | None
    scaling: float
    softcap: float | None
    sinks: Tensor | None

    def rows(self, columns: Tensor) -> Tensor:
        """Attention of these query columns (``[B, R]``): ``[B, R, H, L]`` float32."""
        return attention_rows(self.query, self.key, self.mask, columns, self.scaling, self.softcap, self.sinks)


@dataclass
class Kept:
    """The layers of one forward pass, in the order they ran: all without their values, or the one asked for with them."""

    only: int | None = None  # -1 is the last
    layers: list[Layer] = field(default_factory=list)
    passed: int = 0  # layers that have run

    def add(self, layer: Layer) -> None:
        index, self.passed = self.passed, self.passed + 1
        if self.only is None:
            self.layers.append(replace(layer, value=layer.value[..., :0].clone()))
        elif self.only < 0:  # how many layers there are is known only at the end
            self.layers = [*self.layers, layer][self.only :]
        elif index == self.only:
            self.layers = [layer]


_open: ContextVar[Rows | None] = ContextVar("redviz_attention_rows", default=None)
_kept: ContextVar[Kept | None] = ContextVar("redviz_attention_layers", default=None)


@contextmanager
def reading(columns: Tensor, only: tuple[int, int] | None = None) -> Iterator[Rows]:
    """Read the attention of these query columns (``[B, R]``) in the one forward pass inside the block."""
    rows = Rows(columns, only)
    token = _open.set(rows)
    try:
        yield rows
    finally:
        _open.reset(token)


@contextmanager
def keeping(only: int | None = None) -> Iterator[Kept]:
    """Keep what the layers (or one of them) work with in the one forward pass inside the block."""
    kept = Kept(only)
    token = _kept.set(kept)
    try:
        yield kept
    finally:
        _kept.reset(token)


def attention_rows(
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    columns: Tensor,
    scaling: float,
    softcap: float | None = None,
    sinks: Tensor | None = None,
) -> Tensor:
    """Attention weights of some query columns, float32.

    Parameters
    ----------
    query, key
        ``[B, H, L, d]`` and ``[B, H_kv, L, d]``; query heads share key heads in groups.
    mask
        ``[B or 1, 1, L, L]``, boolean (True may be seen) or additive; None means plain causal.
    columns
        ``[B, R]`` query columns.
    sinks
        ``[H]`` logits of attention to nothing at all (gpt-oss).

    Returns
    -------
    Tensor
        ``[B, R, H, L]``; rows sum to 1, or to less where sinks take their share.
    """
    batch, heads, length, width = query.shape
    groups = key.shape[1]
    index = columns[:, None, :, None].expand(-1, heads, -1, width)  # [B, H, R, d]
    picked = query.gather(2, index).reshape(batch, groups, -1, width)  # [B, H_kv, g*R, d]
    logits = (picked.float() @ key.float().transpose(-1, -2)) * scaling  # [B, H_kv, g*R, L]
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    logits = logits.reshape(batch, heads, -1, key.shape[2])  # [B, H, R, L]
    if mask is None:
        ahead = torch.arange(key.shape[2], device=key.device) > columns[..., None]  # [B, R, L]
        logits = logits.masked_fill(ahead[:, None], float("-inf"))
    else:
        wide = mask.expand(batch, -1, -1, -1)
        seen = wide.gather(2, columns[:, None, :, None].expand(-1, wide.shape[1], -1, wide.shape[3]))  # [B, 1, R, L]
        logits = logits.masked_fill(~seen, float("-inf")) if seen.dtype == torch.bool else logits + seen.float()
    return _softmax(logits, sinks).transpose(1, 2)  # [B, R, H, L]


def _softmax(logits: Tensor, sinks: Tensor | None) -> Tensor:
    """Softmax over the keys, float32; sinks (``[H]``) take part in the sum and are then dropped: ``[B, H, R, L]``."""
    if sinks is None:
        return logits.softmax(-1, dtype=torch.float32)
    column = sinks.view(1, -1, 1, 1).expand(*logits.shape[:3], 1).to(logits.dtype)  # [B, H, R, 1]
    return torch.cat([logits, column], -1).softmax(-1, dtype=torch.float32)[..., :-1]


def _record(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    scaling: float | None,
    softcap: float | None,
    sinks: Tensor | None,
    causal: bool,
) -> None:
    rows, kept = _open.get(), _kept.get()
    if mask is None and not causal:  # every query sees every key: views, no memory
        mask = torch.ones((1, 1, 1, 1), dtype=torch.bool, device=query.device).expand(
            1, 1, query.shape[2], key.shape[2]
        )
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if kept is not None:
        kept.add(Layer(module, query, key, value, mask, scale, softcap, sinks))
    if rows is None:
        return
    layer, rows.passed = rows.passed, rows.passed + 1
    if rows.only is not None:
        if layer != rows.only[0]:
            return
        head = rows.only[1]
        shared = head // (query.shape[1] // key.shape[1])  # the key head this query head reads
        query, key = query[:, head : head + 1], key[:, shared : shared + 1]
        sinks = None if sinks is None else sinks[head : head + 1]
    rows.layers.append(attention_rows(query, key, mask, rows.columns, scale, softcap, sinks))


def _fast(module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any) -> Any:
    causal = kwargs.get("is_causal")  # as the kernel takes it: the call's word, else the module's
    causal = getattr(module, "is_causal", True) if causal is None else causal
    _record(
        module,
        query,
        key,
        value,
        attention_mask,
        kwargs.get("scaling"),
        kwargs.get("softcap"),
        kwargs.get("s_aux"),
        causal,
    )
    return ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask, **kwargs)


def _plain(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **kwargs: Any,
) -> Any:
    _record(module, query, key, value, attention_mask, scaling, softcap, s_aux, False)  # below, no mask hides nothing
    repeat = query.shape[1] // key.shape[1]
    keys, values = key.repeat_interleave(repeat, 1), value.repeat_interleave(repeat, 1)  # [B, H, L, d]
    logits = (query @ keys.transpose(-1, -2)) * (
        query.shape[-1] ** -0.5 if scaling is None else scaling
    )  # [B, H, L, L]
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    if attention_mask is not None:
        logits = logits + attention_mask[..., : keys.shape[2]]
    weights = _softmax(logits, s_aux).to(query.dtype)
    return (weights @ values).transpose(1, 2).contiguous(), None


# A registered attention function without a mask function of the same name gets no mask at all: right padding still looks right,
# left padding and sliding windows are silently wrong.
ALL_ATTENTION_FUNCTIONS.register(FAST, _fast)
ALL_MASK_ATTENTION_FUNCTIONS.register(FAST, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
ALL_ATTENTION_FUNCTIONS.register(PLAIN, _plain)
ALL_MASK_ATTENTION_FUNCTIONS.register(PLAIN, ALL_MASK_ATTENTION_FUNCTIONS["eager"])
