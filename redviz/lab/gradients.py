"""The policy's loss, and the gradient of a batch with its variance."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


def policy_loss(
    log_probs: Tensor, old: Tensor, advantages: Tensor, mask: Tensor, length: int, clip: float | None = None
) -> Tensor:
    """What is minimised: ``-(1 / (B length)) sum_i sum_t A_t log pi(y_t)``, or PPO's clipped form of it.

    Its gradient is minus the policy gradient, up to the constant ``length``: a response's tokens are summed, never averaged over the
    response's own length, which would weigh short responses more (Liu et al. 2025, Dr. GRPO, arXiv 2503.20783).

    Parameters
    ----------
    log_probs, old, advantages, mask
        ``[B, T]``: of the policy as it is, of the policy that drew the responses, and 1 at tokens that count.
    length
        A constant: the most tokens that a response can have.
    clip
        How far the ratio may go from 1; None for no ratio at all.

    Examples
    --------
    >>> half = torch.full((1, 2), -0.5)
    >>> float(policy_loss(half, half, torch.ones(1, 2), torch.ones(1, 2), length=2))
    0.5
    """
    if clip is None:
        gain = advantages * log_probs
    else:
        ratio = (log_probs - old).exp()
        gain = torch.minimum(advantages * ratio, advantages * ratio.clamp(1 - clip, 1 + clip))
    return -(gain * mask).sum() / (len(mask) * length)


@dataclass
class GradientMean:
    """The mean of the gradients of M equal parts of a batch, and how much they differ.

    The parts are drawn independently of one another (whole groups of responses to requests that are drawn anew each), so
    ``sum_m |g_m - mean|^2 / (M (M - 1))`` is an unbiased estimate of the variance of the batch's gradient, summed over all weights: the
    trace of its covariance given the policy as it stands. Whitening (PPO) couples the parts, so there it is approximate.
    """

    total: Tensor | None = None
    squares: list[float] = field(default_factory=list)

    def add(self, gradients: Sequence[Tensor]) -> None:
        """Take in one part's gradient, one tensor per weight."""
        flat = torch.cat([g.reshape(-1) for g in gradients])
        self.squares.append(float(flat.double().square().sum()))
        self.total = flat if self.total is None else self.total + flat

    @property
    def mean(self) -> Tensor:
        """All weights' in one row."""
        if self.total is None:
            raise ValueError("no part was added")
        return self.total / len(self.squares)

    @property
    def norm(self) -> float:
        return float(self.mean.double().square().sum().sqrt())

    @property
    def variance(self) -> float:
        count = len(self.squares)
        return max(0.0, sum(self.squares) - count * self.norm**2) / (count * (count - 1)) if count > 1 else math.nan

    def hand_to(self, weights: Iterable[nn.Parameter], largest: float) -> None:
        """Set every weight's ``grad``, scaled down to a norm of ``largest`` where it is larger."""
        flat = self.mean * min(1.0, largest / max(self.norm, 1e-12))
        start = 0
        for weight in weights:
            weight.grad = flat[start : start + weight.numel()].view_as(weight)
            start += weight.numel()
