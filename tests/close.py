"""How far two float32 results may lie apart that differ only in the order of their sums, on whatever processor."""

from typing import Any

import numpy as np

EPS = float(np.finfo(np.float32).eps)  # 1.2e-7


def summed(*numbers: Any) -> float:
    """Of a sum of these float32 numbers: T eps sum |x|, whatever the order."""
    terms = np.abs(np.concatenate([np.ravel(np.asarray(n, np.float64)) for n in numbers]))
    return float(terms.size * EPS * terms.sum())


def recomputed(*numbers: Any) -> float:
    """Of what a tiny model gives twice, in batches of another shape or by other kernels: 100 eps of the largest number.

    A layer's sums are some 64 terms long, and two layers follow each other: 1.2e-5 for scores about 1, where a fault is 1e-3.
    """
    largest = [float(np.abs(np.asarray(n, np.float64)).max()) for n in numbers]
    return 100 * EPS * max([1.0, *largest])
