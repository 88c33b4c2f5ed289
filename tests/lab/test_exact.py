"""The exact laboratory against finite differences, and the claims that it decides (sums over all 27 responses)."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from redviz import returns
from redviz.credit.from_records.prefix import red
from redviz.errors import RedvizError
from redviz.lab.exact import (
    GradientEstimate,
    advantages,
    ascend,
    estimate,
    every_response,
    gradient,
    prefix_scores,
    response_probabilities,
    softmax_policy,
    token_rewards,
    true_values,
)
from redviz.records import Array, Encoding, Observation

TREE = every_response(3, 3)
DRAWN = np.random.default_rng(3)
LOGITS = DRAWN.normal(size=(13, 3))
POLICY = softmax_policy(LOGITS)
WORTH = DRAWN.normal(size=(3, 3))  # of every token at every step
SCORES = sum(WORTH[t, TREE.tokens[:, t]] for t in range(3)) + 0.3 * DRAWN.normal(size=27)
VALUES = true_values(TREE, POLICY, SCORES)
ATTENTION = DRAWN.dirichlet(np.ones(3), size=27)
MODELS = {
    "the value function": prefix_scores(TREE, VALUES),
    "noisy": prefix_scores(TREE, VALUES, noise=0.5),
    "says nothing": prefix_scores(TREE, VALUES, quality=0.0),
    "misleading": prefix_scores(TREE, VALUES, quality=-1.0, noise=1.0),
}
POOR = MODELS["misleading"]
TRUTH = gradient(TREE, POLICY, np.repeat(SCORES[:, None], 3, axis=1))


def of(kind: str, prefix: Array = POOR, gamma: float = 1.0, **options: object) -> GradientEstimate:
    rewards = token_rewards(kind, prefix, gamma=gamma, attention=ATTENTION, **options)  # type: ignore[arg-type]
    return estimate(TREE, POLICY, advantages(rewards, gamma), TRUTH)


def expected_return(policy: Array, rewards: Array, gamma: float) -> float:
    """Exact mean of ``sum_t gamma^(t-1) r_t`` under the policy; rewards ``[N, T]``."""
    return float(response_probabilities(TREE, policy) @ returns.monte_carlo(rewards, gamma)[:, 0])


def best_response(rewards: Array, gamma: float = 1.0) -> int:
    """Which response has the largest discounted sum of rewards ``[N, T]``: where an optimal policy ends."""
    return int(returns.monte_carlo(rewards, gamma)[:, 0].argmax())


def differences(rewards: Array, gamma: float) -> Array:
    """The gradient of the expected return by central differences of every logit."""
    out = np.empty_like(LOGITS)
    for where in np.ndindex(*LOGITS.shape):
        step = np.zeros_like(LOGITS)
        step[where] = 1e-5
        up, down = (expected_return(softmax_policy(LOGITS + sign * step), rewards, gamma) for sign in (1, -1))
        out[where] = (up - down) / 2e-5
    return out


def test_the_tree_holds_every_response_and_every_prefix_once() -> None:
    assert [tuple(row) for row in TREE.tokens.tolist()] == list(product(range(3), repeat=3))
    prefixes = {tuple(y[:t]): s for y, row in zip(TREE.tokens, TREE.states, strict=True) for t, s in enumerate(row)}
    assert sorted(prefixes.values()) == list(range(13)) and prefixes[()] == 0
    assert response_probabilities(TREE, POLICY).sum() == pytest.approx(1, abs=1e-14)
    with pytest.raises(RedvizError, match="cannot be enumerated"):
        every_response(50, 10)


def test_a_value_is_the_mean_score_of_the_responses_behind_its_prefix() -> None:
    p = response_probabilities(TREE, POLICY)
    for n, t in product(range(27), range(4)):
        same = (TREE.tokens[:, :t] == TREE.tokens[n, :t]).all(axis=1)
        assert VALUES[n, t] == pytest.approx((p * SCORES)[same].sum() / p[same].sum(), abs=1e-13)


@pytest.mark.parametrize("gamma", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["sparse", "red", "red_discounted"])
def test_the_gradient_is_the_derivative_of_the_expected_return(kind: str, gamma: float) -> None:
    rewards = token_rewards(kind, POOR, gamma=gamma)
    exact = gradient(TREE, POLICY, advantages(rewards, gamma))
    assert np.abs(exact - differences(rewards, gamma)).max() < 1e-9
    assert np.abs(exact).max() > 0.05


@pytest.mark.parametrize("gamma", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["uniform", "abc"])
def test_reward_to_go_of_a_hindsight_reward_is_no_derivative_of_its_return(kind: str, gamma: float) -> None:
    """Their early rewards depend on later tokens, which the reward to go of those tokens leaves out."""
    rewards = token_rewards(kind, POOR, attention=ATTENTION)
    exact = gradient(TREE, POLICY, advantages(rewards, gamma))
    assert np.abs(exact - differences(rewards, gamma)).max() > 0.01


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("beta_c", [1.0, 0.3])
def test_red_at_gamma_one_leaves_the_gradient_as_it_is_whatever_the_prefix_scores(name: str, beta_c: float) -> None:
    found = of("red", MODELS[name], beta_c=beta_c)
    assert found.cosine == pytest.approx(1, abs=1e-12) and np.abs(found.gradient - TRUTH).max() < 1e-12


@pytest.mark.parametrize("name", MODELS)
def test_the_potential_based_form_keeps_the_discounted_gradient(name: str) -> None:
    """All responses are 3 tokens long, so the discounted objective is gamma^2 times the score."""
    assert np.abs(of("red_discounted", MODELS[name], 0.7).gradient - 0.7**2 * TRUTH).max() < 1e-12
    rewards = [token_rewards(kind, MODELS[name], gamma=0.7) for kind in ("red_discounted", "sparse")]
    trainers = [gradient(TREE, POLICY, advantages(r, 0.7, from_start=False)) for r in rewards]
    assert np.abs(trainers[0] - trainers[1]).max() < 1e-12


def test_what_changes_the_gradient() -> None:
    assert of("red", gamma=0.7).angle > 5
    assert of("uniform").angle > 5
    assert of("abc").angle > 5
    as_advantage = estimate(TREE, POLICY, token_rewards("red", POOR), TRUTH)
    assert as_advantage.angle > 5


def test_with_the_true_value_function_even_myopic_red_is_right() -> None:
    """Then the mean of a difference given state and token is the advantage, and later differences have mean 0."""
    prefix = MODELS["the value function"]
    assert np.abs(gradient(TREE, POLICY, token_rewards("red", prefix)) - TRUTH).max() < 1e-12
    to_go = advantages(token_rewards("red", prefix), 0.7, from_start=False)
    assert np.abs(gradient(TREE, POLICY, to_go) - TRUTH).max() < 1e-12


def test_a_good_reward_model_lowers_the_variance_and_a_poor_one_raises_it() -> None:
    sparse = of("sparse").variance
    assert of("red", MODELS["the value function"]).variance < 0.8 * sparse
    assert of("red", POOR).variance > 1.2 * sparse
    nothing = of("red", MODELS["says nothing"]).variance  # a constant baseline
    assert of("red", MODELS["the value function"]).variance < 0.8 * nothing < nothing < 0.8 * of("red", POOR).variance


def test_the_variance_is_that_of_samples() -> None:
    weights = advantages(token_rewards("red", POOR))
    drawn = np.random.default_rng(0).choice(27, size=40_000, p=response_probabilities(TREE, POLICY))
    samples = np.zeros((len(drawn), 13, 3))
    for t in range(3):
        rows, states, tokens = np.arange(len(drawn)), TREE.states[drawn, t], TREE.tokens[drawn, t]
        samples[rows, states] = weights[drawn, t][:, None] * (np.eye(3)[tokens] - POLICY[states])
    assert of("red").variance == pytest.approx(samples.var(axis=0).sum(), rel=0.03)
    assert np.abs(samples.mean(axis=0) - TRUTH).max() < 0.05


def test_an_angle_of_nothing_is_no_number() -> None:
    assert np.isnan(estimate(TREE, POLICY, np.zeros((27, 3)), TRUTH).angle)


def test_the_best_response_stays_with_shaping_and_moves_with_discounted_differences() -> None:
    best = int(SCORES.argmax())
    prefix = prefix_scores(TREE, VALUES, quality=-2.0)
    assert best_response(token_rewards("red", prefix)) == best
    assert best_response(token_rewards("red_discounted", prefix, gamma=0.3), 0.3) == best
    assert best_response(token_rewards("red", prefix), 0.3) != best


def test_following_shaped_rewards_reaches_the_best_score_and_following_steps_alone_does_not() -> None:
    rewards = token_rewards("red", MODELS["misleading"])
    shaped, policy = ascend(TREE, LOGITS, advantages(rewards), SCORES, steps=800)
    myopic, _ = ascend(TREE, LOGITS, rewards, SCORES, steps=800)
    assert shaped[0] == myopic[0] == pytest.approx(VALUES[0, 0])
    assert shaped[-1] > SCORES.max() - 0.05 and myopic[-1] < SCORES.max() - 0.3
    assert response_probabilities(TREE, policy).argmax() == SCORES.argmax()


@pytest.mark.parametrize("beta_c", [1.0, 0.4])
def test_the_rewards_are_those_of_the_library(beta_c: float) -> None:
    made = token_rewards("red", POOR, beta_c=beta_c)
    for prefix, row in zip(POOR[:5], made[:5], strict=True):
        encoding = Encoding(np.arange(4), 1, 4, 3, ((0, 1), (1, 2), (2, 3)), ("p", "a", "b", "c"), "pabc")
        observation = Observation(encoding, prefix.astype(np.float32))
        assert np.abs(red(observation, beta_c=beta_c).values - row).max() < 1e-5
