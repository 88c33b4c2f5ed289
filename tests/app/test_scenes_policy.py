"""What scenes 9 to 16 say, asserted on the arrays behind their figures: identities, and the claims in their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from redviz.app.engine import Engine
from redviz.app.learn.scenes import causation, closed_prefixes, contrast, exact, gae, hacking, implicit_reward, kl
from redviz.app.learn.scenes.scene import Bench, Drawn, Scene, Value, Waiting
from redviz.lab import exact as lab


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    engine = Engine()
    yield Bench(engine)
    engine.close()


def waited(make: Any) -> Any:
    """The result, once the engine has done what it asks for."""
    for _ in range(20):
        try:
            return make()
        except Waiting as waiting:
            for job in [start() for _, start in waiting.wanted]:
                assert job.finished.wait(300) and job.state == "done", job.error
    raise AssertionError("the scene goes on asking")


def draw(bench: Bench, scene: Scene, **moved: Value) -> Drawn:
    values: Mapping[str, Value] = scene.defaults | moved
    drawn: Drawn = waited(lambda: scene.draw(bench, values))
    return drawn


def figure(drawn: Drawn) -> go.Figure:
    return next(part for part in drawn.parts if isinstance(part, go.Figure))


def bar(drawn: Drawn, number: int = 0) -> np.ndarray:
    return np.array([trace for trace in figure(drawn).data if trace.type == "bar"][number].y, np.float64)


@pytest.mark.parametrize("critic", gae.CRITICS)
@pytest.mark.parametrize("lam", [0.0, 0.6, 1.0])
def test_gae_of_the_sparse_reward_is_gae_of_red_with_the_shifted_critic(bench: Bench, critic: str, lam: float) -> None:
    drawn = draw(bench, gae.GAE, between=lam, critic=critic)
    dots = np.array(figure(drawn).data[-1].y, np.float64)
    assert np.abs(bar(drawn) - dots).max() < 1e-5 < np.abs(dots).max()


def test_with_the_reward_model_as_critic_gae_goes_from_red_to_score_minus_prefix_score(bench: Bench) -> None:
    analysis = waited(lambda: bench.analysis(gae.gallery_example(gae.TEXT), ["red"]))
    td, whole = (bar(draw(bench, gae.GAE, between=lam)) for lam in (0.0, 1.0))
    assert np.abs(td - analysis.credits["red"].values).max() < 1e-5
    assert np.abs(whole - (analysis.score - analysis.prefix_scores[:-1])).max() < 1e-5


def test_the_kl_estimators_of_the_scene_are_those_of_the_penalty(bench: Bench) -> None:
    example = kl.gallery_example(next(iter(kl.TEXTS)))
    for name in kl.ESTIMATORS:
        shown = bar(draw(bench, kl.KL, estimator=name))
        asked = {"kl": {"beta": 1.0, "estimator": name}}
        credit = waited(lambda a=asked: bench.analysis(example, a, policy=kl.POLICY, reference=kl.REFERENCE)).credits[
            "kl"
        ]
        assert shown.sum() == pytest.approx(-float(credit.values.sum()), abs=1e-4)
        assert (shown >= 0).all() == (name != "k1")


@pytest.mark.parametrize("clip", [0.0, 0.05])
def test_rto_pays_the_clipped_log_ratio_and_the_score(bench: Bench, clip: float) -> None:
    drawn = draw(bench, implicit_reward.IMPLICIT, weight=0.1, clip=clip)
    implied, paid = bar(drawn, 0), bar(drawn, 1)
    assert np.abs(paid - (np.clip(implied, -clip, clip) if clip else implied)).max() < 1e-7
    assert (np.abs(implied) > 0.05).any()
    options = {"rto": {"beta_1": 0.1, "clip": clip}}
    example = implicit_reward.gallery_example(implicit_reward.TEXT)
    analysis = waited(lambda: bench.analysis(example, options, **implicit_reward.PARTNERS))
    assert paid.sum() + analysis.score == pytest.approx(float(analysis.credits["rto"].values.sum()), abs=1e-5)


def test_swapped_instructions_negate_the_rewards_and_equal_ones_give_none(bench: Bench) -> None:
    better, swapped, same = (bar(draw(bench, contrast.CONTRAST, pair=p)) for p in ("quality", "swapped", "same"))
    assert np.abs(better + swapped).max() < 1e-6 < np.abs(better).max() < 0.5
    assert not same.any()


def test_a_closed_prefix_is_the_score_of_the_text_cut_there(bench: Bench) -> None:
    example = closed_prefixes.gallery_example(closed_prefixes.TEXT)
    analysis = waited(lambda: bench.analysis(example, ["red", "red_closed"]))
    open_, closed = closed_prefixes._curves(analysis)
    assert len(closed) == closed_prefixes.LENGTH + 1
    cut = type(example)(example.prompt, example.response[: analysis.offsets[6][1]])
    alone = waited(lambda: bench.analysis(cut, {}))
    assert closed[7] == pytest.approx(alone.score, abs=1e-4) != pytest.approx(open_[7], abs=1e-2)
    for label, start in (("red", open_[0]), ("red_closed", closed[0])):
        assert analysis.credits[label].values.sum() == pytest.approx(analysis.score - start, abs=1e-5)


def test_a_phrase_said_again_raises_the_score_and_filler_does_on_the_average(bench: Bench) -> None:
    drawn = draw(bench, hacking.HACKING)
    analysis = waited(lambda: bench.analysis(hacking.padded("superb", 8), {}))
    curve = figure(drawn).data[0].y
    assert curve[8] == pytest.approx(analysis.score, abs=1e-4) and curve[8] > curve[0] + 1
    table = next(part for part in drawn.parts if isinstance(part, pd.DataFrame))
    said = next(part for part in drawn.parts if isinstance(part, str))
    three = waited(lambda: bench.analysis(hacking.padded("superb", 3), ["red"]))
    none = waited(lambda: bench.analysis(hacking.padded("superb", 0), ["red"]))
    rest = (
        three.credits["red"].closing - none.credits["red"].closing
    )  # what is written before the phrase keeps its credits
    assert f"the rest, {rest:+.3f}, stands in the cell `end`" in said
    changes = {row["edit of the gallery's film reviews"]: row["mean change"] for row in table.to_dict("records")}
    assert float(changes["Pad with filler"]) > 0.5


def test_the_last_words_closed_credit_is_what_deleting_it_takes_away(bench: Bench) -> None:
    analysis = waited(lambda: bench.analysis(causation.gallery_example(causation.TEXT), list(causation.METHODS)))
    points = waited(
        lambda: bench.work("Taking words away", (causation.TEXT, "delete", tuple(causation.METHODS)),
                           causation._points(analysis, "delete"))
    )  # fmt: skip
    assert causation.last_word(analysis, points) < 1e-4
    red = [p for p in points if p.label == "red"]
    assert max(abs(p.predicted - p.actual) for p in red) > 1  # elsewhere a credit is no prediction


@pytest.fixture(scope="module")
def world(bench: Bench) -> exact.World:
    return exact.world(waited(lambda: bench.analyses(exact.examples(), ["abc"])))


class TestExactLaboratory:
    def angles(self, world: exact.World, model: str, gamma: float) -> dict[str, lab.GradientEstimate]:
        return exact.estimates(world, exact.weights(world, exact.prefix_of(world, model), gamma))

    def test_prefix_scores_belong_to_prefixes(self, world: exact.World) -> None:
        for t in range(4):
            for prefix in np.unique(world.tree.tokens[:, :t], axis=0):
                same = (world.tree.tokens[:, :t] == prefix).all(axis=1)
                assert np.ptp(world.prefix[same, t]) < 1e-4
        assert world.attention.min() > 0 and np.abs(world.attention.sum(1) - 1).max() < 1e-12
        assert np.ptp(world.scores) > 3

    @pytest.mark.parametrize("model", exact.MODELS)
    def test_at_gamma_one_only_hindsight_and_myopia_bend_the_gradient(self, world: exact.World, model: str) -> None:
        found = self.angles(world, model, 1.0)
        bent = {name for name, e in found.items() if e.angle > exact.SAME}
        assert bent == {"uniform", "ABC", *([] if model == "value" else ["RED as advantage"])}

    @pytest.mark.parametrize("model", ["value", "model", "misleading"])
    def test_below_one_only_the_potential_based_form_keeps_it(self, world: exact.World, model: str) -> None:
        found = self.angles(world, model, 0.6)
        kept = {name for name, e in found.items() if e.angle < exact.SAME}
        assert kept == {
            "sparse",
            "sparse less its mean",
            "potential-based",
            *(["RED as advantage"] if model == "value" else []),
        }

    def test_how_good_the_prefix_scores_are_decides_the_noise(self, world: exact.World) -> None:
        noise = {model: self.angles(world, model, 1.0)["RED"].noise for model in exact.MODELS}
        sparse = self.angles(world, "value", 1.0)["sparse"].noise
        assert noise["value"] < noise["model"] < noise["nothing"] < sparse < noise["misleading"]

    def test_a_baseline_for_the_sparse_reward_takes_the_offset_out_of_the_comparison(self, world: exact.World) -> None:
        moved = replace(world, scores=world.scores + 5.0, prefix=world.prefix + 5.0)
        for model in exact.MODELS:
            here, there = (self.angles(w, model, 1.0) for w in (world, moved))
            for name in ("RED", "sparse less its mean"):
                assert there[name].noise == pytest.approx(here[name].noise, rel=1e-6)
            assert there["sparse"].noise > 2 * here["sparse"].noise
            less = here["sparse less its mean"].noise
            order = {"value": -1, "model": -1, "nothing": 0, "misleading": 1}[model]
            assert (0 if here["RED"].noise == pytest.approx(less) else np.sign(here["RED"].noise - less)) == order

    def test_its_sentence_says_when_red_is_bent(self, bench: Bench) -> None:
        for model, discount, bent in (("model", 1.0, False), ("model", 0.5, True), ("nothing", 0.5, False)):
            drawn = draw(bench, exact.EXACT, prefix=model, discount=discount)
            said = next(part for part in drawn.parts if isinstance(part, str))
            assert ("off the true one" in said) == bent and ("RED, RED mixed half" in said) != bent
