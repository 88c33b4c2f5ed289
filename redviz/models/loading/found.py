"""A checkpoint as it was found: which kind of model it is, and the module that is built from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from redviz.errors import RedvizError
from redviz.models.families import logit, pair_rm, process, tokens
from redviz.models.families.build import build
from redviz.models.families.family import Config, Family
from redviz.models.families.table import FAMILIES, KINDS, family_of
from redviz.models.loading.checkpoint import (
    REWARD,
    check_weights,
    pretrained,
    read_config,
    refuse_pickle,
    refuse_unknown,
)
from redviz.models.loading.files import resolve
from redviz.models.loading.lora import Adapter, adapter_folder, open_adapter, with_adapter
from redviz.models.loading.precision import saved_in
from redviz.models.loading.weights import Weights, weights_of


@dataclass(frozen=True)
class Found:
    """A checkpoint and what it was recognised as.

    Attributes
    ----------
    name
        As it was asked for.
    given, folder
        What the name stands for, and where the whole model is: of a LoRA adapter its base.
    config, weights
        ``config.json`` and the tensors of the whole model.
    family
        A key of ``redviz.models.families.ABOUT``; "" where Transformers' own class reads it.
    head
        Which label, or difference of labels, was asked for.
    lora
        The adapter that is merged into the whole model.
    steps
        How the steps of a process reward model are written and read.
    """

    name: str
    given: Path
    folder: Path
    config: Config
    weights: Weights
    family: str
    head: str | int | None
    lora: Adapter | None = None
    steps: process.ProcessSpec | None = None

    @property
    def adapter(self) -> Family | None:
        """The published family that it is of, if any."""
        return FAMILIES.get(self.family)

    @property
    def is_put_together(self) -> bool:
        """Whether redviz makes its tensors from those of the checkpoint, rather than Transformers."""
        return self.lora is not None or (self.adapter is not None and self.adapter.trunk is not None)


def find(name: str, revision: str | None, head: str | int | None, trust_remote_code: bool, allow_pickle: bool) -> Found:
    """Look a model up and say what it is.

    Raises
    ------
    RedvizError
        One sentence with the remedy: no model there, an unknown architecture, pickled weights, an adapter without its base, a model
        that scores pairs, a head that this kind of model cannot have.
    """
    given = resolve(name, revision, allow_pickle)
    inner = adapter_folder(given, name)
    lora = open_adapter(inner, name) if inner else None
    folder = lora.base if lora else given
    config = read_config(folder, name)
    refuse_unknown(config, name, trust_remote_code, also=KINDS)
    if not allow_pickle:
        refuse_pickle(folder, name)
    weights = weights_of(folder, name)
    if pair_rm.is_pair_scorer(weights):
        raise pair_rm.refusal(name)
    if logit.asked_tokens(head):
        if lora:
            raise RedvizError(
                f"{name} is a LoRA adapter, and a logit is read from a whole language model; merge it (peft: merge_and_unload, then "
                "save_pretrained with the tokenizer) and give the merged folder."
            )
        checkpoint = Found(name, given, folder, config, weights, "logit", head)
    elif lora:
        checkpoint = Found(name, given, folder, config, weights, "", head, lora)
    elif tokens.asked_for(config, head):
        checkpoint = Found(name, given, folder, config, weights, tokens.NAME, tokens.label_of(config, head, name))
    elif steps := process.asked_for(config, weights, head):
        checkpoint = Found(name, given, folder, config, weights, steps.family, None, steps=steps)
    else:
        checkpoint = Found(name, given, folder, config, weights, family_of(config, weights), head)
    if checkpoint.adapter is None:
        refuse_unknown(config, name, trust_remote_code)
    return checkpoint


def module_of(
    checkpoint: Found, tokenizer: Any, dtype: torch.dtype | str, options: dict[str, Any], allow_pickle: bool = False
) -> Any:
    """The module, where ``from_pretrained`` puts it with these options.

    Raises
    ------
    RedvizError
        Where weights are missing or do not fit.
    """
    name, folder = checkpoint.name, checkpoint.folder
    if checkpoint.family == "logit":
        return logit.build(folder, name, tokenizer, checkpoint.head, dtype, options)
    if checkpoint.steps:
        return process.build(
            folder, checkpoint.config, checkpoint.weights, checkpoint.steps, tokenizer, dtype, options, allow_pickle
        )
    if checkpoint.family == tokens.NAME:
        return tokens.build(folder, name, dtype, options, allow_pickle)
    if checkpoint.adapter:
        return build(
            folder,
            checkpoint.config,
            checkpoint.weights,
            checkpoint.adapter,
            dtype,
            options,
            gated=checkpoint.head is None,
        )
    if checkpoint.lora:
        return with_adapter(checkpoint.lora, dtype, options, merge=not saved_in(checkpoint.config))
    module, report = pretrained(REWARD, folder, name, dtype, options, allow_pickle)
    check_weights(report, name)
    return module


def mix_of(checkpoint: Found, labels: tuple[str, ...]) -> torch.Tensor:
    """How the outputs of its head make one reward: ``[K]`` float32."""
    adapter = checkpoint.adapter
    if checkpoint.family == "logit" or checkpoint.steps:
        return torch.tensor([1.0, -1.0])[: len(labels)]
    if adapter and adapter.gate and checkpoint.head is None:
        mix = torch.ones(len(labels))  # of what the gate makes of each, prompt by prompt
    else:
        mix = head_mix(
            0 if adapter and adapter.mixed and checkpoint.head is None else checkpoint.head, labels, checkpoint.name
        )
    return -mix if adapter and adapter.lower_is_better(checkpoint.config) else mix


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
