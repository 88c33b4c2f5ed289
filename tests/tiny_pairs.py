"""A tiny random PairRM: a DeBERTa-v2 under the tensor names and with the marks that its authors use, and its margin in a few lines."""

from __future__ import annotations

import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import tiny
import tiny_both_ways
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoTokenizer, DebertaV2Config, DebertaV2Model

D = 48
MARKS = ("<|source|>", "<|candidate1|>", "<|candidate2|>")


def head(tasks: int) -> nn.Sequential:
    torch.manual_seed(5)
    made = nn.Sequential(nn.Dropout(0.05), nn.Linear(2 * D, D), nn.Tanh(), nn.Dropout(0.05), nn.Linear(D, tasks))
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(0, 0.3)
    return made.eval()


def save(folder: Path, tasks: int = 1, **changes: Any) -> Path:
    """The checkpoint folder; ``changes`` go into its config.json."""
    folder.mkdir(exist_ok=True)
    tok = tiny_both_ways.tokenizer()
    tok.add_special_tokens({"additional_special_tokens": ["<|candidate|>", *MARKS]})
    sizes = dict(hidden_size=D, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, pooler_hidden_size=D)
    sizes |= {"max_position_embeddings": 64, "vocab_size": len(tok), "pad_token_id": 0}
    torch.manual_seed(3)
    trunk = DebertaV2Model(DebertaV2Config(**sizes, **tiny_both_ways.DEBERTA)).eval()
    tiny.draw_weights(trunk)
    tensors = {f"pretrained_model.{name}": tensor.clone() for name, tensor in trunk.state_dict().items()}
    tensors |= {f"head_layer.{name}": tensor.clone() for name, tensor in head(tasks).state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    own = {"architectures": ["DebertaV2PairRM"], "n_tasks": tasks, "drop_out": 0.05, "sep_token_id": tok.sep_token_id}
    own |= {
        "source_prefix_id": tok.convert_tokens_to_ids(MARKS[0]),
        "cand_prefix_id": tok.convert_tokens_to_ids("<|candidate|>"),
    }
    own |= {f"cand{i}_prefix_id": tok.convert_tokens_to_ids(MARKS[i]) for i in (1, 2)}
    (folder / "config.json").write_text(json.dumps({**trunk.config.to_dict(), **own, **changes}))
    tok.save_pretrained(folder)
    return folder


@cache
def checkpoint(tasks: int = 1) -> Path:
    """A saved model, made once per session. Read it, do not write into it."""
    return save(Path(tempfile.mkdtemp(dir=tiny._FOLDER)), tasks)


@torch.no_grad()
def margin(folder: Path, source: str, one: str, two: str, limits: tuple[int, int] = (1224, 412)) -> float:
    """What the published class and the card's tokenization give for one order, unpadded."""
    tok, tensors = AutoTokenizer.from_pretrained(folder), load_file(folder / "model.safetensors")
    trunk = DebertaV2Model(DebertaV2Config.from_pretrained(folder)).eval()
    trunk.load_state_dict({k.removeprefix("pretrained_model."): v for k, v in tensors.items() if k[0] == "p"})
    layers = head(len(tensors["head_layer.4.bias"]))
    layers.load_state_dict({k.removeprefix("head_layer."): v for k, v in tensors.items() if k[0] == "h"})
    first = tok.encode(MARKS[0] + source, max_length=limits[0], truncation=True)
    room = (limits[0] + 2 * limits[1] - len(first)) // 2
    ids = first + [
        i
        for m, t in zip(MARKS[1:], (one, two), strict=True)
        for i in tok.encode(m + t, max_length=room, truncation=True)
    ]
    hidden = trunk(torch.tensor([ids])).last_hidden_state[0]
    at = [hidden[ids.index(tok.convert_tokens_to_ids(mark))] for mark in MARKS]
    left, right = (layers(torch.cat([at[0], at[i]])) for i in (1, 2))
    return float((left - right).mean())
