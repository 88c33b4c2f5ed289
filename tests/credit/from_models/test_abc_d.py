"""ABC-D: which rows of the policy's attention it reads, and what it does with them."""

import types
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import tiny
import torch
import transformers

from redviz.credit.from_models.attention import abc_d
from redviz.errors import RedvizError
from redviz.models.kinds.policy import Policy
from redviz.models.loading.load import load_reward_model
from redviz.models.running import attention
from redviz.models.running.attention import FAST, PLAIN
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import observe
from redviz.records import Example, Source

EXAMPLE = Example(
    " ".join(["The film opens on a quiet street"] * 3), "The lead is superb, funny and moving. But it drags 👍"
)


def near(actual, expected, atol=1e-5):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@cache
def observed():
    """A reward model and its forward pass."""
    model = tiny.model("Llama")
    return model, observe(model, [model.encode(EXAMPLE)])[0]


@cache
def policy(architecture="Llama", template="closed"):
    tok, kind = tiny.tokenizer(template), {"GPT2": "GPT2LMHeadModel"}.get(architecture, f"{architecture}ForCausalLM")
    torch.manual_seed(2)
    module = getattr(transformers, kind)(tiny.config(architecture, tok)).eval().requires_grad_(False)
    for parameter in module.parameters():
        if parameter.dim() > 1:
            parameter.normal_(0, 0.25)
    module.set_attn_implementation(FAST if module._supports_sdpa else PLAIN)
    return Policy("a policy", module, tok, 512, Source("a policy"))


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "GPT2", "Gemma2"])
def test_abc_d_is_the_mean_over_the_steps_that_see_the_token(architecture, monkeypatch):
    _, seen = observed()
    writer = policy(architecture)
    encoding = writer.encode(EXAMPLE)
    own = slice(encoding.start, encoding.stop)
    eager = tiny.eager_attention(writer, encoding)
    monkeypatch.setitem(AT_ONCE["weights"], "cpu", 7 * 4 * len(encoding.ids))  # seven rows, of four heads
    blocks, rows = [], attention.attention_rows
    monkeypatch.setattr(
        attention, "attention_rows", lambda q, k, m, at, *more: blocks.append(at.shape[1]) or rows(q, k, m, at, *more)
    )
    for layer in (-1, 1):
        block = eager[layer].mean(0)[own, own]  # [T, T]
        sees = np.tri(len(block), dtype=bool)
        if architecture == "Mistral" or (architecture == "Gemma2" and layer == -1):
            sees &= ~np.tri(len(block), k=-12, dtype=bool)  # the window
        mean = np.where(sees, block, 0).sum(0) / sees.sum(0)
        credit = abc_d(seen, writer, layer=layer)
        near(credit.values, seen.score * mean / mean.sum())
        near(abc_d(seen, writer, layer=layer, steps="last").values, seen.score * block[-1] / block[-1].sum())
        assert credit.residual == pytest.approx(0, abs=1e-6) and credit.reference == 0.0
        assert credit.meta == {"policy": "a policy"}
    assert blocks == 2 * [7, 7, 7, 4, 1]


def test_abc_d_reads_what_generation_would_show():
    """Step by step with a cache, as the authors' code collects it from generation; theirs lacks the last row."""
    _, seen = observed()
    writer = policy()
    encoding = writer.encode(EXAMPLE)
    ids, length = torch.as_tensor(encoding.ids[None]), encoding.stop - encoding.start
    steps = np.zeros((length, length))
    with tiny.native(writer) as module, torch.inference_mode():
        cache = module(ids[:, : encoding.start]).past_key_values
        for t in range(length):
            column = encoding.start + t
            out = module(ids[:, column : column + 1], past_key_values=cache, output_attentions=True)
            steps[t, : t + 1] = out.attentions[-1][0].mean(0)[0, encoding.start :]
    mean = steps.sum(0) / (steps != 0).sum(0)
    near(abc_d(seen, writer).values, seen.score * mean / mean.sum())


def test_abc_d_where_the_reward_model_read_less():
    whole = observed()[1].encoding
    short = load_reward_model(str(tiny.checkpoint("Llama")), device="cpu", max_length=len(whole.ids) - 6)
    (seen,) = observe(short, [short.encode(EXAMPLE)])
    assert seen.encoding.truncated > 0
    writer = policy()
    encoding, length = writer.encode(EXAMPLE), len(seen.encoding.offsets)
    own = slice(encoding.start, encoding.start + length)
    block = tiny.eager_attention(writer, encoding)[-1].mean(0)[own, own]
    mean = block.sum(0) / np.arange(length, 0, -1)
    near(abc_d(seen, writer).values, seen.score * mean / mean.sum())


def test_abc_d_under_another_template():
    """The prompts differ in length, the response's characters do not."""
    _, seen = observed()
    writer = policy("Llama", "open")
    encoding = writer.encode(EXAMPLE)
    assert encoding.start != seen.encoding.start or len(encoding.ids) != len(seen.encoding.ids)
    block = tiny.eager_attention(writer, encoding)[-1].mean(0)[
        encoding.start : encoding.stop, encoding.start : encoding.stop
    ]
    near(abc_d(seen, writer, steps="last").values, seen.score * block[-1] / block[-1].sum())


def test_abc_d_counts_one_pass_of_the_policy_and_none_of_the_reward_model():
    model, seen = observed()
    writer, calls = policy(), []
    before, own = writer.forwards, model.forwards
    abc_d(seen, writer, progress=lambda *pair: calls.append(pair))
    rows = len(seen.encoding.offsets)
    assert (writer.forwards, model.forwards) == (before + 1, own)
    assert calls[0] == (0, rows) and calls[-1] == (rows, rows)


def test_abc_d_cleans_up_when_it_is_cancelled():
    _, seen = observed()

    def cancel(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        abc_d(seen, policy(), progress=cancel)
    assert attention._kept.get() is None


def test_abc_d_refusals():
    _, seen = observed()
    with pytest.raises(RedvizError, match="all, last"):
        abc_d(seen, policy(), steps="first")
    with pytest.raises(RedvizError, match="layers 0 to 2"):
        abc_d(seen, policy(), layer=5)
    with pytest.raises(RedvizError, match="a policy shows no attention weights"):
        abc_d(seen, policy("Bloom"))
    characters = types.SimpleNamespace(name="another", encode=lambda example: cut_elsewhere(policy().encode(example)))
    with pytest.raises(RedvizError, match="another"):
        abc_d(seen, characters)


def cut_elsewhere(encoding):
    """The same encoding, as another tokenizer would cut it: its first two tokens cover other characters."""
    (start, middle), (_, end), *rest = encoding.offsets
    return replace(encoding, offsets=((start, middle + 1), (middle + 1, end), *rest))
