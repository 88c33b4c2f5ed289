"""Which model, how it is loaded and in which role: what browser sessions hold instead of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redviz.models.loading.files import resolve
from redviz.models.loading.memory import free_memory
from redviz.records import Source


@dataclass(frozen=True)
class ModelSpec:
    """Which model, and how it is loaded: the arguments of :func:`redviz.load_reward_model` a person can choose.

    ``role`` is "reward", "policy" (a causal language model), "value" (a critic) or "pair" (it scores pairs of responses).
    """

    name: str
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    head: str | None = None
    max_length: int | None = None
    read: str = "model"
    role: str = "reward"


Partners = Mapping[str, ModelSpec]  # "policy", "reference", "cost_model": models beside the reward model
NOBODY: Partners = {}
NEEDED_FOR = {
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


def load(spec: ModelSpec) -> Any:
    """A model in its role."""
    if spec.name.startswith("rule:"):
        from redviz.models.rules.rules import load_rule

        return load_rule(spec.name)
    options = {name: value for name, value in vars(spec).items() if name not in ("name", "role")}
    if spec.role == "policy":
        from redviz.models.kinds.policy import load_policy

        return load_policy(spec.name, device=spec.device, dtype=spec.dtype, revision=spec.revision)
    if spec.role == "value":
        from redviz.models.kinds.value_head import load_value_model

        taken = {name: value for name, value in options.items() if name not in ("head", "read")}
        return load_value_model(spec.name, **taken)
    if spec.role == "pair":
        from redviz.models.loading.load_pairs import load_pair_scorer

        return load_pair_scorer(
            spec.name, device=spec.device, dtype=spec.dtype, revision=spec.revision, max_length=spec.max_length
        )
    from redviz.models.loading.load import load_reward_model

    return load_reward_model(spec.name, **options)


def device_of(spec: ModelSpec) -> str:
    """Where it will be loaded."""
    if spec.name.startswith("rule:"):
        return "cpu"
    from redviz.models.loading.load import pick_device

    return str(pick_device(spec.device))


def state_of(spec: ModelSpec, model: Any) -> ModelState:
    """What screens may know of a model that was just loaded."""
    if spec.name.startswith("rule:"):
        return ModelState(spec, model.source, 0, model.max_length, 0, 0, free_memory("cpu"), text_only=True)
    from redviz.models.kinds.function import FunctionModel

    config = model.module.config.get_text_config()
    size = sum(p.numel() * p.element_size() for p in model.module.parameters())
    sizes = config.num_hidden_layers, config.num_attention_heads
    free = free_memory(model.device)
    return ModelState(spec, model.source, size, model.max_length, *sizes, free, isinstance(model, FunctionModel))


def bytes_on_disk(spec: ModelSpec) -> int:
    """The size of its weights, before they are loaded."""
    if spec.name.startswith("rule:"):
        return 0
    if spec.name.startswith("dpo:"):
        parts = spec.name.removeprefix("dpo:").split("|")[:2]
        return sum(bytes_on_disk(ModelSpec(part.strip(), role="policy")) for part in parts if part.strip())
    return sum(path.stat().st_size for path in resolve(spec.name, spec.revision).glob("*.safetensors"))
