"""Token rewards of P2T: gradient attributions through a softmax (CVPR 2026)."""

from __future__ import annotations

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Array

FORMS = ("published", "shares", "raw")
MOST_OMEGA = 100.0


def p2t_rewards(attributions: Array, score: float, *, omega: float = 0.6, form: str = "published") -> Array:
    """Token rewards from attributions ``I_t`` (P2T, "Unlocking Token Rewards via Training-Free Reward Attribution").

    Parameters
    ----------
    attributions
        ``I``, ``[T]``, in the unit of the score.
    score
        The reward ``R`` of the whole response.
    omega
        Weight of what varies from token to token; 0.6 in the paper. Used by "published".
    form
        "published": ``R + omega * R * softmax(I)_t``, which sums to ``(T + omega) * R`` (the paper says R). "shares":
        ``R * softmax(I)_t``, which sums to R. "raw": ``I_t`` itself.

    Returns
    -------
    Array
        ``[T]`` float64.

    Examples
    --------
    >>> p2t_rewards(np.array([0.0, 1.0, -1.0, 0.5]), 1.4).round(4).tolist()
    [1.5465, 1.7982, 1.4539, 1.6415]
    """
    if form not in FORMS:
        raise RedvizError(f"form is {form!r}; use one of {', '.join(FORMS)}.")
    if not 0.0 <= omega <= MOST_OMEGA:
        raise RedvizError(f"omega is {omega}; give a number from 0 to {MOST_OMEGA:g} (the paper's is 0.6).")
    given = attributions.astype(np.float64)  # [T]
    if form == "raw":
        return given
    shares = np.exp(given - given.max())  # [T]
    shares /= shares.sum()
    return score * shares if form == "shares" else score + omega * score * shares
