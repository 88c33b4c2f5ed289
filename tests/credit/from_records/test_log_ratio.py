"""DPO, RTO, SePO, TDPO and the KL penalty: worked numbers, sums, and what holds over a whole vocabulary."""

import numpy as np
import pytest
from bag import observation
from hypothesis import given
from hypothesis import strategies as st

from redviz.credit.from_records.log_ratio import ESTIMATORS, dpo, kl, rto, sepo, tdpo
from redviz.errors import RedvizError
from redviz.records import LogProbs

REFERENCE = [-1.2, -0.4, -2.5, -0.1]
POLICY = [-1.0, -0.5, -2.0, -0.1]
DPO = [-0.8, -0.5, -1.5, -0.1]
SEEN = observation([0.2, 0.5, -0.1, 0.9, 1.4])  # T = 4, R = 1.4
METHODS = (dpo, rto, sepo, tdpo, kl)
numbers = st.floats(-6, 0, width=32)


def log_probs(policy, reference=REFERENCE, divergence=None, closing=None):
    divergence = np.zeros(len(policy)) if divergence is None else divergence
    return LogProbs(*(np.asarray(x, np.float32) for x in (policy, reference, divergence)), closing)


def near(actual, expected, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


# ---------------------------------------------------------------- worked numbers


def test_dpo():
    credit = dpo(SEEN, log_probs(POLICY), beta=0.5)
    near(credit.values, [0.1, -0.05, 0.25, 0])
    assert (credit.total, credit.reference, credit.closing) == (pytest.approx(0.3), 0.0, 0.0)
    assert credit.values.dtype == np.float32


def test_rto():
    whole = rto(SEEN, log_probs(DPO), beta_3=0.0)
    near(whole.values, [0.02, -0.005, 0.05, 0])  # the clip just touches the third
    tight = rto(SEEN, log_probs(DPO), clip=0.01)
    near(tight.values, [0.01, -0.005, 0.01, 1.4])
    assert tight.total == pytest.approx(1.415) and tight.meta["clipped"] == 2
    free = rto(SEEN, log_probs(DPO), beta_1=1.0, clip=0.0)
    near(free.values, [0.4, -0.1, 1.0, 1.4])
    assert free.total == pytest.approx(1.3 + 1.4) and free.meta["clipped"] == 0
    near(rto(SEEN, log_probs(DPO), beta_1=0.0).values, [0, 0, 0, 1.4])  # sparse
    near(rto(SEEN, log_probs(DPO), beta_1=0.0, beta_3=0.5).values, [0, 0, 0, 0.7])


@pytest.mark.parametrize(
    ("estimator", "terms"),
    [
        ("k1", [0.2, -0.1, 0.5, 0]),
        ("k2", [0.02, 0.005, 0.125, 0]),
        ("k3", [0.0187307531, 0.0051709181, 0.1065306597, 0]),
    ],
)
def test_kl(estimator, terms):
    credit = kl(SEEN, log_probs(POLICY), beta=0.1, estimator=estimator)
    near(credit.values, -0.1 * np.array(terms), atol=1e-7)
    assert credit.total == pytest.approx(-0.1 * sum(terms), abs=1e-7)


def test_sepo_selects_the_floor_of_the_share_and_may_select_the_first_token():
    found = log_probs([-0.1, -1.2, -0.9, -0.5], [-1.1, -1.0, -1.0, -1.0])  # scores 1.0, -0.2, 0.1, 0.5
    near(sepo(SEEN, found).values, [1.0, -0.2, 0.1, 0.5])
    chosen = sepo(SEEN, found, share=0.5, kind="chosen")
    near(chosen.values, [1.0, 0, 0, 0.5])
    assert chosen.meta["selected"] == [0, 3]
    rejected = sepo(SEEN, found, share=0.3, kind="rejected")  # floor(1.2) tokens
    near(rejected.values, [0, -0.2, 0, 0])
    assert rejected.meta["selected"] == [1]
    assert sepo(SEEN, found, share=0.2, kind="chosen").meta["selected"] == []
    assert chosen.total is None and chosen.residual is None


@pytest.mark.parametrize(
    ("share", "tokens", "count"), [(0.3, 10, 3), (0.29, 10, 2), (0.29, 100, 29), (1.0, 10, 10), (0.0, 10, 0)]
)
def test_sepo_counts_the_share_as_people_do(share, tokens, count):
    found = log_probs(np.linspace(-1, 0, tokens), np.full(tokens, -1.0))
    seen = observation([0.0] * (tokens + 1))
    assert len(sepo(seen, found, share=share, kind="chosen").meta["selected"]) == count


def test_tdpo_adds_the_divergence():
    credit = tdpo(SEEN, log_probs(POLICY, divergence=[0.3, 0.0, 0.1, 0.2]), beta=0.5)
    near(credit.values, [0.25, -0.05, 0.3, 0.1])
    assert credit.total == pytest.approx(0.6)


# ---------------------------------------------------------------- the end-of-turn token


def test_the_end_of_turn_token_is_folded_into_the_last_and_named():
    found = log_probs(POLICY, closing=(-0.1, -0.7, 0.3))
    for credit, own, end in (
        (dpo(SEEN, found, beta=0.5), 0.0, 0.3),
        (tdpo(SEEN, found, beta=0.5), 0.0, 0.45),
        (kl(SEEN, found, beta=0.1), 0.0, -0.06),
        (sepo(SEEN, found), 0.0, 0.6),
        (rto(SEEN, found), 1.4, 0.03),
        (rto(SEEN, found, clip=0.01), 1.4, 0.01),
        (sepo(SEEN, found, share=0.2, kind="chosen"), 0.0, 0.6),  # 1 of 5 tokens: the end
    ):
        assert credit.closing == pytest.approx(end, abs=1e-6)
        assert credit.values[-1] == pytest.approx(own + end, abs=1e-6)
        assert credit.own[-1] == pytest.approx(own, abs=1e-6)
    assert sepo(SEEN, found, share=0.2, kind="chosen").meta["selected"] == [4]
    assert sepo(SEEN, found, share=0.2, kind="rejected").closing == 0
    assert dpo(SEEN, found, beta=0.5).total == pytest.approx(0.5 * (0.6 + 0.6))


# ---------------------------------------------------------------- identities


@given(st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=12), st.booleans(), st.floats(0.01, 2))
def test_sums(rows, ends, beta):
    policy, reference, divergence = (np.array(x, np.float32) for x in zip(*rows, strict=True))
    divergence = np.abs(divergence)
    closing = (-0.5, -1.5, 0.25) if ends else None
    found = log_probs(policy, reference, divergence, closing)
    seen = observation([0.5] * (len(rows) + 1), score=-2.0)
    lr = float(np.sum(policy, dtype=np.float64) - np.sum(reference, dtype=np.float64)) + (1.0 if ends else 0.0)
    whole = float(divergence.sum(dtype=np.float64)) + (0.25 if ends else 0.0)
    for credit, total in (
        (dpo(seen, found, beta=beta), beta * lr),
        (tdpo(seen, found, beta=beta), beta * (lr + whole)),
        (kl(seen, found, beta=beta), -beta * lr),
        (rto(seen, found, beta_1=beta, clip=0.0), beta * lr - 2.0),
    ):
        assert credit.total == pytest.approx(total, abs=1e-5)
        assert credit.reference == 0
        assert credit.residual == pytest.approx(0, abs=1e-4)
    assert sepo(seen, found).values.sum() == pytest.approx(lr, abs=1e-4)
    clipped = rto(seen, found, beta_1=beta, clip=0.05)
    assert np.abs(clipped.own[:-1]).max(initial=0) <= 0.05 + 1e-6
    assert clipped.residual == pytest.approx(0, abs=1e-5)


def test_a_policy_that_is_its_reference_earns_nothing():
    found = log_probs(REFERENCE, closing=(-0.3, -0.3, 0.0))
    for method in (dpo, sepo, tdpo, kl):
        near(method(SEEN, found).values, [0] * 4)
    near(rto(SEEN, found).values, [0, 0, 0, 1.4])


def test_over_the_whole_vocabulary():
    rng = np.random.default_rng(0)
    size = 50
    p, q = (
        x - np.log(np.exp(x).sum()) for x in rng.normal(size=(2, size)) * 2
    )  # two distributions over V at one state
    divergence = float((np.exp(q) * (q - p)).sum())
    seen = observation([0.0] * (size + 1))
    found = log_probs(p, q, np.full(size, divergence))  # "token" v of the response is entry v of the vocabulary
    beta = 0.7
    implied = dpo(seen, found, beta=beta).values
    assert np.log(np.exp(q + implied / beta).sum()) == pytest.approx(0, abs=1e-5)  # the policy is a distribution
    assert (np.exp(q) * implied).sum() == pytest.approx(-beta * divergence, abs=1e-5)
    assert (np.exp(q) * tdpo(seen, found, beta=beta).values).sum() == pytest.approx(0, abs=1e-5)
    k1, k3 = (-kl(seen, found, beta=1.0, estimator=k).values for k in ("k1", "k3"))
    forward = float((np.exp(p) * (p - q)).sum())
    assert (np.exp(p) * k1).sum() == pytest.approx(forward, abs=1e-5) == (np.exp(p) * k3).sum()  # both unbiased


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("method", METHODS)
def test_log_probs_of_another_response_are_refused(method):
    with pytest.raises(RedvizError, match="of 3 tokens and the response has 4"):
        method(SEEN, log_probs(POLICY[:3], REFERENCE[:3]))


def test_options_out_of_range_are_refused():
    found = log_probs(POLICY)
    with pytest.raises(RedvizError, match="clip is -1"):
        rto(SEEN, found, clip=-1)
    with pytest.raises(RedvizError, match="scores, chosen, rejected"):
        sepo(SEEN, found, kind="best")
    with pytest.raises(RedvizError, match="share is 1.5"):
        sepo(SEEN, found, share=1.5)
    with pytest.raises(RedvizError, match="k4"):
        kl(SEEN, found, estimator="k4")
    assert ESTIMATORS == ("k1", "k2", "k3")
