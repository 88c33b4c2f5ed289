"""Bootstrap intervals of statistics that are functions of sums over units (pairs, responses), and Wilson's of shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from redviz.records import Array

DRAWS = 1_000
MOST_BLOCKS = 2_000
NORMAL = 1.959963984540054  # 97.5 % of a normal distribution lie below
NOTHING = 1e-12  # a variance below this share of the mean square is rounding


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval and the units it comes from; nan where it is not defined, as an interval of one unit."""

    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Resampling:
    """Draws with replacement, the same for every statistic of one report, so that its figures belong together."""

    block: Array  # [n] int64: the block of each unit
    weights: Array  # [draw, block] float64: how often a block was drawn

    def estimate(self, sums: ArrayLike, statistic: Callable[[Array], Array], count: int | None = None) -> Estimate:
        """The statistic of all units and its percentile interval.

        Parameters
        ----------
        sums
            ``[n, k]``: what each unit adds to each sum.
        statistic
            From sums ``[..., k]`` to figures ``[...]``.
        count
            Units that it comes from, where they are not all.
        """
        given = np.asarray(sums, np.float64)  # [n, k]
        size = len(given) if count is None else count
        if not size:
            return Estimate(float("nan"), float("nan"), float("nan"), 0)
        blocks = np.zeros((self.weights.shape[1], given.shape[1]))  # [block, k]
        np.add.at(blocks, self.block, given)
        with np.errstate(divide="ignore", invalid="ignore"):
            value = float(statistic(given.sum(0)))
            if size == 1:  # resampled, one unit is always itself
                return Estimate(value, float("nan"), float("nan"), size)
            drawn = statistic(self.weights @ blocks)  # [draw]
        known = drawn[np.isfinite(drawn)]
        low, high = np.quantile(known, (0.025, 0.975)) if len(known) else (np.nan, np.nan)
        return Estimate(value, float(low), float(high), size)


def resampling(n: int, seed: int = 0) -> Resampling:
    """Draws over ``n`` units. Many units are put into blocks at random first: they are exchangeable, so blocks of them are too.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), percentile intervals.
    """
    random = np.random.default_rng(seed)
    blocks = max(1, min(n, MOST_BLOCKS))
    place = random.permutation(n) % blocks if n > blocks else np.arange(n)  # [n]
    weights = random.multinomial(blocks, np.full(blocks, 1 / blocks), DRAWS)  # [draw, block]
    return Resampling(place, weights.astype(np.float64))


def share(values: ArrayLike) -> Estimate:
    """The mean of ones and zeros, ``[n]`` (a tie is one half), with Wilson's interval.

    The bootstrap has no interval for 5 of 5 and covers too rarely near 0 and 1. Ties vary less than ones and zeros, so where there
    are some the interval is a little too wide.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference (1927).

    >>> found = share([1, 1, 1, 1, 1])
    >>> found.value, round(found.low, 3), found.high
    (1.0, 0.566, 1.0)
    """
    given = np.asarray(values, np.float64)
    n = len(given)
    if not n:
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    value = float(given.mean())
    if n == 1:
        return Estimate(value, float("nan"), float("nan"), 1)
    middle = (value + NORMAL**2 / (2 * n)) / (1 + NORMAL**2 / n)
    half = NORMAL / (1 + NORMAL**2 / n) * np.sqrt(value * (1 - value) / n + NORMAL**2 / (4 * n**2))
    return Estimate(value, max(0.0, min(value, float(middle - half))), min(1.0, max(value, float(middle + half))), n)


def mean(sums: Array) -> Array:
    """From ``[..., (count, sum)]``."""
    return sums[..., 1] / sums[..., 0]


def variance(count: Array, total: Array, squares: Array) -> Array:
    """Of a population given by its sums; 0 where only rounding is left."""
    found = squares / count - (total / count) ** 2
    return np.where(found > NOTHING * squares / count, found, 0.0)


def correlation(sums: Array) -> Array:
    """Pearson's, from ``[..., (count, x, y, xx, yy, xy)]``; nan where one does not vary."""
    count, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    return (xy / count - x * y / count**2) / np.sqrt(variance(count, x, xx) * variance(count, y, yy))


def correlation_sums(x: ArrayLike, y: ArrayLike) -> Array:
    """What each unit adds to :func:`correlation`: ``[n, 6]`` from ``[n]`` or ``[n, several]``. Means are taken out first."""
    one, two = (np.asarray(given, np.float64).reshape(len(np.asarray(given)), -1) for given in (x, y))  # [n, m]
    one, two = one - one.mean(), two - two.mean()
    return np.stack([np.ones_like(one), one, two, one**2, two**2, one * two], -1).sum(1)
