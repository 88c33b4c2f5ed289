"""Integrated gradients: against Captum's own way over the full sequence, and against closed forms."""

import numpy as np
import pytest
import tiny
import torch
from bag import bag, encoding
from captum.attr import LayerIntegratedGradients

from redviz.credit.from_models import gradient_inputs
from redviz.credit.from_models.integrated_gradients import STEP_CAP, ig
from redviz.credit.from_records.prefix import red
from redviz.errors import Cancelled, RedvizError
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import observe
from redviz.records import Example

EXAMPLE = Example(" ".join(["The film opens on a quiet street"] * 3), "  The lead is superb.\n\nBut it drags 👍 .  ")


def stock(model, seen, steps, fill):
    """Captum's LayerIntegratedGradients over the whole sequence, on Transformers' own attention: ``[L]``."""
    ids = torch.tensor(seen.ids[None])
    base = ids.clone()
    base[:, seen.start : seen.stop] = fill
    with tiny.native(model) as module:

        def score(given):  # the reading column is that of the original ids
            return module.score(module.base_model(given, use_cache=False).last_hidden_state)[:, seen.read, 0]

        method = LayerIntegratedGradients(score, module.get_input_embeddings())
        found = method.attribute(ids, base, n_steps=steps, internal_batch_size=4).sum(-1)[0].detach().numpy()
        with torch.no_grad():
            return found, score(base).item()


def check(architecture, template, steps=6, baseline="pad", **options):
    model = tiny.model(architecture, template, **options)
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    fill = model.tokenizer.pad_token_id if baseline == "pad" else model.tokenizer.eos_token_id
    whole, reference = stock(model, seen.encoding, steps, fill)
    credit = ig(seen, model, steps=steps, baseline=baseline)
    wanted = whole[seen.encoding.start : seen.encoding.stop]
    np.testing.assert_allclose(credit.values, wanted, rtol=0, atol=1e-3 * abs(wanted).max())
    assert abs(wanted).max() > 0.01
    assert (whole[: seen.encoding.start] == 0).all() and (whole[seen.encoding.stop :] == 0).all()
    assert credit.reference == pytest.approx(reference, abs=1e-4)
    assert credit.total == seen.score
    assert credit.values.dtype == np.float32 and len(credit.values) == len(seen.encoding.offsets)


@pytest.mark.parametrize("template", ["closed", "trims", "thinks", "open", "none"])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen3", "Mistral", "GPT2"])
def test_it_is_captums_layer_integrated_gradients(architecture, template):
    check(architecture, template)


@pytest.mark.parametrize("architecture", ["Gemma2", "GptOss", "OPT"])
def test_elsewhere_too(architecture):
    check(architecture, "closed")


def test_from_the_end_token():
    check("Llama", "closed", baseline="eos")


def test_where_the_score_is_read_inside_the_response():
    model = tiny.model("Llama", "ends", pad="<|end|>")
    assert model.encode(EXAMPLE).read < len(model.encode(EXAMPLE).ids) - 1
    check("Llama", "ends", pad="<|end|>")


def test_where_the_model_skips_padding_inside_the_response():
    model = tiny.model("Llama", "open")
    (seen,) = observe(model, [model.encode(Example("The film", "A superb film.<|pad|><|pad|>"))])
    assert seen.encoding.read == seen.encoding.stop - 3
    whole, _ = stock(model, seen.encoding, 6, model.tokenizer.eos_token_id)
    credit = ig(seen, model, steps=6, baseline="eos")
    np.testing.assert_allclose(credit.values, whole[seen.encoding.start :], rtol=0, atol=1e-3 * abs(whole).max())
    assert (credit.values[-2:] == 0).all() and abs(credit.values[:-2]).max() > 0.01


def test_padding_of_the_batch_it_was_observed_in_changes_nothing():
    model = tiny.model("Mistral")
    encodings = [model.encode(EXAMPLE), model.encode(Example("Hi", "A dull mess"))]
    alone = ig(observe(model, encodings[1:])[0], model, steps=4)
    for side in ("left", "right"):
        padded = ig(observe(model, encodings, side=side)[1], model, steps=4)
        np.testing.assert_allclose(padded.values, alone.values, atol=1e-5)


@pytest.mark.parametrize("baseline", ["mean", "zero"])
def test_baselines_that_are_no_token(baseline):
    model = tiny.model("Llama")
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    credit = ig(seen, model, baseline=baseline)
    weight = model.module.get_input_embeddings().weight
    filler = weight.mean(0) if baseline == "mean" else torch.zeros_like(weight[0])
    ids = torch.tensor(seen.encoding.ids[None])
    embeddings = model.module.get_input_embeddings()(ids)
    embeddings[:, seen.encoding.start : seen.encoding.stop] = filler
    with torch.no_grad(), tiny.native(model) as module:
        hidden = module.base_model(inputs_embeds=embeddings).last_hidden_state
        wanted = module.score(hidden)[0, seen.encoding.read, 0].item()
    assert credit.reference == pytest.approx(wanted, abs=1e-4)
    assert abs(credit.residual) <= credit.meta["tolerance"]
    assert credit.meta["baseline"] == baseline


# ---------------------------------------------------------------- closed forms


def credits(embeddings, head, response, prompt=(3,), closing=(), **options):
    model = bag(embeddings, head)
    (seen,) = observe(model, [encoding(prompt, response, closing)])
    return ig(seen, model, baseline="zero", **options), seen


A, B, NOTHING = 4, 5, 3
TABLE = [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [0.0, 2.0]]


@pytest.mark.parametrize("steps", [2, 5])
def test_a_product_and_a_square(steps):
    # F(x) = x1 x2 + x1^2 at (1, 2): attributions (2, 1), exact from two Gauss-Legendre nodes on
    credit, _ = credits(TABLE, lambda h: h[..., 0] * h[..., 1] + h[..., 0] ** 2, [A, B], steps=steps)
    np.testing.assert_allclose(credit.values, [2, 1], atol=1e-5)
    assert (credit.total, credit.reference) == (pytest.approx(3), 0)
    assert credit.residual == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("power", "steps", "value"), [(3, 1, 0.75), (3, 2, 1.0), (5, 2, 0.97222), (5, 3, 1.0), (1, 1, 1.0)]
)
def test_gauss_legendre_nodes(power, steps, value):
    credit, _ = credits(TABLE, lambda h: h[..., 0] ** power, [A], steps=steps)
    assert credit.values[0] == pytest.approx(value, abs=1e-5)
    assert credit.residual == pytest.approx(1 - value, abs=1e-5)


def test_prompt_and_closing_are_fixed_and_count():
    # F = (prompt + x + closing)^2 with all three 1: F(x=1) - F(x=0) = 9 - 4
    credit, seen = credits(TABLE, lambda h: h[..., 0] ** 2, [A], prompt=[A], closing=[A], steps=2)
    assert (seen.score, credit.reference) == (pytest.approx(9), pytest.approx(4))
    np.testing.assert_allclose(credit.values, [5], atol=1e-5)


# ---------------------------------------------------------------- one linear model on which all exact methods agree


def test_on_a_linear_model_every_method_gives_w_times_x():
    torch.manual_seed(0)
    table = torch.randn(12, 6)
    table[:2] = 0  # padding and the closing token earn nothing
    w = torch.randn(6)
    model = bag(table.tolist(), w.tolist())
    ids = [7, 3, 9, 3, 11]
    seen, other = observe(model, [encoding([4, 5], ids, [1]), encoding([8], [2, 6])])
    wanted = (table @ w)[ids].numpy()
    for credit in (
        red(seen),
        ig(seen, model, steps=1),
        ig(seen, model, steps=7, baseline="zero"),
        ig(seen, model, baseline="eos"),
    ):
        np.testing.assert_allclose(credit.values, wanted, atol=1e-5)
        assert credit.residual == pytest.approx(0, abs=1e-5)
        assert credit.reference == pytest.approx(seen.prefix_scores[0], abs=1e-5)
    np.testing.assert_allclose(red(other).values, (table @ w)[[2, 6]].numpy(), atol=1e-5)


# ---------------------------------------------------------------- steps, residual, progress


def test_steps_double_until_the_residual_is_small():
    steep = lambda h: torch.tanh(20 * h[..., 0] - 10)  # noqa: E731
    coarse, _ = credits(TABLE, steep, [A], steps=4)
    assert not coarse.meta["converged"] and abs(coarse.residual) > coarse.meta["tolerance"]
    credit, _ = credits(TABLE, steep, [A])
    assert credit.meta["steps"] == 32 and credit.meta["converged"]
    assert abs(credit.residual) <= credit.meta["tolerance"] == pytest.approx(0.02, rel=1e-3)
    easy, _ = credits(TABLE, lambda h: h[..., 0], [A])
    assert easy.meta["steps"] == 16


def test_steps_stop_at_the_cap_and_say_so():
    credit, _ = credits(TABLE, lambda h: torch.sin(4000 * h[..., 0] ** 2), [A])
    assert credit.meta["steps"] == STEP_CAP
    assert not credit.meta["converged"]


def test_the_tolerance_is_the_larger_of_two():
    credit, seen = credits(TABLE, lambda h: 100 * torch.sin(torch.pi * h[..., 1] / 4), [B, NOTHING, B], steps=1)
    assert abs(seen.score - credit.reference) < 1e-3  # the score ends where the baseline is
    assert credit.meta["tolerance"] == pytest.approx(0.01 * seen.prefix_scores.std()) == pytest.approx(0.5)


def test_progress_counts_up_and_may_cancel(monkeypatch):
    monkeypatch.setitem(AT_ONCE["backward"], "cpu", 60)
    model = tiny.model("Llama")
    (seen,) = observe(model, [model.encode(Example("Hi", "A superb film, " * 3))])
    told = []
    ig(seen, model, steps=16, progress=lambda done, total: told.append((done, total)))
    done = [d for d, _ in told]
    assert len(told) > 4 and done == sorted(done) and done[0] == 0
    assert told[-1] == (16, 16) and {total for _, total in told} == {16}

    def cancel(done, total):
        if done:
            raise Cancelled("Cancelled.")

    with pytest.raises(Cancelled):
        ig(seen, model, steps=16, progress=cancel)


def test_micro_batches_do_not_change_the_result(monkeypatch):
    model = tiny.model("Llama")
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    whole = ig(seen, model, steps=7)
    monkeypatch.setitem(AT_ONCE["backward"], "cpu", 1)
    before = model.forwards
    single = ig(seen, model, steps=7)
    np.testing.assert_allclose(single.values, whole.values, atol=1e-5)
    assert model.forwards - before >= 1 + 1 + 7  # the prompt, the baseline, and one row at a time


def test_out_of_memory_halves_the_micro_batch(monkeypatch):
    model = tiny.model("Llama")
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    whole = ig(seen, model, steps=8)
    scores, rows = gradient_inputs.tail_scores, []

    def short_of_memory(model, cache, embeddings):
        rows.append(len(embeddings))
        if len(embeddings) > 2:
            raise torch.OutOfMemoryError("no more")
        return scores(model, cache, embeddings)

    monkeypatch.setattr(gradient_inputs, "tail_scores", short_of_memory)
    np.testing.assert_allclose(ig(seen, model, steps=8).values, whole.values, atol=1e-5)
    assert max(rows) > 2 >= rows[-1]

    def none_at_all(model, cache, embeddings):
        if embeddings.requires_grad:
            raise torch.OutOfMemoryError("no more")
        return scores(model, cache, embeddings)

    monkeypatch.setattr(gradient_inputs, "tail_scores", none_at_all)
    with pytest.raises(RedvizError, match="single gradient step"):
        ig(seen, model, steps=8)


def test_nothing_is_left_on_the_model():
    model = tiny.model("Llama")
    (seen,) = observe(model, [model.encode(EXAMPLE)])
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules()]
    ig(seen, model, steps=2)
    assert all(p.grad is None for p in model.module.parameters())
    assert hooks == [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.module.modules()]


def test_a_response_of_padding_alone_earns_nothing():
    model = tiny.model("Llama", "open")
    (seen,) = observe(model, [model.encode(Example("The film", "<|pad|><|pad|>"))])
    credit = ig(seen, model)
    assert (credit.values == 0).all() and credit.residual == 0 and credit.reference == seen.score


@pytest.mark.parametrize(
    ("options", "message"),
    [({"steps": 0}, "at least 1"), ({"steps": 1025}, "at most 1024"), ({"baseline": "noise"}, "pad, eos, mean, zero")],
)
def test_options_that_make_no_sense(options, message):
    model = bag(TABLE, [1.0, 0.0])
    (seen,) = observe(model, [encoding([3], [A])])
    with pytest.raises(RedvizError, match=message):
        ig(seen, model, **options)


def test_a_tokenizer_without_the_token():
    model = bag(TABLE, [1.0, 0.0])
    model.tokenizer.pad_token_id = model.tokenizer.eos_token_id = None
    (seen,) = observe(model, [encoding([3], [A])])
    with pytest.raises(RedvizError, match="no eos token"):
        ig(seen, model, baseline="eos")
    assert ig(seen, model).meta["baseline"] == "mean"
