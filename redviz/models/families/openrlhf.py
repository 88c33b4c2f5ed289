"""OpenRLHF: a linear head under a name of its own, and scores that may be brought to mean 0 and spread 1."""

from __future__ import annotations

from torch import nn

from redviz.models.families.family import Config, Family
from redviz.models.families.heads import Scaled, linear
from redviz.models.loading.weights import Weights
from redviz.models.reading.templates import TEXTS


def recognises(config: Config, weights: Weights) -> bool:
    """A head by the name that config.json or OpenRLHF's older default gives; it is one row, whatever config.json says of labels."""
    named = config.get("value_head_prefix") is not None or _is_scaled(config)
    return "value_head.weight" in weights or (named and f"{_prefix(config, weights)}.weight" in weights)


def head(config: Config, weights: Weights) -> nn.Module:
    """The head, and the checkpoint's own mean and spread where it was trained with ``normalize_reward``."""
    own = linear(weights, _prefix(config, weights))
    return Scaled(own, config["mean"], config["std"]) if _is_scaled(config) else own


def ending(template: str) -> str:
    """The template's text without line breaks at its end, and behind it a blank and EOS, unless it ends in EOS."""
    return (
        "{% set written %}" + template + "{% endset %}{% set written = written.rstrip('\\n') %}{{ written }}"
        "{% if eos_token and not written.endswith(eos_token) %} {{ eos_token }}{% endif %}"
    )


def _prefix(config: Config, weights: Weights) -> str:
    return str(config.get("value_head_prefix") or ("value_head" if "value_head.weight" in weights else "score"))


def _is_scaled(config: Config) -> bool:
    return bool(config.get("normalize_reward")) and "mean" in config and "std" in config


FAMILY = Family(
    title="OpenRLHF",
    source="OpenRLHF/OpenRLHF: openrlhf/models/model.py, _get_reward_model",
    about="A linear head without bias, read at EOS, the last token; (score - mean) / std where config.json says normalize_reward.",
    text="the tokenizer's chat template, else prompt and response as they are, without line breaks at the end and ended by EOS (a blank "
    "before it where it is added), no BOS but the template's: openrlhf/datasets/reward_dataset.py, RewardDataset.__getitem__; "
    "openrlhf/cli/serve_rm.py adds EOS too",
    recognises=recognises,
    head=head,
    template=TEXTS["plain"],
    ending=ending,
)
