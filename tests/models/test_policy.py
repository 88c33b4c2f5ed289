"""Policies: what is loaded and what is refused, and log-probabilities against Transformers' own logits."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import tiny
import tiny_lm
import torch

from redviz.errors import RedvizError
from redviz.models.kinds import policy as policies
from redviz.models.kinds.policy import closes, load_policy, log_probs, token_log_probs
from redviz.models.loading.files import EMBEDDED
from redviz.models.running.budgets import AT_ONCE
from redviz.records import Example

EXAMPLE = Example("The film opens on a quiet street", "The lead is superb, funny and moving.")
LESS = 16  # tokens that are too few for the example
ARCHITECTURES = ["Llama", "Qwen3", "GPT2", "Mistral", "Gemma2", "OPT"]


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(tiny_lm.checkpoint(), tmp_path / "model")


def refused(folder, message, **options):
    with pytest.raises(RedvizError, match=message) as caught:
        load_policy(str(folder), device="cpu", **options)
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".")
    return said


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# ---------------------------------------------------------------- log-probabilities


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_log_probs_are_those_of_the_models_own_logits(architecture):
    one, two = (tiny_lm.checkpoint(architecture, seed=seed) for seed in (1, 2))
    policy, reference = (load_policy(str(folder), device="cpu") for folder in (one, two))
    encoding = tiny.model(architecture, "ends").encode(EXAMPLE)
    before = policy.forwards
    found = log_probs(policy, reference, encoding)
    assert policy.forwards == before + 1
    assert found.names == (policy.name, reference.name)

    rows = slice(encoding.start - 1, encoding.stop)  # the states before each token and before the closing one
    ids = encoding.ids[encoding.start : encoding.stop + 1]
    assert ids[-1] == policy.tokenizer.eos_token_id
    p, q = (tiny_lm.own_log_softmax(f, encoding.ids)[rows] for f in (one, two))  # [T+1, V]
    at = np.arange(len(ids)), ids
    wanted = [p[at], q[at], (np.exp(q) * (q - p)).sum(-1)]
    for got, want in zip((found.policy, found.reference, found.kl), wanted, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want[:-1], atol=2e-4)
    np.testing.assert_allclose(found.closing, [want[-1] for want in wanted], atol=2e-4)
    assert np.ptp(found.policy - found.reference) > 0.5 and found.kl.min() > 0.01


def test_the_divergence_bounds_the_mean_log_ratio_under_the_reference():
    policy, reference = tiny_lm.policy(seed=1), tiny_lm.policy(seed=2)
    encoding = tiny.model("Llama", "ends").encode(EXAMPLE)
    found = log_probs(policy, reference, encoding)
    p, q = (
        tiny_lm.own_log_softmax(tiny_lm.checkpoint(seed=seed), encoding.ids)[encoding.start - 1 : encoding.stop - 1]
        for seed in (1, 2)
    )
    np.testing.assert_allclose((np.exp(q) * (p - q)).sum(-1), -found.kl, atol=1e-4)


def test_a_policy_against_itself_is_nothing():
    policy = tiny_lm.policy()
    found = log_probs(policy, policy, policy.encode(EXAMPLE))
    np.testing.assert_array_equal(found.policy, found.reference)
    np.testing.assert_array_equal(found.kl, 0)
    assert found.closing[0] == found.closing[1] and found.closing[2] == 0


def test_rounding_makes_no_divergence_negative(folder):
    head = tiny_lm.load_file(folder / "model.safetensors")["lm_head.weight"]
    tiny_lm.change_weights(folder, **{"lm_head.weight": head * (1 + 1e-6)})
    policy = tiny_lm.policy()
    assert log_probs(load_policy(str(folder), device="cpu"), policy, policy.encode(EXAMPLE)).kl.min() >= 0


def test_pieces_of_logits_change_nothing_and_report_progress(monkeypatch):
    policy, reference = tiny_lm.policy(seed=1), tiny_lm.policy(seed=2)
    encoding = policy.encode(EXAMPLE)
    whole = log_probs(policy, reference, encoding)
    monkeypatch.setitem(AT_ONCE["logits"], "cpu", 3 * 400)
    calls = []
    pieces = log_probs(policy, reference, encoding, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_allclose(pieces.policy, whole.policy, atol=1e-5)
    np.testing.assert_allclose(pieces.kl, whole.kl, atol=1e-5)
    count = len(whole.policy) + 1
    assert calls[:2] == [(0, count), (3, count)] and calls[-1] == (count, count)

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        log_probs(policy, reference, encoding, progress=stop)


def test_where_memory_runs_out_the_pieces_halve(monkeypatch):
    policy = tiny_lm.policy()
    encoding = policy.encode(EXAMPLE)
    whole = token_log_probs(policy, encoding)
    sizes, own = [], policies.Policy.log_softmax

    def scarce(self, hidden):
        sizes.append(len(hidden))
        if len(hidden) > 3:
            raise torch.OutOfMemoryError("no room")
        return own(self, hidden)

    monkeypatch.setattr(policies.Policy, "log_softmax", scarce)
    np.testing.assert_allclose(token_log_probs(policy, encoding), whole, atol=1e-5)
    assert max(sizes) > 3 and sizes[-1] <= 3
    monkeypatch.setattr(policies.Policy, "log_softmax", lambda self, hidden: scarce(self, torch.zeros(9)))
    with pytest.raises(RedvizError, match="logits of a single token"):
        token_log_probs(policy, encoding)


@pytest.mark.parametrize(("template", "ends"), [("ends", True), ("closed", True), ("open", False), ("none", False)])
def test_the_end_of_turn_token_counts_where_the_template_writes_one(template, ends):
    policy = tiny_lm.policy(template=template)
    encoding = policy.encode(EXAMPLE)
    assert closes(policy, encoding) == ends
    assert (log_probs(policy, policy, encoding).closing is not None) == ends


def test_the_policys_own_template_is_rendered():
    policy = tiny_lm.policy(template="ends")
    encoding = tiny.model("Llama", "open").encode(EXAMPLE)  # the reward model closes nothing
    own = policy.encode(EXAMPLE)
    assert len(own.ids) != len(encoding.ids)
    found = log_probs(policy, policy, encoding)
    np.testing.assert_array_equal(found.policy, token_log_probs(policy, own))
    assert found.closing is not None


def test_the_end_counts_only_where_both_write_it():
    policy, reference = tiny_lm.policy(template="ends"), tiny_lm.policy(template="open")
    assert log_probs(policy, reference, policy.encode(EXAMPLE)).closing is None


def test_log_probs_of_the_embedded_pair():
    policy, reference = (load_policy(f"embedded:{name}", device="cpu") for name in ("writer-dpo", "writer"))
    better, worse = (
        log_probs(policy, reference, policy.encode(Example("Write a film review.", text)))
        for text in ("A moving, superb and funny film.", "A dull, tedious and pointless film.")
    )
    ratio = [(found.policy - found.reference).sum() for found in (better, worse)]
    assert ratio[0] > 0 > ratio[1]  # what it was trained for
    assert better.closing is not None and 0 < better.kl.mean() < 2
    tokenizers = {(EMBEDDED / name / "tokenizer.json").read_bytes() for name in ("writer", "writer-dpo", "sentiment")}
    assert len(tokenizers) == 1


# ---------------------------------------------------------------- the same tokens


def test_a_response_that_the_reward_model_cut():
    policy, reference = tiny_lm.policy(seed=1), tiny_lm.policy(seed=2)
    whole = tiny.model("Llama", "ends").encode(EXAMPLE)
    cut = replace(tiny.model("Llama", "ends"), max_length=len(whole.ids) - 3).encode(EXAMPLE)
    assert cut.truncated == 3
    full, part = log_probs(policy, reference, whole), log_probs(policy, reference, cut)
    np.testing.assert_allclose(part.policy, full.policy[:-3], atol=1e-5)
    np.testing.assert_allclose(part.kl, full.kl[:-3], atol=1e-5)
    assert part.closing is None


def test_a_policy_whose_context_is_shorter_is_refused():
    short = replace(tiny_lm.policy(), max_length=LESS)
    encoding = tiny_lm.policy().encode(EXAMPLE)
    assert short.encode(EXAMPLE).truncated
    with pytest.raises(RedvizError, match="can read only .* longer context"):
        log_probs(short, tiny_lm.policy(seed=2), encoding)
    with pytest.raises(RedvizError, match="can read only .* longer context"):
        log_probs(tiny_lm.policy(), replace(tiny_lm.policy(seed=2), max_length=LESS), encoding)


def test_both_cut_alike_compare_what_is_left():
    short = replace(tiny_lm.policy(), max_length=LESS)
    cut = short.encode(EXAMPLE)
    found = log_probs(short, tiny_lm.policy(seed=2), cut)
    assert len(found.policy) == len(cut.offsets) < len(tiny_lm.policy().encode(EXAMPLE).offsets)
    assert found.closing is None


def test_other_vocabularies_are_refused(tmp_path):
    wider = tiny_lm.save(tmp_path / "wider")
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        weights = tiny_lm.load_file(wider / "model.safetensors")[key]
        tiny_lm.change_weights(wider, **{key: torch.cat([weights, weights[:8]])})
    change_config(wider, vocab_size=len(weights) + 8)
    with pytest.raises(RedvizError, match="the divergence between them is not defined"):
        log_probs(load_policy(str(wider), device="cpu"), tiny_lm.policy(), tiny_lm.policy().encode(EXAMPLE))


# ---------------------------------------------------------------- loading


def test_what_a_loaded_policy_says_of_itself():
    policy = load_policy("embedded:writer", device="cpu")
    assert (policy.source.model, policy.source.dtype, policy.source.device) == ("embedded:writer", "float32", "cpu")
    assert len(policy.source.fingerprint) == 32 and policy.source.template_hash
    assert policy.max_length == 8192 and policy.trained_length == 2048
    assert any("trained on lengths up to 2048" in n for n in policy.encode(Example("Hi", "fine " * 2100)).notices)
    assert load_policy("embedded:writer", device="cpu", max_length=99).max_length == 99
    assert load_policy("embedded:writer", device="cpu", dtype="bfloat16").source.dtype == "bfloat16"


@pytest.mark.parametrize("missing", ["lm_head.weight", "model.layers.1.mlp.up_proj.weight"])
def test_missing_weights_are_refused(folder, missing):
    tiny_lm.change_weights(folder, (missing,))
    refused(folder, f"lacks 1 weights .*{missing}.*AutoModelForCausalLM")


@pytest.mark.parametrize(
    "unused", ["lm_head.bias", "model.layers.0.mlp.up_proj.bias", "model.layers.9.mlp.up_proj.weight"]
)
def test_tensors_that_the_model_does_not_take_are_refused(folder, unused):
    tiny_lm.change_weights(folder, **{unused: torch.ones(4)})
    refused(folder, rf"holds 1 weights that the model .* does not take \({unused}\)")


def test_a_value_head_beside_a_policy_is_left_out(folder):
    tiny_lm.change_weights(folder, **{"v_head.summary.weight": torch.ones(1, 48)})
    load_policy(str(folder), device="cpu")


def test_tied_embeddings_need_no_head_of_their_own(tmp_path):
    tied = tiny_lm.save(tmp_path / "tied", tie_word_embeddings=True)
    assert "lm_head.weight" not in tiny_lm.load_file(tied / "model.safetensors")
    load_policy(str(tied), device="cpu")


def test_a_reward_model_is_no_policy(folder):
    refused("embedded:sentiment", "is a reward model .*; give a causal language model")
    refused(tiny.checkpoint(), "is a reward model .LlamaForSequenceClassification.")
    change_config(folder, architectures=None, tie_word_embeddings=True)  # named by its weights alone
    tiny_lm.change_weights(folder, ("lm_head.weight",), **{"score.weight": torch.zeros(1, 48)})
    refused(folder, "is a reward model .score.weight.")


def test_pickled_weights_are_refused_unless_asked_for(folder):
    torch.save(tiny_lm.load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "--allow-pickle" in refused(folder, "only pickled weights")
    load_policy(str(folder), device="cpu", allow_pickle=True)


def test_an_adapter_an_unknown_architecture_and_no_folder(tmp_path, folder):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/base"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    refused(tmp_path, "LoRA adapter of owner/base")
    change_config(folder, model_type="nonesuch")
    refused(folder, "unknown architecture 'nonesuch'")
    refused(tmp_path / "nowhere", "no folder on this machine")
    refused("embedded:nonesuch", "There is no embedded:nonesuch")


def test_a_model_that_looks_ahead_is_refused(tmp_path):
    from transformers import BertConfig, BertLMHeadModel

    tok = tiny.tokenizer("none")
    config = BertConfig(
        vocab_size=len(tok), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    torch.manual_seed(0)
    module = BertLMHeadModel(config)
    tiny.draw_weights(module, 0.3)
    module.save_pretrained(tmp_path)
    tok.save_pretrained(tmp_path)
    refused(tmp_path, "looks at later tokens")


def test_logits_made_in_an_unknown_way_are_refused(monkeypatch):
    own = policies.Policy.log_softmax
    monkeypatch.setattr(policies.Policy, "log_softmax", lambda self, hidden: own(self, 2 * hidden))
    refused(tiny_lm.checkpoint(), "makes its logits in a way that redviz does not know")


def test_scaled_logits_are_known(tmp_path):
    granite = tiny_lm.save(tmp_path / "granite", "Granite", logits_scaling=4.0)
    load_policy(str(granite), device="cpu")
    assert json.loads((granite / "config.json").read_text())["logits_scaling"] == 4.0


def test_models_load_whole_while_others_load():
    # Transformers changes how torch makes modules while it loads: of 36 loads in three threads 22 lacked the tied lm_head.weight.
    names = ["embedded:writer", "embedded:writer-dpo"] * 6
    with ThreadPoolExecutor(3) as threads:
        loaded = list(threads.map(load_policy, names))
    assert all(torch.equal(p.module.lm_head.weight, p.module.get_input_embeddings().weight) for p in loaded)
