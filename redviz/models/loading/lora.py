"""LoRA adapters: the base model loaded, the adapter merged into it by PEFT, its own head in place of the base's."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from redviz.errors import RedvizError
from redviz.models.loading.checkpoint import (
    REWARD,
    check_weights,
    first_line,
    pretrained,
    read_json,
    refuse_pickle,
)
from redviz.models.loading.files import resolve

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
HEADS = ("score", "classifier")


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder, the folder of its base, and how many labels its head has (0: it has no head)."""

    name: str
    folder: Path
    base: Path
    labels: int


def is_adapter(folder: Path) -> bool:
    """Whether the folder holds an adapter and no weights of a whole model."""
    weights = [path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)]
    return (folder / CONFIG).exists() and all(path.name.startswith("adapter_") for path in weights)


def base_of(folder: Path, name: str) -> str:
    """The base that an adapter names, or words for it."""
    return str(read_json(folder / CONFIG, name).get("base_model_name_or_path") or "its base model")


def open_adapter(folder: Path, name: str) -> Adapter:
    """Find an adapter's base: a folder of this machine, or a Hub id in the Hub's cache.

    Raises
    ------
    RedvizError
        Where PEFT is not installed, the base is not there, or the adapter is no LoRA or is pickled.
    """
    config = read_json(folder / CONFIG, name)
    base = str(config.get("base_model_name_or_path") or "")
    merge = "or merge it (peft: merge_and_unload, then save_pretrained with the tokenizer) and give the merged folder"
    if str(config.get("task_type")) == "TOKEN_CLS":
        raise RedvizError(
            f"{name} is an adapter of a classifier of tokens, which is read whole; {merge.removeprefix('or ')}."
        )
    if not base:
        raise RedvizError(f"{name} is an adapter that does not name its base model; write it into {CONFIG}, {merge}.")
    if importlib.util.find_spec("peft") is None:
        raise RedvizError(f"{name} is a LoRA adapter of {base}; install the package peft, {merge}.")
    if not (folder / WEIGHTS).exists():
        raise RedvizError(f"{name} is a LoRA adapter of {base} without {WEIGHTS}; save it again as safetensors.")
    try:
        there = resolve(base, config.get("revision"))
    except RedvizError as error:
        raise RedvizError(f"{name} is a LoRA adapter of {base}, and its base is missing: {error}") from error
    refuse_pickle(there, base)
    from safetensors import safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            heads = [key for key in file.keys() if any(f".{head}." in key and key.endswith("weight") for head in HEADS)]  # noqa: SIM118
            own = [key for key in heads if "lora_" not in key]
            labels = int(file.get_slice(own[0]).get_shape()[0]) if own else 0
    except Exception as error:  # safetensors raises its own tree
        raise RedvizError(f"{name}/{WEIGHTS} cannot be read ({error}); download or save the adapter again.") from error
    return Adapter(name, folder, there, labels)


def merged(adapter: Adapter, dtype: torch.dtype | str, options: dict[str, Any]) -> Any:
    """The base as a sequence classifier, with the adapter merged into its weights.

    Raises
    ------
    RedvizError
        Where weights are missing that the adapter does not bring (a head left out of ``modules_to_save``), or PEFT refuses.
    """
    labels = {"num_labels": adapter.labels} if adapter.labels else {}
    module, report = pretrained(REWARD, adapter.base, f"{adapter.name}'s base", dtype, {**labels, **options})
    brought = HEADS if adapter.labels else ()
    missing = [key for key in report["missing_keys"] if key.split(".")[0] not in brought]
    if missing and not adapter.labels and all(key.split(".")[0] in HEADS for key in missing):
        raise RedvizError(
            f"{adapter.name} is an adapter without a head, and neither has its base; train it with modules_to_save=['score'], for a new "
            "head would be random and its scores noise."
        )
    check_weights({**report, "missing_keys": missing}, adapter.name)
    from peft import PeftModel  # which imports bitsandbytes, whose notes are kept off the terminal by now

    try:
        return PeftModel.from_pretrained(module, str(adapter.folder)).merge_and_unload()
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise RedvizError(
            f"{adapter.name} does not fit its base ({first_line(error)}); check base_model_name_or_path in {CONFIG}."
        ) from error
