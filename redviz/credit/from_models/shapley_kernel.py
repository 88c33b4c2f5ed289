"""Which coalitions Kernel SHAP asks about, and their weights."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np

from redviz.records import Array


def shapley_kernel(players: int, samples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Coalitions for Kernel SHAP, neither empty nor whole, and their weights.

    Parameters
    ----------
    players
        Of the game, ``P``.
    samples
        How many coalitions at most.
    rng
        What draws them.

    Returns
    -------
    rows, weights
        ``[N, P]`` bool, no two alike, and ``[N]``; the weights of a size sum to its part of the kernel, ``1 / (k (P - k))``.

    Examples
    --------
    >>> rows, weights = shapley_kernel(4, 8, np.random.default_rng(0))
    >>> rows.sum(1).tolist(), weights.round(3).tolist()
    ([1, 3, 1, 3, 1, 3, 2, 2], [0.111, 0.111, 0.111, 0.111, 0.111, 0.111, 0.125, 0.125])
    """
    paired = samples >= 2 * (players - 1)
    sizes = list(range(1, players // 2 + 1 if paired else players))  # of a coalition and, paired, of its complement
    held = {k: comb(players, k) * (2 if paired and 2 * k != players else 1) for k in sizes}
    mass = {k: held[k] / comb(players, k) / (k * (players - k)) for k in sizes}
    drawn: dict[int, list[tuple[int, ...]]] = {}
    left = samples
    while sizes and left * mass[sizes[0]] >= (1 - 1e-9) * held[sizes[0]] * sum(mass[k] for k in sizes):
        drawn[sizes[0]] = _all_of_size(players, sizes[0], paired)
        left -= held[sizes.pop(0)]
    quota = {k: left / (2 if paired else 1) * mass[k] / sum(mass[n] for n in sizes) for k in sizes}
    more = int(sum(quota.values()) + 1e-9) - sum(map(int, quota.values()))  # what rounding down has left over
    for place, k in enumerate(sorted(sizes, key=lambda k: int(quota[k]) - quota[k])):
        drawn[k] = _some_of_size(players, k, int(quota[k]) + (place < more), paired, rng)
    rows, weights = [np.zeros((0, players), bool)], [np.zeros(0)]
    for k, members in drawn.items():
        part = np.zeros((len(members), players), bool)
        for row, chosen in zip(part, members, strict=True):
            row[list(chosen)] = True
        rows.append(np.stack([part, ~part], 1).reshape(-1, players) if paired else part)
        weights.append(np.full(len(rows[-1]), mass[k] / max(1, len(rows[-1]))))
    return np.concatenate(rows), np.concatenate(weights)


def _all_of_size(players: int, size: int, paired: bool) -> list[tuple[int, ...]]:
    """Every coalition of a size; paired, where its complement is of that size too, one of the two."""
    found = combinations(range(players), size)
    return [chosen for chosen in found if not (paired and 2 * size == players) or 0 in chosen]


def _some_of_size(players: int, size: int, count: int, paired: bool, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """So many of :func:`_all_of_size`, all as likely and none twice."""
    if comb(players, size) <= 4 * count:
        known = _all_of_size(players, size, paired)
        return [known[n] for n in rng.choice(len(known), count, replace=False)]
    found: dict[tuple[int, ...], None] = {}
    while len(found) < count:
        order = rng.permutation(players).tolist()
        other = paired and 2 * size == players and 0 not in order[:size]
        found[tuple(sorted(order[size:] if other else order[:size]))] = None
    return list(found)
