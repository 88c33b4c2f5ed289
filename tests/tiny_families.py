"""Tiny random checkpoints of every family, saved under the exact names that their authors use."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tiny
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, GPTNeoXConfig, LlamaConfig, MistralConfig, Qwen2Config

D = 48
SIZES = dict(
    hidden_size=D, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=512
)


def saved(folder, config, trunk_prefix, head, template=None, more=None, changes=None):
    """A random trunk and a head under a family's own names, saved as its authors save them; the trunk is returned."""
    torch.manual_seed(3)
    trunk = AutoModel.from_config(config).eval()
    tiny.draw_weights(trunk)
    tensors = {f"{trunk_prefix}{name}": tensor.clone() for name, tensor in trunk.state_dict().items()}
    folder.mkdir(exist_ok=True)
    save_file({**(more(tensors) if more else tensors), **head}, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({**config.to_dict(), **(changes or {})}))
    tok = tiny.tokenizer("none")
    tok.add_special_tokens({"additional_special_tokens": ["<|reward|>", "<|prompter|>"]})
    tok.bos_token = "<|user|>"
    tok.chat_template = template
    tok.save_pretrained(folder)
    return trunk, tok


def config_of(kind, **options):
    tok = tiny.tokenizer("none")
    groups = {} if kind is GPTNeoXConfig else {"num_key_value_heads": 2}
    return kind(vocab_size=len(tok) + 8, pad_token_id=0, bos_token_id=2, eos_token_id=1, **SIZES, **groups, **options)


@torch.no_grad()
def last_hidden(trunk, tok, text, add_special_tokens=False):
    ids = torch.tensor([tok(text, add_special_tokens=add_special_tokens)["input_ids"]])
    return trunk(input_ids=ids).last_hidden_state[0, -1]


def linear(out=1, bias=False):
    torch.manual_seed(9)
    made = nn.Linear(D, out, bias=bias)
    with torch.no_grad():
        made.weight.normal_(0, 0.3)
    return made


def named(prefix, module):
    return {f"{prefix}.{name}": tensor.clone() for name, tensor in module.state_dict().items()}


def internlm2_names(tensors):
    """Llama's tensors as InternLM2 stores them: q, k and v of each group interleaved in one matrix."""
    found = {}
    d, groups, each = D // 4, 2, 2
    for name, tensor in tensors.items():
        own = name.replace("embed_tokens", "tok_embeddings").replace("self_attn.o_proj", "attention.wo")
        own = own.replace("mlp.gate_proj", "feed_forward.w1").replace("mlp.up_proj", "feed_forward.w3")
        own = own.replace("mlp.down_proj", "feed_forward.w2").replace("input_layernorm", "attention_norm")
        own = own.replace("post_attention_layernorm", "ffn_norm")
        if "self_attn" not in own:
            found[own] = tensor
    for layer in range(2):
        q, k, v = (tensors[f"model.layers.{layer}.self_attn.{part}_proj.weight"] for part in "qkv")
        rows = []
        for group in range(groups):
            first = group * each * d
            rows += [q[first : first + each * d], k[group * d : (group + 1) * d], v[group * d : (group + 1) * d]]
        found[f"model.layers.{layer}.attention.wqkv.weight"] = torch.cat(rows)
    return found


def _reward_token() -> int:
    tok = tiny.tokenizer("none")
    tok.add_special_tokens({"additional_special_tokens": ["<|reward|>", "<|prompter|>"]})
    return int(tok.convert_tokens_to_ids("<|reward|>"))


def gate(count: int = 4, width: int = 16) -> tuple[dict[str, torch.Tensor], list[nn.Module], nn.Module, torch.Tensor]:
    """ArmoRM's tensors by name, and what they were made of: the gate's layers, the objectives and the matrix."""
    torch.manual_seed(6)
    layers = [nn.Linear(D, width), nn.Linear(width, width), nn.Linear(width, count)]
    regression, matrix = linear(count), torch.eye(count) + 0.2 * torch.randn(count, count)
    tensors = {"regression_layer.weight": regression.weight.clone(), "reward_transform_matrix": matrix}
    tensors["gating.logit_scale"] = torch.tensor([1.5])
    for place, layer in enumerate(layers):
        tensors |= named(f"gating.layers.{place}", layer)
    return tensors, layers, regression, matrix


def gate_config(count: int = 4) -> dict[str, Any]:
    tok = tiny.tokenizer("closed")
    header = [tok.convert_tokens_to_ids(text) for text in ("<|end|>", "<|assistant|>")]
    return {"num_objectives": count, "gating_temperature": 2, "gating_header": header, "id2label": {"0": "LABEL_0"}}


def quantiles(
    count: int = 5, each: int = 3, gemma: bool = False
) -> tuple[dict[str, torch.Tensor], nn.Sequential, nn.Module, torch.Tensor]:
    """QRM's tensors by name, and what they were made of: the gate as torch's own layers, the regression and the matrix."""
    torch.manual_seed(6)
    parts: list[nn.Module] = []
    for depth in range(3):
        parts += [nn.Linear(16 if depth else D, 16, bias=False), nn.ReLU(), nn.BatchNorm1d(16)]
        if gemma and depth < 2:
            parts.append(nn.Dropout(0.2))  # which moves the places of the layers behind it
    layers = nn.Sequential(*parts, nn.Linear(16, count)).eval()
    with torch.no_grad():
        for part in layers:
            if isinstance(part, nn.BatchNorm1d):
                part.running_mean.normal_(0, 0.5)
                part.running_var.uniform_(0.3, 2.0)
                part.weight.normal_(1, 0.3)
                part.bias.normal_(0, 0.3)
    regression = linear(count * each)
    matrix = torch.eye(count) if gemma else torch.eye(count) + 0.2 * torch.randn(count, count)
    tensors = {"regression_layer.weight": regression.weight.clone(), "gating.logit_scale": torch.tensor([1.5])}
    if not gemma:
        tensors["reward_transform_matrix"] = matrix
    return tensors | named("gating.layers", layers), layers, regression, matrix


def attributes(count: int = 5) -> tuple[dict[str, torch.Tensor], nn.Module, nn.Sequential]:
    """URM's tensors by name, and what they were made of: means and spreads, and the layers of the weights."""
    torch.manual_seed(6)
    layers = nn.Sequential(nn.Linear(D, D), nn.SELU(), nn.Linear(D, D), nn.SELU(), nn.Linear(D, count)).eval()
    score = linear(2 * count)
    return named("score", score) | named("weights.fc", layers), score, layers


def attributes_config(count: int = 5) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForSequenceClassificationWithNormal_Weights"],
        "id2label": {str(i): f"LABEL_{i}" for i in range(2 * count)},
    }


def _mlp() -> nn.Sequential:
    torch.manual_seed(5)
    return nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, 1))


# Each as few words as its test in test_families.py needs; the folder is written anew.
MADE: dict[str, Callable[[Path], Any]] = {
    "openrlhf": lambda folder: saved(
        folder, config_of(Qwen2Config), "model.", named("value_head", linear()), tiny.CLOSED,
        changes={"value_head_prefix": "value_head", "normalize_reward": True, "mean": 0.7, "std": 2.5},
    ),
    "trl_value_head": lambda folder: saved(
        folder, config_of(LlamaConfig), "model.", named("v_head.summary", linear(bias=True)), tiny.OPEN
    ),
    "grm": lambda folder: saved(
        folder, config_of(LlamaConfig), "model.", named("v_head.summary", _mlp()), tiny.OPEN, changes={"vhead_layer_type": "mlp"}
    ),
    "open_assistant": lambda folder: saved(
        folder, config_of(GPTNeoXConfig), "gpt_neox.", named("out_proj", linear(bias=True)),
        changes={"model_type": "gpt_neox_reward_model", "pooling": "last"},
    ),
    "internlm2": lambda folder: saved(
        folder, config_of(LlamaConfig), "model.", named("v_head", linear()), tiny.CLOSED, internlm2_names,
        {"model_type": "internlm2", "reward_token_id": _reward_token()},
    ),
    "ultra_rm": lambda folder: saved(folder, config_of(LlamaConfig), "model.", named("regression_head", linear())),
    "eurus": lambda folder: saved(folder, config_of(MistralConfig), "model.", named("regression_head", linear())),
    "starling": lambda folder: saved(folder, config_of(LlamaConfig), "transformer.", named("v_head", linear())),
    "beaver": lambda folder: saved(
        folder, config_of(LlamaConfig), "model.", named("score_head", linear(bias=True)),
        changes={"score_type": "cost", "do_normalize": True, "mean": [0.4], "var": [4.0]},
    ),
    "mlp_score": lambda folder: saved(folder, config_of(LlamaConfig), "model.", named("score", _mlp()), tiny.OPEN),
    "armo": lambda folder: saved(folder, config_of(LlamaConfig), "model.", gate()[0], tiny.ENDS, changes=gate_config()),
    "qrm": lambda folder: saved(
        folder, config_of(LlamaConfig), "model.", quantiles()[0], tiny.ENDS, changes={**gate_config(5), "num_quantiles": 3}
    ),
    "urm": lambda folder: saved(
        folder, config_of(LlamaConfig), "model.", attributes()[0], tiny.CLOSED, changes=attributes_config()
    ),
}  # fmt: skip
