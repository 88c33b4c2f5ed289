"""Credits from a policy's log-probabilities against its reference: DPO's implicit reward, RTO, SePO, TDPO and the KL penalty.

The end-of-turn token, where the policy's template has one, is one more token of the response: what it earns is folded into the
last token and named in ``closing``.
"""

from typing import Literal

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Array, Credit, LogProbs, Observation
from redviz.returns import kl_penalty

KINDS = ("scores", "chosen", "rejected")
ESTIMATORS = ("k1", "k2", "k3")

Estimator = Literal["k1", "k2", "k3"]


def dpo(observation: Observation, log_probs: LogProbs, *, beta: float = 0.1) -> Credit:
    """The reward that a DPO policy implies, ``beta * (log pi(y_t|s_t) - log pi_ref(y_t|s_t))``.

    At DPO's optimum it is the advantage of the token (Rafailov et al. 2024, "From r to Q*", arXiv 2404.12358).

    Parameters
    ----------
    observation
        The reward model's forward pass; only its tokens matter.
    log_probs
        The policy's and the reference's.
    beta
        The temperature that the policy was trained with.

    Returns
    -------
    Credit
        ``[T]``; sums to ``beta`` times the log-ratio of the whole response, ``r(x, y) - beta log Z(x)``.
    """
    return _summed(observation, log_probs, beta * _ratio(log_probs))


def rto(
    observation: Observation, log_probs: LogProbs, *, beta_1: float = 0.05, beta_3: float = 1.0, clip: float = 0.05
) -> Credit:
    """RTO's reward: DPO's implicit reward at every token, and the reward model's score at the last.

    ``clip(beta_1 * (log pi_dpo - log pi_ref)(y_t), -c, c) + 1[t = T] beta_3 R`` (Zhong et al. 2024, arXiv 2404.18922; the clip is the
    released code's, which also normalises R over the run). Its third term, ``-beta_2`` times the log-ratio of the policy *in
    training*, is 0 where training starts from the reference; for another policy it is the credit of :func:`kl`.

    Parameters
    ----------
    observation
        The reward model's forward pass.
    log_probs
        Those of the DPO policy and of the reference.
    beta_1, beta_3
        Weights of the implicit reward and of the score.
    clip
        Bound of the implicit reward, after scaling; 0 leaves it unbounded.

    Returns
    -------
    Credit
        ``[T]``; sums to ``beta_3 R`` and the clipped terms, unclipped ``beta_3 R + beta_1 * log-ratio``. ``meta["clipped"]``: how many
        tokens the clip touches.
    """
    if clip < 0:
        raise RedvizError(f"clip is {clip}; give a bound above 0, or 0 for none.")
    scaled = beta_1 * _ratio(log_probs)  # [N]
    shaped = np.clip(scaled, -clip, clip) if clip else scaled
    credit = _summed(observation, log_probs, shaped)
    outcome = beta_3 * observation.score
    values = credit.values.copy()
    values[-1] += outcome
    total = float(shaped.sum()) + outcome
    return Credit(values, total, 0.0, credit.closing, {"clipped": int((shaped != scaled).sum())})


def sepo(observation: Observation, log_probs: LogProbs, *, share: float = 0.3, kind: str = "scores") -> Credit:
    """The scores by which SePO selects tokens, ``log pi_oracle(y_t|s_t) - log pi_ref(y_t|s_t)`` (Yang et al. 2024, arXiv 2408.13518).

    Of a chosen response SePO keeps the ``share`` of tokens that score highest, of a rejected one the share that score lowest. Here
    the first token can be selected; in the released code two off-by-one errors exclude it.

    Parameters
    ----------
    observation
        The reward model's forward pass; only its tokens matter.
    log_probs
        Those of the oracle (a small model after DPO) and of its reference.
    share
        The part of the N tokens to select, rounded down.
    kind
        "scores": every token's score. "chosen", "rejected": the scores of the selected tokens, 0 elsewhere.

    Returns
    -------
    Credit
        ``[T]``; promises no sum. ``meta["selected"]``: indices of the selected tokens, T is the end-of-turn token's.
    """
    if kind not in KINDS:
        raise RedvizError(f"kind is {kind!r}; use one of {', '.join(KINDS)}.")
    if not 0.0 <= share <= 1.0:
        raise RedvizError(f"share is {share}; it is a part of the response's tokens, so give a number from 0 to 1.")
    scores = _ratio(log_probs)  # [N]
    if kind == "scores":
        return _folded(observation, log_probs, scores)
    count = int(np.floor(share * len(scores) + 1e-9))  # 0.29 * 100 is a hair under 29 in binary
    order = np.argsort(-scores if kind == "chosen" else scores, kind="stable")
    selected = np.sort(order[:count])
    kept = np.zeros_like(scores)
    kept[selected] = scores[selected]
    return _folded(observation, log_probs, kept, {"selected": [int(t) for t in selected]})


def tdpo(observation: Observation, log_probs: LogProbs, *, beta: float = 0.1) -> Credit:
    """TDPO's token value, ``beta * (log pi(y_t|s_t) - log pi_ref(y_t|s_t) + KL(pi_ref || pi)(s_t))`` (Zeng et al. 2024, arXiv 2404.11999).

    The divergence runs over the whole vocabulary; with it a token drawn from the reference earns 0 on average, at every state.

    Parameters
    ----------
    observation
        The reward model's forward pass; only its tokens matter.
    log_probs
        The policy's and the reference's.
    beta
        The temperature.

    Returns
    -------
    Credit
        ``[T]``; sums to ``beta`` times (the log-ratio of the response + the sum of the divergences along it).
    """
    return _summed(observation, log_probs, beta * (_ratio(log_probs) + _all(log_probs, 2)))


def kl(observation: Observation, log_probs: LogProbs, *, beta: float = 0.1, estimator: Estimator = "k1") -> Credit:
    """The KL penalty of RLHF token by token, ``-beta * k_t`` (:func:`redviz.returns.kl_penalty`).

    Parameters
    ----------
    observation
        The reward model's forward pass; only its tokens matter.
    log_probs
        The policy's and the reference's.
    beta
        The penalty's coefficient.
    estimator
        "k1" (signed), "k2" or "k3" (never negative).

    Returns
    -------
    Credit
        ``[T]``; sums to ``-beta`` times the sum of the estimates.
    """
    return _summed(observation, log_probs, -beta * kl_terms(log_probs, estimator))


def kl_terms(log_probs: LogProbs, estimator: Estimator = "k1") -> Array:
    """The estimate at every token and, where there is one, at the end-of-turn token: ``[N]`` float64."""
    terms = kl_penalty(_all(log_probs, 0), _all(log_probs, 1), estimator)
    if np.abs(terms).max() > np.finfo(np.float32).max / len(terms):
        raise RedvizError(
            f"{estimator} overflows: the policies differ by e^{np.log(terms.max()):.0f} at a token; use k1 or k2."
        )
    return terms


def check_length(observation: Observation, log_probs: LogProbs) -> None:
    """RedvizError unless the log-probabilities are of this response's tokens."""
    length = observation.encoding.stop - observation.encoding.start
    if len(log_probs.policy) != length:
        raise RedvizError(
            f"The log-probabilities are of {len(log_probs.policy)} tokens and the response has {length}; "
            "compute them for this response."
        )


def _all(log_probs: LogProbs, which: int) -> Array:
    """Policy (0), reference (1) or divergence (2) at the N tokens: the response's and the end-of-turn token."""
    own = (log_probs.policy, log_probs.reference, log_probs.kl)[which]
    return np.array([*own, *(() if log_probs.closing is None else (log_probs.closing[which],))], np.float64)


def _ratio(log_probs: LogProbs) -> Array:
    return _all(log_probs, 0) - _all(log_probs, 1)  # [N]


def _folded(
    observation: Observation, log_probs: LogProbs, earned: Array, meta: dict[str, list[int]] | None = None
) -> Credit:
    """What N tokens earn as credits of T, without a promised sum."""
    check_length(observation, log_probs)
    closing = 0.0 if log_probs.closing is None else float(earned[-1])
    values = earned[: len(log_probs.policy)].copy()  # [T]
    values[-1] += closing
    return Credit(values.astype(np.float32), None, None, closing, meta or {})


def _summed(observation: Observation, log_probs: LogProbs, earned: Array) -> Credit:
    """The same, promising the sum of what was earned."""
    credit = _folded(observation, log_probs, earned)
    return Credit(credit.values, float(earned.sum()), 0.0, credit.closing)
