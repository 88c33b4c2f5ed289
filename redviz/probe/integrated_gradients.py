"""Integrated gradients (Sundararajan et al. 2017) through Captum, over the response's embeddings only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from captum.attr import IntegratedGradients
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.reward_model import RewardModel
from redviz.models.tail import prompt_cache, tail_embeddings, tail_scores
from redviz.probe.choices import BASELINES, FIRST_STEPS, MOST_STEPS, STEP_CAP
from redviz.records import Credit, Observation

TOKENS_AT_ONCE = {"cpu": 2048, "cuda": 32768, "mps": 8192}  # rows x columns of one forward and backward

Progress = Callable[[int, int], None]


def ig(
    model: RewardModel,
    observation: Observation,
    *,
    baseline: str = "pad",
    steps: int | None = None,
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
    if baseline == "pad" and model.tokenizer.pad_token_id is None:
        baseline = "mean"
    encoding = observation.encoding
    length = encoding.stop - encoding.start
    if encoding.read < encoding.start:  # a response of padding alone: the model reads before it
        unread = {"steps": 0, "baseline": baseline, "tolerance": 0.0, "converged": True}
        return Credit(np.zeros(length, np.float32), observation.score, observation.score, meta=unread)
    cache = prompt_cache(model, encoding)
    tail = tail_embeddings(model, encoding)  # [1, S, D]
    inputs, closing = tail[:, :length], tail[:, length:]  # [1, T, D], [1, S-T, D]
    start = _baseline(model, baseline).expand_as(inputs)
    read = encoding.read - encoding.start

    def score(embeddings: Tensor) -> Tensor:  # [B, T, D] -> [B]
        whole = torch.cat([embeddings, closing.expand(len(embeddings), -1, -1)], 1)
        return tail_scores(model, cache, whole)[:, read]

    with torch.no_grad():
        reference = float(score(start))
    tolerance = max(0.01 * abs(observation.score - reference), 0.01 * float(observation.prefix_scores.std()))
    count = steps or FIRST_STEPS
    while True:
        values = _attribute(score, inputs, start, count, progress)  # [T]
        residual = observation.score - reference - float(values.sum(dtype=np.float64))
        if steps is not None or abs(residual) <= tolerance or count >= STEP_CAP:
            break
        count *= 2
    meta = {"steps": count, "baseline": baseline, "tolerance": tolerance, "converged": abs(residual) <= tolerance}
    return Credit(values.astype(np.float32), observation.score, reference, meta=meta)


def _attribute(
    score: Callable[[Tensor], Tensor], inputs: Tensor, start: Tensor, steps: int, progress: Progress | None
) -> np.ndarray:
    """Captum's integrated gradients, summed over the embedding: ``[T]`` float64; micro-batches halve when memory runs out."""
    rows = max(1, TOKENS_AT_ONCE[inputs.device.type] // inputs.shape[1])
    done = 0

    def counted(embeddings: Tensor) -> Tensor:
        nonlocal done
        if progress is not None:
            progress(done, steps)
        done = min(steps, done + len(embeddings))
        return score(embeddings)

    method = IntegratedGradients(counted, multiply_by_inputs=True)
    while True:
        try:
            found = method.attribute(
                inputs, baselines=start, n_steps=steps, method="gausslegendre", internal_batch_size=min(rows, steps)
            )
            break
        except torch.OutOfMemoryError:
            if rows == 1:
                raise RedvizError(
                    "Memory ran out on a single gradient step; use a shorter response or a smaller dtype."
                ) from None
            rows, done = rows // 2, 0
    if progress is not None:
        progress(steps, steps)
    values: np.ndarray = found.detach().double().sum(-1)[0].cpu().numpy()
    return values


def _baseline(model: RewardModel, kind: str) -> Tensor:
    """The embedding every response token starts from: ``[D]``."""
    if kind not in BASELINES:
        raise RedvizError(f"baseline is {kind!r}; use one of {', '.join(BASELINES)}.")
    weight: Tensor = model.module.get_input_embeddings().weight.detach()  # [V, D]
    if kind == "mean":
        return weight.float().mean(0).to(weight.dtype)
    if kind == "zero":
        return torch.zeros_like(weight[0])
    token = model.tokenizer.pad_token_id if kind == "pad" else model.tokenizer.eos_token_id
    if token is None:
        raise RedvizError(f'This tokenizer has no {kind} token; use baseline "mean" or "zero".')
    with torch.no_grad():
        embedded: Tensor = model.module.get_input_embeddings()(torch.tensor([token], device=weight.device))[0]
    return embedded
