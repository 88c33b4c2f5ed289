"""Integrated gradients (Sundararajan et al. 2017) through Captum, over the response's embeddings only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from redviz.credit.choices import FIRST_STEPS, MOST_STEPS, STEP_CAP
from redviz.credit.from_models.gradient_inputs import (
    GradientInputs,
    baseline_embedding,
    baseline_kind,
    gradient_inputs,
    halving,
    residual_tolerance,
)
from redviz.credit.from_models.smoothing import check_draws, smoothed
from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress
from redviz.records import Array, Credit, Observation


def ig(
    observation: Observation,
    model: RewardModel,
    *,
    baseline: str = "pad",
    steps: int | None = None,
    noise: float = 0.0,
    samples: int = 8,
    seed: int = 0,
    progress: Progress | None = None,
) -> Credit:
    """Integrate the score's gradient from a baseline to the response, the prompt and the template fixed.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    baseline
        What every response token starts from: the "pad" or "eos" embedding, the "mean" embedding, or "zero". Where the tokenizer
        has no pad token, "pad" (the default) is "mean", and ``meta["baseline"]`` says so.
    steps
        Gauss-Legendre nodes, at most 1024. None doubles them from 16 until the residual is within
        ``max(1 % of |score - reference|, 0.01 x the standard deviation of the prefix scores)``, or 256.
    noise
        SmoothGrad: the gradient along the way is the mean over ways to responses with Gaussian noise on their embeddings, of this
        standard deviation as a share of the range of their values. The residual then holds what the noise moves; whether the steps
        are enough is judged without it. 0 takes the response as it is.
    samples, seed
        Of the noisy responses: how many, at most 4096, and what draws them.
    progress
        Called with (steps done, steps of this round) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - R(baseline)`` up to the residual, which is always reported. ``meta`` has ``steps``,
        ``converged`` and the ``baseline`` that was used.
    """
    if steps is not None and not 1 <= steps <= MOST_STEPS:
        raise RedvizError(
            f"steps is {steps}; give at least 1 and at most {MOST_STEPS}, or leave it out to let the residual decide."
        )
    check_draws(samples, noise, seed)
    baseline = baseline_kind(model, baseline)
    encoding = observation.encoding
    if encoding.read < encoding.start and not model.both_ways:  # a response of padding alone: the model reads before it
        unread = {"steps": 0, "baseline": baseline, "tolerance": 0.0, "converged": True}
        length = encoding.stop - encoding.start
        return Credit(np.zeros(length, np.float32), observation.score, observation.score, meta=unread)
    given = gradient_inputs(model, encoding)
    start = baseline_embedding(model, baseline).expand_as(given.response)  # [1, T, D]

    def score(embeddings: Tensor) -> Tensor:  # [B, T, D] -> [B]
        return given.score(model, embeddings)

    with torch.no_grad():
        reference = float(score(start))
    tolerance = residual_tolerance(observation, reference)
    count = steps or FIRST_STEPS
    while True:
        values = _attribute(score, given, start, count, progress)  # [T]
        residual = observation.score - reference - float(values.sum(dtype=np.float64))
        if steps is not None or abs(residual) <= tolerance or count >= STEP_CAP:
            break
        count *= 2
    meta = {"steps": count, "baseline": baseline, "tolerance": tolerance, "converged": abs(residual) <= tolerance}
    if noise:

        def pause(done: int) -> None:
            if progress is not None:
                progress(done * count, samples * count)

        def mean(rows: int) -> Tensor:  # [T, D]; one noisy response at a time
            way = IntegratedGradients(score, multiply_by_inputs=False)
            asked = {"n_steps": count, "method": "gausslegendre", "internal_batch_size": rows}
            return smoothed(way, given, noise, samples, seed, 1, pause, baselines=start.float().cpu(), **asked)

        gradient = halving(mean, min(given.rows, count))
        pause(samples)
        values = (gradient * (given.response - start)[0].cpu().double()).sum(-1).numpy()
    return Credit(values.astype(np.float32), observation.score, reference, meta=meta)


def _attribute(
    score: Callable[[Tensor], Tensor], given: GradientInputs, start: Tensor, steps: int, progress: Progress | None
) -> Array:
    """Captum's integrated gradients, summed over the embedding: ``[T]`` float64."""
    done = 0

    def counted(embeddings: Tensor) -> Tensor:
        nonlocal done
        if progress is not None:
            progress(done, steps)
        done = min(steps, done + len(embeddings))
        return score(embeddings)

    def attribute(rows: int) -> Tensor:  # [1, T, D]
        nonlocal done
        done = 0
        found: Tensor = IntegratedGradients(counted).attribute(
            given.response, baselines=start, n_steps=steps, method="gausslegendre", internal_batch_size=rows
        )
        return found

    found = halving(attribute, min(given.rows, steps)).detach()
    if progress is not None:
        progress(steps, steps)
    values: Array = found.cpu().double().sum(-1)[0].numpy()  # [T]
    return values
