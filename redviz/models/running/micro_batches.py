"""Many rows through a model: as many at once as the device holds, fewer where memory runs out, in the order given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from redviz.errors import RedvizError
from redviz.models.running.budgets import Progress, within
from redviz.records import Array

Made = TypeVar("Made")


def micro_batches(
    order: Sequence[int],
    fitting: Callable[[Sequence[int]], int],
    run: Callable[[Sequence[int]], Made],
    too_large: Callable[[int], str],
    progress: Progress | None = None,
) -> Iterator[tuple[Sequence[int], Made]]:
    """Run rows in this order, and hand out each batch with what was made of it.

    Parameters
    ----------
    order
        The rows' numbers.
    fitting
        How many of the first of these one pass takes.
    run
        A pass over these rows. Where memory runs out in it, half as many are taken from there on.
    too_large
        The sentence where this row alone does not fit memory.
    progress
        Called with (rows done, rows) between passes; may raise to cancel.

    Raises
    ------
    RedvizError
        Where one row does not fit memory.
    """
    done, most = 0, len(order)
    while done < len(order):
        if progress is not None:
            progress(done, len(order))
        batch = order[done : done + most]
        batch = batch[: max(1, fitting(batch))]
        try:
            made = run(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise RedvizError(too_large(batch[0])) from None
            most = len(batch) // 2
            continue
        yield batch, made
        done += len(batch)
    if progress is not None and done:
        progress(done, done)


def in_batches(
    lengths: Sequence[int],
    budget: int,
    run: Callable[[Sequence[int]], Iterable[Made]],
    too_large: Callable[[int], str],
    progress: Progress | None = None,
    *,
    longest_first: bool = False,
) -> list[Made]:
    """What ``run`` makes of every row, in the order given; rows of like length run together (:func:`micro_batches`).

    Parameters
    ----------
    lengths
        Of the rows, in columns.
    budget
        Rows x columns of one padded pass.
    run
        A pass over the rows of these numbers, shortest first: one result for each.
    longest_first
        Whether the longest rows run first, so that what does not fit memory shows at once.
    """
    made: dict[int, Made] = {}
    order = sorted(range(len(lengths)), key=lambda row: lengths[row])

    def upwards(batch: Sequence[int]) -> dict[int, Made]:
        batch = batch[::-1] if longest_first else batch
        return dict(zip(batch, run(batch), strict=True))

    rows = order[::-1] if longest_first else order
    for _, own in micro_batches(rows, within(lengths, budget), upwards, too_large, progress):
        made |= own
    return [made[row] for row in range(len(lengths))]


def padded(rows: Sequence[Array | Sequence[int]], fill: int = 0, side: str = "right") -> tuple[Tensor, Tensor]:
    """Rows of ids as one batch, and the mask that says what is no padding: ``[B, L]`` int64 each."""
    each = [torch.tensor(row, dtype=torch.long) for row in rows]
    ids, mask = (
        pad_sequence(parts, batch_first=True, padding_value=filler, padding_side=side)
        for parts, filler in ((each, fill), ([torch.ones_like(row) for row in each], 0))
    )
    return ids, mask
