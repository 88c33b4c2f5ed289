"""The straight path of integrated gradients, seen from outside: the model's score at points between baseline and response."""

from __future__ import annotations

import numpy as np
import torch

from redviz.credit.from_models.gradient_inputs import baseline_embedding, baseline_kind, gradient_inputs
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress
from redviz.models.running.tail import tail_scores
from redviz.records import Array, Encoding


def path_scores(
    model: RewardModel, encoding: Encoding, points: Array, *, baseline: str = "pad", progress: Progress | None = None
) -> Array:
    """``R(b + a (e - b))`` for every ``a`` of ``points``: the prompt and the template fixed, the response's embeddings mixed.

    Parameters
    ----------
    model, encoding
        The model and what it reads.
    points
        ``a``, ``[N]`` in [0, 1]; 0 is the baseline, 1 the response.
    baseline
        As in :func:`redviz.credit.from_models.integrated_gradients.ig`.
    progress
        Called with (points done, N); may raise to cancel.

    Returns
    -------
    Array
        ``[N]`` float64. Integrated gradients explain its rise, ``R - R(baseline)``, along the way.
    """
    given = gradient_inputs(model, encoding)
    start = baseline_embedding(model, baseline_kind(model, baseline)).expand_as(given.response)  # [1, T, D]
    scores: list[float] = []
    with torch.no_grad():
        for first in range(0, len(points), given.rows):
            if progress is not None:
                progress(first, len(points))
            a = torch.as_tensor(points[first : first + given.rows], dtype=start.dtype, device=start.device)
            mixed = start + a[:, None, None] * (given.response - start)  # [B, T, D]
            scores += tail_scores(model, given.cache, given.whole(mixed))[:, given.read].double().tolist()
    return np.array(scores)


def gauss_legendre(steps: int) -> Array:
    """Where on the path ``steps`` Gauss-Legendre nodes lie, ``[steps]`` in (0, 1).

    >>> gauss_legendre(2).round(3).tolist()
    [0.211, 0.789]
    """
    nodes: Array = (1 + np.polynomial.legendre.leggauss(steps)[0]) / 2
    return nodes
