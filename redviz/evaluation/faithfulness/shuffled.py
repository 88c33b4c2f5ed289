"""The controls of figures that know sizes and no order: the same credits, given to other units."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from redviz.evaluation.faithfulness.infidelity import infidelity
from redviz.evaluation.faithfulness.removal import truncation_fit
from redviz.records import Array

SINGLE = ("infidelity", "infidelity_scaled", "infidelity_share", "truncation_error", "truncation_correlation")


def single_figures(credits: Array, removed: Array, losses: Array, prefixes: Array) -> dict[str, float]:
    """What :data:`SINGLE` names, of unit credits ``[P]``.

    Parameters
    ----------
    removed, losses
        ``[N, P]`` and ``[N]``, as :func:`redviz.evaluation.faithfulness.infidelity.infidelity` takes them.
    prefixes
        ``[P+1]``, as :func:`redviz.evaluation.faithfulness.removal.truncation_fit` takes them.
    """
    missed = infidelity(removed, credits, losses)
    return dict(zip(SINGLE, (missed.raw, missed.scaled, missed.share, *truncation_fit(credits, prefixes)), strict=True))


def controls(
    credits: Array, ranked: Array, drawn: Iterable[Array], removed: Array, losses: Array, prefixes: Array
) -> dict[str, dict[str, float]]:
    """The same figures where the credits belong to other units: the mean over random exchanges, and the ranks turned round.

    Parameters
    ----------
    ranked
        ``[P]``, the units by decreasing credit.
    drawn
        Random orders ``[P]``.

    Examples
    --------
    >>> own, prefixes = np.array([3.0, 0.0, 1.0]), np.array([0.0, 3.0, 3.0, 4.0])
    >>> removed = np.eye(3)
    >>> found = controls(own, np.array([0, 2, 1]), [np.array([0, 1, 2])], removed, own, prefixes)
    >>> found["random"]["infidelity"], round(found["reversed"]["infidelity"], 3), found["reversed"]["truncation_correlation"] < 0
    (0.0, 6.0, True)
    """
    turned = np.empty_like(credits)
    turned[ranked] = credits[ranked[::-1]]
    by_chance = [single_figures(credits[order], removed, losses, prefixes) for order in drawn]
    random = {name: float(np.mean([one[name] for one in by_chance])) for name in SINGLE}
    return {"random": random, "reversed": single_figures(turned, removed, losses, prefixes)}
