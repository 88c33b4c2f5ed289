"""From token rewards to advantages: which form each algorithm uses with each kind of token reward.

``r_t`` is the method's credit of token t less ``kl_coef`` times its KL term, ``G_t`` the return to go (discounted by gamma), ``G_1`` a
response's total, k the size of a group, j the other responses to the same request.

========== ============================================ ==================================================================
algorithm  sparse, red                                  uniform, abc, ig, random
========== ============================================ ==================================================================
reinforce  ``G_t - b_t``, b_t: running mean of G_t at   the same
           position t over earlier steps
rloo       ``G_t - mean_j G_1``                         ``G_t - mean_j G_t`` over those j that reach position t
grpo       ``(G_t - mean_all G_1) / (std G_1 + eps)``   ``(G_t - mean_all G_t) / (std G_1 + eps)``, same positions
ppo        GAE of ``r_t`` with a learned critic,        the same
           whitened over the batch
========== ============================================ ==================================================================

* With the sparse reward, gamma 1 and no KL the first column is :func:`redviz.returns.rloo` and :func:`redviz.returns.grpo` exactly.
* With RED at gamma 1 the first column is the return to go ``R - beta_c P_{t-1}`` less the leave-one-out mean of the residual
  ``R_j - beta_c P_0``: RED's own unbiased form. A baseline of the scale of a whole response is never taken from one token's credit.
* The other methods have returns that shrink towards the end, so they get a baseline of their own scale: the others' return at the same
  position. Every baseline of reinforce and rloo depends on other responses alone, so it leaves the gradient of the *token rewards'*
  objective unbiased; that this objective's gradient is the score's holds for sparse and red at gamma 1, and for no other method.
* grpo's mean holds the response itself and its division rescales requests; ppo's whitening and critic bias it too: as published.
* A response that is cut has no value after its last token: it is scored as it stands. GRPO as published takes its KL in the loss; here
  it is in the reward, so that all algorithms pay the same price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from redviz import returns
from redviz.lab.config import POTENTIAL, LabConfig
from redviz.records import Array

DECAY = 0.9  # of the running baseline, per step
GRPO_EPS = 1e-4  # as in redviz.returns.grpo


@dataclass(frozen=True)
class Advantages:
    """What a batch's token rewards become; ``[B, T]`` float64, 0 outside the mask.

    Attributes
    ----------
    rewards, returns, advantages
        ``r_t``, ``G_t`` and ``A_t``.
    targets
        What the critic learns, ``A_t + V_t`` before whitening; None without a critic.
    """

    rewards: Array
    returns: Array
    advantages: Array
    targets: Array | None = None


@dataclass
class RunningBaseline:
    """The mean return to go at every position over earlier steps, the later the heavier: sums and weights ``[T]`` float64."""

    sums: Array
    weights: Array

    @classmethod
    def empty(cls, length: int) -> RunningBaseline:
        return cls(np.zeros(length), np.zeros(length))

    @property
    def values(self) -> Array:
        """``[T]``; 0 where no response has come so far."""
        known: Array = np.divide(self.sums, self.weights, out=np.zeros_like(self.sums), where=self.weights > 0)
        return known

    def update(self, made: Array, mask: Array) -> None:
        """Take in one step's returns, ``[B, T]`` both."""
        self.sums = DECAY * self.sums + (made * mask).sum(0)
        self.weights = DECAY * self.weights + mask.sum(0)


def advantages(
    config: LabConfig,
    rewards: Array,
    mask: Array,
    baseline: RunningBaseline | None = None,
    values: Array | None = None,
) -> Advantages:
    """Returns and advantages of one batch under a run's algorithm.

    Parameters
    ----------
    config
        The algorithm, the method, ``group``, ``gamma`` and ``lam``.
    rewards, mask
        ``[B, T]``, the responses to one request side by side; 1 at response tokens, from the first column on.
    baseline
        Of earlier steps, for "reinforce"; not changed.
    values
        The critic's ``V(s_t)`` before each token, ``[B, T]``, for "ppo".

    Examples
    --------
    >>> import numpy as np
    >>> sparse = np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 0.5], [0.0, 2.5]])
    >>> made = advantages(LabConfig(algorithm="rloo", method="sparse", group=4), sparse, np.ones((4, 2)))
    >>> made.advantages[:, 0].round(4) + 0.0
    array([ 0.    , -1.3333, -0.6667,  2.    ])
    """
    made = returns.monte_carlo(rewards, config.gamma, mask)  # [B, T]
    if config.algorithm == "reinforce":
        before = (baseline or RunningBaseline.empty(made.shape[1])).values  # [T]
        taken = np.broadcast_to(before, made.shape)
        return Advantages(rewards, made, returns.reinforce(rewards, taken, config.gamma, mask))
    if config.algorithm == "ppo":
        critic = np.zeros_like(made) if values is None else values * mask  # [B, T]
        weights = returns.gae(rewards, critic, config.gamma, config.lam, mask)
        return Advantages(rewards, made, returns.whiten(weights, mask), weights + critic)
    grouped = made.reshape(-1, config.group, made.shape[1])  # [G, k, T]
    alive = mask.reshape(grouped.shape).astype(np.float64)  # [G, k, T]
    totals = grouped[..., 0]  # [G, k]
    if config.algorithm == "rloo":
        others = (totals - returns.rloo(totals))[..., None]  # [G, k, 1]
        mean = others if config.method in POTENTIAL else _mean(grouped, alive, own=False)
        weights = grouped - mean
    else:
        mean = totals.mean(1)[:, None, None] if config.method in POTENTIAL else _mean(grouped, alive, own=True)
        spread = totals.std(1, ddof=1)  # [G]
        constant = (returns.grpo(totals) == 0).all(1)  # [G]: nothing to tell the responses apart by
        weights = np.where(constant[:, None, None], 0.0, grouped - mean) / (spread + GRPO_EPS)[:, None, None]
    return Advantages(rewards, made, (weights * alive).reshape(made.shape))


def _mean(grouped: Array, alive: Array, own: bool) -> Array:
    """The group's mean return at every position over the responses that reach it, with or without the response itself."""
    total, count = (np.broadcast_to(x.sum(1, keepdims=True), grouped.shape) for x in (grouped * alive, alive))
    if not own:
        total, count = total - grouped * alive, count - alive
    mean: Array = total / np.maximum(count, 1.0)  # [G, k, T]; 0 where nobody else is left
    return mean
