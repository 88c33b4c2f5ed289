"""Linear layers in 8 and 4 bits, on the CPU: what is read of them is what they give, and gradients are theirs."""

import numpy as np
import pytest
import tiny
import tiny_both_ways
import tiny_families
import tiny_steps
import torch

import redviz
from redviz.errors import RedvizError
from redviz.evaluation.conformance.conformance import check_model
from redviz.models.kinds.policy import load_policy, log_probs
from redviz.models.loading import precision
from redviz.models.running.observe import observe
from redviz.records import Example

EXAMPLES = (
    Example("The film opens on a quiet street", "The lead is superb, funny and moving, though the end drags."),
    Example("Hi", "A dull mess"),
)


@pytest.fixture(scope="module")
def four():
    return redviz.load_reward_model("embedded:sentiment", device="cpu", dtype="4bit")


@pytest.mark.parametrize("side", ["left", "right"])
def test_prefixes_in_four_bits_against_separate_forwards(four, side):
    assert four.source.dtype == "4bit" and four.head.weight.dtype is torch.float32
    layer = four.module.base_model.layers[0].mlp.up_proj
    assert layer.weight.dtype is torch.uint8 and layer.weight.numel() < layer.in_features * layer.out_features
    for found in observe(four, [four.encode(example) for example in EXAMPLES], side=side):
        np.testing.assert_allclose(found.prefix_scores, tiny.brute_prefixes(four, found.encoding), atol=1e-4)


def test_gradients_in_four_bits_are_those_of_the_score(four):
    """A packed form of the weights that gradients do not know leaves almost all of the score unexplained."""
    found = redviz.analyze(four, EXAMPLES[0].prompt, EXAMPLES[0].response, methods={"ig": {"steps": 32}}).credits["ig"]
    assert abs(found.residual) < 0.05 * abs(found.total - found.reference)
    verdicts = {check.name: check.verdict for check in check_model(four).checks}
    assert verdicts.pop("rounding") == "amber" and set(verdicts.values()) == {"green"}


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
@pytest.mark.parametrize("architecture", ["Bert", "Electra", "DebertaV2"])
def test_a_head_with_a_bias_keeps_all_its_bits(architecture, bits, tmp_path):
    folder = tiny_both_ways.save(tmp_path, architecture)
    loaded = redviz.load_reward_model(str(folder), device="cpu", dtype=bits)
    kept = [p for name, p in loaded.module.named_parameters() if "classifier" in name or "pooler" in name]
    assert kept and all(p.dtype is torch.float32 for p in kept)
    assert any(p.dtype in (torch.uint8, torch.int8) for p in loaded.module.parameters())
    assert loaded.both_ways


def test_a_process_model_in_eight_bits_is_not_taken_for_one_that_sees_ahead(tmp_path):
    tiny_steps.qwen(tmp_path)
    loaded = redviz.load_reward_model(str(tmp_path), device="cpu", dtype="8bit")
    assert loaded.source.dtype == "8bit" and type(loaded).__name__ == "ProcessModel"


def test_in_eight_bits_the_card_says_that_tokens_are_mixed(sentiment):
    loaded = redviz.load_reward_model("embedded:sentiment", device="cpu", quantization="8bit")
    scores = [observe(model, [model.encode(EXAMPLES[0])])[0].prefix_scores for model in (loaded, sentiment)]
    assert not loaded.both_ways and 0 < np.abs(scores[0] - scores[1]).max() < 0.1 * np.ptp(scores[1])
    card = check_model(loaded)
    assert card.dtype == "8bit" and card["causality"].verdict == "red" and "outlier" in card["causality"].figure
    told = {check.remedy for check in card.checks if check.verdict == "red"}
    assert told == {
        "In 8 bits tokens share outlier columns; load it with --dtype 4bit, or bfloat16 where memory allows."
    }


def test_a_policy_in_four_bits(sentiment):
    policy = load_policy("embedded:writer", device="cpu", dtype="4bit")
    plain = load_policy("embedded:writer", device="cpu")
    found = log_probs(policy, plain, sentiment.encode(EXAMPLES[0]))
    assert policy.source.dtype == "4bit" and 0 < np.abs(found.policy - found.reference).mean() < 0.5


def test_what_is_put_together_while_it_is_loaded_stays_whole(tmp_path):
    tiny_families.MADE["internlm2"](tmp_path)
    with pytest.raises(RedvizError, match="needs whole numbers; leave 4bit out"):
        redviz.load_reward_model(str(tmp_path), device="cpu", dtype="4bit")


@pytest.mark.parametrize("given", [{"quantization": "4bit"}, {"dtype": "4bit"}])
def test_the_package_is_asked_for(monkeypatch, given):
    monkeypatch.setattr(precision.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RedvizError, match="Loading in 4bit needs the package bitsandbytes; install it, or choose"):
        redviz.load_reward_model("embedded:sentiment", device="cpu", **given)
