"""What every loader does around its own module: the device, the tokenizer, the context, the sentence where memory runs out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from redviz import __version__
from redviz.errors import RedvizError
from redviz.models.loading.checkpoint import OUT_OF_MEMORY, first_line
from redviz.models.loading.precision import keep_gradients
from redviz.models.reading.encode import template_hash
from redviz.models.running.attention import FAST, PLAIN
from redviz.records import Source

ONE_AT_A_TIME = (
    threading.Lock()
)  # from_pretrained changes how torch makes modules, for all threads: tied weights went missing
UNSAID = 4096  # tokens, of a model without positions whose tokenizer does not say how many it reads
SMALL = 1_000_000_000  # parameters; below this float32 costs little even on a GPU, and differences of scores keep their digits


def pick_device(device: str) -> torch.device:
    """A torch device; "auto" takes CUDA, else MPS, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        picked = torch.device(device)
    except RuntimeError as error:
        raise RedvizError(f"There is no device {device!r}; use auto, cpu, cuda, cuda:0 or mps.") from error
    if picked.type == "cuda" and not torch.cuda.is_available():
        raise RedvizError("CUDA was asked for, but this machine offers none; use --device auto or cpu.")
    if picked.type == "cuda" and picked.index is not None and picked.index >= torch.cuda.device_count():
        raise RedvizError(f"There is no {device}; this machine's last one is cuda:{torch.cuda.device_count() - 1}.")
    if picked.type == "mps" and not torch.backends.mps.is_available():
        raise RedvizError("MPS was asked for, but this machine offers none; use --device auto or cpu.")
    return picked


@contextmanager
def building(name: str, target: torch.device, or_else: str = ", another --device or a smaller model") -> Iterator[None]:
    """Build a model while no other is built, and say in one sentence that memory ran out."""
    try:
        with ONE_AT_A_TIME:
            yield
    except OUT_OF_MEMORY as error:
        raise RedvizError(
            f"Memory ran out while {name} was loaded on {target}; use --dtype bfloat16{or_else}."
        ) from error


def float32_if_small(module: Any, dtype: Any) -> Any:
    """The module in float32 where "auto" was asked for and it is small."""
    small = sum(p.numel() for p in module.parameters()) < SMALL
    return module.float() if dtype == "auto" and small else module


def make_ready(module: Any) -> None:
    """Ready to be read: no dropout, no gradients of weights, the fast attention kernel where it has one."""
    module.eval().requires_grad_(False)
    keep_gradients(module)
    module.set_attn_implementation(FAST if module._supports_sdpa else PLAIN)


def load_tokenizer(folder: Path, name: str, trust_remote_code: bool) -> Any:
    """The fast tokenizer in the folder; slow ones give no character offsets."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # each tokenizer class fails in its own way
        raise RedvizError(
            f"{name} has no tokenizer that loads ({first_line(error)}); save it beside the weights."
        ) from error
    if not tokenizer.is_fast:
        raise RedvizError(
            f"{name} has a slow tokenizer, which gives no character offsets; save its fast version (tokenizer.json)."
        )
    return tokenizer


def context_length(config: Any, tokenizer: Any, max_length: int | None, name: str) -> int:
    """Tokens the model can read, or the smaller number asked for."""
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    if context is None or context < 0:  # XLNet says -1
        context = tokenizer.model_max_length if tokenizer.model_max_length < 10**6 else _of_no_positions(config)
    if max_length is not None and max_length < 2:
        raise RedvizError(f"max_length is {max_length}; give at least 2 tokens.")
    if max_length is not None and context is not None and max_length > context:
        raise RedvizError(f"{name} reads {context} tokens, fewer than the {max_length} asked for; lower --max-length.")
    if max_length is None and context is None:
        raise RedvizError(f"{name} does not say how many tokens it can read; give --max-length.")
    return int(max_length or context or 0)


def _of_no_positions(config: Any) -> int | None:
    """What models that count no positions are given where nobody says a length: relative ones (T5, XLNet, Funnel) and recurrent ones."""
    own = config.get_text_config()
    relative = hasattr(own, "relative_attention_num_buckets") or own.model_type in ("xlnet", "funnel")
    recurrent = set(getattr(own, "layer_types", None) or ()) == {"linear_attention"}
    return UNSAID if relative or recurrent else None


def source_of(
    name: str, module: Any, tokenizer: Any, *, revision: str | None, fingerprint: str, heads: tuple[str, ...], bits: str = "",
    **read: Any,
) -> Source:  # fmt: skip
    """What identifies a loaded model; ``bits`` is the precision of one in 8 or 4 bits, ``read`` how its score is read."""
    weights = next(module.parameters())
    return Source(
        model=name, revision=revision or "", fingerprint=fingerprint, dtype=bits or str(weights.dtype).removeprefix("torch."),
        device=str(weights.device), template_hash=template_hash(tokenizer), heads=heads, versions=_versions(), **read,
    )  # fmt: skip


def _versions() -> dict[str, str]:
    installed = {"redviz": __version__}
    for package in ("torch", "transformers", "captum", "streamlit"):
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed
