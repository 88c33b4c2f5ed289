"""PEFT adapters of every kind, and checkpoints saved in few bits, against the scores of PEFT's and Transformers' own models."""

import json
import shutil
import warnings

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig

from redviz.errors import RedvizError
from redviz.models.kinds.policy import load_policy
from redviz.models.loading import lora
from redviz.models.loading.load import load_reward_model
from redviz.models.running.observe import observe
from redviz.records import Example

EXAMPLE = Example("The film opens", "The lead is superb.")
TARGETS = ["q_proj", "v_proj"]
KINDS = {
    "LoRA": ("LoraConfig", {"r": 4}),
    "rsLoRA": ("LoraConfig", {"r": 4, "use_rslora": True, "lora_alpha": 3}),
    "DoRA": ("LoraConfig", {"r": 4, "use_dora": True}),
    "IA3": ("IA3Config", {"target_modules": ["k_proj", "down_proj"], "feedforward_modules": ["down_proj"]}),
    "LoHa": ("LoHaConfig", {"r": 4}),
    "LoKr": ("LoKrConfig", {"r": 4}),
    "OFT": ("OFTConfig", {"r": 0, "oft_block_size": 4}),
    "VeRA": ("VeraConfig", {"r": 4, "target_modules": ["q_proj"]}),
    "HRA": ("HRAConfig", {"r": 4}),
    "trained norms": ("LNTuningConfig", {"target_modules": ["input_layernorm"]}),
}


@pytest.fixture(scope="module")
def peft():
    return pytest.importorskip("peft")


def tuned(peft, base, folder, kind="LoraConfig", tokenizer=None, module=None, name="default", **options):
    """An adapter with a head of its own, saved by PEFT; and PEFT's own model."""
    if module is None:
        module = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, ignore_mismatched_sizes=True)
    config = getattr(peft, kind)(task_type="SEQ_CLS", **{"target_modules": TARGETS, **options})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(3)
        whole = peft.get_peft_model(module, config, adapter_name=name).eval()
        with torch.no_grad():
            for parameter in whole.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter) * 0.2)
        whole.save_pretrained(folder)
    (tokenizer or tiny.tokenizer("closed")).save_pretrained(folder)
    return whole


@torch.no_grad()
def same_score(folder, whole, tolerance=1e-4):
    """The score is that of the other model's forward; the loaded model."""
    model = load_reward_model(str(folder), device="cpu")
    encoding = model.encode(EXAMPLE)
    ids = torch.tensor(encoding.ids[None])
    expected = float(whole(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, 0])
    assert observe(model, [encoding])[0].score == pytest.approx(expected, abs=tolerance)
    return model


def refused(folder, message):
    with pytest.raises(RedvizError, match=message) as caught:
        load_reward_model(str(folder), device="cpu")
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_kinds_that_change_weights_score_as_in_peft(peft, tmp_path, kind):
    config, options = KINDS[kind]
    base = tiny.checkpoint()
    whole = tuned(peft, base, tmp_path, config, **options)
    model = same_score(tmp_path, whole)
    plain = load_reward_model(str(base), device="cpu")
    scores = [observe(m, [m.encode(EXAMPLE)])[0].score for m in (model, plain)]
    assert abs(scores[0] - scores[1]) > 0.01  # the adapter is really in it


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "XLORA", "NOBODYS"])
def test_other_kinds_are_refused_by_name(peft, tmp_path, kind):
    tuned(peft, tiny.checkpoint(), tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"peft_type": kind}))
    refused(tmp_path, f"a {kind} adapter")


def test_an_adapter_that_cannot_be_merged_or_that_merging_changes_is_refused(peft, tmp_path, monkeypatch):
    tuned(peft, tiny.checkpoint(), tmp_path / "biases", lora_bias=True)
    refused(tmp_path / "biases", r"LoRA adapter that PEFT cannot merge into its base \(.*no bias\); redviz reads")
    tuned(peft, tiny.checkpoint(), tmp_path)
    monkeypatch.setattr(peft.LoraModel, "merge_and_unload", lambda self: self.unload())
    refused(tmp_path, "LoRA adapter that gives .* in PEFT and .* merged into its base")


def test_an_adapter_that_peft_would_take_in_part_is_refused(peft, tmp_path):
    tuned(peft, tiny.checkpoint(), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    held = load_file(file)
    layer = "base_model.model.model.layers.{}.self_attn.q_proj.lora_A.weight"
    save_file({**held, layer.format(7): torch.ones(4, 48), "base_model.model.score.bias": torch.ones(1)}, file)
    refused(tmp_path, r"has 2 weights that its base has no place for \(base_model.model.model.layers.7.*score.bias\)")
    save_file({key: value for key, value in held.items() if key != layer.format(1)}, file)
    refused(tmp_path, r"has 1 weights too few for the layers it names \(.*layers.1.self_attn.q_proj.lora_A.*\)")


def test_embeddings_that_were_resized_come_with_the_adapter(peft, tmp_path):
    more = tiny.tokenizer("closed")
    more.add_special_tokens({"pad_token": "[PAD]"})
    module = AutoModelForSequenceClassification.from_pretrained(tiny.checkpoint(), num_labels=1)
    module.resize_token_embeddings(len(more))
    module.config.pad_token_id = more.pad_token_id
    whole = tuned(peft, None, tmp_path, tokenizer=more, module=module)
    model = same_score(tmp_path, whole)
    assert model.module.get_input_embeddings().num_embeddings == len(more)


@pytest.mark.parametrize("of", ["modules_to_save", "trainable_token_indices"])
def test_embeddings_that_were_resized_and_trained_come_with_the_adapter(peft, tmp_path, of):
    more = tiny.tokenizer("closed")
    more.add_special_tokens({"pad_token": "[PAD]"})
    module = AutoModelForSequenceClassification.from_pretrained(tiny.checkpoint(), num_labels=1)
    module.resize_token_embeddings(len(more))
    module.config.pad_token_id = more.pad_token_id
    options = {
        "modules_to_save": {"modules_to_save": ["embed_tokens"]},
        "trainable_token_indices": {"trainable_token_indices": {"embed_tokens": [5, len(more) - 1]}},
    }
    whole = tuned(peft, None, tmp_path, tokenizer=more, module=module, **options[of])
    same_score(tmp_path, whole)
    if of == "modules_to_save":  # PEFT writes them under two names; where they differ nobody knows which was trained
        file = tmp_path / "adapter_model.safetensors"
        held = load_file(file)
        held["base_model.model.model.embed_tokens.modules_to_save.weight"] += 1
        save_file(held, file)
        refused(tmp_path, "has 1 weights that its base has no place for")


def test_an_adapters_own_head_stands_in_place_of_the_bases(peft, tmp_path):
    whole = tuned(peft, tiny.checkpoint(labels=2), tmp_path)
    for left_by_the_trainer in ("training_args.bin", "optimizer.bin"):
        (tmp_path / left_by_the_trainer).write_bytes(b"no weights")
    assert same_score(tmp_path, whole).source.heads == ("LABEL_0",)


def test_a_named_adapter_is_found_in_its_folder(peft, tmp_path):
    whole = tuned(peft, tiny.checkpoint(), tmp_path, name="helpful")
    assert not (tmp_path / "adapter_config.json").exists()
    model = same_score(tmp_path, whole)
    with pytest.raises(RedvizError, match="is a LoRA adapter of .*, and policies are read whole"):
        load_policy(str(tmp_path), device="cpu")
    file = tmp_path / "helpful" / "adapter_model.safetensors"
    save_file({key: tensor * 2 for key, tensor in load_file(file).items()}, file)
    assert load_reward_model(str(tmp_path), device="cpu").source.fingerprint != model.source.fingerprint
    shutil.copytree(tmp_path / "helpful", tmp_path / "harmless")
    refused(tmp_path, r"holds 2 adapters in folders of their own \(harmless, helpful\); give one of them")


# ---------------------------------------------------------------- saved in few bits


def in_four_bits(auto, folder, **options):
    pytest.importorskip("bitsandbytes")
    base = tiny.checkpoint(hidden_size=64, intermediate_size=128)
    bits = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32)
    module = auto.from_pretrained(base, quantization_config=bits, **options).eval()
    module.save_pretrained(folder)
    tiny.tokenizer("closed").save_pretrained(folder)
    return module


def test_a_checkpoint_saved_in_four_bits_is_read_in_them(tmp_path):
    module = in_four_bits(AutoModelForSequenceClassification, tmp_path)
    model = same_score(tmp_path, module, 1e-3)
    assert model.source.dtype == "4bit" and model.head.weight.dtype is torch.float32
    assert load_reward_model(str(tmp_path), device="cpu", dtype="4bit").source.dtype == "4bit"
    with pytest.raises(RedvizError, match="is saved in 4bit; leave 8bit out"):
        load_reward_model(str(tmp_path), device="cpu", dtype="8bit")


def test_an_adapter_on_a_base_saved_in_four_bits_stays_beside_it(peft, tmp_path):
    """Merged, it would be rounded to the base's sixteen values."""
    in_four_bits(AutoModelForSequenceClassification, tmp_path / "base")
    module = AutoModelForSequenceClassification.from_pretrained(tmp_path / "base", num_labels=1)
    whole = tuned(peft, None, tmp_path / "adapter", module=module)
    assert same_score(tmp_path / "adapter", whole, 1e-3).source.dtype == "4bit"


def test_a_policy_saved_in_four_bits(tmp_path):
    in_four_bits(AutoModelForCausalLM, tmp_path)
    assert load_policy(str(tmp_path), device="cpu").source.dtype == "4bit"


def test_the_package_of_few_bits_is_asked_for(tmp_path, monkeypatch):
    in_four_bits(AutoModelForSequenceClassification, tmp_path)
    monkeypatch.setattr(lora.importlib.util, "find_spec", lambda name: None)
    refused(tmp_path, "is saved in 4bit, which needs the package bitsandbytes; install it, or give the model in whole")
