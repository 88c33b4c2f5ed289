"""Load a reward model: embedded, from a local folder, or from the Hub; and refuse what would give meaningless scores."""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from redviz import __version__
from redviz.errors import RedvizError
from redviz.models.attention import FAST, PLAIN
from redviz.models.encode import template_hash
from redviz.models.files import fingerprint, resolve
from redviz.models.reward_model import RewardModel
from redviz.records import Source

log = logging.getLogger("redviz")

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
OUT_OF_MEMORY = (torch.OutOfMemoryError, MemoryError)
REWARD = AutoModelForSequenceClassification
SMALL = 1_000_000_000  # parameters; below this float32 costs little even on a GPU, and differences of scores keep their digits


def load_reward_model(
    name: str,
    *,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    head: str | int | None = None,
    max_length: int | None = None,
    quantization: str | None = None,
    device_map: Any = None,
    trust_remote_code: bool = False,
    allow_pickle: bool = False,
    read: str = "model",
    torch_dtype: str | torch.dtype | None = None,
) -> RewardModel:
    """Load a causal sequence-classification reward model.

    Parameters
    ----------
    name
        ``"embedded:sentiment"``, a local folder, or a Hub id.
    device
        "auto" takes CUDA, else MPS, else the CPU; or "cpu", "cuda", "cuda:1", "mps".
    dtype
        "auto", "float32", "bfloat16" or "float16". "auto" is float32 on a CPU and for models under a billion parameters, else the
        checkpoint's own. The head always runs in float32. ``torch_dtype`` is accepted as the old name.
    revision
        A Hub revision (branch, tag or commit).
    head
        Which of several labels is the reward: an index, a label's name, or a difference such as ``"1-0"``.
    max_length
        Tokens to read at most; by default the model's context.
    quantization
        "8bit" or "4bit", with bitsandbytes installed.
    device_map
        Passed to Transformers, with accelerate installed.
    trust_remote_code, allow_pickle
        Off unless asked for: both run code that comes with the checkpoint.
    read
        "model" reads the score where the model's own forward does; "last" at the last token, which differs where the template ends
        with the pad token.

    Raises
    ------
    RedvizError
        One sentence with the remedy: no model there, unknown architecture, several labels, missing or newly initialised weights,
        pickled weights, an adapter without its base.

    Examples
    --------
    >>> model = load_reward_model("embedded:sentiment", device="cpu")  # doctest: +SKIP
    """
    if read not in ("model", "last"):
        raise RedvizError(
            f'read is {read!r}; use "model" (where the model\'s own forward reads) or "last" (the last token).'
        )
    folder = resolve(name, revision, allow_pickle)
    config = read_config(folder, name, trust_remote_code)
    if not allow_pickle:
        refuse_pickle(folder, name)
    target = pick_device(device)
    wanted = torch_dtype or dtype
    options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
    if quantization:
        options["quantization_config"] = _quantization(quantization)
    if device_map is not None:
        options["device_map"] = device_map
    try:
        module, report = _from_pretrained(folder, name, allow_pickle, pick_dtype(wanted, target), options)
        refuse_new_weights(report, name)
        if not hasattr(module, "score"):
            raise RedvizError(
                f"{name} is a {type(module).__name__}; redviz reads causal sequence-classification models with a head called score."
            )
        if wanted == "auto" and quantization is None and is_small(module):
            module = module.float()
        if device_map is None and quantization is None:
            module = module.to(target)
    except OUT_OF_MEMORY as error:
        raise RedvizError(
            f"Memory ran out while {name} was loaded on {target}; use --dtype bfloat16, another --device or a smaller model."
        ) from error
    module.eval().requires_grad_(False)
    module.set_attn_implementation(FAST if module._supports_sdpa else PLAIN)
    tokenizer = load_tokenizer(folder, name, trust_remote_code)
    score_head = copy.deepcopy(module.score).float()
    labels = tuple(str(module.config.id2label[i]) for i in range(module.config.num_labels))
    mix = head_mix(head, labels, name).to(score_head.weight.device if hasattr(score_head, "weight") else target)
    context = context_length(module.config, tokenizer, max_length, name)
    source = Source(
        model=name,
        revision=revision or "",
        fingerprint=fingerprint(folder),
        dtype=str(next(module.parameters()).dtype).removeprefix("torch."),
        device=str(next(module.parameters()).device),
        template_hash=template_hash(tokenizer),
        heads=labels,
        versions=versions(),
        head="" if head is None else str(head),
        read=read,
    )
    log.info("loaded %s (%s, %s)", name, source.dtype, source.device)
    return RewardModel(
        name,
        module,
        tokenizer,
        score_head,
        mix,
        context,
        source,
        trained_length=config.get("redviz_trained_length"),
        read=read,
    )


def read_config(folder: Path, name: str, trust_remote_code: bool) -> dict[str, Any]:
    """``config.json``, read before anything is built, so that what is wrong can be named."""
    weights = [path for pattern in ("*.safetensors", "*.bin") for path in folder.glob(pattern)]
    if (folder / "adapter_config.json").exists() and all(path.name.startswith("adapter_") for path in weights):
        base = _read_json(folder / "adapter_config.json", name).get("base_model_name_or_path") or "its base model"
        raise RedvizError(
            f"{name} holds a LoRA adapter of {base}, not a whole model; merge it into its base "
            "(peft: merge_and_unload, then save_pretrained with the tokenizer) and give the merged folder."
        )
    if not (folder / "config.json").exists():
        raise RedvizError(
            f"{name} is no model folder: it has no config.json; give a folder written by save_pretrained, or a Hub id."
        )
    config = _read_json(folder / "config.json", name)
    kind = config.get("model_type", "")
    if kind not in CONFIG_MAPPING and not ("auto_map" in config and trust_remote_code):
        remedy = (
            "its own code is needed: --trust-remote-code runs it"
            if "auto_map" in config
            else "update transformers, or check the folder"
        )
        raise RedvizError(f"{name} has the unknown architecture {kind or '(no model_type)'!r}; {remedy}.")
    return config


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise RedvizError(f"{name}/{path.name} is not JSON ({error}); download or save the model again.") from error
    if not isinstance(found, dict):
        raise RedvizError(f"{name}/{path.name} holds no JSON object; download or save the model again.")
    return found


def refuse_pickle(folder: Path, name: str) -> None:
    """Refuse a folder whose only weights are pickles, and one without weights."""
    if any(folder.glob("*.safetensors")) or any(folder.glob("*.safetensors.index.json")):
        return
    if any(folder.glob("*.bin")) or any(folder.glob("*.pt")) or any(folder.glob("*.pth")):
        raise RedvizError(
            f"{name} has only pickled weights, which can run code when read; convert them to safetensors "
            "(load and save_pretrained), or pass --allow-pickle if you trust their source."
        )
    raise RedvizError(
        f"{name} has no weights (*.safetensors); save the model again, download all of its files, or pass --allow-pickle "
        "if it has only pickled weights on the Hub and you trust their source."
    )


def refuse_new_weights(report: dict[str, Any], name: str, auto: Any = REWARD) -> None:
    """Refuse weights that the checkpoint did not hold: Transformers fills them with noise and only warns."""
    missing = sorted(report["missing_keys"])
    mismatched = sorted(str(key[0]) if isinstance(key, tuple) else str(key) for key in report["mismatched_keys"])
    if not missing and not mismatched:
        return
    listed = ", ".join([*missing, *mismatched][:4]) + (" …" if len(missing) + len(mismatched) > 4 else "")
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


def head_mix(head: str | int | None, labels: tuple[str, ...], name: str) -> torch.Tensor:
    """How the labels make one reward: ``[K]`` float32, one-hot or a difference.

    >>> head_mix("1-0", ("neg", "pos"), "m").tolist()
    [-1.0, 1.0]
    """
    mix = torch.zeros(len(labels))
    listed = ", ".join(f"{i} {label}" for i, label in enumerate(labels[:8])) + (" …" if len(labels) > 8 else "")
    if head is None:
        if len(labels) != 1:
            raise RedvizError(
                f"{name} has {len(labels)} labels ({listed}), not one score; choose with --head, e.g. --head 0 or --head 1-0."
            )
        return torch.ones(1)
    text = str(head)
    names = {**{label: i for i, label in enumerate(labels)}, **{str(i): i for i in range(len(labels))}}
    if text in names:
        mix[names[text]] = 1.0
        return mix
    plus, dash, minus = text.partition("-")
    if dash and plus.strip() in names and minus.strip() in names:
        mix[names[plus.strip()]] += 1.0
        mix[names[minus.strip()]] -= 1.0
        return mix
    raise RedvizError(f"{name} has no head {text!r}; use an index, a name or a difference of two of: {listed}.")


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


def pick_dtype(dtype: str | torch.dtype, device: torch.device) -> torch.dtype | str:
    """The dtype to load in: "auto" is float32 on a CPU, else the checkpoint's own."""
    if isinstance(dtype, torch.dtype):
        return dtype
    if dtype == "auto":
        return torch.float32 if device.type != "cuda" else "auto"
    if dtype not in DTYPES:
        raise RedvizError(f"Unknown dtype {dtype!r}; use auto, float32, bfloat16 or float16.")
    return DTYPES[dtype]


def context_length(config: Any, tokenizer: Any, max_length: int | None, name: str) -> int:
    """Tokens the model can read, or the smaller number asked for."""
    context = getattr(config.get_text_config(), "max_position_embeddings", None)
    if context is None and tokenizer.model_max_length < 10**6:
        context = tokenizer.model_max_length
    if max_length is not None and max_length < 2:
        raise RedvizError(f"max_length is {max_length}; give at least 2 tokens.")
    if max_length is not None and context is not None and max_length > context:
        raise RedvizError(f"{name} reads {context} tokens, fewer than the {max_length} asked for; lower --max-length.")
    if max_length is None and context is None:
        raise RedvizError(f"{name} does not say how many tokens it can read; give --max-length.")
    return int(max_length or context or 0)


def load_tokenizer(folder: Path, name: str, trust_remote_code: bool) -> Any:
    """The fast tokenizer in the folder; slow ones give no character offsets."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # each tokenizer class fails in its own way
        raise RedvizError(
            f"{name} has no tokenizer that loads ({_first_line(error)}); save it beside the weights."
        ) from error
    if not tokenizer.is_fast:
        raise RedvizError(
            f"{name} has a slow tokenizer, which gives no character offsets; save its fast version (tokenizer.json)."
        )
    return tokenizer


def _from_pretrained(
    folder: Path, name: str, allow_pickle: bool, dtype: Any, options: dict[str, Any], auto: Any = REWARD
) -> tuple[Any, dict[str, Any]]:
    """The model as one of Transformers' auto classes builds it, and its report of missing and unexpected weights."""
    try:
        module, report = auto.from_pretrained(
            folder, dtype=dtype, use_safetensors=None if allow_pickle else True, output_loading_info=True, **options
        )
    except OUT_OF_MEMORY:
        raise
    except Exception as error:  # one door for everything Transformers and safetensors raise
        if "ignore_mismatched_sizes" in str(error):
            raise RedvizError(
                f"{name}'s weights do not have the shapes its config.json says; save the model again."
            ) from error
        raise RedvizError(
            f"{name} could not be loaded by {auto.__name__} ({_first_line(error)}); download or save the model again."
        ) from error
    return module, report


def is_small(module: Any) -> bool:
    return sum(p.numel() for p in module.parameters()) < SMALL


def _quantization(kind: str) -> Any:
    if kind not in ("8bit", "4bit"):
        raise RedvizError(f"Unknown quantization {kind!r}; use 8bit or 4bit.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise RedvizError(
            "Quantised loading needs the package bitsandbytes (and a CUDA device); install it, or leave quantization out."
        )
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(load_in_8bit=kind == "8bit", load_in_4bit=kind == "4bit")


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"redviz": __version__}
    for package in ("torch", "transformers", "captum", "streamlit"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:240]
