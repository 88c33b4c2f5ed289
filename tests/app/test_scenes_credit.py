"""The identities that the scenes of credits show, on the real model (METHODS.md 1.2 to 1.4, 2, 6.1)."""

import numpy as np
import pytest
from scene_bench import drawn, figure, sentences

import redviz
from redviz import returns
from redviz.app.engine import Engine
from redviz.app.learn.scenes.monte_carlo import GAMMAS, GROUP
from redviz.app.learn.scenes.prefix_walk import LENGTH, TEXT
from redviz.app.learn.scenes.table import SCENES
from redviz.app.learn.scenes.texts import DISNEY, UMBRELLA, gallery_example, gallery_group


@pytest.fixture(scope="module")
def engine():
    made = Engine()
    yield made
    made.close()


@pytest.fixture(scope="module")
def model(sentiment):
    return sentiment


def ys(found, trace):
    return np.array(figure(found).data[trace].y, dtype=float)


def test_a_sparse_reward_tells_every_token_the_score(engine, model):
    found = drawn(SCENES["sparse-reward"], engine, answer="disney", reward="sparse")
    told = ys(found, 1)
    score = redviz.analyze(model, DISNEY.prompt, DISNEY.response, methods=[]).score
    assert np.ptp(told) == 0 and told[0] == pytest.approx(score, abs=1e-5)
    assert np.count_nonzero(ys(found, 0)) == 1
    even = drawn(SCENES["sparse-reward"], engine, answer="disney", reward="uniform")
    assert ys(even, 1) == pytest.approx(score * np.arange(len(told), 0, -1) / len(told), abs=1e-5)


def test_the_walk_steps_from_score_to_score_of_the_truncated_text(engine, model):
    example = gallery_example(TEXT)
    whole = drawn(SCENES["prefix-walk"], engine, t=LENGTH)
    prefix, steps = ys(whole, 0), ys(whole, 2)
    assert len(steps) == LENGTH == len(prefix) - 1  # the slider ends where the response does
    assert steps == pytest.approx(np.diff(prefix), abs=1e-6)
    half = drawn(SCENES["prefix-walk"], engine, t=9)
    assert ys(half, 0).tolist() == prefix[:10].tolist()
    assert "P_0" in sentences(drawn(SCENES["prefix-walk"], engine, t=0))
    analysis = redviz.analyze(model, example.prompt, example.response, methods=[])
    cut = redviz.analyze(model, example.prompt, example.response[: analysis.offsets[8][1]], methods=[])
    assert cut.prefix_scores[-1] == pytest.approx(prefix[9], abs=1e-3)


@pytest.mark.parametrize("start", ["prefix", "zero_first", "zero_base"])
@pytest.mark.parametrize("constant", [0.0, 1.5])
def test_the_stairs_lead_from_the_reference_to_the_score(start, constant, engine, model):
    analysis = redviz.analyze(model, UMBRELLA.prompt, UMBRELLA.response, methods=[])
    bar = figure(drawn(SCENES["telescoping"], engine, start=start, shift=constant)).data[0]
    stairs, below = np.array(bar.y), np.array(bar.base)
    reference = {"prefix": analysis.base, "zero_first": float(analysis.prefix_scores[1]), "zero_base": -constant}[start]
    assert below[0] == pytest.approx(reference + constant, abs=1e-5)
    assert below[-1] + stairs[-1] == pytest.approx(analysis.score + constant, abs=1e-5)
    if start != "zero_base":  # the constant cancels
        still = figure(drawn(SCENES["telescoping"], engine, start=start, shift=0.0)).data[0]
        assert stairs == pytest.approx(np.array(still.y), abs=1e-5)
    else:
        assert stairs[0] == pytest.approx(float(analysis.prefix_scores[1]) + constant, abs=1e-5)


@pytest.mark.parametrize("mix", [0.0, 0.35, 1.0])
def test_the_mix_subtracts_the_prefix_score_from_every_return(mix, engine, model):
    found = drawn(SCENES["mix"], engine, mix=mix, review="film-paper-harbour/b")
    example = gallery_example("film-paper-harbour/b")
    analysis = redviz.analyze(model, example.prompt, example.response, methods=[])
    rewards, made, promised = (ys(found, i) for i in range(3))
    assert rewards.sum() == pytest.approx(analysis.score - mix * analysis.base, abs=1e-5)
    assert made == pytest.approx(analysis.score - mix * analysis.prefix_scores[:-1], abs=1e-5)
    assert made == pytest.approx(promised, abs=1e-5)


@pytest.mark.parametrize("layer", ["0", "3"])
@pytest.mark.parametrize("review", ["film-paper-harbour/c", "film-quiet-street/c"])
def test_attention_never_mixes_signs_and_prefix_steps_do(layer, review, engine, model):
    found = drawn(SCENES["attention-credit"], engine, layer=layer, review=review)
    example = gallery_example(review)
    score = redviz.analyze(model, example.prompt, example.response, methods=[]).score
    attention, steps = ys(found, 0), ys(found, 1)
    assert (attention * np.sign(score) >= 0).all() and attention.sum() == pytest.approx(score, abs=1e-4)
    assert (steps > 0).any() and (steps < 0).any()
    assert "**0** of" in sentences(found)


def test_the_path_of_integrated_gradients_ends_at_both_scores_and_steps_close_the_residual(engine):
    residuals = []
    for steps in ("1", "4", "64"):
        found = drawn(SCENES["integrated-gradients"], engine, {"from": "pad", "steps": steps})
        path, credits = ys(found, 0), ys(found, 2)
        assert len(ys(found, 1)) == int(steps)
        residuals.append(abs(path[-1] - path[0] - credits.sum()))
    assert residuals[-1] < 1e-3 < residuals[0]
    jump = drawn(SCENES["integrated-gradients"], engine, {"from": "zero", "steps": "64"})
    path = ys(jump, 0)
    assert abs(path[1] - path[0]) > 0.8 * abs(path[-1] - path[0])  # all in the first hundredth of the way
    assert abs(path[-1] - path[0] - ys(jump, 2).sum()) > 0.05 * abs(path[-1] - path[0])


@pytest.mark.parametrize("gamma", [0.9, 0.99, 1.0])
def test_discounted_shaping_keeps_the_sparse_order_and_plain_differences_need_not(gamma, engine, model):
    group = [redviz.analyze(model, e.prompt, e.response, methods=["sparse"]) for e in gallery_group(GROUP)]
    sparse = [returns.monte_carlo(a.credits["sparse"].values, gamma)[0] for a in group]
    at = int(np.flatnonzero(gamma == GAMMAS)[0])
    shaped = drawn(SCENES["monte-carlo"], engine, discount=gamma, difference="shaping")
    whole = [ys(shaped, 2 + 2 * i)[at] for i in range(3)]
    assert whole == pytest.approx([s - a.base for s, a in zip(sparse, group, strict=True)], abs=1e-4)
    assert ys(shaped, 0) == pytest.approx(ys(shaped, 1), abs=1e-4)  # G_t = gamma^{T-t} R - P_{t-1}
    plain = drawn(SCENES["monte-carlo"], engine, discount=gamma, difference="paper")
    whole = [ys(plain, 2 + 2 * i)[at] for i in range(3)]
    assert (np.argsort(whole).tolist() == np.argsort(sparse).tolist()) == (gamma == 1.0)
    assert ("the task has changed" in sentences(plain)) == (gamma < 1.0)


def test_group_baselines_ignore_constants_and_the_prompt(engine, model):
    scores = ys(drawn(SCENES["group"], engine, estimator="rloo"), 0)
    others = [np.delete(scores, i).mean() for i in range(len(scores))]
    advantages = {
        name: ys(drawn(SCENES["group"], engine, estimator=name, b=-1.0), 1)
        for name in ("reinforce", "rloo", "grpo", "dr_grpo")
    }
    assert advantages["reinforce"] == pytest.approx(scores + 1.0)
    assert advantages["rloo"] == pytest.approx(scores - others)
    assert advantages["dr_grpo"] == pytest.approx(scores - scores.mean())
    assert advantages["grpo"] == pytest.approx((scores - scores.mean()) / (scores.std(ddof=1) + 1e-4))
    group = [
        redviz.analyze(model, e.prompt, e.response, methods=["red"]) for e in gallery_group("film-second-umbrella")
    ]
    totals = [a.credits["red"].values.sum() for a in group]
    assert returns.rloo(totals) == pytest.approx(advantages["rloo"], abs=1e-5)  # P_0 cancels
