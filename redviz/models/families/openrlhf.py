"""OpenRLHF: a linear head under a name of its own, and scores that may be brought to mean 0 and spread 1."""

from __future__ import annotations

from torch import nn

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import Scaled, linear
from redviz.models.loading.weights import Weights


def recognises(config: Config, weights: Weights) -> bool:
    """A head called otherwise than score, or a score that is normalised; the rest are plain sequence-classification models."""
    return "value_head.weight" in weights or (_prefix(config, weights) + ".weight" in weights and _is_scaled(config))


def head(config: Config, weights: Weights) -> nn.Module:
    """The head, and the checkpoint's own mean and spread where it was trained with ``normalize_reward``."""
    own = linear(weights, _prefix(config, weights))
    return Scaled(own, config["mean"], config["std"]) if _is_scaled(config) else own


def _prefix(config: Config, weights: Weights) -> str:
    return str(config.get("value_head_prefix") or ("value_head" if "value_head.weight" in weights else "score"))


def _is_scaled(config: Config) -> bool:
    return bool(config.get("normalize_reward")) and "mean" in config and "std" in config


FAMILY = Family(
    title="OpenRLHF",
    source="OpenRLHF/OpenRLHF: openrlhf/models/model.py, _get_reward_model",
    about="A linear head without bias, read at the last token; (score - mean) / std where config.json says normalize_reward.",
    recognises=recognises,
    head=head,
)
