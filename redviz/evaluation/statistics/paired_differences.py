"""Which of several methods is better, by a figure per response: paired bootstrap differences with Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from redviz.evaluation.statistics.intervals import DRAWS, Estimate, resampling
from redviz.records import Array

ROUNDS = 10  # of a thousand draws each, at least
LEVEL = 0.05
ROOM = 5  # how far below the level the smallest p value can be after Holm's correction


@dataclass(frozen=True)
class Difference:
    """How much higher the figure of ``one`` is than that of ``two``, over the responses that have both.

    Attributes
    ----------
    p
        Two-sided, from the bootstrap draws on the other side of 0; never below what ``n`` responses can show at all,
        ``2 ** (1 - n)``: all differences of one sign.
    adjusted
        The same after Holm's correction for all pairs of the report.
    """

    one: str
    two: str
    estimate: Estimate
    p: float
    adjusted: float

    @property
    def significant(self) -> bool:
        return self.adjusted < LEVEL  # nan is not


def paired_differences(
    figures: ArrayLike, labels: Sequence[str], seed: int = 0, chosen: Sequence[tuple[str, str]] | None = None
) -> tuple[Difference, ...]:
    """Pairs of methods, on the same draws of responses, the better one first, largest difference first.

    Parameters
    ----------
    figures
        ``[n, m]``: a figure per response and method, nan where there is none.
    labels
        ``m`` names.
    chosen
        The pairs to compare, if not all.

    Examples
    --------
    >>> found = paired_differences([[0.5, 0.9], [0.4, 0.7], [0.6, 0.8]], ["abc", "red"])
    >>> found[0].one, round(found[0].estimate.value, 6)
    ('red', 0.3)
    """
    given = np.asarray(figures, np.float64).reshape(-1, len(labels))  # [n, m]
    asked = combinations(labels, 2) if chosen is None else chosen
    pairs = [(labels.index(one), labels.index(two)) for one, two in asked]
    if not pairs or not len(given):
        return ()
    apart = np.stack([given[:, a] - given[:, b] for a, b in pairs], 1)  # [n, pair]
    known = np.isfinite(apart)
    counts = known.sum(0)  # [pair]
    with np.errstate(divide="ignore", invalid="ignore"):
        means = np.where(known, apart, 0).sum(0) / counts  # [pair]
        drawn, p = _draws_and_p(apart, known, seed)
    adjusted = holm(p)
    differences = []
    for n, (a, b) in enumerate(pairs):
        own = drawn[np.isfinite(drawn[:, n]), n]
        low, high = np.quantile(own, (0.025, 0.975)) if len(own) else (np.nan, np.nan)
        one, two, sign = (labels[a], labels[b], 1) if not means[n] < 0 else (labels[b], labels[a], -1)
        low, high = (low, high) if sign > 0 else (-high, -low)
        estimate = Estimate(float(sign * means[n]), float(low), float(high), int(counts[n]))
        differences.append(Difference(one, two, estimate, float(p[n]), float(adjusted[n])))
    return tuple(sorted(differences, key=_largest_first))


def holm(p: ArrayLike) -> Array:
    """Holm's step-down adjustment of p values, ``[n]``; nan stays nan and does not count.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979).

    >>> holm([0.01, 0.04, 0.03]).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    given = np.asarray(p, np.float64)
    adjusted = np.full(given.shape, np.nan)
    known = np.flatnonzero(np.isfinite(given))
    order = known[np.argsort(given[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(given[order] * factors)) if len(order) else []
    return adjusted


def differences_in_words(differences: Sequence[Difference], figure: str) -> str:
    """Which differences are larger than chance and which are not, for a person."""
    if not differences:
        return "There are not two methods to compare."
    sure = [
        f"{d.one} over {d.two} by {d.estimate.value:.3f} ({d.estimate.low:.3f} to {d.estimate.high:.3f})"
        for d in differences
        if d.significant
    ]
    others = [f"{d.one} and {d.two}" for d in differences if not d.significant]
    many = "1 pair" if len(differences) == 1 else f"{len(differences)} pairs"
    said = [
        f"Larger than chance in {figure} (paired bootstrap over responses, Holm's correction for {many}, 5 %): "
        f"{'; '.join(sure) or 'none'}."
    ]
    if others:
        said.append(f"Not told apart: {'; '.join(others)}.")
    return " ".join(said)


def _drawn(apart: Array, known: Array, seed: Sequence[int]) -> Array:
    """Means of a thousand resamplings of responses, ``[draw, pair]``."""
    draws = resampling(len(apart), int(np.random.SeedSequence(seed).generate_state(1)[0]))
    size = draws.weights.shape[1]
    sums, counts = np.zeros((2, size, apart.shape[1]))  # [block, pair]
    np.add.at(sums, draws.block, np.where(known, apart, 0))
    np.add.at(counts, draws.block, known)
    found: Array = (draws.weights @ sums) / (draws.weights @ counts)
    return found


def _draws_and_p(apart: Array, known: Array, seed: int) -> tuple[Array, Array]:
    """The first draws, for intervals ``[draw, pair]``, and p values ``[pair]`` from as many as Holm's correction of them needs."""
    kept = []
    below, above, sizes = np.zeros((3, apart.shape[1]))
    for r in range(rounds_for(apart.shape[1])):
        own = _drawn(apart, known, [seed, r])
        kept += [own] if r < ROUNDS else []
        below, above, sizes = below + (own <= 0).sum(0), above + (own >= 0).sum(0), sizes + np.isfinite(own).sum(0)
    p = np.clip(2 * (1 + np.minimum(below, above)) / (1 + sizes), 0.5 ** (known.sum(0) - 1.0), 1.0)
    return np.concatenate(kept), np.where(sizes > 0, p, np.nan)


def rounds_for(pairs: int) -> int:
    """Rounds of draws, so that the smallest p value can be significant: Holm multiplies it by the number of pairs.

    >>> rounds_for(1), rounds_for(300)
    (10, 60)
    """
    return max(ROUNDS, math.ceil(2 * pairs * ROOM / (LEVEL * DRAWS)))


def _largest_first(difference: Difference) -> float:
    value = difference.estimate.value
    return -value if np.isfinite(value) else np.inf
