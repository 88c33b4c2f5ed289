"""From credits to returns and advantages: what reinforcement learning makes of one method's token rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from redviz import returns
from redviz.errors import RedvizError
from redviz.records import Analysis, Array

BASELINES = ("zero", "constant", "prefix score", "RLOO", "GRPO", "value model")
GROUPED = ("RLOO", "GRPO")
GRPO_EPS = 1e-4  # added to the standard deviation, as in redviz.returns.grpo
PREFIX_DIFFERENCES = ("red", "red_closed", "truncation")


@dataclass(frozen=True)
class ReturnCurves:
    """One method's credits as token rewards, and what reinforcement learning makes of them; all arrays ``[T]`` float64.

    Attributes
    ----------
    rewards, returns, values, advantages
        ``r_t``, ``G_t``, ``V(s_t)`` before token t, and ``A_t``.
    cautions
        Sentences to show where the combination loses a guarantee.
    """

    rewards: Array
    returns: Array
    values: Array
    advantages: Array
    cautions: tuple[str, ...]


def return_curves(
    analysis: Analysis,
    label: str,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    baseline: str = "zero",
    constant: float = 0.0,
    values: ArrayLike | None = None,
    group: Sequence[ArrayLike] | None = None,
) -> ReturnCurves:
    """Returns and advantages of one method's token rewards.

    Parameters
    ----------
    analysis, label
        Which credits are the rewards.
    gamma, lam
        Discount, and lambda of generalised advantage estimation (1 is Monte Carlo: ``A_t = G_t - V_t``). The group baselines
        belong to whole returns, so lambda is not used with them.
    baseline
        What stands for ``V(s_t)``. "zero"; a "constant"; the "prefix score" ``P_{t-1}`` of the reward model itself; "RLOO": the mean
        return of the other responses to the prompt; "GRPO": the mean return of all of them, and advantages divided by their standard
        deviation; "value model": ``values``.
    constant
        The value of the "constant" baseline.
    values
        ``[T]``, a critic's ``V(s_t)`` before each token (:func:`redviz.models.kinds.value_head.critic_values`).
    group
        Token rewards ``[T_j]`` of the *other* responses to this prompt, under the same method.

    Raises
    ------
    RedvizError
        For an unknown baseline, and where ``values`` or ``group`` is wanted and not given.

    Notes
    -----
    With a group, ``A_t`` is the return to go minus the group's baseline. At the first token that is RLOO (or GRPO) on the totals;
    a sequence-scale baseline is never subtracted from a single token's credit, which would reward length.
    """
    if baseline not in BASELINES:
        raise RedvizError(f"There is no baseline {baseline!r}; use one of {', '.join(BASELINES)}.")
    if label not in analysis.credits:
        raise RedvizError(f"There are no credits {label!r}; this analysis has {', '.join(analysis.credits) or 'none'}.")
    credit = analysis.credits[label]
    rewards = credit.values.astype(np.float64)  # [T]
    made = returns.monte_carlo(rewards, gamma)  # [T]
    options = credit.meta.get("options", {})
    differences = credit.meta.get("method") in PREFIX_DIFFERENCES and options.get("beta_c", 1.0) > 0
    cautions = []
    if differences and options.get("initial") == "zero_first":
        cautions.append(
            "Without the first token's credit the baseline depends on that token, so its gradient is biased."
        )
    if differences and (options.get("segment", "token") != "token" or options.get("players", "token") != "token"):
        cautions.append(
            "Credits of whole segments are no shaping token by token: inside a segment the baseline sees later tokens."
        )
    if differences and baseline == "prefix score":
        cautions.append(
            "The returns of prefix differences already carry the prefix score as baseline; subtracting it again counts it twice."
        )
    if differences and gamma < 1:
        cautions.append(
            "With γ < 1 prefix differences are no longer potential-based shaping: the best policy may change."
        )
    if baseline in GROUPED:
        critic, advantages, caution = _grouped(made, baseline, group, gamma)
        cautions += caution
    else:
        critic = _critic(analysis, baseline, constant, values)  # [T]
        advantages = returns.gae(rewards, critic, gamma, lam)
    return ReturnCurves(rewards, made, critic, advantages, tuple(cautions))


def _critic(analysis: Analysis, baseline: str, constant: float, values: ArrayLike | None) -> Array:
    """V(s_t) before each token: ``[T]`` float64."""
    length = len(analysis.tokens)
    if baseline == "value model":
        if values is None:
            raise RedvizError(
                'The baseline "value model" needs values: V(s_t) before each token, one number per token.'
            )
        return np.asarray(values, np.float64)
    if baseline != "prefix score":
        return np.full(length, constant if baseline == "constant" else 0.0)
    before = analysis.prefix_scores[:-1].astype(np.float64)  # [T], P_{t-1}
    if not np.isfinite(before).all():
        raise RedvizError(
            "This model gives no prefix scores in one pass; choose another baseline than the prefix score."
        )
    return before


def _grouped(
    made: Array, baseline: str, group: Sequence[ArrayLike] | None, gamma: float
) -> tuple[Array, Array, list[str]]:
    """The group's baseline at every token, the advantages under it (both ``[T]`` float64), and cautions."""
    if not group or any(np.size(other) == 0 for other in group):
        raise RedvizError(f"{baseline} compares responses to one prompt; give group, the token rewards of the others.")
    totals = [float(made[0]), *(float(returns.monte_carlo(other, gamma)[0]) for other in group)]
    if baseline == "RLOO":
        mean = float(np.mean(totals[1:]))
        return np.full(len(made), mean), made - mean, []
    mean, spread = float(np.mean(totals)), float(np.std(totals, ddof=1))
    critic = np.full(len(made), mean)
    if spread <= 8 * np.finfo(np.float64).eps * max(map(abs, totals)):
        return (
            critic,
            np.zeros_like(made),
            ["All responses have the same return, so GRPO gives no advantage to any token."],
        )
    return critic, (made - mean) / (spread + GRPO_EPS), []
