"""What a model folder holds, read before anything is built, so that what is wrong can be named with its remedy."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from redviz.errors import RedvizError
from redviz.models.loading.weights import INDEX, weights_of

REWARD = AutoModelForSequenceClassification
NEVER_READ = (  # names of tensors that no output is made of
    r"(rotary_emb|rotary_pos_emb|rope)\.(original_)?inv_freq$|position_ids$|att(n|ention)\.(masked_)?bias$|num_batches_tracked$",
    r"(^|\.)mtp\.|^(model\.)?(visual|vision_tower|vision_model|multi_modal_projector|audio_tower)\.",  # no next but one, no pictures
    r"^(roberta|longformer)\.pooler\.",  # their classifiers have a layer of their own for it
)
LANGUAGE_HEADS = (  # beside a head that scores
    r"^(lm_head|embed_out|final_logits_bias|lm_loss|cls|predictions|lm_predictions|mask_predictions|decoder\.(weight|bias)$)\b",
    r"^(discriminator|generator)_(predictions|lm_head)\.|^vocab_(transform|projector|layer_norm)\.",
)
VALUE_HEADS = (r"^(v_head|value_head)\.",)  # beside a language model's own
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)


def read_config(folder: Path, name: str) -> dict[str, Any]:
    """``config.json``, read before anything is built.

    Raises
    ------
    RedvizError
        Where there is none, or the folder holds two models: in folders of their own, in two sets of weights, or a whole one beside an
        adapter (Transformers would load the adapter's base instead).
    """
    inner = sorted(path.parent.name for path in folder.glob("*/config.json"))
    if not (folder / "config.json").exists():
        if len(inner) == 1:
            raise RedvizError(f"{name} has no config.json, but its folder {inner[0]} has one; give that folder.")
        if inner:
            raise RedvizError(
                f"{name} holds {len(inner)} models in folders of their own ({', '.join(inner[:4])}{', …' if len(inner) > 4 else ''}); "
                "give one of them."
            )
        raise RedvizError(
            f"{name} is no model folder: it has no config.json; give a folder written by save_pretrained, or a Hub id."
        )
    if (folder / "adapter_config.json").exists():
        raise RedvizError(
            f"{name} holds an adapter and a whole model; move adapter_config.json and its weights into a folder of their own."
        )
    if (folder / "model.safetensors").exists() and (folder / INDEX).exists():
        raise RedvizError(
            f"{name} holds two models, model.safetensors and the shards of {INDEX}; move one of them into a folder of its own."
        )
    return read_json(folder / "config.json", name)


def refuse_unknown(config: dict[str, Any], name: str, trust_remote_code: bool, also: Collection[str] = ()) -> None:
    """Refuse an architecture that neither Transformers nor the checkpoint's own code, where that is allowed, can build."""
    kind = config.get("model_type", "")
    if kind not in CONFIG_MAPPING and kind not in also and not ("auto_map" in config and trust_remote_code):
        remedy = (
            "its own code is needed: --trust-remote-code runs it"
            if "auto_map" in config
            else "update transformers, or check the folder"
        )
        raise RedvizError(f"{name} has the unknown architecture {kind or '(no model_type)'!r}; {remedy}.")


def read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(), object_hook=_with_infinity)
    except ValueError as error:
        raise RedvizError(f"{name}/{path.name} is not JSON ({error}); download or save the model again.") from error
    if not isinstance(found, dict):
        raise RedvizError(f"{name}/{path.name} holds no JSON object; download or save the model again.")
    return found


def _with_infinity(found: dict[str, Any]) -> Any:
    """Transformers writes infinity, which JSON does not have, as ``{"__float__": "Infinity"}``."""
    return float(found["__float__"]) if found.keys() == {"__float__"} else found


def refuse_pickle(folder: Path, name: str, or_allow: bool = True) -> None:
    """Refuse a folder whose only weights are pickles, and one without weights."""
    if any(folder.glob("*.safetensors")) or any(folder.glob("*.safetensors.index.json")):
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        allowing = ", or pass --allow-pickle if you trust their source" if or_allow else ""
        raise RedvizError(
            f"{name} has only pickled weights, which can run code when read; convert them to safetensors "
            f"(load and save_pretrained){allowing}."
        )
    raise RedvizError(
        f"{name} has no weights (*.safetensors); save the model again, download all of its files, or pass --allow-pickle "
        "if it has only pickled weights on the Hub and you trust their source."
    )


def check_weights(report: dict[str, Any], name: str, auto: Any = REWARD, beside: Collection[str] = ()) -> None:
    """Refuse a model that does not hold the checkpoint's tensors and no others: Transformers only warns.

    Parameters
    ----------
    report
        Its missing, mismatched and unexpected keys.
    auto
        The class that it was loaded by, for the message.
    beside
        Patterns of names of further tensors that its score is not made of.

    Raises
    ------
    RedvizError
        Where weights would be noise, or tensors of the checkpoint would be left out.
    """
    missing = sorted(report["missing_keys"])
    mismatched = sorted(str(key[0]) if isinstance(key, tuple) else str(key) for key in report["mismatched_keys"])
    if not missing and not mismatched:
        others = VALUE_HEADS if auto is AutoModelForCausalLM else LANGUAGE_HEADS
        refuse_unused(map(str, report["unexpected_keys"]), name, (*others, *beside))
        return
    listed = first_names([*missing, *mismatched])
    heads = [
        key
        for key in report["unexpected_keys"]
        if any(word in key for word in ("value_head", "v_head", "regression_head", "lm_head"))
    ]
    hint = f" (it holds {', '.join(sorted(heads)[:2])}, another kind of head)" if heads else ""
    raise RedvizError(
        f"{name} lacks {len(missing) + len(mismatched)} weights ({listed}); they would be random and its scores noise{hint}; "
        f"use the checkpoint that was trained as a {'reward' if auto is REWARD else 'language'} model ({auto.__name__}), saved whole."
    )


def first_names(names: Sequence[str]) -> str:
    """The first four of them, for a sentence."""
    return ", ".join(names[:4]) + (" …" if len(names) > 4 else "")


def refuse_unused(names: Iterable[str], name: str, beside: Collection[str] = ()) -> None:
    """Refuse tensors of a checkpoint that no model took, other than those that are known to be no part of an output.

    Raises
    ------
    RedvizError
        Where there are any; it names the first few.
    """
    known = re.compile("|".join([*NEVER_READ, *beside]))
    unused = sorted(key for key in names if not known.search(key))
    if unused:
        raise RedvizError(
            f"{name} holds {len(unused)} weights that the model its config.json describes does not take "
            f"({first_names(unused)}), so its scores would be those of another model; correct "
            "config.json, or save the model again by the class that it was trained as."
        )


def pretrained(
    auto: Any, folder: Path, name: str, dtype: Any, options: dict[str, Any], allow_pickle: bool = False
) -> tuple[Any, dict[str, Any]]:
    """The model as one of Transformers' auto classes builds it, and its report of missing and unexpected weights.

    Names are read without what a trainer's wrapper put before all of them.

    Raises
    ------
    RedvizError
        For whatever Transformers and safetensors raise; memory that runs out is left to the caller.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # on a CPU it tells of kernels that it does without
    if wrapper := weights_of(folder, name).wrapper:
        options = {**options, "key_mapping": {f"^{re.escape(wrapper)}": "", **options.get("key_mapping", {})}}
    try:
        module, report = auto.from_pretrained(
            folder, dtype=dtype, use_safetensors=None if allow_pickle else True, output_loading_info=True, **options
        )
    except OUT_OF_MEMORY:
        raise
    except Exception as error:  # one door for all of them
        if "ignore_mismatched_sizes" in str(error):
            raise RedvizError(
                f"{name}'s weights do not have the shapes its config.json says; save the model again."
            ) from error
        raise RedvizError(
            f"{name} could not be loaded by {auto.__name__} ({first_line(error)}); download or save the model again."
        ) from error
    return module, report


def first_line(error: Exception) -> str:
    """What an error says first, or its name where it says nothing."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:240]
