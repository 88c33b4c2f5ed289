"""Occlusion, Shapley sampling, LIME, Kernel SHAP and truncation: what they ask, what they report, what they refuse."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch
from bag import bag, encoding

from redviz.credit.from_models import coalitions, perturbation
from redviz.credit.from_models import truncation as truncation_module
from redviz.credit.from_models.perturbation import kernel_shap, lime, occlusion
from redviz.credit.from_models.shapley import shapley
from redviz.credit.from_models.shapley_kernel import shapley_kernel
from redviz.credit.from_models.truncation import truncation
from redviz.errors import Cancelled, RedvizError
from redviz.models.kinds.function import reward_function
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import observe
from redviz.records import Example
from redviz.text import units

EXAMPLE = Example("Write a short review.", "  The lead is superb.\n\nBut it drags 👍 , moving.")
SAMPLED = [shapley, lime, kernel_shap]


def setting(architecture="Llama", template="closed", example=EXAMPLE, **options):
    model = tiny.model(architecture, template, **options)
    (seen,) = observe(model, [model.encode(example)])
    return model, seen


# ---------------------------------------------------------------- what each asks the model


@pytest.mark.parametrize("granularity", ["token", "word", "sentence"])
def test_occlusion_is_the_score_minus_the_score_without_the_unit(granularity):
    model, seen = setting()
    e = seen.encoding
    credit = occlusion(seen, model, players=granularity)
    for unit in units(EXAMPLE.response, e.offsets, granularity):
        without = np.delete(e.ids, slice(e.start + unit.first, e.start + unit.last))
        mine = credit.values[unit.first : unit.last]
        assert mine.sum() == pytest.approx(seen.score - tiny.own_score(model, without), abs=1e-4)
        assert np.ptp(mine) == 0
    assert (credit.total, credit.reference, credit.residual) == (None, None, None)
    assert credit.values.dtype == np.float32 and len(credit.values) == len(e.offsets)


@pytest.mark.parametrize("operator", ["delete", "pad", "mean", "mask"])
def test_shapley_sums_for_any_number_of_permutations(operator):
    model, seen = setting()
    one, two = (shapley(seen, model, operator=operator, samples=2, seed=seed) for seed in (0, 1))
    again = shapley(seen, model, operator=operator, samples=2)
    assert one.total == seen.score and one.residual == pytest.approx(0, abs=1e-5)
    assert one.reference == two.reference and abs(one.reference - seen.score) > 0.01
    np.testing.assert_array_equal(one.values, again.values)
    assert abs(one.values - two.values).max() > 0.01
    assert one.meta["operator"] == operator and len(one.meta["stderr"]) == len(one.values)


def test_a_words_standard_error_is_shared_by_its_tokens():
    model, seen = setting()
    credit = shapley(seen, model, samples=8)
    error = np.array(credit.meta["stderr"])
    for unit in units(EXAMPLE.response, seen.encoding.offsets, "word"):
        assert np.ptp(error[unit.first : unit.last]) == 0
    assert not credit.meta["exact"] and (error > 0).all()


def test_all_permutations_are_scored_in_one_call_and_shared_coalitions_once(monkeypatch):
    model, seen = setting()
    rows = []
    of_tokens = coalitions._OfTokens.scores

    def watched(self, given, progress):
        rows.append(given)
        return of_tokens(self, given, progress)

    monkeypatch.setattr(coalitions._OfTokens, "scores", watched)
    shapley(seen, model, players="sentence", samples=50)
    count = len(units(EXAMPLE.response, seen.encoding.offsets, "sentence"))
    assert [given.shape for given in rows] == [(2**count, count)]


def drawn_by(monkeypatch, method, ids=(7, 3, 9, 5, 11), **options):
    """The rows that were scored in one call, their scores, and the credits of tokens that are players."""
    torch.manual_seed(0)
    table = torch.randn(12, 3)
    model = bag(table.tolist(), lambda h: h[..., 0] * h[..., 1] + torch.tanh(h[..., 2]))
    (seen,) = observe(model, [encoding([6], list(ids), [1])])
    calls = []
    made = perturbation.value_function

    def watched(*args):
        value = made(*args)

        def record(z, progress):
            calls.append((z.double().numpy(), value(z, progress).numpy()))
            return value(z, progress)

        return record

    monkeypatch.setattr(perturbation, "value_function", watched)
    credit = method(seen, model, players="token", **options)
    return max(calls, key=lambda call: len(call[0])), credit, seen


def test_lime_is_a_ridge_regression_weighted_by_cosine_distance(monkeypatch):
    (z, scores), credit, _ = drawn_by(monkeypatch, lime, samples=60)
    assert z.shape == (60, 5) and abs(z.mean() - 0.5) < 0.1
    weights = np.exp(-((1 - np.sqrt(z.mean(1))) ** 2) / 2)
    middle, level = np.average(z, 0, weights), np.average(scores, 0, weights)
    x, y = z - middle, scores - level
    slopes = np.linalg.solve(x.T @ (weights[:, None] * x) + np.eye(5), x.T @ (weights * y))
    np.testing.assert_allclose(credit.values, slopes, rtol=0, atol=1e-4)
    intercept = level - middle @ slopes
    left = scores - z @ slopes - intercept
    assert credit.meta["intercept"] == pytest.approx(intercept, abs=1e-4)
    assert credit.meta["r2"] == pytest.approx(1 - left.var() / scores.var(), abs=1e-4)
    assert (credit.total, credit.reference) == (None, None) and abs(slopes).max() > 0.1


def test_kernel_shap_is_constrained_least_squares_on_pairs_of_coalitions(monkeypatch):
    (z, scores), credit, seen = drawn_by(
        monkeypatch, kernel_shap, (7, 3, 9, 5, 11, 2, 4, 8, 10, 3, 7, 9, 5), samples=200
    )
    count = z.shape[1]
    assert count == 13 and len(z) == 200 and z[0].all() and not z[1].any() and len(np.unique(z, axis=0)) == 200
    pairs = z[2:].reshape(-1, 2, count)
    assert (pairs.sum(1) == 1).all(), "every coalition stands beside its complement"
    kept = z[2:].sum(1).astype(int)
    assert [np.sum(kept == k) for k in (1, count - 1)] == [count, count], "the ends of the kernel are complete"
    kernel = np.array([1 / (k * (count - k)) for k in kept])
    weights = kernel / np.bincount(kept)[kept]
    whole, reference = seen.score, scores[1]
    x, y = z[2:, :-1] - z[2:, -1:], scores[2:] - reference - z[2:, -1] * (whole - reference)
    slopes = np.linalg.lstsq(x * weights[:, None] ** 0.5, y * weights**0.5, rcond=None)[0]
    np.testing.assert_allclose(credit.values[:-1], slopes, rtol=0, atol=1e-4)
    assert credit.residual == pytest.approx(0, abs=1e-5)
    assert (credit.total, credit.reference) == (seen.score, pytest.approx(reference, abs=1e-5))


@pytest.mark.parametrize(
    ("players", "samples"), [(1, 9), (2, 9), (3, 3), (6, 62), (6, 40), (7, 9), (12, 30), (13, 97), (40, 400)]
)
def test_the_coalitions_of_kernel_shap(players, samples):
    rows, weights = shapley_kernel(players, samples, np.random.default_rng(2))
    assert len(np.unique(rows, axis=0)) == len(rows) and not (rows.all(1) | ~rows.any(1)).any()
    assert samples - 1 <= len(rows) <= samples or len(rows) == 2**players - 2
    kept = rows.sum(1)
    for k in set(kept):
        assert weights[kept == k].sum() == pytest.approx(1 / (k * (players - k)))
    if samples >= 2 * (players - 1):
        assert {tuple(row) for row in rows} == {tuple(~row) for row in rows}


@pytest.mark.parametrize("method", SAMPLED)
def test_draws_repeat_and_leave_the_global_generator_alone(method):
    model, seen = setting()
    options = {"samples": 30, "players": "token"}
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (method(seen, model, seed=seed, **options).values for seed in (0, 0, 1))
    assert torch.equal(torch.rand(3), wanted)
    np.testing.assert_array_equal(first, again)
    assert abs(first - other).max() > 1e-3


@pytest.mark.parametrize("method", [occlusion, *SAMPLED])
def test_one_unit_alone(method):
    model, seen = setting(example=Example("Hi", "superb"))
    without = np.delete(seen.encoding.ids, slice(seen.encoding.start, seen.encoding.stop))
    worth = seen.score - tiny.own_score(model, without)
    credit = method(seen, model, players="sentence")
    # LIME's penalty shrinks a slope by 1 / (1 + the weighted sum of squares)
    assert credit.values.sum() == pytest.approx(worth, rel=0.03 if method is lime else 1e-4)
    assert abs(worth) > 0.05


# ---------------------------------------------------------------- truncation


@pytest.mark.parametrize("granularity", ["token", "word", "sentence"])
@pytest.mark.parametrize("template", ["closed", "none", "trims", "thinks"])
def test_truncation_scores_every_cut_as_the_model_would(template, granularity):
    model, seen = setting("Mistral", template)
    found = units(EXAMPLE.response, seen.encoding.offsets, granularity)
    e = seen.encoding
    scores = [tiny.own_score(model, np.delete(e.ids, slice(e.start, e.stop)))]
    for unit in found:
        cut = EXAMPLE.response[: unit.end]
        bare = template == "trims" and not cut.strip()
        scores.append(scores[0] if bare else tiny.own_score(model, model.encode(replace(EXAMPLE, response=cut)).ids))
    credit = truncation(seen, model, players=granularity)
    np.testing.assert_allclose(credit.meta["prefix_scores"], scores, rtol=0, atol=1e-4)
    pooled = [credit.values[u.first : u.last].sum() for u in found]
    np.testing.assert_allclose(pooled, np.diff(scores), rtol=0, atol=2e-4)
    assert (credit.total, credit.reference) == (seen.score, pytest.approx(scores[0], abs=1e-4))
    assert credit.residual == pytest.approx(0, abs=1e-5) and np.std(scores) > 0.05


def test_truncation_of_blanks_that_the_template_trims():
    model, seen = setting("Llama", "trims", Example("Hi", "superb"))
    blank = replace(
        seen.encoding, example=Example("Hi", " \nsuperb"), offsets=((0, 2), (2, 8)), stop=seen.encoding.start + 2
    )
    blank = replace(blank, ids=np.insert(blank.ids, blank.start, blank.ids[blank.start]), read=blank.read + 1)
    given = replace(seen, encoding=blank, column_scores=np.append(seen.column_scores, seen.score))
    credit = truncation(given, model)
    assert credit.values[0] == 0 and credit.meta["prefix_scores"][1] == credit.reference


def test_truncation_of_a_response_that_was_cut_to_fit():
    whole = tiny.model()
    model = replace(whole, max_length=len(whole.encode(EXAMPLE).ids) - 4)
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    assert seen.encoding.truncated == 4
    credit = truncation(seen, model)
    assert len(credit.values) == len(seen.encoding.offsets) and credit.residual == pytest.approx(0, abs=1e-5)
    assert credit.meta["prefix_scores"][-1] == seen.score


def test_truncation_in_batches(monkeypatch):
    model, seen = setting()
    wanted = truncation(seen, model)
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", 100)
    run, sizes, told = truncation_module.observe, [], []

    def short_of_memory(model, encodings, **options):
        sizes.append((len(encodings), sum(len(e.ids) for e in encodings)))
        if len(encodings) > most:
            raise torch.OutOfMemoryError("no more")
        return run(model, encodings, **options)

    monkeypatch.setattr(truncation_module, "observe", short_of_memory)
    most = 2
    found = truncation(seen, model, progress=lambda done, total: told.append((done, total)))
    np.testing.assert_allclose(found.values, wanted.values, rtol=0, atol=1e-4)
    assert sizes[0][0] > 2 >= sizes[-1][0] and max(tokens for _, tokens in sizes) <= 100
    cuts = len(units(EXAMPLE.response, seen.encoding.offsets))  # the empty one too, and not the whole
    assert told == sorted(told) and told[0] == (0, cuts) and told[-1] == (cuts, cuts) and len(told) > cuts / 2
    most = 0
    with pytest.raises(RedvizError, match="single cut response"):
        truncation(seen, model)


# ---------------------------------------------------------------- functions


def both(prompt, response):
    return 2.0 * ("good" in response and "plot" in response) - ("dull" in response) + 0.5


def test_methods_on_a_rule_with_a_known_answer():
    """Two units for a pair of words that only count together, minus one for a third; the rest earns nothing."""
    model = reward_function(both)
    seen = model.observe(model.encode(Example("?", "A good and dull plot")))
    whole = {"players": "word"}
    np.testing.assert_allclose(occlusion(seen, model, **whole).values, [0, 2, 0, -1, 2])
    np.testing.assert_allclose(truncation(seen, model, **whole).values, [0, 0, 0, -1, 2])
    exact = shapley(seen, model)
    np.testing.assert_allclose(exact.values, [0, 1, 0, -1, 1], atol=1e-6)
    assert exact.meta["exact"] and (exact.total, exact.reference) == (1.5, 0.5)
    np.testing.assert_allclose(kernel_shap(seen, model, samples=4000).values, [0, 1, 0, -1, 1], atol=0.1)
    np.testing.assert_allclose(lime(seen, model, samples=4000).values, [0, 1, 0, -1, 1], atol=0.1)
    assert truncation(seen, model).meta["prefix_scores"] == [0.5, 0.5, 0.5, 0.5, -0.5, 1.5]


def test_a_function_without_a_score_of_the_empty_text():
    def first(prompt, response):
        return ord(response[0])

    model = reward_function(first)
    seen = model.observe(model.encode(Example("?", "so good")))
    for method in (truncation, shapley, kernel_shap):
        with pytest.raises(RedvizError, match="IndexError"):
            method(seen, model)


# ---------------------------------------------------------------- progress, cancelling, what is refused


@pytest.mark.parametrize("method", [occlusion, shapley, lime, kernel_shap])
def test_progress_counts_up_and_may_cancel(monkeypatch, method):
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", 60)
    model, seen = setting()
    told = []
    method(seen, model, progress=lambda done, total: told.append((done, total)))
    assert len(told) > 4 and told == sorted(told) and told[0][0] == 0
    assert told[-1][0] == told[-1][1] and len({total for _, total in told}) == 1

    def cancel(done, total):
        if done:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        method(seen, model, progress=cancel)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (shapley, {"samples": 1}, "at least 2 permutations"),
        (shapley, {"samples": 70000}, "at most 65536"),
        (kernel_shap, {"samples": 4, "players": "token"}, "from 26 to 65536 for 24 units"),
        (lime, {"samples": 1}, "from 2 to 65536"),
        (shapley, {"operator": "zero"}, "delete, pad, mean, mask"),
        (occlusion, {"players": "line"}, "token, word, sentence"),
        (truncation, {"players": "line"}, "token, word, sentence"),
        (shapley, {"players": "line", "owen": True}, "token, word, sentence"),
    ],
)
def test_options_that_make_no_sense(method, options, message):
    model, seen = setting()
    with pytest.raises(RedvizError, match=message):
        method(seen, model, **options)


def test_nothing_is_left_on_the_model():
    model, seen = setting()
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules()]
    occlusion(seen, model)
    assert all(p.grad is None for p in model.module.parameters())
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules()]
