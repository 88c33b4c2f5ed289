"""Erasure: what a model's score loses without a method's favourite tokens, and what they keep of it alone (DeYoung et al. 2020).

The removal operator is part of the result: fix it and report it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from redviz.errors import RedvizError

FRACTIONS = (0.01, 0.05, 0.10, 0.20, 0.50)  # of the tokens, ERASER's


def comprehensiveness(score: float, without: Sequence[float]) -> float:
    """Area over the perturbation curve when the top tokens go: the mean of ``f(x) - f(x without top k)``; higher is better.

    Parameters
    ----------
    score
        ``f(x)``.
    without
        The score without the top tokens, one number per threshold (``FRACTIONS``); k = 0 is not counted, as in ERASER's code.

    Examples
    --------
    >>> round(comprehensiveness(1.4, [1.2, 0.9, 0.6, 0.1, -0.4]), 2)
    0.92
    """
    return score - _mean(without)


def sufficiency(score: float, only: Sequence[float]) -> float:
    """The mean of ``f(x) - f(top k alone)``; lower is better. Arguments as in :func:`comprehensiveness`.

    >>> round(sufficiency(1.4, [0.3, 0.5, 0.8, 1.1, 1.3]), 2)
    0.6
    """
    return score - _mean(only)


def _mean(scores: Sequence[float]) -> float:
    if not len(scores):
        raise RedvizError("There are no scores of altered responses; give one per threshold.")
    return float(np.mean(np.asarray(scores, np.float64)))
