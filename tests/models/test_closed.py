"""Closed prefixes against brute force: T + 1 separate forwards of prefix and closing tokens, by Transformers alone."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
import torch
from bag import bag, encoding

from redviz.errors import Cancelled, RedvizError
from redviz.models.loading.load import load_reward_model
from redviz.models.running import closed
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.closed import closed_scores, packed_mask
from redviz.models.running.observe import observe
from redviz.records import Example

PROMPT = " ".join(["The film opens on a quiet street"] * 3)  # longer than the sliding window of 12
EXAMPLE = Example(PROMPT, "  The lead is superb, funny and moving.\n\nBut it drags 👍 .  ")
ARCHITECTURES = ("Llama", "Qwen3", "Gemma2", "GPT2", "Mistral", "OPT", "Phi", "GPTNeoX", "GptOss")
MANY = (
    1,
    203,
    7,
    9,
    11,
    40,
    41,
    42,
    43,
    44,
    45,
    46,
    47,
    48,
)  # longer than the window: it cuts among the closing tokens too


def ended(model, closing=None, length=None):
    """The example with other closing tokens, or with only the first tokens of its response."""
    made = model.encode(EXAMPLE)
    stop = made.stop if length is None else made.start + length
    ids = np.array([*made.ids[:stop], *(made.ids[made.stop :] if closing is None else closing)])
    return replace(made, ids=ids, stop=stop, read=len(ids) - 1, offsets=made.offsets[: stop - made.start])


def brute(model, made):
    ends = made.ids[made.stop : made.read + 1]
    return np.array([tiny.own_score(model, [*made.ids[:c], *ends]) for c in range(made.start, made.stop + 1)])


@cache
def known(architecture="Llama"):
    model = tiny.model(architecture)
    made = ended(model)
    return model, made, brute(model, made)


def check(model, made):
    wanted = brute(model, made)
    np.testing.assert_allclose(closed_scores(model, made), wanted, rtol=0, atol=1e-4 * wanted.std())


@pytest.mark.parametrize("at_once", [256, 14])  # all prefixes in one pass, and seven at a time
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_they_are_the_scores_of_closed_texts(architecture, at_once, monkeypatch):
    monkeypatch.setitem(AT_ONCE["closing"], "cpu", at_once)
    model, made, wanted = known(architecture)
    found = closed_scores(model, made)
    assert made.start > 12 and len(made.ids) - made.stop == 2 and wanted.std() > 0.1
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * wanted.std())
    (seen,) = observe(model, [made])
    assert found[-1] == pytest.approx(seen.score, abs=1e-4 * wanted.std())
    assert abs(found - seen.prefix_scores).max() > 0.1  # open prefixes are something else


@pytest.mark.parametrize("architecture", ["Llama", "Gemma2", "GPT2", "Mistral", "GptOss"])
@pytest.mark.parametrize("closing", [(1,), MANY[:5], MANY])
def test_one_closing_token_and_many(architecture, closing):
    model = tiny.model(architecture)
    check(model, ended(model, closing, length=12))


def test_one_closing_token_of_a_template():
    model = tiny.model("Llama", "ends")
    made = model.encode(EXAMPLE)
    assert made.read == made.stop
    check(model, made)


@pytest.mark.parametrize("architecture", ["Llama", "Gemma2", "Mistral"])
def test_a_response_of_one_token(architecture):
    model = tiny.model(architecture)
    made = ended(model, length=1)
    assert closed_scores(model, made).shape == (2,)
    np.testing.assert_allclose(closed_scores(model, made), brute(model, made), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("template", "pad"), [("open", "<|pad|>"), ("none", "<|pad|>"), ("ends", "<|end|>")])
def test_without_closing_tokens_they_are_the_open_prefixes(template, pad):
    model = tiny.model("Llama", template, pad=pad)
    made = model.encode(EXAMPLE)
    assert made.read < made.stop
    wanted = tiny.brute_prefixes(model, made)
    np.testing.assert_allclose(closed_scores(model, made), wanted, rtol=0, atol=1e-4 * wanted.std())


def test_no_column_runs_twice_and_no_mask_is_wider_than_it_must_be(monkeypatch):
    monkeypatch.setitem(AT_ONCE["closing"], "cpu", 14)
    model, made, _ = known()
    tokens, masks = [], []
    run = model.run

    def counted(**inputs):
        tokens.append(inputs["input_ids"].numel())
        masks.append(0 if inputs.get("attention_mask") is None else inputs["attention_mask"].numel())
        return run(**inputs)

    monkeypatch.setattr(model, "run", counted)
    closed_scores(model, made)
    count = made.stop - made.start + 1
    assert sum(tokens) == len(made.ids) + 2 * count
    groups = [(done, min(7, count - done)) for done in range(0, count, 7)]
    widths = [made.start + done + group - 1 + 2 * group for done, group in groups]  # nobody's future is carried along
    assert masks == [0, *(2 * group * width for (_, group), width in zip(groups, widths, strict=True))]


def test_the_mask_by_hand():
    lengths = torch.tensor([[2], [3]])
    seen = packed_mask(lengths, 2, 3, None, torch.float32)[0, 0] == 0
    assert seen.int().tolist() == [
        [1, 1, 0, 1, 0, 0, 0],
        [1, 1, 0, 1, 1, 0, 0],
        [1, 1, 1, 0, 0, 1, 0],
        [1, 1, 1, 0, 0, 1, 1],
    ]
    windowed = packed_mask(lengths, 2, 3, 2, torch.float32)[0, 0] == 0
    assert windowed.int().tolist() == [
        [0, 1, 0, 1, 0, 0, 0],
        [0, 0, 0, 1, 1, 0, 0],
        [0, 0, 1, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 1, 1],
    ]


def test_progress_counts_prefixes_and_may_cancel(monkeypatch):
    monkeypatch.setitem(AT_ONCE["closing"], "cpu", 14)
    model, made, wanted = known()
    said = []
    closed_scores(model, made, progress=lambda *pair: said.append(pair))
    assert said == [(done, len(wanted)) for done in [*range(0, len(wanted), 7), len(wanted)]]

    def cancel(done, total):
        if done:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        closed_scores(model, made, progress=cancel)


def test_out_of_memory_halves_the_chunk(monkeypatch):
    model, made, wanted = known()
    chunk, tried = closed._chunk, []

    def small(*args):
        tried.append(args[4])
        if args[4] > 8:
            raise torch.OutOfMemoryError("no room")
        return chunk(*args)

    monkeypatch.setattr(closed, "_chunk", small)
    np.testing.assert_allclose(closed_scores(model, made), wanted, rtol=0, atol=1e-4 * wanted.std())
    assert max(tried) > 8 >= tried[-1]
    monkeypatch.setattr(closed, "_chunk", lambda *_: (_ for _ in ()).throw(torch.OutOfMemoryError("none at all")))
    with pytest.raises(RedvizError, match="single closed prefix"):
        closed_scores(model, made)


def test_a_bfloat16_trunk(monkeypatch):
    model = load_reward_model(str(tiny.checkpoint()), device="cpu", dtype="bfloat16")
    _, made, wanted = known()
    run, masks = model.run, []

    def kept(**inputs):
        masks.append(inputs.get("attention_mask"))
        return run(**inputs)

    monkeypatch.setattr(model, "run", kept)
    np.testing.assert_allclose(closed_scores(model, made), wanted, rtol=0, atol=0.2 * wanted.std())
    assert masks[-1].dtype == torch.bfloat16  # CUDA's kernels take no other


MPT = {"d_model": 48, "n_heads": 4, "n_layers": 3, "expansion_ratio": 2, "max_seq_len": 512}


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("Mpt", MPT),
        ("Bloom", {"n_head": 4, "n_layer": 3}),
        ("Falcon", {"alibi": True}),
    ],  # bias by column, not by position
)
def test_a_model_that_a_mask_does_not_rule_is_refused(architecture, options):
    model = load_reward_model(str(tiny.checkpoint(architecture, **options)), device="cpu", max_length=512)
    with pytest.raises(RedvizError, match="use red"):
        closed_scores(model, ended(model))


def test_a_model_that_ignores_the_mask_is_refused():
    model = bag([[0.0], [0.5], [0.0], [1.0], [2.0]], [1.0])
    model.module.base_model = lambda attention_mask=None, **inputs: model.module.forward(**inputs)
    with pytest.raises(RedvizError, match="use red"):
        closed_scores(model, encoding([2, 3], [4, 4, 3], [1]))


def test_layers_without_keys_are_refused_before_any_pass():
    model = bag([[0.0], [0.5], [0.0], [1.0], [2.0]], [1.0])
    config = model.module.config.get_text_config()
    config.layer_types = ["linear_attention", "full_attention"]
    model.module.config.get_text_config = lambda: config
    with pytest.raises(RedvizError, match="use red"):
        closed_scores(model, encoding([2, 3], [4, 4, 3], [1]))
    assert model.forwards == 0


def test_a_layer_that_keeps_no_keys_is_refused():
    model = bag([[0.0], [0.5], [0.0], [1.0], [2.0]], [1.0])

    def second_layer_only(input_ids, past_key_values, **_):
        x = model.module.embedding(input_ids)  # [1, L, D]
        past_key_values.update(x[:, None], x[:, None], 1)
        return SimpleNamespace(last_hidden_state=x.cumsum(1))

    model.module.base_model = second_layer_only
    with pytest.raises(RedvizError, match="use red"):
        closed_scores(model, encoding([2, 3], [4, 4, 3], [1]))
    assert model.forwards == 1
