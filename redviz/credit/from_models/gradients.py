"""Credits from gradients of the score, through Captum, over the response's embeddings only."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from captum.attr import GradientShap, InputXGradient, Saliency
from torch import Tensor

from redviz.credit.choices import NORMS
from redviz.credit.from_models.gradient_inputs import (
    GradientInputs,
    ResponseScore,
    baseline_embedding,
    baseline_kind,
    gradient_inputs,
    halving,
)
from redviz.credit.from_models.smoothing import check_draws, seeded, smoothed, stdev_of
from redviz.credit.from_records.softmaxed import p2t_rewards
from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress
from redviz.records import Array, Credit, Observation

CANCELS = 1e-4  # of what is summed: below this at every token, the sums are rounding


def grad_x_input(
    observation: Observation,
    model: RewardModel,
    *,
    noise: float = 0.0,
    samples: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Credit:
    """Gradient of the score times the embedding, summed over the embedding (Shrikumar et al. 2016, arXiv 1605.01713).

    Decoders that normalise what a block reads undo much of an embedding's scale, so these credits can be far smaller than
    the score; :func:`p2t` with ``form="raw"`` multiplies by the distance to a null embedding instead.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    noise
        SmoothGrad: the gradient is the mean over responses with Gaussian noise on their embeddings, of this standard deviation as a
        share of the range of their values. 0 takes the response as it is.
    samples, seed
        Of the noisy responses: how many, at most 4096, and what draws them; the same seed gives the same ones on every device.
    progress
        Called with (gradients done, gradients); may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``, in the score's unit: ``e_t . dR/de_t``, the first-order effect of scaling the token's embedding. No sum is promised.

    Raises
    ------
    RedvizError
        Where the parts cancel at every token, as they do where a norm reads the embeddings alone (DeBERTa): only rounding is left.
    """
    check_draws(samples, noise, seed)
    given = gradient_inputs(model, observation.encoding)
    if noise:
        gradient = _mean_gradient(model, given, noise, samples, seed, progress)
        attributions = gradient * given.response[0].cpu().double()  # [T, D]
    else:
        attributions = _one_gradient(model, given, InputXGradient, progress)  # [T, D]
    size = attributions.abs().sum(-1)  # [T]
    if bool((size > 0).all() and (attributions.sum(-1).abs() <= CANCELS * size).all()):
        raise RedvizError(
            f"{model.name} normalises embeddings first, so their length does not matter and grad_x_input is 0 at every token; "
            "use saliency or ig."
        )
    return Credit(attributions.sum(-1).numpy().astype(np.float32), None, None)


def saliency(
    observation: Observation,
    model: RewardModel,
    *,
    norm: str = "l2",
    noise: float = 0.0,
    samples: int = 32,
    seed: int = 0,
    progress: Progress | None = None,
) -> Credit:
    """Size of the score's gradient at each token (Simonyan et al. 2013, arXiv 1312.6034).

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    norm
        How the embedding's coordinates become one number: "l2", the length of the gradient, or "l1", the sum of absolute values.
    noise
        SmoothGrad: the gradient is the mean over responses with Gaussian noise on their embeddings, of this standard deviation as a
        share of the range of their values. 0 takes the response as it is.
    samples, seed
        Of the noisy responses: how many, at most 4096, and what draws them; the same seed gives the same ones on every device.
    progress
        Called with (gradients done, gradients); may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``, never negative, in score per unit of embedding: how much the score could move, not which way. No sum is promised.
    """
    if norm not in NORMS:
        raise RedvizError(f"norm is {norm!r}; use one of {', '.join(NORMS)}.")
    check_draws(samples, noise, seed)
    given = gradient_inputs(model, observation.encoding)
    if noise:
        found = _mean_gradient(model, given, noise, samples, seed, progress)  # [T, D]
    else:
        found = _one_gradient(model, given, Saliency, progress, abs=False)  # [T, D]
    values = found.norm(dim=-1) if norm == "l2" else found.abs().sum(-1)  # [T]
    return Credit(values.numpy().astype(np.float32), None, None)


def p2t(
    observation: Observation,
    model: RewardModel,
    *,
    null: str = "pad",
    omega: float = 0.6,
    form: str = "published",
    progress: Progress | None = None,
) -> Credit:
    """Token rewards of P2T ("Unlocking Token Rewards via Training-Free Reward Attribution", CVPR 2026).

    ``I_t = dR/de_t . (e_t - e_null)``, which is integrated gradients with one step at the response itself (right Riemann).

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    null
        The embedding that stands for no token: "pad" (the paper's choice), "eos", "mean" or "zero". Where the tokenizer has no pad
        token, "pad" is "mean", and ``meta["null"]`` says so.
    omega
        Weight of what varies from token to token; 0.6 in the paper.
    form
        "published": ``R + omega * R * softmax(I)_t``. "shares": ``R * softmax(I)_t``. "raw": ``I_t``.
    progress
        Called with (0, 1) and (1, 1); may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``. "published" sums to ``(T + omega) * R`` (``total``), where the paper claims R (``meta["claimed_sum"]``); "shares" to R;
        "raw" promises no sum.
    """
    null = baseline_kind(model, null)
    nothing = baseline_embedding(model, null).cpu().double()  # [D]
    given = gradient_inputs(model, observation.encoding)
    gradient = _one_gradient(model, given, Saliency, progress, abs=False)  # [T, D]
    attributions = (gradient * (given.response[0].cpu().double() - nothing)).sum(-1).numpy()  # [T]
    score = observation.score
    rewards = p2t_rewards(attributions, score, omega=omega, form=form).astype(np.float32)  # [T]
    meta: dict[str, Any] = {"null": null}
    if form == "raw":
        return Credit(rewards, None, None, meta=meta)
    if form == "shares":
        return Credit(rewards, score, 0.0, meta=meta)
    return Credit(rewards, (len(rewards) + omega) * score, 0.0, meta={**meta, "claimed_sum": score})


def gradient_shap(
    observation: Observation,
    model: RewardModel,
    *,
    baseline: str = "pad",
    samples: int = 32,
    noise: float = 0.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Credit:
    """Expected gradients: integrated gradients by Monte Carlo (GradientSHAP, Lundberg and Lee 2017; Erion et al. 2021).

    The mean over random points ``b + a (e - b)``, ``a`` uniform on [0, 1], of the gradient there times ``e - b``.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    baseline
        What every response token starts from, as in :func:`redviz.credit.from_models.integrated_gradients.ig`.
    samples
        Random points, at most 4096.
    noise
        SmoothGrad's noise level: the standard deviation of Gaussian noise that is added to the embeddings in every sample, as a share
        of the range of their values. With noise the credits explain noisy responses, and the residual holds what that moves.
    seed
        Of the random points; the same seed gives the same points on every device. The global generators stay as they are.
    progress
        Called with (samples done, samples) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; on average over seeds sums to ``score - R(baseline)``, and the residual is reported. ``meta`` has ``baseline``, the
        ``stdev`` of the noise, and the standard errors of every credit (``stderr``, ``[T]``) and of their sum (``stderr_of_sum``),
        None for a single sample.
    """
    check_draws(samples, noise, seed)
    baseline = baseline_kind(model, baseline)
    given = gradient_inputs(model, observation.encoding)
    start = baseline_embedding(model, baseline).expand_as(given.response)  # [1, T, D]
    meta: dict[str, Any] = {"baseline": baseline, "stdev": stdev_of(given, noise)}
    if given.unread:  # a response of padding alone: the model reads before it
        zeros = np.zeros(given.response.shape[1], np.float32)  # [T]
        return Credit(
            zeros, observation.score, observation.score, meta=meta | {"stderr": zeros.tolist(), "stderr_of_sum": 0.0}
        )
    score = ResponseScore(model, given)
    with torch.no_grad():
        reference = float(score(start))
    inputs, start = (
        given.response.float().cpu(),
        start.float().cpu(),
    )  # [1, T, D]; drawn on the CPU, the same everywhere

    def draw(rows: int) -> Array:  # [samples, T]
        parts = []
        with seeded(seed):
            for done in range(0, samples, rows):
                if progress is not None:
                    progress(done, samples)
                batch = inputs.expand(min(rows, samples - done), -1, -1)  # [rows, T, D]: one sample of each row
                found = GradientShap(score).attribute(batch, start, n_samples=1, stdevs=meta["stdev"])  # [rows, T, D]
                parts.append(found.detach().double().sum(-1).numpy())
        return np.concatenate(parts)

    drawn = halving(draw, min(given.rows, samples))  # [samples, T]
    if progress is not None:
        progress(samples, samples)
    meta |= {"stderr": None, "stderr_of_sum": None}
    if samples > 1:
        meta["stderr"] = (drawn.std(0, ddof=1) / math.sqrt(samples)).tolist()
        meta["stderr_of_sum"] = float(drawn.sum(1).std(ddof=1) / math.sqrt(samples))
    return Credit(drawn.mean(0).astype(np.float32), observation.score, reference, meta=meta)


def _one_gradient(
    model: RewardModel, given: GradientInputs, method: type, progress: Progress | None, **options: Any
) -> Tensor:
    """One forward and backward pass through a Captum method: ``[T, D]`` float64 on the CPU."""
    if given.unread:  # a response of padding alone: the model reads before it
        return torch.zeros(given.response.shape[1:], dtype=torch.float64)
    inputs = given.response.float().clone().requires_grad_()  # [1, T, D]
    if progress is not None:
        progress(0, 1)
    found: Tensor = halving(lambda _: method(ResponseScore(model, given)).attribute(inputs, **options), 1)  # [1, T, D]
    if progress is not None:
        progress(1, 1)
    return found.detach()[0].cpu().double()


def _mean_gradient(
    model: RewardModel, given: GradientInputs, noise: float, samples: int, seed: int, progress: Progress | None
) -> Tensor:
    """SmoothGrad's: ``[T, D]`` float64 on the CPU."""
    if given.unread:
        return torch.zeros(given.response.shape[1:], dtype=torch.float64)

    def pause(done: int) -> None:
        if progress is not None:
            progress(done, samples)

    def mean(rows: int) -> Tensor:
        return smoothed(Saliency(ResponseScore(model, given)), given, noise, samples, seed, rows, pause, abs=False)

    found = halving(mean, min(given.rows, samples))
    pause(samples)
    return found
