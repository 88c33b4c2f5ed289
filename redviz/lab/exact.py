"""The exact laboratory: so few tokens and steps that every response is enumerated, and nothing has to be sampled.

With 3 tokens and 3 steps there are 13 states and 27 responses, so the policy gradient under a token reward, its angle to the true one,
and the variance of the estimator that samples a single response are sums, not estimates. Pure functions of numpy arrays.

Shapes: ``N = V ** T`` responses in the order of their tokens (the first token varies slowest), ``S`` states (one for every prefix that
is shorter than T, the empty one first), ``V`` tokens, ``T`` steps. What belongs to a response step by step is ``[N, T]``; prefix scores
and values are ``[N, T+1]``, from the empty prefix to the whole response, and equal wherever two responses share the prefix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from redviz import returns
from redviz.errors import RedvizError
from redviz.records import Array

REWARDS = ("sparse", "red", "red_discounted", "uniform", "abc")
MOST_RESPONSES = 100_000


@dataclass(frozen=True)
class Tree:
    """Every response of T tokens out of V.

    Attributes
    ----------
    tokens
        ``[N, T]`` int64, the token at every step.
    states
        ``[N, T]`` int64, the state (a row of the policy) before every step; 0 is the empty prefix.
    """

    vocabulary: int
    horizon: int
    tokens: Array
    states: Array

    @property
    def state_count(self) -> int:
        """How many prefixes are shorter than the horizon."""
        return int(self.states.max()) + 1


@dataclass(frozen=True)
class GradientEstimate:
    """What a policy-gradient estimator does on average, and how much one sample of it scatters.

    Attributes
    ----------
    gradient
        ``[S, V]``, its exact expectation, one number per logit.
    norm
        The length of ``gradient``.
    angle
        Degrees between ``gradient`` and the true one; NaN where either is 0.
    cosine
        The cosine of that angle.
    variance
        Trace of the covariance of the estimator that samples one response: the mean squared distance from ``gradient``.
    """

    gradient: Array
    norm: float
    angle: float
    cosine: float
    variance: float

    @property
    def noise(self) -> float:
        """The variance in units of the squared norm: how many responses must be averaged until noise and signal are equally long."""
        return self.variance / self.norm**2 if self.norm > 0 else float("nan")


def every_response(vocabulary: int = 3, horizon: int = 3) -> Tree:
    """Enumerate the responses.

    Raises
    ------
    RedvizError
        For fewer than two tokens, no step, or more than 100,000 responses.

    Examples
    --------
    >>> tree = every_response(3, 3)
    >>> tree.tokens.shape, tree.state_count
    ((27, 3), 13)
    """
    if vocabulary < 2 or horizon < 1 or vocabulary**horizon > MOST_RESPONSES:
        raise RedvizError(
            f"{vocabulary} tokens and {horizon} steps cannot be enumerated; give at least 2 tokens and 1 step, "
            f"and no more than {MOST_RESPONSES:,} responses."
        )
    number = np.arange(vocabulary**horizon)  # [N]
    left = vocabulary ** np.arange(horizon - 1, -1, -1)  # [T]
    tokens = number[:, None] // left % vocabulary  # [N, T]
    # The prefixes of length t are numbered by their digits, after all shorter ones: 1 + V + .. + V^(t-1) = (V^t - 1) / (V - 1).
    powers = vocabulary ** np.arange(horizon)  # [T]
    states = (powers - 1) // (vocabulary - 1) + number[:, None] // (left * vocabulary)  # [N, T]
    return Tree(vocabulary, horizon, tokens, states)


def softmax_policy(logits: ArrayLike) -> Array:
    """Probability of every token in every state, ``[S, V]``, from one logit each."""
    x = np.asarray(logits, np.float64)
    x = np.exp(x - x.max(axis=-1, keepdims=True))
    probabilities: Array = x / x.sum(axis=-1, keepdims=True)
    return probabilities


def response_probabilities(tree: Tree, policy: Array) -> Array:
    """Probability of every response, ``[N]``; sums to 1."""
    chosen: Array = policy[tree.states, tree.tokens].prod(axis=1)
    return chosen


def true_values(tree: Tree, policy: Array, scores: ArrayLike) -> Array:
    """The value function along every response, ``[N, T+1]``: the mean score ``[N]`` that the policy reaches from each prefix.

    Examples
    --------
    >>> tree = every_response(2, 2)
    >>> true_values(tree, np.full((3, 2), 0.5), [0.0, 2.0, 4.0, 6.0])
    array([[3., 1., 0.],
           [3., 1., 2.],
           [3., 5., 4.],
           [3., 5., 6.]])
    """
    values = np.empty((len(tree.tokens), tree.horizon + 1))
    values[:, -1] = _scores(tree, scores)
    for t in range(tree.horizon - 1, -1, -1):
        weighed = values[:, t + 1] * policy[tree.states[:, t], tree.tokens[:, t]]  # [N]
        # The responses that go through one state are neighbours; V^(T-t-1) of them share the next token, too.
        block = weighed.reshape(-1, tree.vocabulary, tree.vocabulary ** (tree.horizon - t - 1))[:, :, 0]
        values[:, t] = np.repeat(block.sum(axis=1), tree.vocabulary ** (tree.horizon - t))
    return values


def prefix_scores(tree: Tree, values: Array, quality: float = 1.0, noise: float = 0.0, seed: int = 0) -> Array:
    """Prefix scores of a reward model whose scores of whole responses are right, ``[N, T+1]``.

    Parameters
    ----------
    values
        :func:`true_values`.
    quality
        How the score of an unfinished prefix follows its value: ``P = V_0 + quality * (V - V_0)``. 1 is the value function, 0 says
        nothing before the end, -1 says the opposite (misleading).
    noise
        Standard deviation, in units of the scores' own, of what is added to every unfinished prefix (drawn once, from ``seed``).
    """
    made = values[:, :1] + quality * (values - values[:, :1])
    drawn = np.random.default_rng(seed).normal(size=tree.state_count)  # [S]
    made[:, :-1] += noise * values[:, -1].std() * drawn[tree.states]
    made[:, -1] = values[:, -1]  # P_T = R
    return made


def token_rewards(
    kind: str,
    prefix: Array,
    *,
    gamma: float = 1.0,
    beta_c: float = 1.0,
    attention: Array | None = None,
) -> Array:
    """One reward per token of every response, ``[N, T]``; the score is the prefix score of the whole response.

    Parameters
    ----------
    kind
        "sparse": the score, at the end. "red": ``P_t - P_{t-1}``. "red_discounted": the potential-based form ``gamma P_t - P_{t-1}``,
        and ``R - P_{T-1}`` at the end, where the potential is 0. "uniform": ``R / T``. "abc": ``attention * R``.
    prefix
        ``[N, T+1]``.
    beta_c
        The share of "red" or "red_discounted"; the rest is sparse.
    attention
        ``[N, T]``, rows of weights that sum to 1, for "abc".

    Examples
    --------
    >>> token_rewards("red", np.array([[0.2, 0.5, -0.1, 1.4]])).round(3)
    array([[ 0.3, -0.6,  1.5]])
    """
    sparse = np.zeros_like(prefix[:, 1:])  # [N, T]
    sparse[:, -1] = prefix[:, -1]
    match kind:
        case "sparse":
            return sparse
        case "red":
            return beta_c * np.diff(prefix, axis=1) + (1.0 - beta_c) * sparse
        case "red_discounted":
            shaped = gamma * prefix[:, 1:] - prefix[:, :-1]
            shaped[:, -1] = prefix[:, -1] - prefix[:, -2]
            return beta_c * shaped + (1.0 - beta_c) * sparse
        case "uniform":
            return np.broadcast_to(prefix[:, -1:] / sparse.shape[1], sparse.shape).copy()
        case "abc":
            if attention is None or attention.shape != sparse.shape:
                raise RedvizError(f"abc splits the score by attention; give attention of shape {sparse.shape}.")
            return attention * prefix[:, -1:]
        case _:
            raise RedvizError(f"There is no token reward {kind!r}; use one of {', '.join(REWARDS)}.")


def advantages(rewards: Array, gamma: float = 1.0, from_start: bool = True) -> Array:
    """What multiplies the gradient of each token's log-probability, ``[N, T]``: the reward to go, discounted.

    ``from_start`` also weighs step t with ``gamma^(t-1)``, which the gradient of the discounted objective has; trainers leave it out.
    At gamma 1 there is no difference.
    """
    to_go = returns.monte_carlo(rewards, gamma)
    return to_go * gamma ** np.arange(rewards.shape[1]) if from_start else to_go


def gradient(tree: Tree, policy: Array, weights: Array) -> Array:
    """Exact mean of ``sum_t weights_t * grad log pi(y_t | s_t)`` with respect to the logits, ``[S, V]``."""
    return _mean_gradient(tree, policy, response_probabilities(tree, policy)[:, None] * weights)


def estimate(tree: Tree, policy: Array, weights: Array, truth: Array) -> GradientEstimate:
    """The estimator that samples one response and weighs its steps with ``weights`` ``[N, T]``, against the gradient ``truth``.

    Examples
    --------
    >>> tree = every_response(3, 3)
    >>> policy = softmax_policy(np.zeros((13, 3)))
    >>> scores = np.arange(27.0) / 26
    >>> prefix = prefix_scores(tree, true_values(tree, policy, scores), quality=-1.0)
    >>> truth = gradient(tree, policy, advantages(token_rewards("sparse", prefix)))
    >>> red = estimate(tree, policy, advantages(token_rewards("red", prefix)), truth)
    >>> round(red.cosine, 12)
    1.0
    """
    mean = gradient(tree, policy, weights)
    # A response visits a state once, so its gradient's squared length is the sum over its own steps.
    lengths = (np.eye(tree.vocabulary)[tree.tokens] - policy[tree.states]) ** 2  # [N, T, V]
    squared = (weights**2 * lengths.sum(axis=-1)).sum(axis=1)  # [N]
    second = float(response_probabilities(tree, policy) @ squared)
    norm = float(np.linalg.norm(mean))
    angle = _angle(mean, truth)
    return GradientEstimate(mean, norm, float(np.degrees(angle)), float(np.cos(angle)), max(second - norm**2, 0.0))


def ascend(
    tree: Tree, logits: ArrayLike, weights: Array, scores: ArrayLike, steps: int = 200, rate: float = 1.0
) -> tuple[Array, Array]:
    """Follow an estimator's exact mean uphill, and see what it does to the score.

    Returns
    -------
    curve, policy
        The expected score before the first step and after each, ``[steps + 1]``; the policy ``[S, V]`` at the end.
    """
    x = np.array(logits, np.float64)
    reached, curve = _scores(tree, scores), np.empty(steps + 1)
    for step in range(steps + 1):
        policy = softmax_policy(x)
        curve[step] = response_probabilities(tree, policy) @ reached
        if step < steps:
            x += rate * gradient(tree, policy, weights)
    return curve, policy


def _mean_gradient(tree: Tree, policy: Array, weighed: Array) -> Array:
    """``sum_n sum_t weighed * (onehot(y_t) - pi(. | s_t))`` at the rows of the states: ``[S, V]``."""
    where = tree.states * tree.vocabulary + tree.tokens  # [N, T]
    total = np.bincount(where.ravel(), weighed.ravel(), tree.state_count * tree.vocabulary).reshape(-1, tree.vocabulary)
    visits = total.sum(axis=1)  # [S], every visit takes one token
    out: Array = total - visits[:, None] * policy
    return out


def _angle(a: Array, b: Array) -> float:
    """Radians between two arrays, right for tiny angles too (Kahan): arccos of a cosine near 1 is not."""
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if not min(lengths) > 0:
        return float("nan")
    u, v = a / lengths[0], b / lengths[1]
    return float(2 * np.arctan2(np.linalg.norm(u - v), np.linalg.norm(u + v)))


def _scores(tree: Tree, scores: ArrayLike) -> Array:
    made = np.asarray(scores, np.float64)
    if made.shape != (len(tree.tokens),):
        raise RedvizError(f"scores has shape {made.shape}; give one number per response, {(len(tree.tokens),)}.")
    return made
