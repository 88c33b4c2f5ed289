"""One forward pass against brute force: T + 1 separate forwards, and the eager kernel's attention, by Transformers alone."""

from functools import cache

import numpy as np
import pytest
import tiny
import torch

from redviz.errors import RedvizError
from redviz.models.running.observe import attention_matrix, observe
from redviz.records import Example

PROMPT = " ".join(["The film opens on a quiet street"] * 3)  # longer than the sliding window of 12
EXAMPLES = (
    Example(PROMPT, "  The lead is superb, funny and moving.\n\nBut it drags 👍 .  "),
    Example("Hi", "A dull mess"),
)
FOUR = ("Llama", "Qwen3", "Mistral", "GPT2")
FORMS = ("closed", "trims", "thinks", "open", "none")
OTHERS = (
    "Qwen2",
    "Gemma",
    "Gemma2",
    "Gemma3Text",
    "OPT",
    "Phi",
    "Phi3",
    "GPTNeoX",
)  # Gemma 2 refuses SDPA; OPT has learned positions with an offset


@cache
def truth(architecture, template):
    """For each example: its encoding, its prefix scores, its own score and its attention, all by brute force."""
    model = tiny.model(architecture, template)
    found = []
    for encoding in map(model.encode, EXAMPLES):
        prefixes = tiny.brute_prefixes(model, encoding)
        found.append((encoding, prefixes, tiny.own_score(model, encoding.ids), tiny.eager_attention(model, encoding)))
    return found


def check(architecture, template, side):
    known = truth(architecture, template)
    observed = observe(tiny.model(architecture, template), [encoding for encoding, *_ in known], side=side)
    for observation, (encoding, prefixes, score, attention) in zip(observed, known, strict=True):
        np.testing.assert_allclose(observation.prefix_scores, prefixes, rtol=0, atol=1e-4 * prefixes.std())
        assert observation.score == pytest.approx(score, abs=1e-4 * prefixes.std())
        np.testing.assert_allclose(observation.response_row, attention[:, :, encoding.stop - 1], rtol=0, atol=1e-5)
        np.testing.assert_allclose(observation.pooling_row, attention[:, :, encoding.read], rtol=0, atol=1e-5)
    assert known[0][0].start > 12
    assert 0.3 < known[0][1].std() < 3  # the tolerances above mean something
    assert (known[0][0].read > known[0][0].stop - 1) == (template not in ("open", "none"))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("template", FORMS)
@pytest.mark.parametrize("architecture", FOUR)
def test_one_pass_equals_brute_force(architecture, template, side):
    check(architecture, template, side)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("architecture", OTHERS)
def test_one_pass_equals_brute_force_elsewhere(architecture, side):
    check(architecture, "closed", side)


@pytest.mark.parametrize("architecture", FOUR)
def test_our_attention_is_the_fast_kernel_of_transformers(architecture):
    model = tiny.model(architecture)
    encoding = model.encode(EXAMPLES[0])
    ours = model.own_scores([encoding.ids]).item()
    with tiny.native(model, "sdpa"):
        assert model.own_scores([encoding.ids]).item() == ours


@pytest.mark.parametrize(
    ("architecture", "layer", "head"), [("Llama", 1, 3), ("Mistral", 2, 1), ("GPT2", 0, 2), ("Gemma2", 0, 0)]
)
def test_a_full_map_of_one_layer_and_head(architecture, layer, head):
    encoding, *_, attention = truth(architecture, "closed")[0]
    matrix = attention_matrix(tiny.model(architecture), encoding, layer, head)
    np.testing.assert_allclose(matrix, attention[layer, head, encoding.start : encoding.stop], rtol=0, atol=1e-5)


def test_a_layer_that_is_not_there_is_named():
    model = tiny.model()
    with pytest.raises(RedvizError, match="layer 7"):
        attention_matrix(model, model.encode(EXAMPLES[0]), 7, 0)


def test_batch_mates_and_padding_change_nothing():
    model = tiny.model("Mistral")
    encodings = [model.encode(Example(PROMPT[: 9 * k], "A superb film, " * k)) for k in range(1, 6)]
    together = {side: observe(model, encodings, side=side) for side in ("left", "right")}
    for k, encoding in enumerate(encodings):
        (alone,) = observe(model, [encoding])
        for side in ("left", "right"):
            np.testing.assert_allclose(together[side][k].column_scores, alone.column_scores, rtol=0, atol=1e-5)
            np.testing.assert_allclose(together[side][k].response_row, alone.response_row, rtol=0, atol=1e-5)
            np.testing.assert_allclose(together[side][k].pooling_row, alone.pooling_row, rtol=0, atol=1e-5)


def test_rows_are_sums_to_one_and_only_look_back():
    model = tiny.model("Qwen3")
    encoding = model.encode(EXAMPLES[0])
    (observation,) = observe(model, [encoding])
    assert observation.response_row.shape == (3, 4, len(encoding.ids))
    np.testing.assert_allclose(observation.response_row.sum(-1), 1, atol=1e-5)
    assert (observation.response_row[:, :, encoding.stop :] == 0).all()


def test_without_attention_none_is_read():
    model = tiny.model()
    (observation,) = observe(model, [model.encode(EXAMPLES[0])], attention=False)
    assert observation.response_row is None and observation.pooling_row is None


def test_the_scores_are_those_of_one_pass():
    model = tiny.model()
    before = model.forwards
    observe(model, [model.encode(example) for example in EXAMPLES])
    assert model.forwards == before + 1


def test_a_bfloat16_trunk_keeps_its_head_in_float32():
    from redviz.models.loading.load import load_reward_model

    model = load_reward_model(str(tiny.checkpoint()), device="cpu", dtype="bfloat16")
    assert model.dtype == torch.bfloat16
    hidden = torch.randn(40, 48).to(torch.bfloat16)
    scores = model.scores(hidden)
    assert scores.dtype == torch.float32
    exact = hidden.double() @ model.module.score.weight.double()[0]
    np.testing.assert_allclose(
        scores.numpy(), exact.numpy(), rtol=0, atol=1e-5
    )  # bfloat16 alone would be off by 1e-3 and more
