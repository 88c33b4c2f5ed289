"""Units of a response removed in an order: which altered responses that takes, and the score of each, scored once.

How a unit is removed, and how the many altered responses are run together over the keys and values that they share, is
:func:`redviz.credit.from_models.coalitions.value_function`'s business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from redviz.errors import RedvizError
from redviz.evaluation.faithfulness.causal_agreement import pearson
from redviz.evaluation.faithfulness.erasure import comprehensiveness, sufficiency
from redviz.models.running.budgets import Progress
from redviz.records import Array, Observation
from redviz.text import Unit

if TYPE_CHECKING:
    from redviz.credit.from_models.coalitions import Model, Value

# What is better of each
MEASURES = {"deletion_area": "lower", "insertion_area": "higher", "comprehensiveness": "higher", "sufficiency": "lower"}

ROUNDING = 1e-9  # 0.07 x 100 is a little over 7


@dataclass(frozen=True)
class Curves:
    """What the model says while units go, and while they come, in one order.

    Attributes
    ----------
    deletion
        ``[K]``: the score without the first k units, k over the grid (:func:`grid`); it begins at the whole response.
    insertion
        ``[K]``: the score of the first k units alone; it begins where nothing is left.
    """

    deletion: Array  # [K] float64
    insertion: Array  # [K] float64

    @property
    def reversed(self) -> Curves:
        """The curves of the opposite order: to take its first k away is to leave this one's first P - k."""
        return Curves(self.insertion[::-1], self.deletion[::-1])


@dataclass(frozen=True)
class Removed:
    """Altered responses along several orders.

    Attributes
    ----------
    kept
        ``[order, 2, K, P]``: which units stay; first the deletion, then the insertion.
    scores
        ``[order, 2, K]`` float64.
    altered
        How many different responses that were, the whole one not counted.
    """

    kept: Array
    scores: Array
    altered: int

    @property
    def curves(self) -> list[Curves]:
        """One per order."""
        return [Curves(deletion, insertion) for deletion, insertion in self.scores]


def units_taken(fractions: Sequence[float], units: int) -> Array:
    """How many units each fraction is: rounded up, so that even a small one takes the first unit. ``[F]`` int64.

    >>> units_taken((0.01, 0.05, 0.10, 0.20, 0.50), 30).tolist()
    [1, 2, 3, 6, 15]
    """
    if not len(fractions) or not all(0 < fraction <= 1 for fraction in fractions):
        raise RedvizError(f"fractions are {list(fractions)}; give shares of the units over 0 and up to 1, such as 0.1.")
    return np.ceil(np.asarray(fractions, np.float64) * units - ROUNDING).astype(np.int64)


def grid(taken: Array, units: int) -> Array:
    """The counts at which curves are known: none, one, what is taken, and what is left by these. ``[K]`` int64, mirrored.

    Taking k in one order leaves what taking P - k in the opposite order leaves; on a grid that is its own mirror image, one order
    serves both.

    >>> grid(np.array([2, 15]), 30).tolist()
    [0, 1, 2, 15, 28, 29, 30]
    """
    given = np.array([0, 1, *taken])
    return np.unique([given, units - given])


def decreasing(credits: Array, ties: Array) -> Array:
    """Units by decreasing credit, ``[P]``; equal ones in the order of ``ties`` (a permutation), never of their places.

    >>> decreasing(np.array([1.0, 3.0, 1.0]), np.array([2, 1, 0])).tolist()
    [1, 2, 0]
    """
    return np.lexsort((np.argsort(ties), -credits))


def remove_in_order(value: Value, orders: Array, counts: Array, progress: Progress | None = None) -> Removed:
    """Score what is left along several orders, all altered responses in one call, equal ones once.

    Parameters
    ----------
    value
        From :func:`redviz.credit.from_models.coalitions.value_function`.
    orders
        Permutations of the units, ``[order, P]``.
    counts
        From :func:`grid`, ``[K]``.
    progress
        Called with (altered responses scored, altered responses); may raise to cancel.
    """
    import torch

    place = np.argsort(orders, 1)  # [order, P]: when a unit's turn is
    first = place[:, None] < counts[:, None]  # [order, K, P]
    kept = np.stack([~first, first], 1)  # [order, 2, K, P]
    rows = kept.reshape(-1, kept.shape[-1])
    scores = value(torch.from_numpy(rows.astype(np.float32)), progress).numpy()
    different = np.unique(np.packbits(rows, 1), axis=0)
    return Removed(kept, scores.astype(np.float64).reshape(kept.shape[:-1]), len(different) - 1)


def figures(curves: Curves, counts: Array, taken: Array, scale: float, sign: float = 1.0) -> dict[str, float]:
    """The measures of one order: each of :data:`MEASURES`, and again, divided by ``scale``, with ``_normalised`` after its name.

    Parameters
    ----------
    curves, counts
        The scores ``[K]`` and at how many units each was taken, from 0 to all.
    taken
        The counts that comprehensiveness and sufficiency average over, ``[F]``.
    scale
        What the whole response is worth; nan where that is near nothing, and the normalised figures are nan too. An area is normalised
        from the level where nothing is left.
    sign
        -1 measures the negated score: what is better stays the same.

    Returns
    -------
    dict[str, float]
        Areas are trapezoids of the score over the share of the units that is gone (deletion) or there (insertion).

    Examples
    --------
    >>> curves = Curves(np.array([3.0, 1.0, 0.0]), np.array([0.0, 2.0, 3.0]))
    >>> found = figures(curves, np.array([0, 1, 2]), np.array([1]), scale=3.0)
    >>> found["deletion_area"], found["insertion_area"], found["comprehensiveness"], found["sufficiency"]
    (1.25, 1.75, 2.0, 1.0)
    """
    at = np.searchsorted(counts, taken)  # [F]
    deletion, insertion = sign * curves.deletion, sign * curves.insertion
    score, nothing = float(deletion[0]), float(deletion[-1])
    areas = [float(np.trapezoid(line, counts / counts[-1])) for line in (deletion, insertion)]
    losses = [comprehensiveness(score, deletion[at].tolist()), sufficiency(score, insertion[at].tolist())]
    normalised = [figure / scale for figure in (*(area - nothing for area in areas), *losses)]
    raw = dict(zip(MEASURES, [*areas, *losses], strict=True))
    return raw | {f"{name}_normalised": figure for name, figure in zip(MEASURES, normalised, strict=True)}


def cut_scores(
    model: Model, observation: Observation, players: Sequence[Unit], granularity: str, progress: Progress | None = None
) -> Array:
    """The truncation curve ``[P+1]`` float64: open prefix scores off the one forward pass, or a function's scores of the cut texts."""
    if not observation.black_box:
        return observation.prefix_scores[[0, *(player.last for player in players)]].astype(np.float64)
    from redviz.credit.from_models.truncation import truncation

    cut = truncation(observation, model, players=granularity, progress=progress)
    return np.array(cut.meta["prefix_scores"], np.float64)


def truncation_fit(credits: Array, prefixes: Array) -> tuple[float, float]:
    """How well unit credits ``[P]`` add up to the truncation curve ``[P+1]``: root mean square error, and correlation of the steps.

    >>> truncation_fit(np.array([1.0, -2.0, 3.0]), np.array([0.5, 1.5, -0.5, 2.5]))[0]
    0.0
    """
    predicted = prefixes[0] + np.cumsum(credits)  # [P]
    error = float(np.sqrt(np.mean((predicted - prefixes[1:]) ** 2)))
    return error, pearson(credits, np.diff(prefixes))
