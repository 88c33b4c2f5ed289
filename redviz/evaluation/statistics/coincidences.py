"""Krippendorff's alpha from sums over responses, so that resampling responses costs one product of matrices.

The coincidence matrix of a set of responses is the sum of theirs: ``o_ck = sum over units of pairs(c, k) / (m_u - 1)``, over ordered
pairs of different people. Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from redviz.errors import RedvizError
from redviz.records import Array

LEVELS = ("nominal", "ordinal", "interval")


def coincidences(ratings: Mapping[str, ArrayLike], values: ArrayLike) -> dict[str, Array]:
    """What every person adds to the coincidence matrix of one response, with the others: name -> ``[V, V]``; their sum is the matrix.

    Parameters
    ----------
    ratings
        Name -> grades of the ``U`` units. Who did not annotate the response is not named.
    values
        ``V`` grades in ascending order, among them all that occur.

    Examples
    --------
    >>> found = coincidences({"ada": [1, 1, 0], "bob": [1, 0, 0]}, [0, 1])
    >>> found["ada"].tolist()
    [[1.0, 0.0], [1.0, 1.0]]
    """
    given = np.array([np.asarray(own, np.float64) for own in ratings.values()])  # [person, U]
    size = len(np.asarray(values))
    if len(given) < 2:
        return {name: np.zeros((size, size)) for name in ratings}
    held = (given[..., None] == np.asarray(values, np.float64)).astype(np.float64)  # [person, U, V]
    others = (held.sum(0) - held) / (len(given) - 1)  # [person, U, V]
    return {name: held[n].T @ others[n] for n, name in enumerate(ratings)}


def alpha_of(coincidence: Array, values: ArrayLike, level: str) -> Array:
    """Alpha of coincidence matrices ``[..., V, V]``: ``[...]``; nan where nothing varies.

    >>> two = coincidences({"ada": [1, 1, 0, 0, 1, 0], "bob": [1, 0, 0, 0, 1, 1]}, [0, 1])
    >>> round(float(alpha_of(sum(two.values()), [0, 1], "nominal")), 5)
    0.38889
    """
    counts = coincidence.sum(-1)  # [..., V]
    apart = distances(counts, values, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = (coincidence * apart).sum((-2, -1)) / counts.sum(-1)
        return np.asarray(1 - observed / expected_distance(counts, apart))


def expected_distance(counts: Array, apart: Array) -> Array:
    """Mean distance of two ratings drawn from all, without replacement: from counts ``[..., V]`` and distances ``[..., V, V]``."""
    total = counts.sum(-1)
    return np.asarray(np.einsum("...c,...k,...ck->...", counts, counts, apart) / (total * (total - 1)))


def distances(counts: Array, values: ArrayLike, level: str) -> Array:
    """Squared distance of any two grades: ``[..., V, V]`` from the counts of the grades ``[..., V]``."""
    given = np.asarray(values, np.float64)  # [V]
    if level == "nominal":
        return np.broadcast_to((given[:, None] != given).astype(np.float64), (*counts.shape, len(given)))
    if level == "interval":
        return np.broadcast_to((given[:, None] - given) ** 2, (*counts.shape, len(given)))
    if level == "ordinal":  # sum over g from c to k of n_g, minus half of n_c + n_k: a difference of mid-ranks
        middle = counts.cumsum(-1) - counts / 2  # [..., V]
        return (middle[..., :, None] - middle[..., None, :]) ** 2
    raise RedvizError(f"Unknown level {level!r}; use one of {', '.join(LEVELS)}.")
