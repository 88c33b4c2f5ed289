"""Returns and advantages of credits: the worked numbers, group baselines, critics, and the cautions beside them."""

from dataclasses import replace

import numpy as np
import pytest
from bag import bag, encoding

from redviz import returns
from redviz.analysis import with_credits
from redviz.credit.advantages import return_curves
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.models.running import observe as observing
from redviz.records import Example


@pytest.fixture(scope="module")
def worked():
    """P = 0.2, 0.5, -0.1, 0.9, 1.4 from a bag of tokens whose embedding is its credit."""
    toy = bag([[0.0], [0.0], [0.2], [0.3], [-0.6], [1.0], [0.5]], [1.0])
    (seen,) = observing.observe(toy, [encoding([2], [3, 4, 5, 6])])
    example = Example("c", "defg")
    asked = recipes({"red": {}, "half": {"method": "red", "beta_c": 0.5}, "sparse": {}})
    return replace(with_credits(toy, seen, asked), example=example)


def near(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-6)


def test_curves_of_the_worked_numbers(worked):
    near(worked.prefix_scores, [0.2, 0.5, -0.1, 0.9, 1.4])
    curves = return_curves(worked, "red", gamma=0.9)
    near(curves.rewards, [0.3, -0.6, 1.0, 0.5])
    near(curves.returns, [0.9345, 0.705, 1.45, 0.5])
    near(return_curves(worked, "red").returns, [1.2, 0.9, 1.5, 0.5])
    near(return_curves(worked, "red", baseline="prefix score").advantages, [1.0, 0.4, 1.6, -0.4])
    near(return_curves(worked, "sparse", baseline="prefix score").advantages, [1.2, 0.9, 1.5, 0.5])
    near(return_curves(worked, "half").returns, 1.4 - 0.5 * worked.prefix_scores[:-1])
    constant = return_curves(worked, "sparse", baseline="constant", constant=0.4, lam=0.0)
    near(constant.values, [0.4] * 4)
    near(constant.advantages, [0, 0, 0, 1.0])


def test_curves_warn_where_a_guarantee_is_lost(worked):
    assert return_curves(worked, "red").cautions == ()
    assert "twice" in return_curves(worked, "red", baseline="prefix score").cautions[0]
    assert "best policy may change" in return_curves(worked, "half", gamma=0.99).cautions[0]
    assert return_curves(worked, "sparse", gamma=0.9, baseline="prefix score").cautions == ()
    with pytest.raises(RedvizError, match="zero, constant, prefix score"):
        return_curves(worked, "red", baseline="median")


TOTALS = [1.0, 0.0, 0.5, 2.5]


def rewards_of(total, before=0.2):
    """RED rewards of a response whose score is ``total`` and whose base is ``before``."""
    return [0.1, total - before - 0.1]


@pytest.mark.parametrize(("i", "baseline"), enumerate([1.0, 1.33333, 1.16667, 0.5]))
def test_rloo_on_totals_at_the_first_token(worked, i, baseline):
    """The base cancels: RLOO on RED totals is RLOO on scores (their mean is 1)."""
    others = [rewards_of(t) for j, t in enumerate(TOTALS) if j != i]
    made = return_curves(worked, "red", baseline="RLOO", group=others)
    np.testing.assert_allclose(made.values, np.full(4, baseline - 0.2), atol=1e-5)
    np.testing.assert_allclose(made.advantages, made.returns - made.values, atol=1e-12)
    full = returns.rloo([worked.score, *(t for j, t in enumerate(TOTALS) if j != i)])[0]
    assert made.advantages[0] == pytest.approx(full, abs=1e-6)


def test_grpo_at_the_first_token(worked):
    made = return_curves(worked, "sparse", baseline="GRPO", group=[[0.0, t] for t in TOTALS])
    assert made.advantages[0] == pytest.approx(returns.grpo([worked.score, *TOTALS])[0], abs=1e-6)
    near(made.advantages, [made.advantages[0]] * 4)  # an outcome reward gives every token the same advantage
    constant = return_curves(worked, "sparse", baseline="GRPO", group=[[worked.score], [0.0, worked.score]])
    near(constant.advantages, [0] * 4)
    assert "no advantage" in constant.cautions[0]


def test_a_critic_of_ones_own(worked):
    critic = [0.5, 0.6, 0.4, 1.0]
    made = return_curves(worked, "red", baseline="value model", values=critic, lam=0.95)
    near(made.advantages, [0.6553125, 0.26875, 1.125, -0.5])
    with pytest.raises(RedvizError, match="needs values"):
        return_curves(worked, "red", baseline="value model")
    with pytest.raises(RedvizError, match="give group"):
        return_curves(worked, "red", baseline="RLOO")
