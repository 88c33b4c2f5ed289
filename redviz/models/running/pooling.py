"""A score of the mean of all hidden states: of a causal trunk the mean up to every column, which one pass gives for all prefixes."""

from __future__ import annotations

import torch
from torch import Tensor


def running_mean(hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """The mean of the hidden states up to each column, of those that the mask shows: ``[B, S, D] -> [B, S, D]`` float32.

    Parameters
    ----------
    mask
        ``[B, n + S]``, of cached columns too, whose part is left out here (:func:`after`); anything but two axes shows every column.

    >>> running_mean(torch.tensor([[[9.0], [2.0], [4.0]]]), torch.tensor([[0, 1, 1]]))[0, :, 0].tolist()
    [0.0, 2.0, 3.0]
    """
    seen = _seen(hidden, mask)  # [B, S, 1]
    return (hidden.float() * seen).cumsum(1) / seen.cumsum(1).clamp(min=1)


def after(means: Tensor | None, hidden: Tensor, mask: Tensor | None = None) -> Tensor:
    """The running mean of a text whose first columns, ``[1, n, D]``, were pooled before and the rest alone: ``[B, S, D]``.

    Nothing is changed where there are no first columns, or the model does not pool (None).
    """
    if means is None or not means.shape[1]:
        return hidden
    count = _seen(hidden, mask).cumsum(1)  # [B, S, 1]
    before = means.shape[1]
    return (means[:, -1:] * before + hidden * count) / (before + count)


def packed(means: Tensor, hidden: Tensor, lengths: Tensor, size: int) -> Tensor:
    """The mean at the end of texts that share a beginning and whose ends run packed in one row: ``[C, D]``.

    Parameters
    ----------
    means
        The running mean of the shared columns, ``[L, D]``.
    hidden
        The running mean over the packed ends, as if they were one text, ``[C * size, D]``.
    lengths
        How many of the shared columns each text begins with, ``[C, 1]``.
    size
        Columns of one end.
    """
    count = torch.arange(size, len(hidden) + 1, size, device=hidden.device)[:, None]  # [C, 1]
    sums = hidden[size - 1 :: size] * count  # [C, D]: over this end and those before it
    own = torch.diff(sums, dim=0, prepend=torch.zeros_like(sums[:1]))
    return (means[lengths[:, 0] - 1] * lengths + own) / (lengths + size)


def _seen(hidden: Tensor, mask: Tensor | None) -> Tensor:
    """Which of these columns count, ``[B, S, 1]`` float32."""
    if not isinstance(mask, Tensor) or mask.dim() != 2:
        return torch.ones(*hidden.shape[:2], 1, device=hidden.device)
    return mask[:, -hidden.shape[1] :, None].float()
