"""How far two people marked the same units of the same responses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from redviz.evaluation.agreement.rationales import token_f1
from redviz.evaluation.statistics.intervals import Estimate, Resampling, mean
from redviz.records import Array

Overlaps = Mapping[
    tuple[str, str], float
]  # of one response: pair of people -> token F1, nan where neither marked anything


@dataclass(frozen=True)
class PairOfPeople:
    """Token F1 of what two people marked, the sign being part of it: the mean over responses where one of them marked anything."""

    one: str
    two: str
    token_f1: Estimate
    both_unmarked: int  # responses that both submitted without a mark; not in the mean


def overlaps_of(people: Mapping[str, Array]) -> dict[tuple[str, str], float]:
    """Token F1 of every pair of people in one response, from their grades of its units; the sign of a mark has to agree.

    >>> overlaps_of({"ada": np.array([2.0, 0.0, -1.0]), "bob": np.array([1.0, 0.0, 1.0])})
    {('ada', 'bob'): 0.5}
    """
    sets = {name: {int(np.sign(own[u])) * (int(u) + 1) for u in own.nonzero()[0]} for name, own in people.items()}
    return {
        (a, b): token_f1(sets[a], sets[b]) if sets[a] or sets[b] else float("nan") for a, b in combinations(sets, 2)
    }


def mean_overlap(draws: Resampling, overlaps: Sequence[Overlaps], name: str | None = None) -> Estimate:
    """Mean over responses of the mean over pairs of people; of one person's pairs only, where a name is given."""
    chosen = [[f1 for pair, f1 in own.items() if name is None or name in pair] for own in overlaps]
    return _mean(draws, chosen)


def pairs_of_people(names: Sequence[str], overlaps: Sequence[Overlaps], draws: Resampling) -> tuple[PairOfPeople, ...]:
    """Every pair of people who judged a response both."""
    pairs = []
    for one, two in combinations(names, 2):
        own = [[f1 for pair in ((one, two), (two, one)) if (f1 := given.get(pair)) is not None] for given in overlaps]
        if any(own):
            unmarked = sum(bool(np.isnan(f1)) for f1s in own for f1 in f1s)
            pairs.append(PairOfPeople(one, two, _mean(draws, own), unmarked))
    return tuple(pairs)


def _mean(draws: Resampling, overlaps: Sequence[Sequence[float]]) -> Estimate:
    known = [[f1 for f1 in own if np.isfinite(f1)] for own in overlaps]
    sums = np.array([(1.0, np.mean(own)) if own else (0.0, 0.0) for own in known])  # [response, 2]
    return draws.estimate(sums, mean, int(sums[:, 0].sum()))
