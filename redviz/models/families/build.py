"""From a checkpoint of a family to the module and head that redviz runs: the trunk by Transformers, the head from its own tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from redviz.errors import RedvizError
from redviz.models.families.family import Config, Family, RewardModule
from redviz.models.loading.checkpoint import check_weights, pretrained
from redviz.models.loading.weights import Weights


def build(
    folder: Path,
    config: Config,
    weights: Weights,
    family: Family,
    dtype: torch.dtype | str,
    options: dict[str, Any],
    gated: bool = True,
) -> RewardModule:
    """A module of the family, on the CPU unless ``options`` hold a device map.

    Parameters
    ----------
    dtype
        Of the trunk, or "auto" for the checkpoint's own. The head is float32.
    options
        For ``from_pretrained``.
    gated
        Whether a gate weighs the objectives; else each is shown alone.

    Raises
    ------
    RedvizError
        Where weights are missing, or the head does not fit the trunk.
    """
    if (pooling := family.pooling(config)) not in ("last", "mean"):
        raise RedvizError(
            f"{weights.name} scores the {pooling} of all tokens; redviz reads those that score the last one or their mean."
        )
    own = _config(config, family)
    head = family.head(config, weights)
    gate = family.gate(config, weights) if family.gate else None
    trunk = (
        _converted(own, config, weights, family, dtype)
        if family.trunk
        else _loaded(folder, own, weights, family, dtype, options)
    )
    width = next(p.shape[-1] for p in head.parameters() if p.dim() == 2)
    if width != own.hidden_size:
        raise RedvizError(
            f"{weights.name} has a head for hidden states of width {width} and a trunk of width {own.hidden_size}; save the model again."
        )
    return RewardModule(
        trunk, head, family.labels(config), gate if gated else None, family.header(config), pooling == "mean"
    )


def _config(config: Config, family: Family) -> Any:
    kind = family.trunk_type or str(config.get("model_type"))
    known = {name: value for name, value in config.items() if name not in ("model_type", "auto_map", "architectures")}
    return CONFIG_MAPPING[kind].from_dict(known)


def _loaded(
    folder: Path, own: Any, weights: Weights, family: Family, dtype: torch.dtype | str, options: dict[str, Any]
) -> nn.Module:
    """The trunk as Transformers reads it; tensors that are not its own are those that the head and the gate took."""
    module: nn.Module
    module, report = pretrained(AutoModel, folder, weights.name, dtype, {"config": own, **options})
    report["unexpected_keys"] = set(report["unexpected_keys"]) - weights.taken
    check_weights(report, weights.name, beside=family.beside)
    return module


def _converted(own: Any, config: Config, weights: Weights, family: Family, dtype: torch.dtype | str) -> nn.Module:
    """The trunk from tensors that have other names or shapes in the checkpoint."""
    assert family.trunk is not None
    tensors = family.trunk(config, weights)
    kind = next(iter(tensors.values())).dtype if isinstance(dtype, str) else dtype
    module: nn.Module = AutoModel.from_config(own, dtype=kind)
    there = module.state_dict()
    known = {name: tensor for name, tensor in tensors.items() if name in there}
    wrong = [name for name, tensor in known.items() if tensor.shape != there[name].shape]
    missing = [name for name in there if name not in known]
    unused = (set(tensors) - set(there)) | (set(weights.files) - weights.taken)
    report = {"missing_keys": missing, "mismatched_keys": wrong, "unexpected_keys": unused}
    check_weights(report, weights.name, beside=family.beside)
    module.load_state_dict(known)
    return module
