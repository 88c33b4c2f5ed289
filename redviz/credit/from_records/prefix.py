"""Prefix differences: RED, first published as R3HF (arXiv 2411.08302)."""

import numpy as np

from redviz.credit.from_records.log_ratio import Estimator, check_length, kl_terms
from redviz.errors import RedvizError
from redviz.models.reading.alignment import tokens_read
from redviz.records import Array, Credit, LogProbs, Observation

INITIALS = ("prefix", "zero_first", "zero_base")


def red(
    observation: Observation,
    *,
    beta_c: float = 1.0,
    initial: str = "prefix",
    kl_coef: float = 0.0,
    kl_estimator: Estimator = "k1",
    alpha: float = 0.0,
    stride: int = 1,
    objective: int = -1,
    log_probs: LogProbs | None = None,
    cost: Observation | None = None,
) -> Credit:
    """Credit of token t: what it adds to the score of the prefix, ``P_t - P_{t-1}`` (equations 6 to 8 of RED).

    Parameters
    ----------
    observation
        One forward pass of the reward model.
    beta_c
        The convex mix with the sparse reward, in [0, 1]: ``beta_c * (P_t - P_{t-1}) + (1 - beta_c) * sparse``.
    initial
        What the first token is compared with. "prefix": the empty response (dynamic initialisation, the paper's choice).
        "zero_first": itself, so its credit is 0. "zero_base": nothing, so the base score is part of its credit.
    kl_coef
        Coefficient of the KL penalty that is taken from every credit; 0 takes none. The paper's is 0.02. Not 0 needs ``log_probs``.
    kl_estimator
        "k1" (the signed log-ratio of the paper's pseudo-code), "k2" or "k3".
    alpha
        Weight of a cost model beside the reward model: ``0.5 * (reward's credit + alpha * cost's credit)``; 0 leaves the reward model
        alone. The paper's text says -1, its table 1. Not 0 needs ``cost``.
    stride
        For models that look both ways, where every prefix costs a forward pass: score every stride-th prefix (and the whole
        response), and let the tokens between share their credit equally (:func:`strided`).
    objective
        Of a model with several: the number of the one to look at; -1 is the model's own score, however it mixes them.
    log_probs
        The policy's and the reference's, for the KL penalty.
    cost
        One forward pass of the cost model over the same example. Where its tokens are others, it is read after its last token that
        ends at or before the end of each of the reward model's.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - beta_c * P_0`` ("zero_first": P_1 in place of P_0; "zero_base": 0), halved and with alpha times the
        cost's added where there is one, less ``kl_coef`` times the sum of the KL terms. What the template's closing tokens add is
        folded into the last token and named in ``closing``.
    """
    if not 0.0 <= beta_c <= 1.0:
        raise RedvizError(f"beta_c is {beta_c}; it mixes two rewards, so give a number from 0 to 1.")
    if initial not in INITIALS:
        raise RedvizError(f"initial is {initial!r}; use one of {', '.join(INITIALS)}.")
    observation = observation if objective < 0 else observation.of_label(objective)
    prefix = observation.prefix_scores.astype(np.float64)  # [T+1]
    total, closing = observation.score, observation.closing
    if stride > 1 and initial == "zero_first":
        raise RedvizError(
            f"zero_first compares with P_1, which stride {stride} does not score; use prefix, or stride 1."
        )
    if alpha:
        paid, whole = _cost_scores(observation, cost)  # [T+1]
        prefix = 0.5 * (prefix + alpha * paid)
        total = 0.5 * (total + alpha * whole)
        closing = 0.5 * (closing + alpha * (whole - float(paid[-1])))
    prefix = strided(prefix, observation, stride)
    steps = np.diff(prefix)  # [T]
    reference = {"prefix": prefix[0], "zero_first": prefix[1], "zero_base": 0.0}[initial]
    if not np.isfinite(reference):
        raise RedvizError(
            "Nothing is read before the first step here, so there is no P_0; use initial zero_first or zero_base."
        )
    steps[0] = prefix[1] - reference
    values = beta_c * steps
    values[-1] += beta_c * closing + (1.0 - beta_c) * total
    closing *= beta_c
    if kl_coef:
        penalty = kl_coef * _kl(observation, log_probs, kl_estimator)  # [T], and one more for the end-of-turn token
        values -= penalty[: len(values)]
        values[-1] -= penalty[len(values) :].sum()
        closing -= float(penalty[len(values) :].sum())
        total -= float(penalty.sum())
    meta = {"stride": stride} if stride > 1 else {}
    return Credit(values.astype(np.float32), total, beta_c * float(reference), closing=closing, meta=meta)


def strided(prefix: Array, observation: Observation, stride: int) -> Array:
    """Every stride-th prefix score and the last, the others on straight lines between: ``[T+1]`` float64.

    Raises
    ------
    RedvizError
        For a stride above 1 of a causal model, whose one pass gives every prefix score; or where the observation holds fewer.
    """
    if stride > 1 and not observation.both_ways:
        raise RedvizError(
            f"stride is {stride}, which saves nothing here: one forward pass gives every prefix score of a causal model; use 1."
        )
    if stride % observation.stride:
        raise RedvizError(
            f"stride is {stride}, but this response was observed with stride {observation.stride}; observe it again."
        )
    if stride == 1:
        return prefix
    size = len(prefix) - 1
    at = [*range(0, size, stride), size]
    found: Array = np.interp(np.arange(size + 1), at, prefix[at]).astype(np.float64)
    return found


def _cost_scores(observation: Observation, cost: Observation | None) -> tuple[Array, float]:
    """The cost model's prefix scores at the reward model's tokens, ``[T+1]`` float64, and its score."""
    if cost is None:
        raise RedvizError(
            "alpha weighs a second reward model whose score is a cost, and there is none; pass cost_model, or alpha 0."
        )
    if not np.isfinite(cost.prefix_scores).all():
        raise RedvizError("The cost model has no score of every prefix; give a causal reward model, or alpha 0.")
    if cost.encoding.truncated or observation.encoding.truncated:
        ends = [max(end for _, end in seen.encoding.offsets) for seen in (cost, observation)]
        if ends[0] != ends[1]:
            raise RedvizError(
                f"The cost model reads {ends[0]} characters of the response and the reward model {ends[1]}, because one of their "
                "contexts cut it; give a shorter response, or alpha 0."
            )
    read = tokens_read(cost.encoding.offsets, observation.encoding.offsets)  # [T+1]
    return cost.prefix_scores.astype(np.float64)[read], cost.score


def _kl(observation: Observation, log_probs: LogProbs | None, estimator: Estimator) -> Array:
    """The KL term of every token, and of the end-of-turn token where there is one: ``[T]`` or ``[T+1]`` float64."""
    if log_probs is None:
        raise RedvizError(
            "kl_coef takes a KL penalty from every credit, and that needs two language models; "
            "pass policy and reference, or kl_coef 0."
        )
    check_length(observation, log_probs)
    return kl_terms(log_probs, estimator)
