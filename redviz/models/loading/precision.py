"""In which numbers a model is loaded: a dtype of torch, or fewer bits where bitsandbytes is installed."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from redviz.errors import RedvizError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
QUANTISED = ("8bit", "4bit")
WHOLE = r"(.*\.)?(score|classifier|pooler|lm_head|embed_out)"  # names of heads, which keep all their bits
MIXED = (
    0.3  # of the spread of hidden states: what other tokens move in 8 bits, where they share outlier columns (LLM.int8)
)
EIGHT_BITS = "In 8 bits tokens share outlier columns; load it with --dtype 4bit, or bfloat16 where memory allows."


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype | str:
    """The dtype to load in: "auto" is float32 on a CPU, else the checkpoint's own."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.float32 if device.type != "cuda" else "auto"
    if dtype not in DTYPES:
        raise RedvizError(f"Unknown dtype {dtype!r}; use auto, {', '.join(DTYPES)}, {' or '.join(QUANTISED)}.")
    return DTYPES[dtype]


def quantised(kind: str, device: torch.device) -> dict[str, Any]:
    """What ``from_pretrained`` is given to load linear layers in 8 or 4 bits, on one device.

    Raises
    ------
    RedvizError
        Where the kind is another one, or bitsandbytes is missing.
    """
    if kind not in QUANTISED:
        raise RedvizError(f"Unknown quantization {kind!r}; use {' or '.join(QUANTISED)}.")
    _check_installed(f"Loading in {kind}", "choose another --dtype")
    from transformers import BitsAndBytesConfig

    warnings.filterwarnings("ignore", message="MatMul8bitLt")
    bits = BitsAndBytesConfig(load_in_8bit=kind == "8bit", load_in_4bit=kind == "4bit", llm_int8_skip_modules=[WHOLE])
    return {"quantization_config": bits, "device_map": {"": device}}


def saved_in(config: Mapping[str, Any]) -> str:
    """In how few bits a checkpoint was saved, such as "4bit" or "gptq 4bit", "" where it holds whole numbers.

    >>> saved_in({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}), saved_in({})
    ('4bit', '')
    """
    found = config.get("quantization_config") or {}
    for kind in QUANTISED:
        if found.get(f"load_in_{kind}"):
            return kind
    method, bits = found.get("quant_method", ""), found.get("bits") or found.get("w_bit") or ""
    return f"{method} {bits}bit" if bits else str(method)


def as_saved(config: Mapping[str, Any], asked: str | None, device: torch.device, name: str) -> dict[str, Any]:
    """What ``from_pretrained`` is given for a checkpoint that was saved in few bits, on one device: {} for any other.

    Raises
    ------
    RedvizError
        Where other bits are asked for, or bitsandbytes is missing.
    """
    saved = saved_in(config)
    if not saved:
        return {}
    if asked and asked != saved:
        raise RedvizError(f"{name} is saved in {saved}; leave {asked} out, for its whole numbers are gone.")
    if saved in QUANTISED:
        _check_installed(f"{name} is saved in {saved}, which", "give the model in whole numbers")
    return {"device_map": {"": device}}


def in_bits(
    config: Mapping[str, Any], asked: str | None, device: torch.device, name: str
) -> tuple[str, dict[str, Any]]:
    """In how few bits a checkpoint is loaded, as it was saved or as is asked, and what ``from_pretrained`` is given for it.

    Returns
    -------
    str, dict
        "" and nothing where it is loaded in whole numbers.

    Raises
    ------
    RedvizError
        As :func:`quantised` and :func:`as_saved` do.
    """
    saved = as_saved(config, asked, device, name)
    if bits := asked or saved_in(config):
        return bits, saved or quantised(bits, device)
    return "", {}


def _check_installed(what: str, otherwise: str) -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RedvizError(f"{what} needs the package bitsandbytes; install it, or {otherwise}.")


def keep_gradients(module: nn.Module) -> None:
    """Keep 4-bit layers on a CPU from a packed form of their weights that gradients do not know (bitsandbytes 0.50, Linear4bit)."""
    for layer in module.modules():
        if hasattr(layer, "support_avx512bf16_for_cpu"):
            layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]
