"""Adapters: one small file for each family of reward models that is not a plain sequence-classification model."""

from __future__ import annotations

from redviz.models.families import (
    armo,
    beaver,
    dpo,
    internlm2,
    logit,
    mlp_score,
    open_assistant,
    openrlhf,
    pair_rm,
    process,
    qrm,
    starling,
    tokens,
    ultra,
    urm,
    value_heads,
)
from redviz.models.families.family import Config, Described, Family
from redviz.models.loading.weights import Weights

FAMILIES: dict[str, Family] = {
    "openrlhf": openrlhf.FAMILY,
    "trl_value_head": value_heads.TRL,
    "grm": value_heads.GRM,
    "open_assistant": open_assistant.FAMILY,
    "internlm2": internlm2.FAMILY,
    "ultra_rm": ultra.ULTRA,
    "eurus": ultra.EURUS,
    "starling": starling.FAMILY,
    "beaver": beaver.FAMILY,
    "mlp_score": mlp_score.FAMILY,
    "armo": armo.FAMILY,
    "qrm": qrm.FAMILY,
    "urm": urm.FAMILY,
}
ABOUT: dict[str, Described] = {
    **FAMILIES,
    **process.PROCESS,
    tokens.NAME: tokens.DESCRIBED,
    "logit": logit.DESCRIBED,
    "dpo": dpo.DESCRIBED,
    "pair_rm": pair_rm.DESCRIBED,
}
KINDS = frozenset(kind for family in FAMILIES.values() for kind in family.kinds)  # that Transformers does not know


def family_of(config: Config, weights: Weights) -> str:
    """The key of the family a checkpoint is of, "" where Transformers' own sequence classification reads it."""
    return next((name for name, family in FAMILIES.items() if family.recognises(config, weights)), "")
