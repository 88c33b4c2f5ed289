"""Infidelity (Yeh et al. 2019, arXiv 1901.09392) on removals of whole units, as ``captum.metrics.infidelity`` defines it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from redviz.errors import RedvizError


@dataclass(frozen=True)
class Infidelity:
    """How far the credits of what was removed are from what the score lost; lower is better.

    Attributes
    ----------
    raw
        The mean squared difference, in the score's unit squared.
    scaled
        The same with the credits times the one factor that fits best (Captum's ``normalize=True``), for credits whose scale
        means nothing.
    share
        ``scaled`` over the mean square of the losses: 0 where credits are proportional to losses, 1 where they say nothing; nan where
        no removal changes the score.
    """

    raw: float
    scaled: float
    share: float


def infidelity(removed: ArrayLike, credits: ArrayLike, losses: ArrayLike) -> Infidelity:
    """``E[(I . a - (f(x) - f(x - I)))^2]``, I the 0/1 rows of what was removed.

    Parameters
    ----------
    removed
        ``[N, P]``, 1 where a unit was removed.
    credits
        ``[P]``, one per unit.
    losses
        ``[N]``: ``f(x) - f(x without these units)``.

    Raises
    ------
    RedvizError
        Where there are no removals, or the shapes do not belong together.

    Examples
    --------
    >>> infidelity([[1, 0], [0, 1], [1, 1]], [1.0, 2.0], [2.0, 4.0, 6.0])
    Infidelity(raw=4.666666666666667, scaled=0.0, share=0.0)
    """
    masks, given, lost = (np.asarray(x, np.float64) for x in (removed, credits, losses))
    if not len(lost) or masks.shape != (len(lost), len(given)):
        raise RedvizError(
            f"There are removals of shape {masks.shape}, {len(given)} credits and {len(lost)} losses; give one row per loss "
            "and one column per credit."
        )
    predicted = masks @ given  # [N]
    square = float(np.mean(predicted**2))
    factor = float(np.mean(predicted * lost)) / square if square else 1.0
    raw, scaled = (float(np.mean((b * predicted - lost) ** 2)) for b in (1.0, factor))
    power = float(np.mean(lost**2))
    return Infidelity(raw, scaled, scaled / power if power else float("nan"))
