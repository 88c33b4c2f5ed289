"""PEFT adapters: the base model loaded, the adapter merged into it as PEFT computes it, its own head in place of the base's."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from redviz.errors import RedvizError
from redviz.models.loading.checkpoint import (
    OUT_OF_MEMORY,
    REWARD,
    check_weights,
    first_line,
    first_names,
    pretrained,
    read_json,
    refuse_pickle,
)
from redviz.models.loading.files import refuse_pointers, resolve

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
HEADS = ("score", "classifier")
BESIDE_THE_TEXT = (  # kinds that PEFT cannot merge
    "PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "CPT", "CARTRIDGE", "ADAPTION_PROMPT", "XLORA", "POLY",
)  # fmt: skip
LAST_LAYER = re.compile(rf"\.({'|'.join(HEADS)})(\.out_proj)?\.weight$")
OF_TRAINERS = ("training_args", "optimizer", "scheduler")  # files that lie beside an adapter and hold no weights
INSIDE = "base_model.model."  # before every name of the base's tensors in an adapter's file
RESIZED = (
    "base_layer.",
    "original_module.",
    "token_adapter.base_layer.",
)  # where PEFT puts the embeddings that it wraps
PROBE = range(5, 17)  # ids of a short text


@dataclass(frozen=True)
class Adapter:
    """An adapter.

    Attributes
    ----------
    name
        As it was asked for.
    kind
        PEFT's name of its kind, such as "LORA".
    folder, base
        Where it is, and where its base is.
    shapes
        Of the tensors that it brings, by name.
    """

    name: str
    kind: str
    folder: Path
    base: Path
    shapes: dict[str, tuple[int, ...]]

    @property
    def labels(self) -> int:
        """How many labels its own head has, 0 where it has none."""
        return next((shape[0] for key, shape in self.shapes.items() if LAST_LAYER.search(key)), 0)


def adapter_folder(folder: Path, name: str) -> Path | None:
    """Where an adapter is: in the folder, or in one of its own in it, as PEFT saves one that has a name; None where there is none.

    Raises
    ------
    RedvizError
        Where several folders hold one, or its files are Git LFS pointers.
    """
    if (folder / "config.json").exists() and not (folder / CONFIG).exists():
        return None
    if (folder / CONFIG).exists():
        weights = [path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)]
        whole = [path for path in weights if not path.name.startswith(("adapter_", *OF_TRAINERS))]
        return None if whole else folder
    inner = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    if len(inner) > 1:
        listed = ", ".join(path.name for path in inner[:4]) + (", …" if len(inner) > 4 else "")
        raise RedvizError(f"{name} holds {len(inner)} adapters in folders of their own ({listed}); give one of them.")
    for path in inner:
        refuse_pointers(path, f"{name}/{path.name}")
    return inner[0] if inner else None


def base_of(folder: Path, name: str) -> str:
    """The base that an adapter names, or words for it."""
    return str(read_json(folder / CONFIG, name).get("base_model_name_or_path") or "its base model")


def open_adapter(folder: Path, name: str) -> Adapter:
    """Find an adapter's base: a folder of this machine, or a Hub id in the Hub's cache.

    Raises
    ------
    RedvizError
        Where PEFT is not installed, the base is not there, or the adapter is pickled or of a kind that cannot be merged.
    """
    config = read_json(folder / CONFIG, name)
    base, kind = str(config.get("base_model_name_or_path") or ""), str(config.get("peft_type") or "LoRA")
    if kind in BESIDE_THE_TEXT:
        raise RedvizError(
            f"{name} is a {kind} adapter, whose trained vectors or gates are no part of the base's weights; redviz reads kinds that "
            "change weights, such as LoRA."
        )
    merge = "or merge it (peft: merge_and_unload, then save_pretrained with the tokenizer) and give the merged folder"
    if str(config.get("task_type")) == "TOKEN_CLS":
        raise RedvizError(
            f"{name} is an adapter of a classifier of tokens, which is read whole; {merge.removeprefix('or ')}."
        )
    if not base:
        raise RedvizError(f"{name} is an adapter that does not name its base model; write it into {CONFIG}, {merge}.")
    said = "LoRA" if kind == "LORA" else kind
    if importlib.util.find_spec("peft") is None:
        raise RedvizError(f"{name} is a {said} adapter of {base}; install the package peft, {merge}.")
    if not (folder / WEIGHTS).exists():
        raise RedvizError(f"{name} is a {said} adapter of {base} without {WEIGHTS}; save it again as safetensors.")
    try:
        there = resolve(base, config.get("revision"))
    except RedvizError as error:
        raise RedvizError(f"{name} is a {said} adapter of {base}, and its base is missing: {error}") from error
    refuse_pickle(there, base)
    from safetensors import safe_open

    try:
        with safe_open(folder / WEIGHTS, framework="pt") as file:
            shapes = {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except Exception as error:  # safetensors raises its own tree
        raise RedvizError(f"{name}/{WEIGHTS} cannot be read ({error}); download or save the adapter again.") from error
    return Adapter(name, said, folder, there, shapes)


def with_adapter(adapter: Adapter, dtype: torch.dtype | str, options: dict[str, Any], merge: bool = True) -> Any:
    """The base as a sequence classifier that computes what PEFT's own model does.

    Parameters
    ----------
    merge
        Whether the adapter is merged into the base's weights; else its layers stay beside them, as a base in few bits needs.

    Raises
    ------
    RedvizError
        Where weights are missing that the adapter does not bring (a head left out of ``modules_to_save``), the adapter holds tensors
        that PEFT does not take, or lacks some, and where PEFT refuses or merging gives another output.
    """
    module = _base(adapter, dtype, options)
    from peft import PeftModel  # which imports bitsandbytes, whose notes are kept off the terminal by now

    try:
        tuned = PeftModel.from_pretrained(module, str(adapter.folder), torch_device="cpu").eval()
        report = tuned.load_adapter(str(adapter.folder), "default", torch_device="cpu")  # again, for what it leaves out
        _check_adapter(adapter, report)
        return _merged(adapter, tuned) if merge else _beside(tuned)
    except OUT_OF_MEMORY:
        raise
    except (ValueError, RuntimeError, LookupError, TypeError, NotImplementedError, AttributeError) as error:
        raise RedvizError(
            f"{adapter.name}, a {adapter.kind} adapter, does not fit its base ({first_line(error)}); check base_model_name_or_path in "
            f"{CONFIG}."
        ) from error


def _base(adapter: Adapter, dtype: torch.dtype | str, options: dict[str, Any]) -> Any:
    """The base with as many labels as the adapter's head has, and as many embeddings as the adapter brings."""
    own = {"num_labels": adapter.labels, "ignore_mismatched_sizes": True} if adapter.labels else {}
    module, report = pretrained(REWARD, adapter.base, f"{adapter.name}'s base", dtype, {**own, **options})
    brought = HEADS if adapter.labels else ()
    missing = [key for key in report["missing_keys"] if key.split(".")[0] not in brought]
    mismatched = [key for key in report["mismatched_keys"] if str(key[0]).split(".")[0] not in brought]
    if missing and not adapter.labels and all(key.split(".")[0] in HEADS for key in missing):
        raise RedvizError(
            f"{adapter.name} is an adapter without a head, and neither has its base; train it with modules_to_save=['score'], for a new "
            "head would be random and its scores noise."
        )
    check_weights({**report, "missing_keys": missing, "mismatched_keys": mismatched}, adapter.name)
    table = module.get_input_embeddings()
    place = next(name for name, part in module.named_modules() if part is table)
    named = [f"{INSIDE}{place}.{part}weight" for part in ("", *RESIZED)]
    rows = {adapter.shapes[key][0] for key in named if key in adapter.shapes}
    if rows and rows != {table.num_embeddings}:
        module.resize_token_embeddings(rows.pop(), mean_resizing=False)  # the new rows come with the adapter
    return module


def _check_adapter(adapter: Adapter, report: Any) -> None:
    """Refuse an adapter that PEFT took in part, or filled up with what it starts training from: it only warns."""
    shared = ("vblora_vector_bank", "tinylora_v", "unilora_theta_d")  # one tensor under many names
    missing = [key for key in report.missing_keys if not any(name in key for name in shared)]
    unexpected = [key for key in report.unexpected_keys if not _written_twice(adapter, key)]
    for keys, said in (
        (unexpected, "that its base has no place for"),
        (missing, "too few for the layers it names"),
    ):
        if keys:
            raise RedvizError(
                f"{adapter.name} has {len(keys)} weights {said} ({first_names(sorted(keys))}), so its scores would be those of another "
                f"model; check base_model_name_or_path in {CONFIG}, or save the adapter again."
            )


def _written_twice(adapter: Adapter, key: str) -> bool:
    """Whether a tensor stands in the file under another name too, as resized embeddings that were trained whole do."""
    from safetensors import safe_open

    plain = key.replace(".modules_to_save.", ".")
    if plain == key or adapter.shapes.get(plain) != adapter.shapes.get(key):
        return False
    with safe_open(adapter.folder / WEIGHTS, framework="pt") as file:
        return bool(torch.equal(file.get_tensor(plain), file.get_tensor(key)))


@torch.no_grad()
def _merged(adapter: Adapter, tuned: Any) -> Any:
    """The base with the adapter in its weights, held against PEFT's own forward."""
    config = tuned.config
    last = config.get_text_config().vocab_size - 1
    ids = torch.tensor([[min(i, last) for i in PROBE]], device=next(tuned.parameters()).device)
    if isinstance(config.eos_token_id, int):
        ids[0, -1] = config.eos_token_id  # where encoder-decoders read
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    before = tuned(**given).logits.float()
    try:
        module = tuned.merge_and_unload()
    except Exception as error:  # each kind has its own, and so have the layers of a base
        raise RedvizError(
            f"{adapter.name} is a {adapter.kind} adapter that PEFT cannot merge into its base ({first_line(error).rstrip('.')}); redviz "
            "reads adapters that change the base's weights."
        ) from error
    after = module(**given).logits.float()
    eps = torch.finfo(next(module.parameters()).dtype).eps
    if not float((after - before).abs().max()) <= max(1e-3, 64 * eps) * max(1.0, float(before.abs().max())):
        raise RedvizError(
            f"{adapter.name} is a {adapter.kind} adapter that gives {float(before.flatten()[0]):.4g} in PEFT and "
            f"{float(after.flatten()[0]):.4g} merged into its base, so it is more than a change of weights; redviz reads adapters that "
            "are no more."
        )
    return module


def _beside(tuned: Any) -> Any:
    """The base with the adapter's layers in it, and what was trained whole in place of the base's."""
    from peft.utils.other import ModulesToSaveWrapper

    module = tuned.get_base_model()
    for name, part in list(module.named_modules()):
        if isinstance(part, ModulesToSaveWrapper):
            module.set_submodule(name, part.modules_to_save[part.active_adapters[0]])
    return module
