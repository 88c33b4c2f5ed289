"""Loading refuses what would give meaningless scores, in one sentence that names the remedy."""

import json
import logging
import shutil

import numpy as np
import pytest
import tiny
import torch
from close import recomputed
from safetensors.torch import load_file, save_file

from redviz.errors import RedvizError
from redviz.models.loading.files import embedded_models, fingerprint, resolve
from redviz.models.loading.found import head_mix
from redviz.models.loading.load import load_reward_model
from redviz.models.loading.precision import pick_dtype
from redviz.models.loading.shared import pick_device
from redviz.models.running.observe import observe
from redviz.models.spec import ModelSpec, load
from redviz.records import Example

EXAMPLE = Example("The film opens", "The lead is superb.")


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(tiny.checkpoint(), tmp_path / "model")


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(folder, drop=(), **add):
    weights = load_file(folder / "model.safetensors")
    for name in drop:
        del weights[name]
    save_file(weights | add, folder / "model.safetensors", {"format": "pt"})


def refused(folder, message, **options):
    with pytest.raises(RedvizError, match=message) as caught:
        load_reward_model(str(folder), device="cpu", **options)
    said = str(caught.value)
    assert "\n" not in said and said.endswith(".")
    return said


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize("missing", ["score.weight", "model.layers.1.mlp.up_proj.weight"])
def test_missing_weights_are_refused_not_only_the_heads(folder, missing):
    change_weights(folder, [missing])
    assert "1 weights" in refused(folder, f"lacks .*{missing}.* noise")


BIASES = {
    f"model.layers.{i}.self_attn.{part}_proj.bias": torch.ones(48 if part in "qo" else 24)
    for i in range(3)
    for part in "qkvo"
}


@pytest.mark.parametrize(
    ("unused", "named"),
    [
        (BIASES, r"12 weights .*\(model.layers.0.self_attn.k_proj.bias, .* …\)"),
        ({"score.bias": torch.ones(1)}, r"1 weights .*\(score.bias\)"),
        (
            {"model.layers.3.mlp.up_proj.weight": torch.ones(96, 48)},
            r"1 weights .*\(model.layers.3.mlp.up_proj.weight\)",
        ),
        ({"module.score.weight": torch.ones(1, 48)}, r"1 weights .*\(module.score.weight\)"),
    ],
)
def test_tensors_that_the_model_does_not_take_are_refused_by_name(folder, unused, named):
    change_weights(folder, **unused)
    refused(folder, f"holds {named}, so its scores would be those of another model")


def test_tensors_that_no_output_is_made_of_are_left_out(folder):
    model = load_reward_model(str(folder), device="cpu")
    wanted = observe(model, [model.encode(EXAMPLE)])[0].score
    kept = (
        "lm_head.weight",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.embeddings.position_ids",
        "h.0.attn.masked_bias",
    )
    change_weights(folder, **{name: torch.ones(6) for name in kept})
    again = load_reward_model(str(folder), device="cpu")
    assert observe(again, [again.encode(EXAMPLE)])[0].score == wanted


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod."])
def test_a_wrappers_prefix_before_all_names_is_no_part_of_them(folder, wrapper):
    whole = load_reward_model(str(folder), device="cpu")
    weights = load_file(folder / "model.safetensors")
    change_weights(folder, list(weights), **{wrapper + name: tensor for name, tensor in weights.items()})
    model = load_reward_model(str(folder), device="cpu")
    assert observe(model, [model.encode(EXAMPLE)])[0].score == observe(whole, [whole.encode(EXAMPLE)])[0].score
    change_weights(folder, **{f"{wrapper}score.bias": torch.ones(1)})
    refused(folder, r"\(score.bias\)")


def test_another_kind_of_head_is_named(folder):
    change_weights(folder, ["score.weight"], **{"lm_head.weight": torch.zeros(400, 48)})
    refused(folder, "holds? lm_head.weight, another kind of head")


@pytest.mark.parametrize("change", [{"intermediate_size": 128}, {"num_labels": 2, "id2label": {"0": "a", "1": "b"}}])
def test_weights_of_another_shape_are_refused(folder, change):
    change_config(folder, **change)
    refused(folder, "shapes|lacks", head=0)


def test_six_labels_ask_for_a_head():
    six = tiny.checkpoint(labels=6)
    assert "--head" in refused(six, "6 labels")
    model = load_reward_model(str(six), device="cpu", head="4-1")
    encoding = model.encode(EXAMPLE)
    with torch.inference_mode(), tiny.native(model) as module:
        labels = module(torch.tensor(encoding.ids[None])).logits[0].numpy()
    assert observe(model, [encoding])[0].score == pytest.approx(labels[4] - labels[1], abs=1e-5)
    for head in (2, "2", "LABEL_2"):
        assert load_reward_model(str(six), device="cpu", head=head).mix.tolist() == [0, 0, 1, 0, 0, 0]
    for head in ("6", "1-9", "helpful", "-1", -1):
        refused(six, "has no head", head=head)


def test_heads_by_name():
    labels = ("negative", "positive", "very-good")
    assert head_mix("positive-negative", labels, "m").tolist() == [-1, 1, 0]
    assert head_mix("very-good", labels, "m").tolist() == [0, 0, 1]  # a name with a dash is no difference
    assert head_mix(None, ("score",), "m").tolist() == [1]


def test_pickled_weights_are_refused_unless_asked_for(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert "--allow-pickle" in refused(folder, "only pickled weights")
    model = load_reward_model(str(folder), device="cpu", allow_pickle=True)
    same = tiny.model()
    scores = [observe(m, [m.encode(EXAMPLE)])[0].column_scores for m in (model, same)]
    np.testing.assert_array_equal(*scores)


def test_a_pickle_beside_safetensors_is_not_read(folder):
    (folder / "pytorch_model.bin").write_bytes(b"would fail, or worse")
    load_reward_model(str(folder), device="cpu")


def test_no_weights_at_all(folder):
    (folder / "model.safetensors").unlink()
    refused(folder, r"has no weights \(\*\.safetensors\); save the model")


def test_broken_weights(folder):
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    refused(folder, "model.safetensors cannot be read.*download or save the model again")


@pytest.mark.parametrize("pointer", ["model.safetensors", "tokenizer.json", "config.json", "adapter_config.json"])
@pytest.mark.parametrize("role", ["reward", "policy", "value", "pair"])
def test_a_git_lfs_pointer_is_named_as_such_in_every_role(folder, pointer, role):
    (folder / pointer).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 134217728\n")
    with pytest.raises(RedvizError, match=rf"/{pointer} is a Git LFS pointer .*; run `git lfs pull` in the clone"):
        load(ModelSpec(str(folder), role=role))


# ---------------------------------------------------------------- what kind of folder


def test_a_lora_adapter_without_its_base(tmp_path):
    (tmp_path / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/base"}))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    assert "download it first" in refused(tmp_path, "LoRA adapter of owner/base, and its base is missing")


def test_a_lora_adapter_beside_a_config_is_not_loaded_as_the_bare_base(folder):
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/base"}))
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    refused(folder, "LoRA adapter of owner/base, and its base is missing")


@pytest.mark.parametrize("broken", ["adapter_config.json", "config.json"])
def test_a_config_that_is_not_json(tmp_path, broken):
    (tmp_path / broken).write_text("{")
    refused(tmp_path, f"{broken} is not JSON")


def test_a_folder_that_is_no_model(tmp_path):
    refused(tmp_path, "is no model folder: it has no config.json; give a folder")


def test_a_folder_with_two_models(folder, tmp_path):
    outer = tmp_path / "outer"
    outer.mkdir()
    for name in ("chosen", "other"):
        shutil.copytree(folder, outer / name)
    assert "give one of them" in refused(outer, r"holds 2 models in folders of their own \(chosen, other\)")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"score.weight": "model.safetensors"}}')
    refused(folder, "holds two models, model.safetensors and the shards of .*; move one of them")
    (folder / "model.safetensors.index.json").unlink()
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "owner/base"}))
    refused(folder, "holds an adapter and a whole model")


def test_shards_and_a_device_map_give_the_scores_of_the_whole(folder, tmp_path):
    from transformers import AutoModelForSequenceClassification

    whole = load_reward_model(str(folder), device="cpu")
    wanted = observe(whole, [whole.encode(EXAMPLE)])[0].column_scores
    parts = tmp_path / "parts"
    AutoModelForSequenceClassification.from_pretrained(folder).save_pretrained(parts, max_shard_size="80KB")
    whole.tokenizer.save_pretrained(parts)
    assert len(list(parts.glob("model-*.safetensors"))) >= 5
    for options in ({}, {"device_map": "cpu"}):
        sharded = load_reward_model(str(parts), device="cpu", **options)
        np.testing.assert_allclose(
            observe(sharded, [sharded.encode(EXAMPLE)])[0].column_scores, wanted, atol=recomputed(wanted)
        )
    sorted(parts.glob("model-*.safetensors"))[2].unlink()
    refused(parts, "which its index names; download all of its files")


def test_a_folder_that_is_not_there(tmp_path):
    refused(tmp_path / "nowhere", "no folder on this machine")


@pytest.mark.parametrize(
    ("config", "remedy"),
    [
        ({"model_type": "bert-9000"}, "unknown architecture 'bert-9000'; update transformers"),
        ({}, "update transformers"),
        ({"model_type": "mine", "auto_map": {"AutoConfig": "mine.Config"}}, "--trust-remote-code"),
        ([1], "no JSON object"),
    ],
)
def test_an_unknown_architecture(tmp_path, config, remedy):
    (tmp_path / "config.json").write_text(json.dumps(config))
    refused(tmp_path, remedy)


def test_no_tokenizer(folder):
    for path in (*folder.glob("tokenizer*"), *folder.glob("chat_template*")):
        path.unlink()
    refused(folder, "tokenizer")


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_pickles_are_fetched_only_where_they_are_allowed_and_never_from_folders(monkeypatch, tmp_path, allow_pickle):
    import huggingface_hub
    from huggingface_hub.utils import filter_repo_objects

    asked = {}
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **kw: asked.update(kw) or str(tmp_path))
    resolve("owner/model", None, allow_pickle)
    there = ["config.json", "model.safetensors", "pytorch_model.bin", "onnx/model.bin", "original/x.safetensors"]
    patterns = {name: asked[name] for name in ("allow_patterns", "ignore_patterns")}
    fetched = list(filter_repo_objects(there, **patterns))
    assert fetched == there[: 3 if allow_pickle else 2]


@pytest.mark.parametrize("name", ["embedded:nothing", "embedded:../models", "", "  ", "a b/c d"])
def test_names_that_are_nothing(name):
    with pytest.raises(RedvizError, match="There is no embedded|No model was named|neither a folder nor a Hub id"):
        resolve(name)


def test_embedded_models_resolve():
    for name in embedded_models():
        assert (resolve(name) / "config.json").exists()


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float64x"}, "Unknown dtype"),
        ({"read": "first"}, "read is 'first'"),
        ({"quantization": "3bit"}, "Unknown quantization"),
        ({"max_length": 513}, "reads 512 tokens, fewer than the 513"),
        ({"max_length": 1}, "at least 2"),
    ],
)
def test_options_that_make_no_sense(options, message):
    refused(tiny.checkpoint(), message, **options)


def test_max_length_cuts():
    model = load_reward_model(str(tiny.checkpoint()), device="cpu", max_length=12)
    assert model.max_length == 12
    assert len(model.encode(Example("Hi", "A superb film, " * 9)).ids) == 12


def test_beyond_the_trained_length_there_is_a_notice(folder):
    change_config(folder, redviz_trained_length=20)
    model = load_reward_model(str(folder), device="cpu")
    assert model.encode(Example("Hi", "superb")).notices == ()
    assert "trained on lengths up to 20" in model.encode(Example("Hi", "A superb film, " * 9)).notices[0]


def test_dtypes():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert pick_dtype("auto", cpu) is torch.float32
    assert pick_dtype("auto", cuda) == "auto"
    assert pick_dtype("bfloat16", cpu) is pick_dtype(torch.bfloat16, cuda) is torch.bfloat16


def test_a_half_precision_checkpoint_runs_in_float32_on_a_cpu(folder):
    change_weights(folder, **{k: v.half() for k, v in load_file(folder / "model.safetensors").items()})
    change_config(folder, dtype="float16")
    model = load_reward_model(str(folder), device="cpu")
    assert model.dtype == torch.float32 and model.source.dtype == "float32"
    assert load_reward_model(str(folder), device="cpu", torch_dtype="bfloat16").source.dtype == "bfloat16"


@pytest.mark.parametrize(
    ("cuda", "mps", "picked"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_takes_cuda_else_mps_else_the_cpu(cuda, mps, picked, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert pick_device("auto").type == picked


def test_devices_that_are_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RedvizError, match="offers none"):
        pick_device("cuda:0")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(RedvizError, match="MPS was asked for"):
        pick_device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("cuda:1").index == 1
    with pytest.raises(RedvizError, match=r"no cuda:2; this machine's last one is cuda:1\."):
        pick_device("cuda:2")
    with pytest.raises(RedvizError, match="no device 'toaster'"):
        pick_device("toaster")


# ---------------------------------------------------------------- what is loaded


def test_the_source_says_what_was_loaded(caplog):
    with caplog.at_level(logging.INFO, "redviz"):
        model = load_reward_model(str(tiny.checkpoint()), device="cpu")
    assert caplog.messages[-1].startswith("loaded ")
    assert (model.source.dtype, model.source.device) == ("float32", "cpu")
    assert model.source.fingerprint == fingerprint(tiny.checkpoint())
    assert set(model.source.versions) >= {"redviz", "torch", "transformers", "captum"}
    assert (model.source.head, model.source.read, model.source.heads) == ("", "model", ("LABEL_0",))
    two = load_reward_model(str(tiny.checkpoint(labels=2)), device="cpu", head="1-0", read="last").source
    assert (two.head, two.read, two.heads) == ("1-0", "last", ("LABEL_0", "LABEL_1"))
    assert not model.module.training and not any(p.requires_grad for p in model.module.parameters())


def test_the_fingerprint_follows_every_file_that_counts(folder):
    seen = {fingerprint(folder)}
    assert fingerprint(tiny.checkpoint()) in seen
    change_config(folder, redviz_trained_length=20)
    seen.add(fingerprint(folder))
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text() + " ")
    seen.add(fingerprint(folder))
    weights = load_file(folder / "model.safetensors")
    change_weights(folder, **{"score.weight": weights["score.weight"] * 2})
    seen.add(fingerprint(folder))
    assert len(seen) == 4
    (folder / "notes.txt").write_text("no part of the model")
    assert fingerprint(folder) in seen


def test_a_large_file_is_hashed_by_samples(folder, monkeypatch):
    from redviz.models.loading import files

    whole = fingerprint(folder)
    monkeypatch.setattr(files, "WHOLE", 1024)
    monkeypatch.setattr(files, "CHUNK", 64)
    sampled = fingerprint(folder)
    assert sampled != whole
    with (folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert fingerprint(folder) != sampled  # its size counts
