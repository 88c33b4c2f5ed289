"""Faithfulness to the reward model: closed forms on a sum of tokens, ERASER's numbers, Captum's metrics, real weights."""

import json

import numpy as np
import pytest
import torch
from bag import EOS, bag, encoding
from captum.attr import InputXGradient
from captum.metrics import infidelity as captums_infidelity
from captum.metrics import sensitivity_max

import redviz
from redviz.errors import Cancelled, RedvizError
from redviz.evaluation.faithfulness.faithfulness import faithfulness
from redviz.evaluation.faithfulness.faithfulness_report import faithfulness_over
from redviz.evaluation.faithfulness.infidelity import infidelity
from redviz.evaluation.faithfulness.sensitivity import max_sensitivity
from redviz.models.running.observe import observe
from redviz.records import Analysis, Credit, Example
from redviz.text import pool

WEIGHTS = np.array([2.0, -1.0, 0.5, 3.0, -2.5, 1.0, 0.25, -0.75])  # of the eight response tokens
CLOSING, PROMPT = 0.5, 7.0


def summed():
    """A model that adds up one number per token: pad is worth nothing, so removing in place and taking out are the same."""
    return bag([[0.0], [CLOSING], [PROMPT], *([w] for w in WEIGHTS)], [1.0])


def analysis_of(model, **credits):
    given = encoding([2, 2], range(3, 3 + len(WEIGHTS)), [EOS])
    (seen,) = observe(model, [given])
    made = {label: Credit(np.asarray(values, np.float32), None, None) for label, values in credits.items()}
    return Analysis(given.example, model.source, seen, made)


@pytest.mark.parametrize("operator", ["pad", "delete", "mask"])
def test_a_sum_of_tokens_in_closed_form(operator):
    model = summed()
    found = faithfulness(model, analysis_of(model, true=WEIGHTS), operator=operator, granularity="token")
    score, nothing = 2 * PROMPT + WEIGHTS.sum() + CLOSING, 2 * PROMPT + CLOSING  # the template's end is never removed
    assert (found.score, found.nothing_left, found.operator) == (score, nothing, operator)
    down, up = (np.concatenate([[0.0], np.cumsum(np.sort(WEIGHTS)[::way])]) for way in (-1, 1))  # sums of the first k
    taken, counts = [1, 1, 1, 2, 4], [0, 1, 2, 4, 6, 7, 8]
    assert found.taken.tolist() == taken and found.counts.tolist() == counts
    true = found.credits["true"]
    np.testing.assert_allclose(true.curves.deletion, score - down[counts], rtol=1e-6)
    np.testing.assert_allclose(true.curves.insertion, nothing + down[counts], rtol=1e-6)
    raises, lowers = true.asked["raises"], true.asked["lowers"]
    assert raises.own["comprehensiveness"] == pytest.approx(down[taken].mean())
    assert raises.own["sufficiency"] == pytest.approx(WEIGHTS.sum() - down[taken].mean())
    assert raises.own["comprehensiveness_normalised"] == pytest.approx(down[taken].mean() / WEIGHTS.sum())
    assert raises.own["deletion_area"] == pytest.approx(score - np.trapezoid(down[counts], np.array(counts) / 8))
    # The opposite order is the mirror, and what lowers the score is the negated score's rise.
    assert raises.reversed["comprehensiveness"] == pytest.approx(up[taken].mean())
    assert lowers.own["comprehensiveness"] == pytest.approx(-up[taken].mean())
    assert lowers.own["insertion_area"] == pytest.approx(-raises.reversed["insertion_area"])
    assert (true.infidelity.raw, true.infidelity.share) == pytest.approx((0, 0), abs=1e-10)
    assert (true.truncation_error, true.truncation_correlation) == pytest.approx((0, 1), abs=1e-5)


def test_the_controls_give_the_same_credits_to_other_units():
    model = summed()
    given = analysis_of(model, true=WEIGHTS, even=np.full(8, WEIGHTS.mean()))
    found = faithfulness(model, given, granularity="token", random_orders=20).credits
    true, even = found["true"], found["even"]
    random, turned = true.controls["random"], true.controls["reversed"]
    assert true.infidelity.raw < 1e-10 < 0.1 < random["infidelity"] < turned["infidelity"]
    assert random["infidelity_share"] > true.infidelity.share and turned["truncation_error"] > true.truncation_error
    worth, low_first = np.sort(WEIGHTS)[::-1], np.sort(WEIGHTS)
    assert turned["truncation_correlation"] == pytest.approx(np.corrcoef(worth, low_first)[0, 1], abs=1e-5)
    assert abs(random["truncation_correlation"]) < 0.5
    for order in ("random", "reversed"):  # equal credits are the same wherever they are
        assert even.controls[order]["infidelity"] == pytest.approx(even.infidelity.raw)
        assert even.controls[order]["truncation_error"] == pytest.approx(even.truncation_error)


def test_no_other_order_of_a_sum_beats_the_true_one():
    model, rng = summed(), np.random.default_rng(0)
    others = {f"other {i}": rng.permutation(WEIGHTS) for i in range(20)}
    found = faithfulness(model, analysis_of(model, true=WEIGHTS, **others), granularity="token", random_orders=20)
    for way in ("raises", "lowers"):
        asked = {label: credit.asked[way] for label, credit in found.credits.items()}
        best = asked["true"].own
        assert all(
            best["deletion_area"] <= one.own["deletion_area"] and best["insertion_area"] >= one.own["insertion_area"]
            for one in asked.values()
        )
        assert (
            best["comprehensiveness"]
            > asked["true"].random["comprehensiveness"]
            > asked["true"].reversed["comprehensiveness"]
        )
    assert found.credits["other 0"].infidelity.raw > 0.1


def test_the_closing_share_is_not_ranked_and_equal_credits_fall_by_chance():
    model = summed()
    given = analysis_of(model, true=WEIGHTS, even=np.ones(8))
    shared = Credit(np.float32([*WEIGHTS[:-1], WEIGHTS[-1] + 9]), None, None, closing=9.0)
    given = Analysis(given.example, given.source, given.observation, {**given.credits, "shared": shared})
    drawn = [faithfulness(model, given, granularity="token", seed=seed).credits for seed in range(4)]
    np.testing.assert_array_equal(drawn[0]["shared"].curves.deletion, drawn[0]["true"].curves.deletion)
    assert len({one["even"].curves.deletion[1] for one in drawn}) > 1  # not the first token every time


def test_every_altered_response_is_scored_once_for_all_methods():
    model = summed()
    alone, many = (
        faithfulness(model, analysis_of(model, **credits), granularity="token")
        for credits in ({"a": WEIGHTS}, {"a": WEIGHTS, "twice": 2 * WEIGHTS, "negated": -WEIGHTS})
    )
    assert many.altered == alone.altered > 0


def test_erasers_worked_numbers():
    words = [f"w{i:02d}" for i in range(100)]
    top = {
        1: (1.2, 0.3),
        5: (0.9, 0.5),
        10: (0.6, 0.8),
        20: (0.1, 1.1),
        50: (-0.4, 1.3),
    }  # without them, and they alone
    known = {"": 0.0, " ".join(words): 1.4}
    for k, (without, only) in top.items():
        known |= {" " + " ".join(words[k:]): without, " ".join(words[:k]): only}
    model = redviz.reward_function(lambda prompt, response: known.get(response, 0.0))
    analysis = redviz.analyze(model, "?", " ".join(words), methods=["uniform"])
    ranked = Credit(np.arange(100, 0, -1, dtype=np.float32), None, None)
    analysis = Analysis(analysis.example, analysis.source, analysis.observation, {"by place": ranked})
    own = faithfulness(model, analysis, operator="delete").credits["by place"].asked["raises"].own
    assert (own["comprehensiveness"], own["sufficiency"]) == pytest.approx((0.92, 0.60))
    assert own["comprehensiveness_normalised"] == pytest.approx(0.92 / 1.4)


def test_infidelity_is_captums_on_the_same_removals():
    rng = np.random.default_rng(0)
    removed = torch.from_numpy((rng.random((40, 6)) < 0.5).astype(np.float64))
    credits = torch.from_numpy(rng.normal(size=(1, 6)))
    f = lambda z: (z @ torch.arange(6.0).double() - 3) ** 2 + z[:, 0] * z[:, 5]  # noqa: E731
    whole = torch.ones(1, 6, dtype=torch.float64)
    raw, scaled = (
        float(
            captums_infidelity(f, lambda z: (removed, z - removed), whole, credits, n_perturb_samples=40, normalize=on)
        )
        for on in (False, True)
    )
    losses = f(whole) - f(whole - removed)
    found = infidelity(removed, credits[0], losses)
    assert (found.raw, found.scaled) == pytest.approx((raw, scaled))
    assert found.share == pytest.approx(scaled / float((losses**2).mean()))
    assert infidelity(removed, -3 * credits[0], losses).share == pytest.approx(found.share)
    with pytest.raises(RedvizError, match="one row per loss"):
        infidelity(removed, credits[0], losses[1:])


@pytest.mark.parametrize("shares", [False, True])
def test_max_sensitivity_is_captums_on_the_same_moves(shares):
    torch.manual_seed(0)
    table = torch.randn(8, 3)
    head = lambda hidden: hidden[..., 0] * hidden[..., 1] + hidden[..., 2] ** 3  # noqa: E731
    model = bag(table.tolist(), head)
    given = encoding([2, 3], [4, 5, 6, 7], [EOS])
    (seen,) = observe(model, [given])
    meta = {"method": "p2t", "options": {"form": "shares", "null": "zero"}} if shares else {"method": "grad_x_input"}
    credits = {
        "asked": Credit(np.zeros(4, np.float32), None, None, meta=meta),
        "occlusion": Credit(np.zeros(4, np.float32), None, None, meta={"method": "occlusion"}),
    }
    found = max_sensitivity(model, Analysis(given.example, model.source, seen, credits), seed=3)

    def score(embeddings):
        return head(table[[2, 3]].sum(0) + embeddings.sum(1) + table[EOS])

    def explain(inputs):
        if isinstance(inputs, tuple):  # what Captum's own methods do
            return tuple(map(explain, inputs))
        embeddings = inputs.clone().requires_grad_()
        products = InputXGradient(score).attribute(embeddings).sum(-1).detach()
        return score(embeddings).detach() * products.softmax(-1) if shares else products

    draws = torch.Generator().manual_seed(3)

    def near(embeddings, radius):
        return embeddings + torch.empty(embeddings.shape).uniform_(-radius, radius, generator=draws)

    inputs = table[[4, 5, 6, 7]][None]
    expected = float(sensitivity_max(explain, inputs, near, max_examples_per_batch=1))
    assert found["asked"].value == pytest.approx(expected, rel=1e-3) and expected > 0.01
    draws.manual_seed(3)
    still = explain(inputs)
    moves = [(explain(near(inputs, 0.02)) - still).norm() for _ in range(10)]
    assert found["asked"].value == pytest.approx(float(max(moves) / still.norm()), rel=1e-3)
    assert np.isnan(found["occlusion"].value) and "a unit cannot be removed by a little" in found["occlusion"].note


RESPONSES = ["A superb, moving film.", "Dull and far too long. I left early."]


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize("operator", ["pad", "delete"])
def test_curves_of_real_weights_are_the_models_own_scores(sentiment, response, operator):
    analysis = redviz.analyze(sentiment, "Review the film.", response, ["red", "grad_x_input"])
    found = faithfulness(sentiment, analysis, operator=operator)
    given = analysis.observation.encoding
    for label, credit in analysis.credits.items():
        order = np.argsort(-pool(credit.own, found.units))
        for count, score in zip(found.counts, found.credits[label].curves.deletion, strict=True):
            gone = np.zeros(len(given.ids), bool)
            for unit in (found.units[i] for i in order[:count]):
                gone[given.start + unit.first : given.start + unit.last] = True
            pad = sentiment.tokenizer.pad_token_id
            ids = np.where(gone, pad, given.ids) if operator == "pad" else given.ids[~gone]
            assert score == pytest.approx(float(sentiment.own_scores([ids])[0]), abs=1e-3)
    assert found.credits["red"].truncation_error == pytest.approx(0, abs=1e-4)
    assert found.credits["grad_x_input"].truncation_error > 0.01


def test_every_gradient_method_is_asked_again_in_its_own_code(sentiment):
    names = ["grad_x_input", "saliency", "p2t", "gradient_shap"]
    methods = {**{name: {} for name in names}, "ig": {"steps": 4}, "abc": {}}
    analysis = redviz.analyze(sentiment, "Review the film.", RESPONSES[0], methods)
    still, moved = (max_sensitivity(sentiment, analysis, radius=radius, samples=2) for radius in (1e-9, 0.05))
    for name in [*names, "ig"]:
        assert still[name].value < 1e-3 < moved[name].value
    assert "is not defined for abc" in moved["abc"].note
    again = redviz.analyze(sentiment, "Review the film.", RESPONSES[0], methods)
    np.testing.assert_array_equal(again.credits["ig"].values, analysis.credits["ig"].values)  # nothing stays moved


VALUES = {"good": 2.0, "superb": 3.0, "bad": -2.0, "dull": -1.0}


def worth(prompt, response):
    return sum(VALUES.get(word, 0.0) for word in response.split())


ROWS = [
    {"prompt": "?", "response": "a good film with a superb end", "id": "one"},
    {"prompt": "?", "response": "good", "id": "short"},
    {"prompt": "?", "response": "dull at first , then a bad joke , then good and superb", "id": "two"},
    {"prompt": "?", "response": "", "id": "empty"},
    {"prompt": "?", "response": "the end is superb and all else is dull", "id": "three"},
]


def test_over_responses_against_random_orders_and_what_fails_is_counted():
    model = redviz.reward_function(worth)
    seen = []
    report = faithfulness_over(
        model, ROWS, ["occlusion", "sparse"], operator="delete", progress=lambda *at: seen.append(at), total=5
    )
    assert (report.responses, report.failed, seen) == (3, 2, [(i, 5) for i in range(6)])
    assert [problem.partition(":")[0] for problem in report.problems] == ["short", "empty"]
    occlusion, sparse = report.rows
    for way in ("raises", "lowers"):
        for form in ("", "_normalised"):
            compared = occlusion.asked[way][f"comprehensiveness{form}"]
            assert compared.own.count == 3
            assert compared.over_random.value == pytest.approx(compared.own.value - compared.random.value)
            assert compared.over_random.low > 0 and compared.reversed.value <= compared.random.value
    each = [one.credits["occlusion"].asked["raises"] for _, one in report.each]
    paired = np.mean([one.own["deletion_area"] - one.random["deletion_area"] for one in each])
    assert occlusion.asked["raises"]["deletion_area"].over_random.value == pytest.approx(paired)
    assert occlusion.single["infidelity"].value == 0 < sparse.single["infidelity"].value
    by_chance = [one.credits["occlusion"].controls["random"]["infidelity"] for _, one in report.each]
    assert occlusion.controls["random"]["infidelity"].value == pytest.approx(np.mean(by_chance))
    assert min(by_chance) > 0
    assert occlusion.curves["own"]["deletion"][0].value == 0
    assert occlusion.curves["own"]["deletion"][-1].value == pytest.approx(-np.mean([5.0, 2.0, 2.0]))
    written = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert written["operator"] == "delete" and written["rows"][0]["single"]["sensitivity"]["value"] is None
    json.dumps(report.each[0][1].to_dict(), allow_nan=False)


def test_a_response_worth_nothing_has_no_normalised_figures():
    model = redviz.reward_function(worth)
    report = faithfulness_over(model, [Example("?", "a good and bad film")], ["occlusion"], operator="delete")
    [row] = report.rows
    assert row.not_normalised == 1
    assert row.asked["raises"]["comprehensiveness"].own.value > 0
    assert row.asked["raises"]["comprehensiveness_normalised"].own.count == 0


def test_a_job_ends_where_it_is_told_to_and_what_cannot_be_done_is_said():
    calls = []

    def counted(prompt, response):
        calls.append(response)
        return worth(prompt, response)

    def cancel(done, total):
        if done == 1:
            raise Cancelled("stop")

    model = redviz.reward_function(counted)
    with pytest.raises(Cancelled):
        faithfulness_over(model, ROWS, ["uniform"], operator="delete", progress=cancel)
    assert calls and not any("joke" in text for text in calls)
    analysis = redviz.analyze(model, "?", ROWS[0]["response"], ["uniform"])
    with pytest.raises(RedvizError, match='use operator "delete"'):
        faithfulness(model, analysis)
    with pytest.raises(RedvizError, match="fractions are"):
        faithfulness(model, analysis, operator="delete", fractions=(0, 0.5))
    with pytest.raises(RedvizError, match="at least 1"):
        faithfulness(model, analysis, operator="delete", random_orders=0)
    with pytest.raises(RedvizError, match="granularity"):
        faithfulness_over(model, ROWS, ["uniform"], operator="delete", granularity="letter")
    with pytest.raises(RedvizError, match="no credits"):
        faithfulness(model, redviz.analyze(model, "?", "a b", []), operator="delete")
