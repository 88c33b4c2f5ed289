"""Attention-based credit: ABC, "Dense Reward for Free" (arXiv 2402.00782)."""

from collections.abc import Sequence

import numpy as np

from redviz.errors import RedvizError
from redviz.observation import without_weights
from redviz.records import Array, Credit, Encoding, Observation

ROWS = ("response", "pooling")


def abc(
    observation: Observation,
    *,
    layer: int = -1,
    heads: int | Sequence[int] | None = None,
    b: float = 1.0,
    row: str = "response",
) -> Credit:
    """Split the score over the response by the attention that the model pays when the score is read.

    ``r_t = b * R * alpha_t + 1[t = T] * (1 - b) * R``, alpha renormalised over the response. All credits share the score's sign, and
    each depends on the whole response (hindsight).

    Parameters
    ----------
    observation
        One forward pass of the reward model.
    layer
        Which layer's attention; -1 is the last, the paper's choice.
    heads
        Which head, or which heads to average; None takes all, the paper's choice.
    b
        The share of the score that is split; the rest stays on the last token. The paper's experiments use 0.8, its sweep is best at 1.
    row
        "response": the row of the last response token, as the authors' code does. "pooling": of the token where the score is read.

    Returns
    -------
    Credit
        ``[T]``; sums to the score.
    """
    if not 0.0 <= b <= 1.0:
        raise RedvizError(
            f"b is {b}; it is the share of the score that attention splits, so give a number from 0 to 1."
        )
    alpha = response_attention(observation, layer=layer, heads=heads, row=row)  # [T]
    values = b * observation.score * alpha
    values[-1] += (1.0 - b) * observation.score
    return Credit(values.astype(np.float32), observation.score, 0.0)


def response_attention(
    observation: Observation, *, layer: int = -1, heads: int | Sequence[int] | None = None, row: str = "response"
) -> Array:
    """Head-mean attention over the response's tokens, renormalised to sum 1: ``[T]`` float64."""
    check_row(row)
    rows = observation.response_row if row == "response" else observation.pooling_row  # [layer, head, L]
    if rows is None:
        raise RedvizError(
            "This model shows no attention weights of one token that reads its score, so attention-based credit is not defined for it; "
            "use red or ig."
        )
    if not -len(rows) <= layer < len(rows):
        raise RedvizError(f"layer is {layer}; this model has layers 0 to {len(rows) - 1} (or -1 for the last).")
    if np.isnan(rows[layer]).any():
        raise RedvizError(without_weights(layer % len(rows), layers_that_attend(rows), "this model"))
    picked = list(range(rows.shape[1])) if heads is None else [heads] if isinstance(heads, int) else list(heads)
    if not picked or any(not 0 <= h < rows.shape[1] for h in picked):
        raise RedvizError(f"heads is {heads}; this model has heads 0 to {rows.shape[1] - 1} (None takes all).")
    return response_shares(rows[layer, picked].astype(np.float64).mean(0), observation.encoding)


def layers_that_attend(rows: Array) -> list[int]:
    """Of rows ``[layer, head, L]``, the layers that have some: the others are nan."""
    return [int(layer) for layer in np.flatnonzero(np.isfinite(rows).all((1, 2)))]


def response_shares(weights: Array, encoding: Encoding) -> Array:
    """The response's part of one weight per column (``[L]``), renormalised to sum 1: ``[T]`` float64."""
    own = weights[encoding.start : encoding.stop].astype(np.float64)  # [T]
    mass = own.sum()
    if mass <= 0:
        raise RedvizError("This row pays no attention to the response at all; choose another layer, head or row.")
    shares: Array = own / mass
    return shares


def check_row(row: str) -> None:
    """RedvizError unless it names one of the two rows."""
    if row not in ROWS:
        raise RedvizError(f"row is {row!r}; use one of {', '.join(ROWS)}.")
