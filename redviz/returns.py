"""Returns, advantages and KL penalties over token rewards: pure functions of numpy arrays.

Shapes are ``[.., T]`` (any leading batch shape, then tokens) or ``[.., k]`` (then the responses to one prompt).
Arithmetic and results are float64, whatever comes in. A ``mask`` is 1 (or True) at the tokens that count (default:
all); masked positions are skipped, wherever they stand (right padding, left padding, or holes such as tool output
inside a response): the successor of a token is the next token that counts, and a masked entry of a result is
exactly 0. What a masked entry of the input holds, NaN included, never matters.

Every function raises `RedvizError` when shapes disagree, an option is out of range, or an entry that counts is not
finite. ``gamma`` and ``lam`` lie in [0, 1]. ``values`` holds V(s_t), the critic's value of the state *before* token t;
``last_value`` is the value after the last token that counts: 0 where the response ended, the critic's value where it
was cut off (truncation), a number or one per response.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from redviz.errors import RedvizError

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


def monte_carlo(rewards: ArrayLike, gamma: float = 1.0, mask: ArrayLike | None = None) -> Floats:
    """Discounted reward to go ``G_t = r_t + gamma G_{t+1}``, ``[.., T]``.

    Source: Sutton and Barto, Reinforcement Learning (2018), eq. 3.9.

    Parameters
    ----------
    rewards, mask : [.., T]
    gamma : discount

    Examples
    --------
    >>> monte_carlo([0.0, 0.0, 1.0], gamma=0.5)
    array([0.25, 0.5 , 1.  ])
    >>> monte_carlo([1.0, 9.0, 1.0], gamma=0.5, mask=[1, 0, 1])  # the masked token takes no time
    array([1.5, 0. , 1. ])
    """
    r = _tokens("rewards", rewards)
    m = _mask(mask, r)
    return _discounted_sum(_counted("rewards", r, m), _unit("gamma", gamma), m)


def reinforce(rewards: ArrayLike, baseline: ArrayLike, gamma: float = 1.0, mask: ArrayLike | None = None) -> Floats:
    """REINFORCE advantage ``A_t = G_t - b_t``, ``[.., T]``.

    Any baseline that does not depend on token t keeps the policy gradient unbiased.
    Source: Williams, Simple statistical gradient-following algorithms (1992).

    Parameters
    ----------
    rewards, mask : [.., T]
    baseline : a number, [.., 1] or [.., T]
    gamma : discount

    Examples
    --------
    >>> reinforce([0.0, 0.0, 1.0], baseline=0.5)
    array([0.5, 0.5, 0.5])
    """
    r = _tokens("rewards", rewards)
    m = _mask(mask, r)
    b = _floats("baseline", baseline)
    if b.shape not in ((), r.shape[:-1] + (1,), r.shape):
        raise RedvizError(
            f"baseline has shape {b.shape} but rewards has shape {r.shape}: "
            f"pass a number, one value per response {r.shape[:-1] + (1,)}, or one per token {r.shape}."
        )
    b = _counted("baseline", np.broadcast_to(b, r.shape), m)
    return _discounted_sum(_counted("rewards", r, m), _unit("gamma", gamma), m) - b


def td_errors(
    rewards: ArrayLike,
    values: ArrayLike,
    gamma: float = 1.0,
    mask: ArrayLike | None = None,
    last_value: ArrayLike = 0.0,
) -> Floats:
    """One-step temporal-difference error ``delta_t = r_t + gamma V_{t+1} - V_t``, ``[.., T]``.

    Source: Sutton and Barto, Reinforcement Learning (2018), eq. 6.5.

    Parameters
    ----------
    rewards, values, mask : [.., T]
    gamma : discount
    last_value : a number or [..]

    Examples
    --------
    >>> td_errors([0.0, 1.0], values=[0.25, 0.5])
    array([0.25, 0.5 ])
    """
    r = _tokens("rewards", rewards)
    m = _mask(mask, r)
    v = _floats("values", values)
    if v.shape != r.shape:
        raise RedvizError(
            f"values has shape {v.shape} but rewards has shape {r.shape}: pass V(s_t) before each token and no entry "
            "for the state after the last one, which goes in last_value."
        )
    r, v = _counted("rewards", r, m), _counted("values", v, m)
    return np.where(m, r + _unit("gamma", gamma) * _successor_values(v, m, last_value) - v, 0.0)


def gae(
    rewards: ArrayLike,
    values: ArrayLike,
    gamma: float = 1.0,
    lam: float = 0.95,
    mask: ArrayLike | None = None,
    last_value: ArrayLike = 0.0,
) -> Floats:
    """Generalised advantage estimation, ``A_t = delta_t + gamma lam A_{t+1}``, ``[.., T]``.

    The critic's regression target is ``A_t + V_t``. With RED rewards the critic that matches ``V`` on the sparse
    reward is ``V - beta_c P_{t-1}``; the prefix score itself as critic would subtract the baseline twice.
    Source: Schulman et al., High-dimensional continuous control using generalized advantage estimation (2016), eq. 16.

    Parameters
    ----------
    rewards, values, mask : [.., T]
    gamma : discount
    lam : 0 gives the TD error, 1 gives ``G_t - V_t``
    last_value : a number or [..]

    Examples
    --------
    >>> gae([0.0, 0.0, 1.0], values=[0.5, 0.5, 0.5], lam=1.0)
    array([0.5, 0.5, 0.5])
    >>> gae([0.0, 0.0, 1.0], values=[0.5, 0.5, 0.5], lam=0.0)
    array([0. , 0. , 0.5])
    """
    deltas = td_errors(rewards, values, gamma, mask, last_value)
    return _discounted_sum(deltas, gamma * _unit("lam", lam), _mask(mask, deltas))


def rloo(scores: ArrayLike) -> Floats:
    """Score of each response minus the mean of the *others* to its prompt (REINFORCE leave-one-out), ``[.., k]``.

    It equals ``k / (k - 1) (R_i - mean)``; give it to every token of response i.
    Source: Kool et al., Buy 4 REINFORCE samples, get a baseline for free (2019); Ahmadian et al. (2024, 2402.14740).

    Parameters
    ----------
    scores : [.., k], k >= 2

    Examples
    --------
    >>> rloo([1.0, 0.0, 0.5, 2.5]).round(4) + 0.0
    array([ 0.    , -1.3333, -0.6667,  2.    ])
    """
    r = _group(scores)
    k = r.shape[-1]
    if k < 2:
        raise RedvizError(
            f"rloo compares responses to the same prompt and got a group of {k} (scores has shape {r.shape}): "
            "sample at least two responses per prompt, and keep the group on the last axis."
        )
    return (r - r.mean(axis=-1, keepdims=True)) * (k / (k - 1))


def grpo(scores: ArrayLike, eps: float = 1e-4, std: Literal["sample", "population"] | None = "sample") -> Floats:
    """Group-relative advantage ``(R_i - mean) / (std + eps)``, ``[.., k]``; a constant group gives 0.

    Give it to every token of response i.
    Source: Shao et al., DeepSeekMath (2024, arXiv 2402.03300), 4.1; Liu et al., Dr. GRPO (2025, arXiv 2503.20783).

    Parameters
    ----------
    scores : [.., k]
    eps : added to the standard deviation
    std : "sample" divides by k - 1 (TRL), "population" by k; None only centres (Dr. GRPO)

    Examples
    --------
    >>> grpo([1.0, 0.0, 0.5, 2.5], eps=0.0, std="population").round(4) + 0.0
    array([ 0.    , -1.069 , -0.5345,  1.6036])
    >>> grpo([0.7, 0.7, 0.7])
    array([0., 0., 0.])
    """
    r = _group(scores)
    if std not in ("sample", "population", None):
        raise RedvizError(f"std is {std!r}: choose 'sample', 'population' or None.")
    if not (np.isfinite(eps) and eps >= 0):
        raise RedvizError(f"eps is {eps}: it is added to a standard deviation, so pass 0 or a small positive number.")
    if std is None:
        return r - r.mean(axis=-1, keepdims=True)
    centred, spread = _centred(r, np.ones(r.shape, dtype=bool), ddof=1 if std == "sample" else 0, axis=-1)
    return centred / np.where(spread + eps > 0, spread + eps, 1.0)


def whiten(x: ArrayLike, mask: ArrayLike | None = None, ddof: int = 1) -> Floats:
    """Centre and scale to unit variance over every entry that counts, the whole batch together, ``[.., T]``.

    1e-8 is added to the variance, as TRL does; a constant input gives 0. To whiten each response alone, pass it alone.
    Source: Huang et al., The N implementation details of RLHF with PPO (2023).

    Parameters
    ----------
    x, mask : [.., T]
    ddof : 1 for the sample variance (TRL), 0 for the population's (OpenRLHF)

    Examples
    --------
    >>> whiten([1.0, 3.0, 99.0], mask=[1, 1, 0], ddof=0)
    array([-1.,  1.,  0.])
    """
    if ddof not in (0, 1):
        raise RedvizError(f"ddof is {ddof!r}: pass 1 for the sample variance or 0 for the population's.")
    a = _tokens("x", x)
    m = _mask(mask, a)
    centred, spread = _centred(_counted("x", a, m), m, ddof, axis=None)
    return centred / np.sqrt(spread**2 + 1e-8)


def kl_penalty(
    logprobs: ArrayLike,
    ref_logprobs: ArrayLike,
    estimator: Literal["k1", "k2", "k3"] = "k1",
    mask: ArrayLike | None = None,
) -> Floats:
    """Estimate the KL divergence from the reference, token by token, at the sampled tokens, ``[.., T]``.

    With ``lr = logprobs - ref_logprobs``: ``k1 = lr`` (unbiased, signed; its sum is the sequence log-ratio),
    ``k2 = lr^2 / 2`` (biased, never negative), ``k3 = exp(-lr) - 1 + lr`` (unbiased, never negative).
    It is a penalty: a reward takes **minus** beta times it.
    Source: Schulman, Approximating KL divergence (2020, joschu.net/blog/kl-approx.html).

    Parameters
    ----------
    logprobs, ref_logprobs : [.., T]
        Log-probabilities of the sampled tokens under the policy and under the reference.
    estimator : "k1", "k2" or "k3"
    mask : [.., T]

    Examples
    --------
    >>> kl_penalty([-1.0, -0.5], [-1.5, -0.25])
    array([ 0.5 , -0.25])
    """
    p, q = _tokens("logprobs", logprobs), _tokens("ref_logprobs", ref_logprobs)
    if p.shape != q.shape:
        raise RedvizError(
            f"logprobs has shape {p.shape} but ref_logprobs has shape {q.shape}: "
            "both must hold one number per sampled token of the same response."
        )
    m = _mask(mask, p)
    lr = _counted("logprobs", p, m) - _counted("ref_logprobs", q, m)
    match estimator:
        case "k1":
            return lr
        case "k2":
            return lr**2 / 2
        case "k3":
            return np.maximum(np.expm1(-lr) + lr, 0.0)  # rounding may dip below the true bound
        case _:
            raise RedvizError(f"estimator is {estimator!r}: choose 'k1', 'k2' or 'k3'.")


def _discounted_sum(x: Floats, decay: float, mask: Mask) -> Floats:
    """``y_t = x_t + decay y_{t+1}`` along the tokens that count; x is 0 at the others."""
    order = np.argsort(~mask, axis=-1, kind="stable")  # tokens that count first, in their own order
    y = np.take_along_axis(x, order, axis=-1)  # [.., T]
    step = 1
    while step < y.shape[-1]:  # identity: a sum over 2s tokens is the sum over s, plus decay^s times the next s
        y[..., :-step] += decay**step * y[..., step:]
        step *= 2
    out = np.empty_like(y)
    np.put_along_axis(out, order, y, axis=-1)
    return out


def _successor_values(values: Floats, mask: Mask, last_value: ArrayLike) -> Floats:
    """Value at the next token that counts; ``last_value`` after the last one."""
    batch, length = values.shape[:-1], values.shape[-1]
    last = _floats("last_value", last_value)
    if last.shape not in ((), batch):
        raise RedvizError(f"last_value has shape {last.shape}: pass a number, or one per response, {batch}.")
    last = _counted("last_value", np.broadcast_to(last, batch), np.ones(batch, dtype=bool))
    end = np.full(batch + (1,), length)
    columns = np.concatenate([np.where(mask, np.arange(length), length), end], axis=-1)  # [.., T+1]
    nearest = np.minimum.accumulate(columns[..., ::-1], axis=-1)[..., ::-1]  # first column that counts, at or after
    extended = np.concatenate([values, last[..., None]], axis=-1)  # [.., T+1]
    return np.take_along_axis(extended, nearest[..., 1:], axis=-1)  # [.., T]


def _centred(x: Floats, mask: Mask, ddof: int, axis: int | None) -> tuple[Floats, Floats]:
    """Deviations from the mean and their standard deviation, over the entries that count; x is 0 at the others."""
    n = mask.sum(axis=axis, keepdims=True)
    centred = np.where(mask, x - x.sum(axis=axis, keepdims=True) / np.maximum(n, 1), 0.0)
    std = np.sqrt((centred**2).sum(axis=axis, keepdims=True) / np.maximum(n - ddof, 1))
    # Equal entries can differ from their rounded mean: that is no spread, and must not be scaled up to one.
    rounding = 8 * np.finfo(np.float64).eps * np.abs(x).max(axis=axis, keepdims=True, initial=0.0)
    return np.where(std > rounding, centred, 0.0), np.where(std > rounding, std, 0.0)


def _floats(name: str, x: ArrayLike) -> Floats:
    try:
        return np.asarray(x, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RedvizError(
            f"{name} cannot be read as an array of numbers ({error}): pass a numpy array, pad rows of unequal length "
            "and give a mask, or for a tensor call .detach().float().cpu() first."
        ) from error


def _tokens(name: str, x: ArrayLike) -> Floats:
    a = _floats(name, x)
    if a.ndim == 0:
        raise RedvizError(f"{name} is a single number: pass an array with the tokens on its last axis.")
    return a


def _group(scores: ArrayLike) -> Floats:
    r = _floats("scores", scores)
    if r.ndim == 0 or r.shape[-1] == 0:
        raise RedvizError(f"scores has shape {r.shape}: pass the scores of all responses to a prompt on the last axis.")
    return _counted("scores", r, np.ones(r.shape, dtype=bool))


def _mask(mask: ArrayLike | None, like: Floats) -> Mask:
    if mask is None:
        return np.ones(like.shape, dtype=bool)
    m = _floats("mask", mask)
    if m.shape != like.shape:
        raise RedvizError(f"mask has shape {m.shape} but the tokens have shape {like.shape}: they must be the same.")
    if not np.isin(m, (0.0, 1.0)).all():
        raise RedvizError("mask holds something other than 0 and 1: pass 1 at the tokens that count and 0 elsewhere.")
    return m.astype(bool)


def _counted(name: str, x: Floats, mask: Mask) -> Floats:
    """Return x with masked entries 0, so that nothing in the padding (NaN included) reaches the arithmetic."""
    out = np.where(mask, x, 0.0)
    if not np.isfinite(out).all():
        raise RedvizError(f"{name} holds NaN or infinity at a token that counts: correct it, or mask that token out.")
    return out


def _unit(name: str, x: float) -> float:
    if not 0.0 <= x <= 1.0:  # also refuses NaN
        raise RedvizError(f"{name} is {x}: pass a number from 0 to 1.")
    return float(x)
