"""How many rows one pass of a model takes. No torch here: a function of text needs none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Progress = Callable[[int, int], None]  # (done, total)

# How much one pass takes, by device. On a CPU a wider pass saves little, and progress and cancelling wait for its end.
AT_ONCE = {
    "forward": {"cpu": 2048, "cuda": 65536, "mps": 16384},  # rows x columns
    "responses": {"cpu": 8192, "cuda": 65536, "mps": 16384},  # rows x columns, where nobody waits for one example
    "backward": {"cpu": 2048, "cuda": 32768, "mps": 8192},  # rows x columns whose activations are kept for a gradient
    "closing": {"cpu": 256, "cuda": 1024, "mps": 1024},  # closing tokens: their mask grows with their square
    "weights": {"cpu": 2**23, "cuda": 2**27, "mps": 2**25},  # rows x heads x columns of attention
    "logits": {"cpu": 2**24, "cuda": 2**24, "mps": 2**24},  # columns x vocabulary, float32
}


def at_once(what: str, device: object) -> int:
    """How much of this one pass takes on a device (``AT_ONCE``)."""
    return AT_ONCE[what][str(device).partition(":")[0]]


def within(lengths: Sequence[int], budget: int) -> Callable[[Sequence[int]], int]:
    """How many of the first of some rows fit a padded batch of ``budget`` rows x columns; one always does."""

    def fitting(rows: Sequence[int]) -> int:
        width = 0
        for count, row in enumerate(rows):
            width = max(width, lengths[row])
            if count and (count + 1) * width > budget:
                return count
        return len(rows)

    return fitting
