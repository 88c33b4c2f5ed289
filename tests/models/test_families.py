"""Each family from a checkpoint with its exact names: the score against a few lines written from the published code."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny_families import MADE, D, config_of, gate, gate_config, internlm2_names, last_hidden, linear, named, saved
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    Gemma2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)
from typer.testing import CliRunner

import redviz
from redviz.cli.main import app as cli
from redviz.data.sets.conversations import turn_of
from redviz.errors import RedvizError
from redviz.models.families.family import NOT_RUN
from redviz.models.families.table import ABOUT, FAMILIES
from redviz.models.loading.load import load_reward_model
from redviz.models.running.observe import observe
from redviz.records import Example

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
import make_family_table  # noqa: E402

PROMPT, RESPONSE = "Write a short review of the film.", "The lead is superb , moving and funny . But it drags."
EXAMPLE = Example(PROMPT, RESPONSE)


def agrees(folder, expected, tolerance=1e-5):
    """Score, prefixes by brute force and the model's own forward; the loaded model."""
    model = load_reward_model(str(folder), device="cpu")
    encoding = model.encode(EXAMPLE)
    (seen,) = observe(model, [encoding])
    assert seen.score == pytest.approx(float(expected.detach()), abs=tolerance)
    whole = [int(i) for i in encoding.ids]
    for side in ("right", "left"):
        own = model.own_scores([whole, whole[: encoding.start + 2]], side).tolist()
        assert own == pytest.approx([seen.score, seen.column_scores[encoding.start + 1]], abs=tolerance)
    brute = [float(model.own_scores([whole[:stop]])[0]) for stop in range(encoding.start, encoding.stop + 1)]
    np.testing.assert_allclose(seen.prefix_scores, brute, atol=tolerance)
    assert np.ptp(seen.prefix_scores) > 0.05  # not flat: the response is really read
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red", "red_closed", "abc", "ig", "occlusion"])
    assert set(analysis.credits) == {"red", "red_closed", "abc", "ig", "occlusion"} and not analysis.error
    assert analysis.credits["red"].residual == pytest.approx(0, abs=1e-4)
    return model


# ---------------------------------------------------------------- heads under other names


@pytest.mark.parametrize("prefix", ["value_head", "score", "reward_head"])
def test_openrlhf_with_and_without_its_mean(tmp_path, prefix):
    head = linear()
    changes = {"value_head_prefix": prefix, "normalize_reward": True, "mean": 0.7, "std": 2.5}
    trunk, tok = saved(tmp_path, config_of(Qwen2Config), "model.", named(prefix, head), tiny.CLOSED, changes=changes)
    text = tok.apply_chat_template(
        [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}], tokenize=False
    ).rstrip("\n")
    raw = head(last_hidden(trunk, tok, text))
    assert agrees(tmp_path, (raw - 0.7) / 2.5).source.family == "openrlhf"
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"normalize_reward": False}))
    agrees(tmp_path, raw)


@pytest.mark.parametrize(
    ("template", "around"), [(tiny.OPEN, "<|user|>{}<|assistant|>{} <|end|>"), (None, "{}{} <|end|>")]
)
def test_openrlhf_ends_every_text_in_eos(tmp_path, template, around):
    """RewardDataset: without line breaks at the end, a blank and EOS unless it ends in EOS, no special tokens added."""
    head = linear()
    changes = {
        "value_head_prefix": "score",
        "id2label": None,
    }  # as it is saved: nothing of labels, and two are the default
    trunk, tok = saved(tmp_path, config_of(Qwen2Config), "model.", named("score", head), template, changes=changes)
    expected = float(head(last_hidden(trunk, tok, around.format(PROMPT, RESPONSE))).detach())
    model = load_reward_model(str(tmp_path), device="cpu")
    for response in (RESPONSE, f"{RESPONSE}\n\n"):
        encoding = model.encode(Example(PROMPT, response))
        assert encoding.ids[encoding.read] == tok.eos_token_id and encoding.read == len(encoding.ids) - 1
        assert observe(model, [encoding])[0].score == pytest.approx(expected, abs=1e-5)
    if template is None:
        with pytest.raises(RedvizError, match="plain text has one turn before the response"):
            model.encode(Example([{"role": role, "content": "a"} for role in ("user", "assistant", "user")], "b"))
        text = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How?\n\nAssistant: Well."  # as HH-RLHF's files hold it
        prompt, response = turn_of(text, "chosen", ())
        assert model.encode(Example(prompt, response)).rendered == f"{text} <|end|>"


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_value_heads_linear_and_mlp(tmp_path, layers):
    """trl: ValueHead.summary; GRM: Linear, ReLU, ..., Linear with 16 neurons."""
    torch.manual_seed(5)
    widths = [D, *[16] * layers]
    parts = [part for a, b in zip(widths, widths[1:], strict=False) for part in (nn.Linear(a, b), nn.ReLU())]
    summary = nn.Sequential(*parts, nn.Linear(widths[-1], 1)) if layers else nn.Linear(D, 1)
    more = lambda tensors: {**tensors, "lm_head.weight": torch.zeros(400, D)}  # noqa: E731
    changes = {"vhead_layer_type": "mlp", "vhead_num_layers": layers} if layers else {}
    trunk, tok = saved(
        tmp_path, config_of(LlamaConfig), "model.", named("v_head.summary", summary), tiny.OPEN, more, changes
    )
    text = f"<|user|>{PROMPT}<|assistant|>{RESPONSE}"
    model = agrees(tmp_path, summary(last_hidden(trunk, tok, text)))
    assert model.source.family == ("grm" if layers else "trl_value_head")


def test_a_value_head_in_a_file_of_its_own(tmp_path):
    head = linear(bias=True)
    trunk, tok = saved(tmp_path, config_of(LlamaConfig), "model.", {}, tiny.OPEN)
    save_file(named("v_head.summary", head), tmp_path / "v_head.safetensors", {"format": "pt"})
    agrees(tmp_path, head(last_hidden(trunk, tok, f"<|user|>{PROMPT}<|assistant|>{RESPONSE}")))


def test_an_mlp_called_score(tmp_path):
    torch.manual_seed(5)
    score = nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, 1))
    trunk, tok = saved(tmp_path, config_of(LlamaConfig), "model.", named("score", score), tiny.OPEN)
    model = agrees(tmp_path, score(last_hidden(trunk, tok, f"<|user|>{PROMPT}<|assistant|>{RESPONSE}")))
    assert model.source.family == "mlp_score"


def test_ultra_rm_and_eurus_write_their_own_text(tmp_path):
    head = linear()
    trunk, tok = saved(tmp_path / "ultra", config_of(LlamaConfig), "model.", named("regression_head", head))
    text = f"<|user|>Human: {PROMPT}\n\nAssistant: {RESPONSE}"  # this tokenizer's BOS, then the card's template
    assert agrees(tmp_path / "ultra", head(last_hidden(trunk, tok, text))).source.family == "ultra_rm"
    trunk, tok = saved(tmp_path / "eurus", config_of(MistralConfig), "model.", named("regression_head", head))
    text = f"<|user|>[INST] {PROMPT} [/INST] {RESPONSE}<|end|>"
    assert agrees(tmp_path / "eurus", head(last_hidden(trunk, tok, text))).source.family == "eurus"


def test_open_assistant(tmp_path):
    head = linear(bias=True)
    changes = {"model_type": "gpt_neox_reward_model", "pooling": "last", "architectures": ["GPTNeoXRewardModel"]}
    trunk, tok = saved(tmp_path, config_of(GPTNeoXConfig), "gpt_neox.", named("out_proj", head), changes=changes)
    text = f"<|prompter|>{PROMPT}<|endoftext|><|assistant|>{RESPONSE}<|endoftext|>"
    assert agrees(tmp_path, head(last_hidden(trunk, tok, text))).source.family == "open_assistant"
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"pooling": "max"}))
    with pytest.raises(RedvizError, match="max of all tokens"):
        load_reward_model(str(tmp_path), device="cpu")


@pytest.mark.parametrize("size", ["7B", "34B"])
def test_starling(tmp_path, size):
    head = linear()
    template = None if size == "7B" else tiny.CLOSED
    trunk, tok = saved(tmp_path, config_of(LlamaConfig), "transformer.", named("v_head", head), template)
    text = f"<|user|>[INST] {PROMPT} </s> [/INST] {RESPONSE}</s>" if size == "7B" else tok.apply_chat_template(
        [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}], tokenize=False
    )  # fmt: skip
    assert agrees(tmp_path, head(last_hidden(trunk, tok, text))).source.family == "starling"


@pytest.mark.parametrize(
    ("kind", "normalised"), [("reward", False), ("reward", True), ("cost", True), ("critic", True)]
)
def test_beaver_and_its_cost_which_is_lower_better(tmp_path, kind, normalised):
    head = linear(bias=True)
    changes = {
        "score_type": kind,
        "do_normalize": normalised,
        "mean": [0.4],
        "var": [4.0],
        "architectures": ["LlamaForScore"],
    }
    normalizer = {
        "normalizer.mean": torch.tensor([0.4]),
        "normalizer.count": torch.tensor([8]),
    }  # its buffers, as in config.json
    tensors = {**named("score_head", head), **normalizer}
    trunk, tok = saved(tmp_path, config_of(LlamaConfig), "model.", tensors, changes=changes)
    text = f"<|user|>BEGINNING OF CONVERSATION: USER: {PROMPT} ASSISTANT:{RESPONSE}<|end|>"
    raw = head(last_hidden(trunk, tok, text))
    expected = {
        ("reward", False): raw, ("reward", True): (raw - 0.4) / 2, ("cost", True): -raw / 2, ("critic", True): raw
    }[kind, normalised]  # fmt: skip
    model = agrees(tmp_path, expected)
    assert model.source.heads == (kind,) and model.source.family == "beaver"


# ---------------------------------------------------------------- another trunk


def test_internlm2_reads_at_its_reward_token(tmp_path):
    head = linear()
    config = config_of(LlamaConfig)
    tok = tiny.tokenizer("none")
    tok.add_special_tokens({"additional_special_tokens": ["<|reward|>", "<|prompter|>"]})
    token = tok.convert_tokens_to_ids("<|reward|>")
    changes = {"model_type": "internlm2", "reward_token_id": token, "architectures": ["InternLM2ForRewardModel"]}
    trunk, tok = saved(tmp_path, config, "model.", named("v_head", head), tiny.CLOSED, internlm2_names, changes)
    text = tok.apply_chat_template(
        [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}], tokenize=False
    )
    model = agrees(tmp_path, head(last_hidden(trunk, tok, text + "<|reward|>")))
    encoding = model.encode(EXAMPLE)
    assert encoding.ids[-1] == token and encoding.read == len(encoding.ids) - 1
    assert any("red_closed" in notice for notice in encoding.notices)
    closed = redviz.analyze(model, PROMPT, RESPONSE, ["red_closed"]).credits["red_closed"]
    ids = [int(i) for i in encoding.ids]
    shorter = model.own_scores([ids[: encoding.start + 3] + ids[encoding.stop :]])
    whole = model.own_scores([ids])
    assert closed.values[3:].sum() == pytest.approx(float(whole - shorter), abs=1e-5)


# ---------------------------------------------------------------- what is said


def test_every_family_says_what_it_follows_and_that_it_was_not_run():
    assert set(MADE) == set(FAMILIES)
    for name, family in ABOUT.items():
        assert "/" in family.source and family.about.endswith(".") and ":" in family.text
        assert (family.verified == NOT_RUN) == (name != "dpo")  # that one was run, on models that ship
    page = make_family_table.PAGE.read_text(encoding="utf-8")
    assert page == make_family_table.page_with(make_family_table.family_table(), page), "run tools/make_family_table.py"


@pytest.mark.parametrize("name", FAMILIES)
def test_the_card_of_every_family_says_so_and_nothing_is_red(name, tmp_path):
    MADE[name](tmp_path)
    done = CliRunner().invoke(
        cli, ["doctor", "--model", str(tmp_path), "--device", "cpu", "--json", str(tmp_path / "card.json")]
    )
    written = json.loads((tmp_path / "card.json").read_text())
    rows = {check["name"]: check for check in written["checks"]}
    assert [name for name, row in rows.items() if row["verdict"] == "red"] == [] and done.exit_code == 0
    assert rows["family"]["verdict"] == "amber" and NOT_RUN in rows["family"]["figure"]
    assert NOT_RUN in " ".join(done.output.split()) and rows["prefix_consistency"]["verdict"] == "green"


def test_a_missing_weight_of_the_trunk_is_refused(tmp_path):
    drop = lambda tensors: {k: v for k, v in tensors.items() if "layers.1.mlp.up_proj" not in k}  # noqa: E731
    saved(tmp_path, config_of(LlamaConfig), "transformer.", named("v_head", linear()), tiny.OPEN, drop)
    with pytest.raises(RedvizError, match="lacks 1 weights .layers.1.mlp.up_proj.weight.*noise"):
        load_reward_model(str(tmp_path), device="cpu")


@pytest.mark.parametrize(("name", "prefix"), [("ultra_rm", "model."), ("starling", "transformer."), ("armo", "model.")])
def test_a_tensor_that_neither_trunk_nor_head_takes_is_refused(tmp_path, name, prefix):
    MADE[name](tmp_path)
    file = tmp_path / "model.safetensors"
    held = load_file(file)
    beside = {"lm_head.weight": torch.zeros(4), **({"model.norm.weight": torch.ones(D)} if name == "starling" else {})}
    save_file({**held, **beside}, file, {"format": "pt"})
    load_reward_model(str(tmp_path), device="cpu", head=0 if name == "armo" else None)  # whose gate is then not asked
    unused = {f"{prefix}layers.0.self_attn.q_proj.bias": torch.ones(D), "extra.bias": torch.ones(1)}
    save_file({**held, **beside, **unused}, file, {"format": "pt"})
    with pytest.raises(
        RedvizError, match=r"holds 2 weights that the model .* does not take \(extra.bias, .*q_proj.bias"
    ):
        load_reward_model(str(tmp_path), device="cpu")


def test_a_head_of_another_width_is_refused(tmp_path):
    saved(tmp_path, config_of(LlamaConfig), "model.", {"regression_head.weight": torch.zeros(1, 16)}, tiny.OPEN)
    with pytest.raises(RedvizError, match="head for hidden states of width 16 and a trunk of width 48"):
        load_reward_model(str(tmp_path), device="cpu")


# ---------------------------------------------------------------- LoRA


@pytest.fixture
def lora(tmp_path, needed):
    """A real adapter of a language model, made by PEFT with a head of its own; and the score of PEFT's own model."""
    peft = needed("peft")
    base = tmp_path / "base"
    trunk, tok = saved(base, config_of(LlamaConfig), "model.", {}, tiny.CLOSED)
    torch.manual_seed(2)
    module = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1)

    def made(folder, modules_to_save=("score",)):
        modules_to_save = modules_to_save and list(modules_to_save)
        options = peft.LoraConfig(
            task_type="SEQ_CLS" if modules_to_save else None,
            r=4,
            target_modules=["q_proj", "v_proj"],
            modules_to_save=modules_to_save,
        )
        whole = peft.get_peft_model(module, options).eval()
        for name, parameter in whole.named_parameters():
            if "lora_" in name or "score" in name:
                nn.init.normal_(parameter, 0, 0.3)
        whole.save_pretrained(folder)
        return whole

    return made, base, tok


@pytest.mark.slow  # a fresh process with all of torch
def test_bitsandbytes_comes_with_a_lora_alone_and_its_notes_are_not_shown(lora, tmp_path, needed):
    needed("bitsandbytes")
    lora[0](tmp_path / "adapter")
    code = f"""if True:
        import logging, sys
        levels = []
        def heard(event, given):
            if event == "import" and given[0] == "bitsandbytes":
                levels.append(logging.getLogger("bitsandbytes.backends.cpu.ops").getEffectiveLevel())
        sys.addaudithook(heard)
        import redviz
        redviz.load_reward_model("embedded:sentiment", device="cpu")
        redviz.load_reward_model({str(tiny.checkpoint("Llama", "ends"))!r}, device_map={{"": "cpu"}})
        redviz.load_policy("embedded:writer", device="cpu")
        assert not levels and "bitsandbytes" not in sys.modules
        redviz.load_reward_model({str(tmp_path / "adapter")!r}, device="cpu")
        assert min(levels) >= logging.ERROR
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_lora_with_its_head_is_merged_into_its_base(lora, tmp_path):
    made, base, tok = lora
    whole = made(tmp_path / "adapter")
    text = tok.apply_chat_template(
        [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}], tokenize=False
    )
    ids = torch.tensor([tok(text, add_special_tokens=False)["input_ids"]])
    model = agrees(tmp_path / "adapter", whole(ids).logits[0, 0])
    other = load_reward_model(str(tmp_path / "adapter"), device="cpu").source
    (base / "config.json").write_text((base / "config.json").read_text().replace("512", "480"))
    assert (
        load_reward_model(str(tmp_path / "adapter"), device="cpu").source.fingerprint
        != other.fingerprint
        == model.source.fingerprint
    )


def test_a_lora_without_a_head_or_a_base_is_refused(lora, tmp_path):
    made, base, tok = lora
    made(tmp_path / "headless", modules_to_save=None)
    with pytest.raises(RedvizError, match="modules_to_save"):
        load_reward_model(str(tmp_path / "headless"), device="cpu")
    with pytest.raises(RedvizError, match="a logit is read from a whole language model; merge it"):
        load_reward_model(str(tmp_path / "headless"), device="cpu", head="logit:0")
    config = json.loads((tmp_path / "headless" / "adapter_config.json").read_text())
    (tmp_path / "headless" / "adapter_config.json").write_text(json.dumps({**config, "task_type": "TOKEN_CLS"}))
    with pytest.raises(RedvizError, match="is an adapter of a classifier of tokens, which is read whole; merge it"):
        load_reward_model(str(tmp_path / "headless"), device="cpu", head="0")
    (tmp_path / "headless" / "adapter_config.json").write_text(json.dumps(config))
    base.rename(tmp_path / "elsewhere")
    with pytest.raises(RedvizError, match="its base is missing: .* is no folder on this machine"):
        load_reward_model(str(tmp_path / "headless"), device="cpu")


# ---------------------------------------------------------------- logits of a language model


@pytest.mark.parametrize(("kind", "tied"), [(LlamaConfig, False), (Qwen2Config, True), (Gemma2Config, True)])
def test_a_logit_at_the_next_generation_prompt(tmp_path, kind, tied):
    more = {"head_dim": 12, "query_pre_attn_scalar": 12, "final_logit_softcapping": 3.0} if kind is Gemma2Config else {}
    torch.manual_seed(4)
    module = AutoModelForCausalLM.from_config(config_of(kind, tie_word_embeddings=tied, **more)).eval()
    tiny.draw_weights(module)
    module.save_pretrained(tmp_path)
    tok = tiny.tokenizer("closed")
    tok.save_pretrained(tmp_path)
    talk = [{"role": "user", "content": PROMPT}, {"role": "assistant", "content": RESPONSE}]
    ids = tok.apply_chat_template(talk, tokenize=True, add_generation_prompt=True, return_dict=True)["input_ids"]
    with torch.no_grad():
        logits = module(torch.tensor([ids])).logits[0, -1]
    plus, minus = (tok(text, add_special_tokens=False)["input_ids"] for text in "+-")
    assert len(plus) == len(minus) == 1
    for head, expected in (("logit:0", logits[0]), ("logit:+|-", logits[plus[0]] - logits[minus[0]])):
        model = load_reward_model(str(tmp_path), head=head, device="cpu")
        (seen,) = observe(model, [model.encode(EXAMPLE)])
        assert seen.score == pytest.approx(float(expected), abs=1e-5)
        assert model.source.family == "logit" and model.own_scores([ids]).item() == pytest.approx(seen.score, abs=1e-5)
    with pytest.raises(RedvizError, match="is 2 tokens|is 3 tokens|is 4 tokens"):
        load_reward_model(str(tmp_path), head="logit:zq x", device="cpu")
    with pytest.raises(RedvizError, match="no token 99999"):
        load_reward_model(str(tmp_path), head="logit:99999", device="cpu")


# ---------------------------------------------------------------- several objectives


@pytest.fixture
def armo(tmp_path):
    """Four objectives and a gate of three layers, with ArmoRM's names; and their score in the published code's few lines."""
    head, layers, regression, matrix = gate()
    trunk, tok = saved(tmp_path, config_of(LlamaConfig), "model.", head, tiny.ENDS, changes=gate_config())
    pattern = gate_config()["gating_header"]

    @torch.no_grad()
    def score(prompt, response):
        talk = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        ids = tok.apply_chat_template(talk, tokenize=True, return_dict=True)["input_ids"]
        states = trunk(input_ids=torch.tensor([ids])).last_hidden_state[0]
        at = max(j for j in range(len(ids) - 1) if ids[j : j + 2] == pattern)
        x = states[at]
        for layer in layers[:-1]:
            x = torch.relu(layer(x))
        weights = torch.softmax(layers[-1](x) / 2, -1) * 1.5
        objectives = regression(states[-1]) @ matrix
        return float((weights * objectives).sum()), objectives.numpy()

    return tmp_path, score


def test_the_gate_weighs_objectives_by_the_prompt_alone(armo):
    folder, score = armo
    model = load_reward_model(str(folder), device="cpu")
    assert model.source.family == "armo" and len(model.source.heads) == 4
    pairs = [(PROMPT, RESPONSE), ("And the music ?", "Glorious .")]
    seen = observe(model, [model.encode(Example(*pair)) for pair in pairs])  # one batch, two prompts
    for one, pair in zip(seen, pairs, strict=True):
        gated, objectives = score(*pair)
        assert one.score == pytest.approx(gated, abs=1e-5)
        np.testing.assert_allclose(one.label_scores[one.encoding.read], objectives, atol=1e-5)
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red", "red_closed", "ig", "occlusion", "truncation"])
    whole = score(PROMPT, RESPONSE)[0]
    assert analysis.score == pytest.approx(whole, abs=1e-5)
    cut = RESPONSE[: analysis.offsets[3][1]]
    closed = analysis.credits["truncation"]
    assert closed.values[4:].sum() == pytest.approx(whole - score(PROMPT, cut)[0], abs=1e-4)
    assert analysis.credits["red_closed"].values[4:].sum() == pytest.approx(whole - score(PROMPT, cut)[0], abs=1e-4)
    assert abs(analysis.credits["ig"].residual) < 0.2 * abs(whole) + 0.2
    found = redviz.compare(model, PROMPT, [RESPONSE, cut])
    assert found.margin(0, 1) == pytest.approx(whole - score(PROMPT, cut)[0], abs=1e-4)
    [edited] = redviz.what_if(model, analysis, cut)
    assert edited.after.score == pytest.approx(score(PROMPT, cut)[0], abs=1e-5)
    with pytest.raises(RedvizError, match="weighs its objectives by the prompt"):
        model.scores(torch.zeros(1, D))


def test_objectives_side_by_side_sum_to_what_each_gains(armo):
    folder, score = armo
    model = load_reward_model(str(folder), device="cpu")
    asked = {f"objective {k}": {"method": "red", "objective": k} for k in range(4)}
    analysis = redviz.analyze(model, PROMPT, RESPONSE, {"red": {}, **asked})
    objectives = score(PROMPT, RESPONSE)[1]
    assert list(analysis.head_scores) == list(model.source.heads)
    for k, curve in enumerate(analysis.head_scores.values()):
        credit = analysis.credits[f"objective {k}"]
        assert credit.total == pytest.approx(objectives[k], abs=1e-5)
        assert credit.values.sum() == pytest.approx(objectives[k] - curve[0], abs=1e-4)
    alone = load_reward_model(str(folder), head=model.source.heads[2], device="cpu")
    np.testing.assert_allclose(
        redviz.analyze(alone, PROMPT, RESPONSE, ["red"]).credits["red"].values,
        analysis.credits["objective 2"].values,
        atol=1e-5,
    )
    with pytest.raises(RedvizError, match="no objective 4: this model has 4 objectives"):
        redviz.analyze(model, PROMPT, RESPONSE, {"red": {"objective": 4}})
    with pytest.raises(RedvizError, match="one score and no objectives"):
        redviz.analyze(tiny.model(), PROMPT, RESPONSE, {"red": {"objective": 0}})


def test_a_prompt_without_the_header_is_refused(armo):
    folder, _ = armo
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"gating_header": [77, 78]}))
    model = load_reward_model(str(folder), device="cpu")
    with pytest.raises(RedvizError, match="gate reads the header"):
        redviz.analyze(model, PROMPT, RESPONSE, ["red"])
