"""DeepLIFT through Captum, which keeps its promise only where every operation has a rule: checked, never assumed."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from captum.attr import DeepLift
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor

from redviz.credit.from_models.gradient_inputs import (
    ResponseScore,
    baseline_embedding,
    baseline_kind,
    gradient_inputs,
    halving,
    residual_tolerance,
)
from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress
from redviz.records import Credit, Observation

# Autograd's names of what is not linear, and what a person calls it
NON_LINEAR = {
    "Silu": "SiLU", "Gelu": "GELU", "Relu": "ReLU", "Tanh": "tanh", "Sigmoid": "sigmoid", "Softplus": "softplus",
    "Softmax": "softmax", "NativeLayerNorm": "LayerNorm", "FusedRmsNorm": "RMSNorm", "Rsqrt": "RMSNorm", "Pow": "powers",
    "Exp": "exponentials", "Clamp": "clamps", "Topk": "top-k", "Sin": "sines",
}  # fmt: skip
PRODUCTS = ("Mul", "Mm", "Bmm", "Div")


def deeplift(
    observation: Observation, model: RewardModel, *, baseline: str = "pad", progress: Progress | None = None
) -> Credit:
    """DeepLIFT with the rescale rule (Shrikumar et al. 2017, arXiv 1704.02685), where it keeps its promise.

    Captum has rules for activations that are modules (ReLU, tanh, sigmoid and the like) and none for what a decoder is made of: SiLU
    and GELU, attention, normalisation, products of activations. There plain gradients pass, and the credits miss their sum. So
    the sum is checked, and credits that miss it are refused.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    baseline
        What every response token starts from, as in :func:`redviz.credit.from_models.integrated_gradients.ig`.
    progress
        Called with (0, 1) and (1, 1); may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - R(baseline)`` within ``meta["tolerance"]``. ``meta`` has the ``baseline`` and ``without_rule``, the
        operations on the way that have no rule.

    Raises
    ------
    RedvizError
        Where the residual is over ``max(1 % of |score - reference|, 0.01 x the standard deviation of the prefix scores)``, or a module
        is used twice; it says what has no rule and by how much the credits miss.
    """
    baseline = baseline_kind(model, baseline)
    given = gradient_inputs(model, observation.encoding)
    start = baseline_embedding(model, baseline).expand_as(given.response).float()  # [1, T, D]
    meta: dict[str, Any] = {"baseline": baseline, "tolerance": 0.0, "without_rule": []}
    if given.unread:  # a response of padding alone: the model reads before it
        zeros = np.zeros(start.shape[1], np.float32)
        return Credit(zeros, observation.score, observation.score, meta=meta)
    score = ResponseScore(model, given)
    with torch.no_grad():
        reference = float(score(start))
    inputs = given.response.float().clone().requires_grad_()  # [1, T, D]
    if progress is not None:
        progress(0, 1)
    found = halving(lambda _: _rescaled(score, inputs, start), 1)  # [1, T, D]
    meta["without_rule"] = _without_rule(score, inputs)
    meta["tolerance"] = residual_tolerance(observation, reference)
    values = found.detach().cpu().double().sum(-1)[0].numpy().astype(np.float32)  # [T]
    credit = Credit(values, observation.score, reference, meta=meta)
    missed = abs(credit.residual or 0.0)
    if not missed <= meta["tolerance"]:
        lacking = ", ".join(meta["without_rule"]) or "some of its operations"
        raise RedvizError(
            f"DeepLIFT has no rule for {lacking} in {model.name}, and its credits miss R − R(baseline) = "
            f"{observation.score - reference:.4g} by {missed:.4g} (tolerance {meta['tolerance']:.2g}); use ig."
        )
    if progress is not None:
        progress(1, 1)
    return credit


def _rescaled(score: ResponseScore, inputs: Tensor, start: Tensor) -> Tensor:
    """Captum's DeepLIFT: ``[1, T, D]``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it sets hooks, which it removes
            found: Tensor = DeepLift(score).attribute(inputs, start)
        return found
    except RuntimeError as error:
        if "more than once" not in str(error):
            raise
        raise RedvizError(
            f"{score.model.name} uses one of its activations more than once, which DeepLIFT cannot follow; use ig."
        ) from error
    finally:
        for part in score.modules():  # Captum keeps activations there, and forgets them where a pass fails
            vars(part).pop("input", None)
            vars(part).pop("output", None)


def _without_rule(score: ResponseScore, inputs: Tensor) -> list[str]:
    """The operations between the embeddings and the score that are not linear and have no DeepLIFT rule, from the autograd graph."""
    ruled = {type(part).__name__.lower() for part in score.modules() if type(part) in SUPPORTED_NON_LINEAR}
    operations: set[str] = set()
    seen: set[Any] = set()
    ahead = [score(inputs).grad_fn]
    while ahead:
        node = ahead.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        parents = [parent for parent, _ in node.next_functions if parent is not None]
        ahead += parents
        operation = node.name().partition("Backward")[0]
        name = "attention" if operation.startswith("ScaledDotProduct") else NON_LINEAR.get(operation)
        if operation in PRODUCTS and len(parents) > 1:
            name = "products of activations"
        if name and operation.lower() not in ruled:
            operations.add(name)
    return sorted(operations)
