"""Tiny random causal language models, saved to disk, with the tokenizer and the sizes of :mod:`tiny`."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
import transformers
from safetensors.torch import load_file, save_file

from redviz.models.kinds.policy import Policy, load_policy
from redviz.records import Array

CLASSES = {"GPT2": "GPT2LMHeadModel"}
_FOLDER = Path(tempfile.mkdtemp(prefix="redviz-tiny-lm-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


def save(folder: Path, architecture: str = "Llama", template: str = "ends", seed: int = 1, **options: Any) -> Path:
    """A random language model whose log-probabilities spread by about one unit."""
    tok = tiny.tokenizer(template)
    torch.manual_seed(seed)
    kind = CLASSES.get(architecture, f"{architecture}ForCausalLM")
    module = getattr(transformers, kind)(tiny.config(architecture, tok, **options)).eval()
    tiny.draw_weights(module)
    module.save_pretrained(folder)
    tok.save_pretrained(folder)
    return folder


@cache
def checkpoint(architecture: str = "Llama", template: str = "ends", **options: Any) -> Path:
    """A saved model, made once per session. Read it, do not write into it: copy it first."""
    return save(Path(tempfile.mkdtemp(dir=_FOLDER)), architecture, template, **options)


@cache
def policy(architecture: str = "Llama", template: str = "ends", **options: Any) -> Policy:
    """The same model loaded on the CPU, once per session. Do not change it."""
    return load_policy(str(checkpoint(architecture, template, **options)), device="cpu")


def change_weights(folder: Path, drop: tuple[str, ...] = (), **add: torch.Tensor) -> None:
    weights = load_file(folder / "model.safetensors")
    save_file({k: v for k, v in weights.items() if k not in drop} | add, folder / "model.safetensors", {"format": "pt"})


def own_log_softmax(folder: Path, ids: Array) -> Array:
    """What Transformers' own class gives for these ids, untouched by redviz: ``[L, V]`` float64."""
    module = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    with torch.inference_mode():
        found = module.eval()(torch.as_tensor(np.asarray(ids))[None]).logits[0]
    rows: Array = found.double().log_softmax(-1).numpy()
    return rows
