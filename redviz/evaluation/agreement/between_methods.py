"""How far methods agree with each other, and the words where they part most."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from heapq import nlargest
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import hypergeom, rankdata

from redviz.errors import RedvizError
from redviz.evaluation.agreement.labelled_units import top_places
from redviz.evaluation.statistics.pairs import disagreement, plain
from redviz.records import Analysis, Array
from redviz.text import Unit, pool, units, visible

FEWEST_UNITS = 5  # in fewer, a place more or less is a large share of all places


@dataclass(frozen=True)
class Parting:
    """A unit that two methods rank far apart.

    Attributes
    ----------
    apart
        Difference of its places, as a share of all places of its response: 1 where one method has it first and the other last.
    value_one, value_two
        Its credits.
    rank_one, rank_two
        Its places by credit, 0 the lowest and 1 the highest.
    """

    one: str
    two: str
    id: str
    text: str
    start: int
    end: int
    value_one: float
    value_two: float
    rank_one: float
    rank_two: float
    apart: float


@dataclass(frozen=True)
class BetweenReport:
    """Agreement of methods with each other.

    Attributes
    ----------
    spearman
        ``[label, label]``: rank correlation over units, averaged over responses; nan where no response has both or one is constant.
    overlap
        ``[label, label]``: Jaccard index of the ``k`` units with the largest absolute credits, averaged over responses.
    counts
        ``[label, label]``: responses behind ``spearman``.
    chance
        The overlap that two random choices are expected to have.
    partings
        Units where methods part most, furthest first.
    """

    labels: tuple[str, ...]
    granularity: str
    responses: int
    left_out: int
    share: float
    k: int | None
    spearman: Array
    overlap: Array
    counts: Array
    chance: float
    partings: tuple[Parting, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; nan as null."""
        found: dict[str, Any] = plain(asdict(self))
        return found

    def rows(self) -> list[dict[str, Any]]:
        """One row per pair of methods: ``one``, ``two``, ``spearman``, ``overlap``, ``responses``."""
        return [
            plain(
                {
                    "one": self.labels[i],
                    "two": self.labels[j],
                    "spearman": self.spearman[i, j],
                    "overlap": self.overlap[i, j],
                    "responses": self.counts[i, j],
                }
            )
            for i, j in combinations(range(len(self.labels)), 2)
        ]


def between_methods(
    analyses: Iterable[Analysis],
    granularity: str = "word",
    *,
    share: float = 0.1,
    k: int | None = None,
    most: int = 10,
    seed: int = 0,
) -> BetweenReport:
    """Compare every pair of methods over the units of the responses.

    Parameters
    ----------
    share, k
        Units taken for the overlap: this share of a response's units, rounded up, or ``k`` of them. Equal credits at the cut are
        chosen from at random, by each method for itself.
    most
        Units listed where methods part, of every pair of methods.

    Raises
    ------
    RedvizError
        Where no analysis has the credits of two methods.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> found = between_methods([redviz.analyze(model, "Review it.", "A superb, moving film.", methods=["red", "occlusion"])])
    >>> found.labels, round(float(found.spearman[0, 0]), 6)
    (('red', 'occlusion'), 1.0)
    """
    if (k is None and not 0 < share <= 1) or (k is not None and k < 1):
        raise RedvizError(f"share is {share} and k is {k}; give a share above 0 and up to 1, or a k of at least 1.")
    pooled: list[dict[str, Array]] = []
    overlaps: dict[tuple[str, str], list[float]] = defaultdict(list)
    chances: list[float] = []
    partings: dict[tuple[str, str], list[Parting]] = {}
    left_out = 0
    for n, analysis in enumerate(analyses):
        groups = units(analysis.response, analysis.offsets, granularity)
        own = {label: pool(credit.own, groups) for label, credit in analysis.credits.items()}
        own = {label: values for label, values in own.items() if np.isfinite(values).all()}
        if len(own) < 2 or not groups:
            left_out += 1
            continue
        pooled.append(own)
        size = min(len(groups), max(1, math.ceil(round(share * len(groups), 9))) if k is None else k)
        random = np.random.default_rng([seed, n])
        tops = {
            label: set(top_places(np.abs(v), size, random.permutation(len(v))).tolist()) for label, v in own.items()
        }
        apart_here = _partings(analysis.example.id, groups, own, most)
        for pair in combinations(own, 2):
            partings[pair] = nlargest(most, [*partings.get(pair, []), *apart_here.get(pair, [])], key=_distance)
            overlaps[pair].append(len(tops[pair[0]] & tops[pair[1]]) / len(tops[pair[0]] | tops[pair[1]]))
        chances.append(chance_overlap(len(groups), size))
    if not pooled:
        raise RedvizError("No analysis has the credits of two methods; ask for at least two.")
    apart = disagreement(pooled)
    return BetweenReport(
        apart.labels,
        granularity,
        len(pooled),
        left_out,
        share,
        k,
        1 - apart.matrix,
        _matrix(apart.labels, overlaps),
        apart.counts,
        float(np.mean(chances)),
        tuple(sorted((found for own in partings.values() for found in own), key=_distance, reverse=True)),
    )


def chance_overlap(units: int, k: int) -> float:
    """Expected Jaccard index of two random choices of ``k`` out of so many units.

    >>> round(chance_overlap(2, 1), 6)
    0.5
    """
    both = np.arange(k + 1)
    return float((hypergeom.pmf(both, units, k, k) * both / (2 * k - both)).sum())


def _matrix(labels: Sequence[str], found: Mapping[tuple[str, str], Sequence[float]]) -> Array:
    matrix = np.eye(len(labels))
    for i, j in combinations(range(len(labels)), 2):
        own = [*found.get((labels[i], labels[j]), []), *found.get((labels[j], labels[i]), [])]
        matrix[i, j] = matrix[j, i] = np.mean(own) if own else np.nan
    return matrix


def _partings(
    id: str, groups: Sequence[Unit], credits: Mapping[str, Array], most: int
) -> dict[tuple[str, str], list[Parting]]:
    """The units of one response that every pair of methods ranks furthest apart."""
    shown = np.array([not visible(unit.text) for unit in groups])  # [U]
    size = len(groups)
    if size < FEWEST_UNITS:
        return {}
    ranks = {label: (rankdata(values) - 1) / (size - 1) for label, values in credits.items() if np.ptp(values) > 0}
    partings: dict[tuple[str, str], list[Parting]] = {}
    for (one, a), (two, b) in combinations(ranks.items(), 2):
        apart = np.abs(a - b)  # [U]
        furthest = [int(u) for u in np.argsort(-apart, kind="stable") if shown[u]][:most]
        partings[one, two] = [
            Parting(
                *(one, two, id, groups[u].text, groups[u].start, groups[u].end),
                *(float(own[u]) for own in (credits[one], credits[two], a, b, apart)),
            )
            for u in furthest
        ]
    return partings


def _distance(parting: Parting) -> float:
    return parting.apart
