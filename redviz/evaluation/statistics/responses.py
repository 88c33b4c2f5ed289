"""Several chosen and several rejected responses of one prompt: what it takes to put all of the first above all others."""

from __future__ import annotations

from dataclasses import dataclass
from math import comb

import numpy as np

from redviz.records import Array


@dataclass(frozen=True)
class Responses:
    """All chosen and rejected responses of ``n`` examples, of which each has at least one of either.

    Examples
    --------
    >>> every = Responses(np.array([0, 0, 0]), np.array([True, False, False]), np.array([2.0, 1.0, 3.0]), np.ones(3))
    >>> every.margins(every.scores), every.comparisons()[0], round(every.chance(), 3)
    (array([-1.]), array([ 1., -1.]), 0.333)
    """

    of: Array  # [r] which example
    chosen: Array  # [r] bool
    scores: Array  # [r] float64
    lengths: Array  # [r] float64, tokens

    def margins(self, values: Array) -> Array:
        """How far the lowest of the chosen is above the highest of the rejected, ``[n]`` from ``[r]``."""
        count = int(self.of.max()) + 1
        lowest, highest = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(lowest, self.of[self.chosen], values[self.chosen])
        np.maximum.at(highest, self.of[~self.chosen], values[~self.chosen])
        return lowest - highest

    def comparisons(self) -> tuple[Array, Array]:
        """Every chosen response against every rejected one of its example: margins and examples, ``[c]`` each."""
        order = np.argsort(self.of, kind="stable")
        scores, chosen = self.scores[order], self.chosen[order]
        ends = np.cumsum(np.bincount(self.of))
        margins = [
            (scores[start:end][chosen[start:end]][:, None] - scores[start:end][~chosen[start:end]]).ravel()
            for start, end in zip([0, *ends[:-1]], ends, strict=True)
        ]
        return np.concatenate(margins), np.repeat(np.arange(len(ends)), [len(own) for own in margins])

    def chance(self) -> float:
        """How often a random order has all chosen responses above all rejected ones, averaged over examples."""
        total, chosen = np.bincount(self.of), np.bincount(self.of, self.chosen)
        return float(np.mean([1 / comb(int(n), int(k)) for n, k in zip(total, chosen, strict=True)]))


def added_up(values: Array, of: Array) -> Array:
    """What the responses or comparisons of each example add up to: ``[n, ...]`` from ``[r, ...]``."""
    sums = np.zeros((int(of.max()) + 1, *values.shape[1:]))
    np.add.at(sums, of, values)
    return sums
