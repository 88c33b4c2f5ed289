"""Critics: TRL's value head read by hand, single-label critics, and values before each token."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tiny
import tiny_lm
import torch
from close import recomputed
from transformers import AutoModelForCausalLM

from redviz.errors import RedvizError
from redviz.models.kinds.value_head import critic_values, load_value_model
from redviz.models.running.observe import observe
from redviz.records import Example

EXAMPLE = Example("The film opens on a quiet street", "The lead is superb, funny and moving.")


def with_value_head(folder, width=48, seed=3):
    """A language model's folder as TRL's AutoModelForCausalLMWithValueHead saves it."""
    torch.manual_seed(seed)
    weight, bias = torch.randn(1, width) / width**0.5, torch.tensor([0.25])
    tiny_lm.change_weights(folder, **{"v_head.summary.weight": weight, "v_head.summary.bias": bias})
    return folder, weight, bias


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(tiny_lm.checkpoint(), tmp_path / "critic")


@pytest.mark.parametrize("architecture", ["Llama", "GPT2", "Qwen3"])
def test_a_value_head_on_a_language_model(tmp_path, architecture):
    folder, weight, bias = with_value_head(shutil.copytree(tiny_lm.checkpoint(architecture), tmp_path / "critic"))
    critic = load_value_model(str(folder), device="cpu")
    encoding = critic.encode(EXAMPLE)
    module = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        ids = torch.tensor(encoding.ids[None])
        hidden = module(ids, output_hidden_states=True).hidden_states[-1]  # what TRL's wrapper hands to its head
        wanted = (hidden @ weight.T + bias)[0, :, 0].numpy()  # [L]
    (seen,) = observe(critic, [encoding])
    np.testing.assert_allclose(seen.column_scores, wanted, atol=1e-4)
    values = critic_values(critic, encoding)
    np.testing.assert_allclose(values, wanted[encoding.start - 1 : encoding.stop - 1], atol=1e-4)
    assert values.dtype == np.float32 and np.ptp(values) > 0.1


def test_a_single_label_critic_is_read_before_each_token():
    critic = load_value_model(str(tiny.checkpoint("Qwen3", "ends")), device="cpu")
    encoding = tiny.model("Llama", "ends").encode(EXAMPLE)
    before = tiny.brute_prefixes(critic, critic.encode(EXAMPLE))  # V of the state after each prefix
    np.testing.assert_allclose(critic_values(critic, encoding), before[:-1], atol=1e-4)


def test_values_see_nothing_of_their_own_token():
    critic = load_value_model(str(tiny.checkpoint("Llama", "ends")), device="cpu")
    one, two = (critic.encode(Example(EXAMPLE.prompt, "The lead is " + end)) for end in ("superb", "dull"))
    first, second = critic_values(critic, one), critic_values(critic, two)
    same = next(t for t, (a, b) in enumerate(zip(one.ids[one.start :], two.ids[two.start :], strict=False)) if a != b)
    np.testing.assert_allclose(first[: same + 1], second[: same + 1], atol=1e-5)


def test_other_tokens_are_matched_by_characters():
    critic = load_value_model(str(tiny.checkpoint("Llama", "ends")), device="cpu")
    own = critic.encode(EXAMPLE)
    whole = critic_values(critic, own)
    size = len(EXAMPLE.response)
    letters = replace(own, offsets=tuple((c, c + 1) for c in range(size)), stop=own.start + size)
    values = critic_values(critic, letters)
    assert len(values) == size
    for t, (start, end) in enumerate(own.offsets):
        np.testing.assert_allclose(
            values[start:end], whole[t], atol=recomputed(whole)
        )  # inside a token the critic knows no more
    one = replace(own, offsets=((0, size),), stop=own.start + 1)
    np.testing.assert_allclose(critic_values(critic, one), whole[:1], atol=recomputed(whole))


def test_one_forward_pass():
    critic = load_value_model(str(tiny.checkpoint("Llama", "ends")), device="cpu")
    before = critic.forwards
    critic_values(critic, critic.encode(EXAMPLE))
    assert critic.forwards == before + 1


def test_a_critic_with_a_shorter_context_is_refused():
    critic = load_value_model(str(tiny.checkpoint("Llama", "ends")), device="cpu", max_length=16)
    encoding = tiny.model("Llama", "ends").encode(EXAMPLE)
    assert critic.encode(EXAMPLE).truncated
    with pytest.raises(RedvizError, match="can read only .* longer context"):
        critic_values(critic, encoding)


def refused(folder, message):
    with pytest.raises(RedvizError, match=message) as caught:
        load_value_model(str(folder), device="cpu")
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_what_is_no_critic_is_refused(folder):
    refused(folder, "lacks 1 weights .score.weight.")  # a bare language model
    refused(tiny.checkpoint(labels=6), "6 labels")
    tiny_lm.change_weights(folder, **{"v_head.summary.weight": torch.zeros(1, 48)})
    refused(folder, "holds only v_head.summary.weight of a value head")
    tiny_lm.change_weights(
        folder, **{"v_head.summary.weight": torch.zeros(1, 32), "v_head.summary.bias": torch.zeros(1)}
    )
    refused(folder, "value head of shape .1, 32. and hidden states of width 48")


def test_a_value_head_without_its_language_model(folder):
    with_value_head(folder)
    tiny_lm.change_weights(folder, ("model.layers.1.mlp.up_proj.weight",))
    refused(folder, "lacks 1 weights .model.layers.1.mlp.up_proj.weight.")


def test_weights_that_cannot_be_read(folder):
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    refused(folder, "cannot be read")
