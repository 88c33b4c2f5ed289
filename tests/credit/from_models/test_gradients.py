"""Gradient credits: against autograd on the untouched model, against closed forms, and Captum's conventions they rely on."""

import math

import numpy as np
import pytest
import tiny
import torch
from bag import bag, encoding
from captum.attr import IntegratedGradients
from torch import nn

from redviz.credit.from_models import gradient_inputs
from redviz.credit.from_models.deeplift import deeplift
from redviz.credit.from_models.gradient_inputs import baseline_embedding
from redviz.credit.from_models.gradients import grad_x_input, gradient_shap, p2t, saliency
from redviz.credit.from_models.integrated_gradients import ig
from redviz.credit.from_records.softmaxed import p2t_rewards
from redviz.errors import Cancelled, RedvizError
from redviz.models.loading.load import load_reward_model
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import observe
from redviz.records import Example

EXAMPLE = Example(" ".join(["The film opens on a quiet street"] * 3), "  The lead is superb.\n\nBut it drags 👍 .  ")
ALL = (grad_x_input, saliency, p2t, gradient_shap, deeplift)


def seen_by(model, example=EXAMPLE):
    return observe(model, [model.encode(example)])[0]


def stock(model, seen):
    """Embeddings and the score's gradient by autograd: whole sequence of ids, no cache, Transformers' own attention: ``[T, D]`` each."""
    kept = []

    def leaf(layer, args, output):
        kept.append(output.detach().requires_grad_())
        return kept[0]

    encoding = seen.encoding
    with tiny.native(model) as module:
        hook = module.get_input_embeddings().register_forward_hook(leaf)
        hidden = module.base_model(torch.tensor(encoding.ids[None]), use_cache=False).last_hidden_state
        hook.remove()
        (gradient,) = torch.autograd.grad(module.score(hidden)[0, encoding.read, 0], kept)
    own = slice(encoding.start, encoding.stop)
    return kept[0].detach()[0, own].double(), gradient[0, own].double()


def close(found, wanted):
    wanted = wanted.numpy()
    assert found.dtype == np.float32 and abs(wanted).max() > 0.01
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * abs(wanted).max())


def check(model, seen):
    x, gradient = stock(model, seen)
    close(grad_x_input(seen, model).values, (x * gradient).sum(-1))
    close(saliency(seen, model).values, gradient.square().sum(-1).sqrt())
    close(saliency(seen, model, norm="l1").values, gradient.abs().sum(-1))
    layer = model.module.get_input_embeddings()
    nulls = {
        "pad": layer(torch.tensor(model.tokenizer.pad_token_id)),
        "eos": layer(torch.tensor(model.tokenizer.eos_token_id)),
        "mean": layer(torch.arange(len(layer.weight))).mean(0),
        "zero": torch.zeros(x.shape[1]),
    }
    for null, nothing in nulls.items():
        close(p2t(seen, model, null=null, form="raw").values, ((x - nothing) * gradient).sum(-1))


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3", "Mistral", "GPT2", "Gemma2"])
def test_they_are_autograd_over_the_whole_sequence(architecture):
    model = tiny.model(architecture)
    seen = seen_by(model)
    assert seen.encoding.start > 12  # longer than the sliding windows
    check(model, seen)


@pytest.mark.parametrize(("template", "pad"), [("open", "<|pad|>"), ("ends", "<|end|>")])
def test_wherever_the_score_is_read(template, pad):
    model = tiny.model("Llama", template, pad=pad)
    check(model, seen_by(model))


def test_the_mean_embedding_is_of_what_the_model_reads():
    # Gemma scales what it looks up; the mean of the table alone would be too short
    model = tiny.model("Gemma2")
    layer = model.module.get_input_embeddings()
    wanted = layer(torch.arange(len(layer.weight))).mean(0)
    np.testing.assert_allclose(baseline_embedding(model, "mean"), wanted, atol=1e-5)
    assert not np.allclose(layer.weight.mean(0), wanted, atol=1e-2)


def test_none_but_those_with_a_promise_name_a_sum():
    model = tiny.model("Llama")
    seen = seen_by(model)
    for credit in (grad_x_input(seen, model), saliency(seen, model), p2t(seen, model, form="raw")):
        assert credit.residual is None and credit.closing == 0
    assert (saliency(seen, model).values >= 0).all()


# ---------------------------------------------------------------- closed forms

PROMPT, RESPONSE, CLOSING = [4, 5], [7, 3, 9, 3, 11], [6]


def table():
    return torch.randn(12, 6, generator=torch.Generator().manual_seed(0))


def on_bag(head, embeddings=None):
    model = bag((table() if embeddings is None else embeddings).tolist(), head)
    return model, observe(model, [encoding(PROMPT, RESPONSE, CLOSING)])[0]


@pytest.mark.parametrize(("baseline", "filler"), [("pad", table()[0]), ("eos", table()[1]), ("mean", table().mean(0))])
def test_on_a_linear_model_all_agree(baseline, filler):
    w = torch.linspace(-1, 1, 6)
    model, seen = on_bag(w.tolist())
    x = table()[RESPONSE]
    np.testing.assert_allclose(grad_x_input(seen, model).values, x @ w, atol=1e-5)
    np.testing.assert_allclose(saliency(seen, model).values, [w.norm()] * 5, atol=1e-5)
    np.testing.assert_allclose(p2t(seen, model, form="raw", null=baseline).values, (x - filler) @ w, atol=1e-5)
    for credit in (
        gradient_shap(seen, model, baseline=baseline, samples=3),
        deeplift(seen, model, baseline=baseline),
        ig(seen, model, baseline=baseline, steps=1),
    ):
        np.testing.assert_allclose(credit.values, (x - filler) @ w, atol=1e-5)
        assert credit.total == seen.score and credit.residual == pytest.approx(0, abs=1e-5)
        assert credit.meta["baseline"] == baseline


def test_a_constant_changes_nothing_and_a_factor_scales():
    curved = lambda h: torch.tanh(h).sum(-1)  # noqa: E731
    model, seen = on_bag(curved)
    moved, seen_moved = on_bag(lambda h: 3 * curved(h) + 5)
    assert seen_moved.score == pytest.approx(3 * seen.score + 5, abs=1e-5)
    for method, options in [(grad_x_input, {}), (saliency, {}), (p2t, {"form": "raw"}), (gradient_shap, {})]:
        before, after = method(seen, model, **options), method(seen_moved, moved, **options)
        np.testing.assert_allclose(after.values, 3 * before.values, atol=1e-4)
        assert abs(before.values).max() > 0.01
    assert not np.allclose(p2t(seen_moved, moved).values, 3 * p2t(seen, model).values, atol=0.1)


# ---------------------------------------------------------------- P2T

P2T = np.array([0.0, 1.0, -1.0, 0.5])


def test_p2t_by_hand():
    shares = p2t_rewards(P2T, 1.0, form="shares")
    np.testing.assert_allclose(shares, [0.1743715, 0.4739908, 0.0641477, 0.2874900], atol=1e-7)
    rewards = p2t_rewards(P2T, 1.4, omega=0.6)
    np.testing.assert_allclose(rewards, [1.5464720, 1.7981523, 1.4538841, 1.6414916], atol=1e-7)
    assert rewards.sum() == pytest.approx(6.44) == pytest.approx((4 + 0.6) * 1.4)
    np.testing.assert_array_equal(p2t_rewards(P2T, 1.4, form="raw"), P2T)
    np.testing.assert_allclose(
        p2t_rewards(P2T + 1000, -2.0, form="shares"), -2 * shares
    )  # no overflow; the score's sign


@pytest.mark.parametrize("options", [{"form": "claimed"}, {"omega": -0.1}, {"omega": math.nan}])
def test_p2t_options_that_make_no_sense(options):
    with pytest.raises(RedvizError, match=f"{next(iter(options))} is"):
        p2t_rewards(P2T, 1.4, **options)


def test_p2t_sums_to_more_than_it_claims():
    model = tiny.model("Llama")
    seen = seen_by(model)
    raw = p2t(seen, model, form="raw").values
    shares = p2t(seen, model, form="shares")
    published = p2t(seen, model, omega=0.5)
    np.testing.assert_allclose(shares.values, p2t_rewards(raw, seen.score, form="shares"), atol=1e-5)
    np.testing.assert_allclose(published.values, seen.score + 0.5 * shares.values, atol=1e-5)
    assert shares.total == published.meta["claimed_sum"] == seen.score
    assert published.total == pytest.approx((len(raw) + 0.5) * seen.score)
    for credit in (shares, published):
        assert credit.reference == 0 and credit.residual == pytest.approx(0, abs=1e-4)


def test_p2t_raw_is_the_gradient_at_the_response_itself():
    # one right-Riemann step of integrated gradients: (e - null) . grad R(e), where R = sum tanh(h)
    model, seen = on_bag(lambda h: torch.tanh(h).sum(-1))
    gradient = 1 - torch.tanh(table()[PROMPT + RESPONSE + CLOSING].sum(0)) ** 2  # [D]
    for null, nothing in [("pad", table()[0]), ("zero", torch.zeros(6))]:
        wanted = (table()[RESPONSE] - nothing) @ gradient
        np.testing.assert_allclose(p2t(seen, model, null=null, form="raw").values, wanted, atol=1e-5)
    np.testing.assert_allclose(grad_x_input(seen, model).values, table()[RESPONSE] @ gradient, atol=1e-5)


def test_p2t_without_a_pad_token_starts_from_the_mean():
    model, seen = on_bag([1.0, 2.0, 0.0, 0.0, 0.0, 0.0])
    mean = p2t(seen, model, null="mean", form="raw")
    model.tokenizer.pad_token_id = None
    pad = p2t(seen, model, form="raw")
    np.testing.assert_array_equal(pad.values, mean.values)
    assert pad.meta["null"] == "mean"


# ---------------------------------------------------------------- gradient SHAP

SQUARE = [[0.0]] * 4 + [[1.0], [2.0]]


def squared(samples, response=(4,), **options):
    model = bag(SQUARE, lambda h: h[..., 0] ** 2)
    (seen,) = observe(model, [encoding([3], response)])
    return gradient_shap(seen, model, baseline="zero", samples=samples, **options)


def test_gradient_shap_of_a_square_and_its_standard_error():
    # one draw gives 2 a x^2, a uniform: mean x^2 = 1, variance 4/12
    credit = squared(4000)
    wanted = 1 / math.sqrt(3 * 4000)
    assert credit.meta["stderr"] == [pytest.approx(wanted, rel=0.05)]
    assert credit.meta["stderr_of_sum"] == pytest.approx(credit.meta["stderr"][0])
    assert abs(credit.values[0] - 1) < 4 * wanted and credit.residual == pytest.approx(1 - credit.values[0], abs=1e-6)
    few = [squared(10, seed=s).values[0] for s in range(60)]
    assert np.std(few) == pytest.approx(1 / math.sqrt(30), rel=0.3)
    assert squared(1).meta["stderr"] is None is squared(1).meta["stderr_of_sum"]


def test_the_error_of_the_sum_counts_that_tokens_move_together():
    # F = (x1 + x2)^2, x = (1, 2): one draw gives 2 a (x1 + x2) x_t, so the errors of the two add up
    credit = squared(50, (4, 5))
    assert credit.meta["stderr_of_sum"] == pytest.approx(sum(credit.meta["stderr"]))


def test_gradient_shap_estimates_integrated_gradients():
    model = tiny.model("Llama")
    seen = seen_by(model)
    exact, credit = ig(seen, model), gradient_shap(seen, model, samples=64)
    assert credit.reference == exact.reference and credit.total == exact.total
    stderr = np.array(credit.meta["stderr"])
    assert (abs(credit.values - exact.values) < 4.5 * stderr).all()
    assert np.median(stderr) < abs(exact.values).max()
    assert abs(credit.residual) < 4.5 * credit.meta["stderr_of_sum"] + abs(exact.residual)


def test_the_seed_decides_and_the_global_generators_stay():
    model = tiny.model("Llama")
    seen = seen_by(model)

    def state():
        return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), np.random.get_state()[2]

    before = state()
    one, again = (gradient_shap(seen, model, samples=4, noise=0.1, seed=5) for _ in range(2))
    np.testing.assert_array_equal(one.values, again.values)
    assert not np.allclose(one.values, gradient_shap(seen, model, samples=4, noise=0.1, seed=6).values, atol=1e-3)
    with pytest.raises(Cancelled):
        gradient_shap(seen, model, progress=cancel)
    assert state() == before


SMOOTHED = (grad_x_input, saliency, ig)


@pytest.mark.parametrize("method", SMOOTHED)
def test_smoothgrad_is_the_mean_gradient_at_noisy_responses(method):
    model = tiny.model("Llama", "closed")
    seen = seen_by(model)
    given = gradient_inputs.gradient_inputs(model, seen.encoding)
    x, start = given.response, baseline_embedding(model, "pad")
    asked = {"steps": 3} if method is ig else {}
    found = method(seen, model, noise=0.05, samples=5, seed=3, **asked)
    stdev = 0.05 * float(x.max() - x.min())
    gradients = torch.zeros(x.shape[1:], dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        noisy = [x + torch.normal(0.0, torch.full_like(x, stdev)) for _ in range(5)]
    nodes, weights = np.polynomial.legendre.leggauss(3)
    ways = [((1 + a) / 2, w / 2) for a, w in zip(nodes, weights, strict=True)] if method is ig else [(1.0, 1.0)]
    for one in noisy:
        for a, weight in ways:
            at = (start + a * (one - start)).requires_grad_()
            (gradient,) = torch.autograd.grad(given.score(model, at).sum(), at)
            gradients += weight * gradient[0].double() / 5
    apart = x[0].double() - (start.double() if method is ig else 0)
    close(found.values, gradients.norm(dim=-1) if method is saliency else (gradients * apart).sum(-1))
    plain = method(seen, model, **asked)
    assert abs(found.values - plain.values).max() > 1e-3 * abs(plain.values).max()


@pytest.mark.parametrize("method", SMOOTHED)
def test_smoothgrad_without_noise_is_the_plain_method_and_a_seed_repeats(method):
    model = tiny.model("Llama", "closed")
    seen = seen_by(model)
    asked = {"steps": 2} if method is ig else {}
    plain, none = method(seen, model, **asked), method(seen, model, noise=0.0, samples=7, seed=9, **asked)
    np.testing.assert_array_equal(plain.values, none.values)
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    one, again, other = (method(seen, model, noise=0.1, samples=3, seed=seed, **asked).values for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert abs(one - other).max() > 1e-5 and torch.equal(torch.rand(3), wanted)
    told = []
    method(seen, model, noise=0.1, samples=3, progress=lambda done, total: told.append((done, total)), **asked)
    assert told[-1][0] == told[-1][1] and told[-1][1] % 3 == 0
    for wrong in ({"noise": 1.5}, {"samples": 0}, {"seed": -1}):
        with pytest.raises(RedvizError, match=next(iter(wrong))):
            method(seen, model, **wrong)


@pytest.mark.parametrize("method", SMOOTHED)
def test_noise_changes_nothing_on_a_linear_model(method):
    table = np.random.default_rng(5).integers(-16, 17, (12, 6)) / 8.0
    model = bag(table.tolist(), [0.5, -1.0, 0.25, 2.0, -0.75, 1.5])
    (seen,) = observe(model, [encoding([6, 2], [7, 3, 9, 5, 11], [1])])
    asked = {"steps": 2} if method is ig else {}
    plain = method(seen, model, **asked)
    noisy = method(seen, model, noise=0.5, samples=4, **asked)
    np.testing.assert_allclose(noisy.values, plain.values, rtol=0, atol=1e-5)


def test_noise_is_a_share_of_the_range():
    w = torch.linspace(-1, 1, 6)
    model, seen = on_bag(w.tolist())
    x = table()[RESPONSE]
    credit = gradient_shap(seen, model, baseline="zero", samples=2000, noise=0.25)
    stdev = 0.25 * float(x.max() - x.min())
    assert credit.meta["stdev"] == pytest.approx(stdev)
    stderr = stdev * float(w.norm()) / math.sqrt(2000)
    np.testing.assert_allclose(credit.meta["stderr"], stderr, rtol=0.1)
    np.testing.assert_allclose(credit.values, x @ w, atol=4 * stderr)
    assert abs(credit.residual) > 1e-4


def test_micro_batches_draw_the_same_points(monkeypatch):
    model = tiny.model("Llama")
    seen = seen_by(model)
    whole, told = gradient_shap(seen, model, samples=7), []
    monkeypatch.setitem(AT_ONCE["backward"], "cpu", 3 * len(whole.values))
    parts = gradient_shap(seen, model, samples=7, progress=lambda *given: told.append(given))
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-5)
    assert told == [(0, 7), (3, 7), (6, 7), (7, 7)]


def test_out_of_memory_halves_the_micro_batch(monkeypatch):
    model = tiny.model("Llama")
    seen = seen_by(model)
    whole = gradient_shap(seen, model, samples=8)
    scores, rows = gradient_inputs.tail_scores, []

    def short_of_memory(model, cache, embeddings):
        rows.append(len(embeddings))
        if len(embeddings) > 2:
            raise torch.OutOfMemoryError("no more")
        return scores(model, cache, embeddings)

    monkeypatch.setattr(gradient_inputs, "tail_scores", short_of_memory)
    np.testing.assert_allclose(gradient_shap(seen, model, samples=8).values, whole.values, atol=1e-5)
    assert max(rows) > 2 >= rows[-1]

    def none_at_all(model, cache, embeddings):
        if embeddings.requires_grad:
            raise torch.OutOfMemoryError("no more")
        return scores(model, cache, embeddings)

    monkeypatch.setattr(gradient_inputs, "tail_scores", none_at_all)
    for method in ALL:
        with pytest.raises(RedvizError, match="single gradient step"):
            method(seen, model)


# ---------------------------------------------------------------- DeepLIFT


def rectified(*layers):
    """A bag whose head is a module, frozen as loaded models are."""
    torch.manual_seed(3)
    model, _ = on_bag([0.0] * 6)
    model.head = nn.Sequential(*(layers or (nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1)))).requires_grad_(False)
    return model, observe(model, [encoding(PROMPT, RESPONSE, CLOSING)])[0]


def test_deeplift_is_the_rescale_rule_on_a_relu_head():
    model, seen = rectified()
    first, _, last = model.head
    fixed, x, pad = table()[PROMPT + CLOSING].sum(0), table()[RESPONSE], table()[0]
    after, before = first(fixed + x.sum(0)), first(fixed + 5 * pad)  # [H]
    slope = (after.relu() - before.relu()) / (after - before)
    assert ((after > 0) != (before > 0)).any()  # else plain gradients would do
    credit = deeplift(seen, model)
    np.testing.assert_allclose(credit.values, (x - pad) @ first.weight.T @ (slope * last.weight[0]), atol=1e-5)
    assert credit.reference == pytest.approx(float(last(before.relu())), abs=1e-5)
    assert credit.residual == pytest.approx(0, abs=1e-5) and credit.meta["without_rule"] == []
    assert not np.allclose(credit.values, p2t(seen, model, form="raw").values, atol=1e-2)


def test_deeplift_refuses_what_it_misses():
    # the same function without a module for its ReLU: no rule, and plain gradients miss the sum
    model, seen = rectified()
    first, _, last = model.head
    model.head = lambda h: last(first(h).relu())
    exact = ig(seen, model, steps=1)
    missed = abs(exact.total - exact.reference - float(p2t(seen, model, form="raw").values.sum()))
    with pytest.raises(RedvizError, match="no rule for ReLU in bag.*use ig") as found:
        deeplift(seen, model)
    assert f"by {missed:.4g} " in str(found.value)


@pytest.mark.parametrize(
    ("architecture", "lacking"),
    [
        ("Llama", "RMSNorm, SiLU, attention, powers, products of activations"),
        ("GPT2", "LayerNorm, attention, powers, products of activations, tanh"),
        ("OPT", "LayerNorm, attention"),  # its ReLU has a rule
        ("Gemma2", "GELU, RMSNorm, powers, products of activations, softmax, tanh"),
    ],
)
def test_deeplift_names_what_a_decoder_has_no_rule_for(architecture, lacking):
    model = tiny.model(architecture)
    hooks = hooks_on(model)
    with pytest.raises(RedvizError, match=f"no rule for {lacking} in .*; use ig"):
        deeplift(seen_by(model), model)
    assert hooks_on(model) == hooks


def test_deeplift_says_that_an_activation_is_used_twice():
    relu = nn.ReLU()
    model, seen = rectified(nn.Linear(6, 8), relu, nn.Linear(8, 8), relu, nn.Linear(8, 1))
    with pytest.raises(RedvizError, match="more than once.*use ig"):
        deeplift(seen, model)
    assert vars(relu).keys() == vars(nn.ReLU()).keys() and not relu._forward_hooks and not relu._backward_hooks


def test_deeplift_leaves_no_activations_behind_when_memory_runs_out():
    class Short(nn.Module):
        def forward(self, hidden):
            if torch.is_grad_enabled():
                raise torch.OutOfMemoryError("no more")
            return hidden

    model, seen = rectified(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1), Short())
    with pytest.raises(RedvizError, match="single gradient step"):
        deeplift(seen, model)
    assert vars(model.head[1]).keys() == vars(nn.ReLU()).keys() and not model.head[1]._forward_hooks


# ---------------------------------------------------------------- Captum's quadratures, as relied on and as avoided


def captum(head, x, steps, method):
    inputs = torch.tensor([x], dtype=torch.float64)
    return IntegratedGradients(head).attribute(inputs, n_steps=steps, method=method)[0].numpy()


@pytest.mark.parametrize(
    ("method", "steps", "wanted"),
    [
        ("gausslegendre", 2, (2, 1)),
        ("riemann_middle", 2, (2, 1)),
        ("riemann_left", 4, (1.5, 0.75)),
        ("riemann_right", 4, (2.5, 1.25)),
        ("riemann_trapezoid", 50, (1.96, 0.98)),  # its weights sum to 49/50
    ],
)
def test_quadratures_of_a_product_and_a_square(method, steps, wanted):
    found = captum(lambda x: x[:, 0] * x[:, 1] + x[:, 0] ** 2, [1.0, 2.0], steps, method)
    np.testing.assert_allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize(("power", "steps", "wanted"), [(3, 1, 0.75), (3, 2, 1), (5, 2, 0.9722222), (5, 3, 1)])
def test_gauss_legendre_is_exact_up_to_its_degree(power, steps, wanted):
    found = captum(lambda x: x[:, 0] ** power, [1.0], steps, "gausslegendre")
    assert found[0] == pytest.approx(wanted, abs=1e-6)


# ---------------------------------------------------------------- what holds for all of them


def hooks_on(model):
    """Hooks and whatever else an attribution may leave on a module."""
    parts = [*model.module.modules(), *(model.head.modules() if isinstance(model.head, nn.Module) else ())]
    hooks = [(len(p._forward_hooks), len(p._forward_pre_hooks), len(p._backward_hooks)) for p in parts]
    return hooks, [sorted(vars(p)) for p in parts], [p.grad for p in model.module.parameters()]


def cancel(done, total):
    if done:
        raise Cancelled("Cancelled.")


@pytest.mark.parametrize("method", ALL)
def test_progress_may_cancel_and_nothing_is_left_behind(method):
    model, seen = rectified()
    before, told = hooks_on(model), []
    method(seen, model, progress=lambda *given: told.append(given))
    assert told[0][0] == 0 and told[-1] == ((32, 32) if method is gradient_shap else (1, 1))
    for stop in (cancel, lambda done, total: cancel(1, total)):
        with pytest.raises(Cancelled):
            method(seen, model, progress=stop)
    assert hooks_on(model) == before


def test_a_response_of_padding_alone_has_no_gradient():
    model = tiny.model("Llama", "open")
    seen = seen_by(model, Example("The film", "<|pad|><|pad|>"))
    assert seen.encoding.read < seen.encoding.start
    for method in (grad_x_input, saliency, gradient_shap, deeplift):
        credit = method(seen, model)
        assert (credit.values == 0).all() and len(credit.values) == 2 and not credit.residual
    np.testing.assert_allclose(p2t(seen, model).values, [seen.score * 1.3] * 2, rtol=1e-6)  # 1 + 0.6 / 2


def test_half_precision_rounds_gradients_and_not_credits():
    model = load_reward_model(str(tiny.checkpoint("Llama")), device="cpu", dtype="bfloat16")
    seen = seen_by(model)
    credit = grad_x_input(seen, model).values
    assert abs(credit).max() > 0.01
    # p2t multiplies in float64
    np.testing.assert_allclose(credit, p2t(seen, model, null="zero", form="raw").values, atol=1e-5 * abs(credit).max())


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (saliency, {"norm": "max"}, "l2, l1"),
        (p2t, {"null": "noise"}, "pad, eos, mean, zero"),
        (gradient_shap, {"samples": 0}, "at least 1"),
        (gradient_shap, {"samples": 5000}, "at most 4096"),
        (gradient_shap, {"noise": 1.5}, "share of the range"),
        (gradient_shap, {"seed": -1}, "whole number from 0"),
        (gradient_shap, {"baseline": "noise"}, "pad, eos, mean, zero"),
        (deeplift, {"baseline": "noise"}, "pad, eos, mean, zero"),
    ],
)
def test_options_that_make_no_sense(method, options, message):
    model, seen = on_bag([1.0] * 6)
    with pytest.raises(RedvizError, match=message):
        method(seen, model, **options)
