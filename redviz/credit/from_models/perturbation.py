"""Credits from altered responses: occlusion and LIME through Captum, and Kernel SHAP."""

from __future__ import annotations

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import FeatureAblation, Lime
from torch import Tensor

from redviz.credit.choices import MOST_COALITIONS
from redviz.credit.from_models.coalitions import Model, operator_for, players_of, spread, value_function
from redviz.credit.from_models.shapley_kernel import shapley_kernel
from redviz.errors import RedvizError
from redviz.models.running.budgets import Progress
from redviz.records import Array, Credit, Observation

MORE_SAMPLES = 256  # than twice the players, where the method decides


def occlusion(
    observation: Observation,
    model: Model,
    *,
    players: str = "token",
    operator: str = "delete",
    progress: Progress | None = None,
) -> Credit:
    """What the score loses when one unit is removed and all others stay (leave-one-out), by Captum's FeatureAblation.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    players
        What is removed at a time: "token", "word" or "sentence". A unit's credit is spread evenly over its tokens.
    operator
        How it is removed (:func:`redviz.credit.from_models.coalitions.value_function`).
    progress
        Called with (units done, units) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``, ``score - score without the unit``; promises no sum: what units do together is counted for each, or for none.

    Raises
    ------
    RedvizError
        For an unknown operator or kind of player.
    """
    operator = operator_for(model, operator)
    units = players_of(observation, players)
    value = value_function(model, observation, units, operator)
    method = FeatureAblation(lambda z: value(z, progress))
    whole = torch.ones(1, len(units))
    credits = method.attribute(whole, baselines=0.0, perturbations_per_eval=len(units))[0]  # [P]
    meta = {"operator": operator, "players": players}
    return Credit(spread(credits.numpy(), units).astype(np.float32), None, None, meta=meta)


def lime(
    observation: Observation,
    model: Model,
    *,
    players: str = "word",
    operator: str = "delete",
    samples: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Credit:
    """The slopes of a linear surrogate of the score (Ribeiro et al. 2016, arXiv 1602.04938), by Captum's Lime.

    Each sample keeps every unit with probability 1/2 and weighs ``exp(-d^2 / 2)``, ``d`` the cosine distance from the whole
    response, ``1 - sqrt(kept / P)``: from 0.61 for the empty response to 1. The surrogate is a ridge regression with penalty 1, as
    in the authors' package: Captum's default, a Lasso, would set small credits to 0 and depend on the score's unit. The intercept
    is free and not split over the units, so that a constant added to the score changes it alone.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    players
        What is kept or removed as one: "token", "word" or "sentence". A unit's credit is spread evenly over its tokens.
    operator
        How units are removed (:func:`redviz.credit.from_models.coalitions.value_function`).
    samples
        Altered responses to score. None takes 256 and two for every unit.
    seed
        Of the samples.
    progress
        Called with (samples scored, samples) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; promises no sum. ``meta["intercept"]`` is the surrogate's score of the empty response, ``meta["r2"]`` the share of
        the samples' variance that the surrogate explains.

    Raises
    ------
    RedvizError
        For an unknown operator or kind of player, or a number of samples out of bounds.
    """
    operator = operator_for(model, operator)
    units = players_of(observation, players)
    samples = _samples(samples, len(units), least=2)
    value = value_function(model, observation, units, operator)
    drawn: list[tuple[Tensor, Tensor]] = []

    def score(z: Tensor) -> Tensor:  # [B, P] -> [B]; from the score, so that float32 keeps what differs
        drawn.append((z, value(z, progress) - observation.score))
        return drawn[-1][1]

    surrogate = SkLearnRidge(alpha=1.0)
    method = Lime(score, interpretable_model=surrogate)
    slopes = _seeded(method, len(units), samples, seed)
    (z, scores), bias = drawn[0], float(surrogate.bias())
    left = scores.numpy() - z.double().numpy() @ slopes - bias  # [samples]
    variance = float(scores.var(correction=0))
    meta = {
        "operator": operator,
        "players": players,
        "samples": samples,
        "intercept": observation.score + bias,
        "r2": 1 - float(left.var()) / variance if variance else 1.0,
    }
    return Credit(spread(slopes, units).astype(np.float32), None, None, meta=meta)


def kernel_shap(
    observation: Observation,
    model: Model,
    *,
    players: str = "word",
    operator: str = "delete",
    samples: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Credit:
    """Shapley values by weighted regression (Lundberg and Lee 2017, arXiv 1705.07874), with paired sampling.

    Least squares of the score over coalitions, each with the weight of the Shapley kernel, under the condition that the values sum
    to ``score - v(empty)``. Coalitions of one unit and of all but one come first, then those of two and of all but two: every
    coalition of a size where its share of the samples is enough for all of them. The other sizes get their shares of the samples,
    drawn without repetition, each coalition with its complement (Covert and Lee 2021, arXiv 2012.01536), and the weight of all
    coalitions of the size. Where the samples are enough for all coalitions the values are exact.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    players
        What is kept or removed as one: "token", "word" or "sentence". A unit's credit is spread evenly over its tokens.
    operator
        How units are removed (:func:`redviz.credit.from_models.coalitions.value_function`).
    samples
        Responses to score, the whole and the empty one among them, at least two more than there are units. None takes 256 and two
        for every unit. With fewer than two for every unit, coalitions are drawn without their complements.
    seed
        Of the samples.
    progress
        Called with (samples scored, samples) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - v(empty)``. ``meta["samples"]`` is how many responses were scored, ``meta["exact"]`` whether they
        are all that there are.

    Raises
    ------
    RedvizError
        For an unknown operator or kind of player, or a number of samples out of bounds.
    """
    operator = operator_for(model, operator)
    units = players_of(observation, players)
    samples = _samples(samples, len(units), least=len(units) + 2)
    value = value_function(model, observation, units, operator)
    rows, weights = shapley_kernel(len(units), samples - 2, np.random.default_rng(seed))  # [N, P], [N]
    ends = np.ones((2, len(units)), bool) * [[True], [False]]
    scores = value(torch.from_numpy(np.concatenate([ends, rows])), progress).numpy()  # [2 + N]
    whole, reference = observation.score, float(scores[1])
    # Sum and rest apart: what is left is sought where values sum to 0, so that no unit is told apart from another.
    even = (whole - reference) / len(units)
    shares = rows.mean(1, keepdims=True)  # [N, 1]
    root = np.sqrt(weights)  # [N]
    left = scores[2:] - reference - rows.sum(1) * even  # [N]
    values = even + np.linalg.lstsq((rows - shares) * root[:, None], left * root, rcond=None)[0]  # [P]
    exact = len(rows) == 2 ** len(units) - 2
    meta = {"operator": operator, "players": players, "samples": len(scores), "exact": exact}
    return Credit(spread(values, units).astype(np.float32), whole, reference, meta=meta)


def _samples(samples: int | None, players: int, least: int) -> int:
    if samples is None:
        return min(MOST_COALITIONS, MORE_SAMPLES + 2 * players)
    if not least <= samples <= MOST_COALITIONS:
        raise RedvizError(
            f"samples is {samples}; give from {least} to {MOST_COALITIONS} for {players} units, or leave it out."
        )
    return samples


def _seeded(method: Lime, players: int, samples: int, seed: int) -> Array:
    """The slopes of Captum's surrogate, its own draws repeatable and all scored in one call: ``[P]`` float64."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        found = method.attribute(
            torch.ones(1, players), baselines=0.0, n_samples=samples, perturbations_per_eval=samples
        )
    return np.asarray(found[0].detach(), np.float64)
