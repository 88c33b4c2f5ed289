"""KL estimators over the whole vocabulary, on the two embedded writers."""

from __future__ import annotations

import numpy as np
import pytest

import redviz
from redviz.lab.kl_states import ESTIMATORS, kl_states
from redviz.models.kinds.policy import load_policy
from redviz.models.kinds.reward_model import RewardModel
from redviz.records import Example


def test_k1_and_k3_are_right_on_average_and_k2_is_not(sentiment: RewardModel) -> None:
    policy, reference = (load_policy(name, device="cpu") for name in ("embedded:writer-dpo", "embedded:writer"))
    example = Example("Review the film.", "A superb, moving film. I loved it.")
    found = kl_states(policy, reference, example)
    assert np.abs(found.means["k1"] - found.divergence).max() < 1e-12
    assert (
        np.abs(found.means["k3"] - found.divergence).max() < 1e-5 < np.abs(found.means["k2"] - found.divergence).max()
    )
    assert (found.estimates["k3"] >= 0).all() and (found.estimates["k1"] < 0).any()
    for name in ESTIMATORS:
        asked = {"kl": {"beta": 1.0, "estimator": name}}
        analysis = redviz.analyze(
            sentiment, example.prompt, example.response, methods=asked, policy=policy, reference=reference
        )
        credit = analysis.credits["kl"]
        assert len(found.estimates[name]) == len(credit.values) + 1  # the end-of-turn token
        assert -found.estimates[name].sum() == pytest.approx(float(credit.values.sum()), abs=1e-4)
