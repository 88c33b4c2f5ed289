"""The one door for models: which model, how it is loaded and in which role. Screens hold specs instead of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from redviz.models.loading.files import resolve
from redviz.models.loading.memory import free_memory
from redviz.records import Source


@dataclass(frozen=True)
class ModelSpec:
    """Which model, and how it is loaded: the arguments of :func:`redviz.load_reward_model` a person can choose.

    ``role`` is "reward", "policy" (a causal language model), "value" (a critic) or "pair" (it scores pairs of responses).
    Only a command line sets ``trust_remote_code`` and ``allow_pickle``.
    """

    name: str
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    head: str | None = None
    max_length: int | None = None
    read: str = "model"
    template: str | None = None
    role: str = "reward"
    trust_remote_code: bool = False
    allow_pickle: bool = False


LOADERS = {  # role: where it is loaded, and what of a spec means nothing to it
    "reward": ("redviz.models.loading.load", "load_reward_model", ()),
    "policy": ("redviz.models.kinds.policy", "load_policy", ("head", "read")),
    "value": ("redviz.models.kinds.value_head", "load_value_model", ("head", "read")),
    "pair": (
        "redviz.models.loading.load_pairs",
        "load_pair_scorer",
        ("head", "read", "trust_remote_code", "allow_pickle"),
    ),
}
PARTNERS = {
    "policy": "policy",
    "reference": "policy",
    "cost_model": "reward",
}  # beside the reward model, and their roles
PartnerSpecs = Mapping[str, ModelSpec]  # keys of PARTNERS; in the app also "value_model"
NOBODY: PartnerSpecs = {}
NEEDED_FOR = {  # ingredient of a method: the partners it is made from
    "log_probs": ("policy", "reference"),
    "cost": ("cost_model",),
    "policy": ("policy",),
    "reference": ("reference",),
}


@dataclass(frozen=True)
class ModelState:
    """A loaded model as screens may know it."""

    spec: ModelSpec
    source: Source
    bytes: int
    max_length: int
    layers: int
    heads: int
    free_bytes: int  # memory left on its device after loading
    text_only: bool = False  # it is given texts, so there are no embeddings to put something else into


def is_rule(name: str) -> bool:
    """Whether a model's name is that of a rule: a function of text, without weights, template or attention."""
    return name.startswith("rule:")


def load(spec: ModelSpec) -> Any:
    """A model in its role."""
    if is_rule(spec.name) and spec.role == "reward":
        from redviz.models.rules.rules import load_rule

        return load_rule(spec.name)
    module, loader, unknown = LOADERS[spec.role]
    options = {option: value for option, value in vars(spec).items() if option not in ("name", "role", *unknown)}
    return getattr(import_module(module), loader)(spec.name, **options)


def device_of(spec: ModelSpec) -> str:
    """Where it will be loaded."""
    if is_rule(spec.name):
        return "cpu"
    from redviz.models.loading.shared import pick_device

    return str(pick_device(spec.device))


def state_of(spec: ModelSpec, model: Any) -> ModelState:
    """What screens may know of a model that was just loaded."""
    if is_rule(spec.name):
        return ModelState(spec, model.source, 0, model.max_length, 0, 0, free_memory("cpu"), text_only=True)
    from redviz.models.kinds.function import FunctionModel

    config = model.module.config.get_text_config()
    size = sum(p.numel() * p.element_size() for p in model.module.parameters())
    sizes = config.num_hidden_layers, getattr(config, "num_attention_heads", 0)  # Mamba and FNet have no heads
    free = free_memory(model.device)
    return ModelState(spec, model.source, size, model.max_length, *sizes, free, isinstance(model, FunctionModel))


def bytes_on_disk(spec: ModelSpec) -> int:
    """The size of its weights, before they are loaded."""
    if is_rule(spec.name):
        return 0
    if spec.name.startswith("dpo:"):
        parts = spec.name.removeprefix("dpo:").split("|")[:2]
        return sum(bytes_on_disk(ModelSpec(part.strip(), role="policy")) for part in parts if part.strip())
    return sum(path.stat().st_size for path in resolve(spec.name, spec.revision).glob("*.safetensors"))
