"""Tiny random process reward models, saved under the exact names of the published ones."""

from __future__ import annotations

import json

import tiny
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, Qwen2Config, Qwen2ForCausalLM, Qwen2ForTokenClassification

D = 48
SYSTEM = (
    "{% if messages[0]['role'] != 'system' %}<|system|>Please reason step by step.<|end|>\n{% endif %}" + tiny.CLOSED
)  # as Qwen2.5-Math's template: a system turn of its own where none is given


def tokenizer(template=None):
    tok = tiny.tokenizer("none")
    tok.add_special_tokens({"additional_special_tokens": ["<extra_0>"]})
    tok.chat_template = template
    return tok


def config(tok, **options):
    return Qwen2Config(
        vocab_size=len(tok), hidden_size=D, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=512, pad_token_id=0, bos_token_id=2, eos_token_id=1, **options,
    )  # fmt: skip


def shaken(module, spread=0.3):
    torch.manual_seed(4)
    tiny.draw_weights(module, spread)
    return module.eval()


def qwen(folder):
    """Qwen2ForProcessRewardModel: ``model.*`` and ``score.0``, ``score.2``; the parts are returned."""
    tok = tokenizer(SYSTEM)
    own = config(tok)
    trunk = shaken(AutoModel.from_config(own))
    score = shaken(nn.Sequential(nn.Linear(D, D), nn.ReLU(), nn.Linear(D, 2)), 0.12)
    tensors = {f"model.{name}": t.clone() for name, t in trunk.state_dict().items()}
    tensors |= {f"score.{name}": t.clone() for name, t in score.state_dict().items()}
    folder.mkdir(exist_ok=True)
    save_file({**tensors, "lm_head.weight": torch.zeros(len(tok), D)}, folder / "model.safetensors", {"format": "pt"})
    said = {"architectures": ["Qwen2ForProcessRewardModel"], "auto_map": {"AutoModel": "modeling_qwen2_rm.Qwen2RM"}}
    (folder / "config.json").write_text(json.dumps(own.to_dict() | said))
    tok.save_pretrained(folder)
    return trunk, score, tok


def token_classifier(folder, bos=True, **options):
    """What TRL's PRMTrainer saves."""
    tok = tokenizer()
    if bos:
        tok.bos_token = "<|user|>"
    module = shaken(Qwen2ForTokenClassification(config(tok, num_labels=2, **options)))
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return module, tok


def language_model(folder, template=None):
    tok = tokenizer(template)
    module = shaken(Qwen2ForCausalLM(config(tok, tie_word_embeddings=False)))
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return module, tok
