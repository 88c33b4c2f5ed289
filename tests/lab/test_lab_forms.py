"""What each algorithm makes of token rewards: identities, exact."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from redviz import returns
from redviz.errors import RedvizError
from redviz.lab.config import LabConfig
from redviz.lab.forms import RunningBaseline, advantages
from redviz.lab.gradients import GradientMean, policy_loss

LENGTHS = np.array([4, 2, 3, 4, 1, 4, 4, 2])
MASK = (np.arange(4) < LENGTHS[:, None]).astype(float)  # [8, 4]: two groups of four
RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=8)
PREFIXES = np.where(np.arange(1, 5) < LENGTHS[:, None], RNG.normal(size=(8, 4)), SCORES[:, None])  # P_1 .. P_T, P_T = R
BASES = np.repeat([0.3, -0.2], 4)  # P_0 of each group's request


def config(algorithm: str, method: str, **more) -> LabConfig:
    return LabConfig(algorithm=algorithm, method=method, group=4, batch=8, micro_batches=2, max_new_tokens=4, **more)


def sparse() -> np.ndarray:
    return SCORES[:, None] * (np.arange(1, 5) == LENGTHS[:, None])


def red(beta_c: float = 1.0) -> np.ndarray:
    walk = np.concatenate([BASES[:, None], PREFIXES], 1)
    return (beta_c * np.diff(walk, axis=1) + (1 - beta_c) * sparse()) * MASK


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_sparse_rewards_give_the_published_advantages(algorithm):
    made = advantages(config(algorithm, "sparse"), sparse(), MASK).advantages
    published = getattr(returns, algorithm)(SCORES.reshape(2, 4)).reshape(8, 1)
    np.testing.assert_allclose(made, published * MASK, atol=1e-12)


@pytest.mark.parametrize("beta_c", [1.0, 0.4])
def test_red_is_the_return_to_go_with_the_prefix_score_as_baseline(beta_c):
    made = advantages(config("rloo", "red"), red(beta_c), MASK)
    before = np.concatenate([BASES[:, None], PREFIXES[:, :-1]], 1)  # P_{t-1}
    own = SCORES[:, None] - beta_c * before
    np.testing.assert_allclose(made.returns, own * MASK, atol=1e-12)
    residual = (SCORES - beta_c * BASES).reshape(2, 4)
    others = (residual.sum(1, keepdims=True) - residual) / 3
    np.testing.assert_allclose(made.advantages, (own - others.reshape(8, 1)) * MASK, atol=1e-12)
    # at the first token P_0 cancels: plain RLOO, less what the prefix takes
    first = returns.rloo(SCORES.reshape(2, 4)).reshape(8)
    np.testing.assert_allclose(made.advantages[:, 0], first, atol=1e-12)


def test_uniform_rewards_are_compared_with_the_others_at_the_same_position():
    split = SCORES[:, None] / LENGTHS[:, None] * MASK
    made = advantages(config("rloo", "uniform"), split, MASK)
    third = made.returns[0, 2] - made.returns[[2, 3], 2].mean()  # response 1 of the group has two tokens only
    assert made.advantages[0, 2] == pytest.approx(third, abs=1e-12)
    assert made.advantages[4, 0] == pytest.approx(made.returns[4, 0] - made.returns[5:, 0].mean(), abs=1e-12)


def test_a_group_without_differences_gives_grpo_nothing():
    same = np.tile([0.0, 0.0, 0.0, 0.1 + 0.2], (8, 1))
    assert (advantages(config("grpo", "sparse"), same, np.ones((8, 4))).advantages == 0).all()


def test_reinforce_takes_the_mean_of_earlier_steps_at_each_position():
    running = RunningBaseline.empty(4)
    running.update(red(), MASK)
    running.update(2 * red(), MASK)
    made = advantages(config("reinforce", "red"), red(), MASK, baseline=running)
    earlier = (red() * MASK).sum(0) * (0.9 * 1 + 2) / (MASK.sum(0) * 1.9)
    np.testing.assert_allclose(made.advantages, (made.returns - earlier) * MASK, atol=1e-12)


def test_ppo_is_gae_and_its_critic_learns_the_return():
    values = RNG.normal(size=(8, 4))
    made = advantages(config("ppo", "red", lam=0.7, gamma=0.9), red(), MASK, values=values)
    found = returns.gae(red(), values, 0.9, 0.7, MASK)
    np.testing.assert_allclose(made.advantages, returns.whiten(found, MASK), atol=1e-12)
    np.testing.assert_allclose(made.targets, found + values * MASK, atol=1e-12)


@given(st.integers(0, 2**31), st.sampled_from(["reinforce", "rloo"]))
def test_no_baseline_knows_the_response_that_it_is_taken_from(seed, algorithm):
    """The other responses' rewards fixed, A_t - G_t of one response is the same whatever that response earned."""
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(8, 4)) * MASK
    other = rewards.copy()
    other[0] = rng.normal(size=4)
    for method in ("red", "abc"):
        one, two = (advantages(config(algorithm, method), r, MASK) for r in (rewards, other))
        np.testing.assert_allclose((one.advantages - one.returns)[0], (two.advantages - two.returns)[0], atol=1e-9)


# ---------------------------------------------------------------- loss and gradient


def test_the_gradient_is_the_policy_gradient_of_a_tiny_policy():
    """A policy of one logit row: grad log pi(a) = onehot(a) - pi, so the loss's gradient is known in closed form."""
    logits = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64, requires_grad=True)
    actions = torch.tensor([[0, 2], [1, 1]])
    gain = torch.tensor([[1.5, -0.5], [2.0, 7.0]], dtype=torch.float64)
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    chosen = logits.log_softmax(-1)[actions]
    (found,) = torch.autograd.grad(policy_loss(chosen, chosen.detach(), gain, mask, length=5), logits)
    pi = logits.detach().softmax(-1)
    rows = torch.eye(3, dtype=torch.float64)[actions] - pi
    np.testing.assert_allclose(found, -(rows * (gain * mask)[..., None]).sum((0, 1)) / (2 * 5), atol=1e-12)


def test_clipping_stops_what_has_gone_too_far_and_nothing_else():
    old = torch.zeros(1, 4)
    now = torch.tensor([[0.5, -0.5, 0.5, -0.5]], requires_grad=True)
    gain = torch.tensor([[1.0, -1.0, -1.0, 1.0]])
    (found,) = torch.autograd.grad(policy_loss(now, old, gain, torch.ones(1, 4), 4, clip=0.2), now)
    assert (found[0, :2] == 0).all() and (found[0, 2:] != 0).all()
    at_start = torch.zeros(1, 4, requires_grad=True)
    clipped, plain = (
        torch.autograd.grad(policy_loss(at_start, old, gain, torch.ones(1, 4), 4, clip=clip), at_start)[0]
        for clip in (0.2, None)
    )
    assert torch.equal(clipped, plain)


def test_the_variance_of_the_mean_gradient_is_estimated_without_bias():
    """Parts of known spread: four draws of N(1, 1) in 50 weights have a mean of variance 50 / 4."""
    torch.manual_seed(0)
    found, norms = [], []
    for _ in range(400):
        gradient = GradientMean()
        for _ in range(4):
            gradient.add([1 + torch.randn(20), 1 + torch.randn(5, 6)])
        found.append(gradient.variance)
        norms.append(gradient.norm**2 - gradient.variance)
    assert np.mean(found) == pytest.approx(50 / 4, rel=0.03)
    assert np.mean(norms) == pytest.approx(50, rel=0.03)  # what is left is the true gradient's square
    weights = [torch.nn.Parameter(torch.zeros(20)), torch.nn.Parameter(torch.zeros(5, 6))]
    gradient.hand_to(weights, largest=0.5)
    assert sum(float(w.grad.square().sum()) for w in weights) == pytest.approx(0.25, rel=1e-5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"algorithm": "a2c"}, "no algorithm"),
        ({"method": "random", "options": {"b": 1}}, "no options"),
        ({"method": "red", "options": {"beta": 1}}, "beta"),
        ({"method": "red", "options": {"kl_coef": 0.1}}, "kl_coef of the run"),
        ({"algorithm": "rloo", "group": 1}, "at least 2"),
        ({"algorithm": "rloo", "epochs": 2}, "one pass"),
        ({"batch": 30}, "multiple of 16"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"prompts": ("",)}, "none of them empty"),
        ({"seed": True}, "whole number"),
    ],
)
def test_what_cannot_run_is_refused_in_one_sentence(given, told):
    with pytest.raises(RedvizError, match=told):
        LabConfig(**given)
