"""Returns and advantages: the worked numbers, the identities, and what masks may and may not do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from redviz import returns
from redviz.errors import RedvizError

# One response of four tokens, computed by hand.
P = np.array([0.2, 0.5, -0.1, 0.9, 1.4])  # P_0 .. P_4
R = 1.4
V = np.array([0.5, 0.6, 0.4, 1.0])
LOGP = np.array([-1.0, -0.5, -2.0, -0.1])
LOGP_REF = np.array([-1.2, -0.4, -2.5, -0.1])
SPARSE = np.array([0.0, 0.0, 0.0, R])
RED = np.diff(P)
GROUP = np.array([1.0, 0.0, 0.5, 2.5])


def near(actual, expected, atol=1e-9):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


# ---------------------------------------------------------------- worked numbers


@pytest.mark.parametrize(
    ("rewards", "gamma", "expected"),
    [
        (SPARSE, 1.0, [1.4, 1.4, 1.4, 1.4]),
        (SPARSE, 0.9, [1.0206, 1.134, 1.26, 1.4]),
        (SPARSE, 0.0, [0.0, 0.0, 0.0, 1.4]),
        (RED, 1.0, [1.2, 0.9, 1.5, 0.5]),
        (RED, 0.9, [0.9345, 0.705, 1.45, 0.5]),
    ],
)
def test_monte_carlo_numbers(rewards, gamma, expected):
    near(returns.monte_carlo(rewards, gamma), expected)


@pytest.mark.parametrize(
    ("rewards", "gamma", "lam", "expected"),
    [
        (SPARSE, 1.0, 1.0, [0.9, 0.8, 1.0, 0.4]),
        (SPARSE, 1.0, 0.95, [0.79445, 0.731, 0.98, 0.4]),
        (SPARSE, 1.0, 0.0, [0.1, -0.2, 0.6, 0.4]),
        (SPARSE, 0.9, 0.8, [0.2756992, 0.32736, 0.788, 0.4]),
        (RED, 1.0, 1.0, [0.7, 0.3, 1.1, -0.5]),
        (RED, 1.0, 0.95, [0.6553125, 0.26875, 1.125, -0.5]),
        (RED, 1.0, 0.0, [0.4, -0.8, 1.6, -0.5]),
        (RED, 0.9, 0.8, [0.326176, -0.0192, 1.14, -0.5]),
    ],
)
def test_gae_numbers(rewards, gamma, lam, expected):
    near(returns.gae(rewards, V, gamma, lam), expected)


def test_defaults_are_gamma_1_and_lambda_095():
    near(returns.gae(SPARSE, V), [0.79445, 0.731, 0.98, 0.4])
    near(returns.td_errors(SPARSE, V), [0.1, -0.2, 0.6, 0.4])


def test_red_with_the_matching_critic_is_gae_on_the_sparse_reward():
    near(V - P[:-1], [0.3, 0.1, 0.5, 0.1])
    near(returns.gae(RED, V - P[:-1], 1.0, 0.95), [0.79445, 0.731, 0.98, 0.4])


def test_red_with_the_prefix_score_as_critic_subtracts_the_baseline_twice():
    near(returns.gae(RED, P[:-1], 1.0, 1.0), [1.0, 0.4, 1.6, -0.4])
    near(returns.reinforce(SPARSE, P[:-1]), [1.2, 0.9, 1.5, 0.5])  # what was meant


@pytest.mark.parametrize(
    ("estimator", "expected", "total"),
    [
        ("k1", [0.2, -0.1, 0.5, 0.0], 0.6),
        ("k2", [0.02, 0.005, 0.125, 0.0], 0.15),
        ("k3", [0.0187307531, 0.0051709181, 0.1065306597, 0.0], 0.1304323309),
    ],
)
def test_kl_numbers(estimator, expected, total):
    k = returns.kl_penalty(LOGP, LOGP_REF, estimator)
    near(k, expected, 1e-10)
    near(k.sum(), total, 1e-10)


def test_kl_is_subtracted_and_k1_is_the_default():
    near(RED - 0.1 * returns.kl_penalty(LOGP, LOGP_REF), [0.28, -0.59, 0.95, 0.50])


def test_whiten_numbers():
    a = returns.gae(SPARSE, V)
    near(returns.whiten(a, ddof=0), [0.3250547, 0.0221398, 1.2108840, -1.5580784], 5e-8)
    near(returns.whiten(a), [0.2815056, 0.0191736, 1.0486563, -1.3493355], 5e-8)


def test_rloo_numbers():
    near(GROUP - returns.rloo(GROUP), [1.0, 4 / 3, 7 / 6, 0.5])  # the baselines
    near(returns.rloo(GROUP), [0.0, -4 / 3, -2 / 3, 2.0])
    near(returns.rloo(GROUP - 0.2), returns.rloo(GROUP))  # P_0 cancels


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"eps": 0.0, "std": "population"}, [0.0, -1.0690450, -0.5345225, 1.6035675]),
        ({}, [0.0, -0.9257344, -0.4628672, 1.3886016]),
        ({"std": None}, [0.0, -1.0, -0.5, 1.5]),
    ],
)
def test_grpo_numbers(options, expected):
    near(returns.grpo(GROUP, **options), expected, 5e-8)


# ---------------------------------------------------------------- identities on random data

numbers = st.floats(-5, 5, allow_subnormal=False)
unit = st.floats(0, 1)


@st.composite
def episodes(draw, arrays=2):
    """Arrays of one shape, with leading axes, and a mask with anything in it (none, all, holes)."""
    shape = draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=7))
    drawn = [draw(hnp.arrays(np.float64, shape, elements=numbers)) for _ in range(arrays)]
    return (*drawn, draw(hnp.arrays(np.bool_, shape)))


groups = hnp.arrays(
    np.float64, hnp.array_shapes(min_dims=1, max_dims=3, min_side=2, max_side=6), elements=st.integers(-8, 8)
)


def loop_gae(r, v, gamma, lam, last_value):
    """The recursion of the textbook, one response without padding."""
    advantage, out, following = 0.0, np.zeros(len(r)), last_value
    for t in range(len(r))[::-1]:
        advantage = r[t] + gamma * following - v[t] + gamma * lam * advantage
        out[t], following = advantage, v[t]
    return out


@given(episodes(), unit, unit, numbers)
def test_gae_with_a_mask_is_the_recursion_on_the_tokens_that_count(episode, gamma, lam, last_value):
    r, v, mask = episode
    actual = returns.gae(r, v, gamma, lam, mask, last_value)
    for row in np.ndindex(r.shape[:-1]):
        m = mask[row]
        near(actual[row][m], loop_gae(r[row][m], v[row][m], gamma, lam, last_value))
        assert (actual[row][~m] == 0).all()


@given(episodes(), unit, numbers)
def test_lambda_1_is_the_return_minus_the_value(episode, gamma, last_value):
    r, v, mask = episode
    # Truncation: what is left after n tokens is worth gamma^n last_value to the first of them, and so on.
    left = mask[..., ::-1].cumsum(-1)[..., ::-1]
    expected = returns.reinforce(r, v, gamma, mask) + np.where(mask, gamma**left * last_value, 0.0)
    near(returns.gae(r, v, gamma, 1.0, mask, last_value), expected)


@given(episodes(), unit)
def test_lambda_0_is_the_td_error(episode, gamma):
    r, v, mask = episode
    near(returns.gae(r, v, gamma, 0.0, mask), returns.td_errors(r, v, gamma, mask))


@given(episodes(1), unit, unit)
def test_a_perfect_critic_leaves_no_advantage(episode, gamma, lam):
    r, mask = episode
    near(returns.gae(r, returns.monte_carlo(r, gamma, mask), gamma, lam, mask), 0.0)


@given(episodes(1), unit, st.booleans())
def test_monte_carlo_satisfies_its_recursion(episode, gamma, terminal_only):
    r, _ = episode
    r[..., :-1] *= not terminal_only
    g = returns.monte_carlo(r, gamma)
    near(g[..., -1], r[..., -1])
    near(g[..., :-1], r[..., :-1] + gamma * g[..., 1:])
    if terminal_only:
        near(g, gamma ** np.arange(r.shape[-1])[::-1] * r[..., -1:])


@given(hnp.arrays(np.float64, st.integers(2, 30), elements=numbers), unit)
def test_the_return_of_red_is_the_score_minus_the_score_so_far(prefix_scores, beta_c):
    sparse = np.zeros(len(prefix_scores) - 1)
    sparse[-1] = prefix_scores[-1]
    shaped = beta_c * np.diff(prefix_scores) + (1 - beta_c) * sparse
    near(returns.monte_carlo(shaped), prefix_scores[-1] - beta_c * prefix_scores[:-1])


@given(st.data(), st.integers(1, 30), unit)
def test_shaping_changes_only_the_critic(data, length, lam):
    vectors = hnp.arrays(np.float64, length, elements=numbers)
    prefix_scores = np.append(data.draw(vectors), data.draw(numbers))
    critic, sparse = data.draw(vectors), np.zeros(length)
    sparse[-1] = prefix_scores[-1]
    with_red = returns.gae(np.diff(prefix_scores), critic - prefix_scores[:-1], 1.0, lam)
    near(with_red, returns.gae(sparse, critic, 1.0, lam))


@given(episodes(), unit, unit)
def test_a_batch_is_its_rows(episode, gamma, lam):
    a, b, mask = episode
    verbs = [
        lambda a, b, m: returns.monte_carlo(a, gamma, m),
        lambda a, b, m: returns.reinforce(a, b, gamma, m),
        lambda a, b, m: returns.gae(a, b, gamma, lam, m),
        lambda a, b, m: returns.kl_penalty(a, b, "k3", m),
    ]
    for verb in verbs:
        whole = verb(a, b, mask)
        assert whole.shape == a.shape
        for row in np.ndindex(a.shape[:-1]):
            np.testing.assert_array_equal(whole[row], verb(a[row], b[row], mask[row]))


@given(groups, st.integers(-50, 50))
def test_rloo_identities(scores, shift):
    k = scores.shape[-1]
    a = returns.rloo(scores)
    near(a.sum(-1), 0.0)
    near(a, returns.rloo(scores + shift))
    for i in range(k):
        near(a[..., i], scores[..., i] - np.delete(scores, i, axis=-1).mean(-1))


@given(groups, st.sampled_from([0.25, 0.5, 3.0, 10.0]), st.integers(-50, 50), st.sampled_from(["sample", "population"]))
def test_grpo_without_eps_ignores_scale_and_shift(scores, scale, shift, std):
    a = returns.grpo(scores, eps=0.0, std=std)
    near(a, returns.grpo(scale * scores + shift, eps=0.0, std=std))
    varied = np.ptp(scores, axis=-1) > 0
    near(a.std(axis=-1, ddof=1 if std == "sample" else 0), varied.astype(float))


@pytest.mark.parametrize("std", ["sample", "population", None])
@pytest.mark.parametrize("eps", [0.0, 1e-4])
@pytest.mark.parametrize("group", [[0.7, 0.7, 0.7], [0.1] * 6, [0.0, 0.0], [3.0]])
def test_a_constant_group_has_no_advantage(group, eps, std):
    with np.errstate(all="raise"):
        near(returns.grpo([group, group], eps, std), np.zeros((2, len(group))), 1e-12)


@given(episodes(1), st.sampled_from([0, 1]))
def test_whiten_centres_and_scales_what_counts(episode, ddof):
    x, mask = episode
    w = returns.whiten(x, mask, ddof)
    assert (w[~mask] == 0).all()
    if mask.sum() > ddof and np.ptp(x[mask]) > 1e-6:
        near(w[mask].mean(), 0.0, 1e-7)
        variance = x[mask].var(ddof=ddof)
        near(w[mask].var(ddof=ddof), variance / (variance + 1e-8), 1e-7)
        near(w[mask], returns.whiten(x[mask], ddof=ddof), 1e-7)
    else:
        assert np.isfinite(w).all()


def test_whiten_of_a_constant_is_zero_even_where_its_mean_rounds():
    near(returns.whiten([0.1] * 3 + [9.0], mask=[1, 1, 1, 0]), 0.0, 0.0)


@given(episodes(), st.sampled_from(["k2", "k3"]))
def test_k2_and_k3_are_never_negative_and_vanish_only_together(episode, estimator):
    p, q, _ = episode
    k = returns.kl_penalty(p, q, estimator)
    assert (k >= 0).all()
    apart = np.abs(p - q) > 1e-3
    assert (k[apart] > 0).all()


# ---------------------------------------------------------------- masks and input

HOLES = np.array([0, 1, 0, 0, 1, 1, 0, 1, 0], dtype=bool)  # left padding, holes and right padding at once


def with_junk(x):
    out = np.full(HOLES.shape, np.nan)
    out[HOLES] = x
    return out


@pytest.mark.parametrize("mask", [HOLES, HOLES.astype(int), HOLES.astype(np.float32), HOLES.tolist()])
def test_masked_positions_are_skipped_and_nan_in_them_never_leaks(mask):
    expected = {
        "monte_carlo": returns.monte_carlo(RED, 0.9),
        "reinforce": returns.reinforce(RED, V, 0.9),
        "td_errors": returns.td_errors(RED, V, 0.9, last_value=0.7),
        "gae": returns.gae(RED, V, 0.9, 0.8, last_value=0.7),
        "whiten": returns.whiten(RED),
        "kl_penalty": returns.kl_penalty(RED, V, "k2"),
    }
    r, v = with_junk(RED), with_junk(V)
    actual = {
        "monte_carlo": returns.monte_carlo(r, 0.9, mask),
        "reinforce": returns.reinforce(r, v, 0.9, mask),
        "td_errors": returns.td_errors(r, v, 0.9, mask, 0.7),
        "gae": returns.gae(r, v, 0.9, 0.8, mask, 0.7),
        "whiten": returns.whiten(r, mask),
        "kl_penalty": returns.kl_penalty(r, v, "k2", mask),
    }
    for name, x in expected.items():
        near(actual[name][HOLES], x)
        assert (actual[name][~HOLES] == 0).all(), name


def test_last_value_is_per_response_and_enters_after_the_last_real_token():
    rewards, values = np.zeros((2, 3)), np.zeros((2, 3))
    mask = [[1, 1, 0], [1, 1, 1]]
    near(returns.gae(rewards, values, 0.5, 1.0, mask, [8.0, 16.0]), [[2.0, 4.0, 0.0], [2.0, 4.0, 8.0]])
    near(returns.td_errors(rewards, values, 0.5, mask, [8.0, 16.0]), [[0.0, 4.0, 0.0], [0.0, 0.0, 8.0]])


def test_baseline_per_response():
    near(returns.reinforce(np.eye(2), [[0.25], [0.5]]), [[0.75, -0.25], [0.5, 0.5]])


def test_results_are_float64_and_inputs_stay_as_they_were():
    r, v = RED.astype(np.float32), V.astype(np.float32)
    before = r.copy(), v.copy()
    assert returns.gae(r, v).dtype == np.float64
    assert returns.grpo([1, 2]).dtype == np.float64
    np.testing.assert_array_equal((r, v), before)


def test_a_response_without_tokens_has_no_returns():
    empty = np.zeros((2, 0))
    assert returns.gae(empty, empty, last_value=1.0).shape == (2, 0)
    assert returns.whiten(empty).shape == (2, 0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: returns.monte_carlo(RED, gamma=1.1), r"gamma is 1\.1: pass a number from 0 to 1"),
        (lambda: returns.monte_carlo(RED, gamma=float("nan")), "gamma is nan"),
        (lambda: returns.gae(RED, V, lam=-0.1), r"lam is -0\.1: pass a number from 0 to 1"),
        (lambda: returns.gae(RED, P), r"values has shape \(5,\) but rewards has shape \(4,\).*last_value"),
        (lambda: returns.gae(RED, V, last_value=[0.0, 1.0]), r"last_value has shape \(2,\)"),
        (lambda: returns.monte_carlo(RED, mask=[1, 1, 1]), r"mask has shape \(3,\)"),
        (lambda: returns.monte_carlo(RED, mask=[1, 1, 0.5, 1]), "other than 0 and 1"),
        (lambda: returns.monte_carlo(1.0), "tokens on its last axis"),
        (lambda: returns.monte_carlo([[1.0], [1.0, 2.0]]), "pad rows of unequal length"),
        (lambda: returns.monte_carlo([0.0, np.nan]), "rewards holds NaN or infinity"),
        (lambda: returns.kl_penalty([-1.0], [-np.inf]), "ref_logprobs holds NaN or infinity"),
        (lambda: returns.kl_penalty(LOGP, LOGP_REF[1:]), r"ref_logprobs has shape \(3,\)"),
        (lambda: returns.kl_penalty(LOGP, LOGP_REF, "k4"), "choose 'k1', 'k2' or 'k3'"),
        # [2] against [2, 2] would broadcast along tokens: the per-response baseline needs its own axis
        (lambda: returns.reinforce(np.eye(2), [0.25, 0.5]), r"one value per response \(2, 1\)"),
        (lambda: returns.rloo([[1.0], [2.0]]), "a group of 1.*at least two responses"),
        (lambda: returns.rloo(1.0), "scores of all responses"),
        (lambda: returns.grpo([]), r"scores has shape \(0,\)"),
        (lambda: returns.grpo(GROUP, eps=-1.0), "eps is -1"),
        (lambda: returns.grpo(GROUP, std="bessel"), "choose 'sample', 'population' or None"),
        (lambda: returns.whiten(RED, ddof=2), "ddof is 2"),
    ],
)
def test_wrong_input_is_refused_with_the_remedy(call, says):
    with pytest.raises(RedvizError, match=says):
        call()


def test_a_tensor_that_numpy_cannot_read_is_told_how():
    import torch

    with pytest.raises(RedvizError, match=r"\.detach\(\)\.float\(\)\.cpu\(\)"):
        returns.monte_carlo(torch.zeros(3, dtype=torch.bfloat16))
    near(returns.monte_carlo(torch.ones(3)), [3.0, 2.0, 1.0])
