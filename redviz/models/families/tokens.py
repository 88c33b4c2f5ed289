"""Classifiers of tokens whose rewards are read at every token: which checkpoint is one, and its head."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForTokenClassification

from redviz.errors import RedvizError
from redviz.models.families.family import Config, Described
from redviz.models.loading.checkpoint import check_weights, pretrained

NAME, PREFIX = "token_rewards", "tokens"
DESCRIBED = Described(
    title="Token rewards (token classification)",
    source="huggingface/transformers: modeling_layers.py, GenericForTokenClassification (rewards of every token as in Wu et al. 2023, "
    "arXiv 2306.01693)",
    about="The logit of a label at every response token is that token's reward, --head NAME or 1-0 chooses, and the score is their "
    "sum; two labels need --head tokens:1-0.",
    text="the tokenizer's chat template, else prompt and response as they are: nobody says, --template chooses another",
    curve="one pass; of a model that looks both ways none, truncation cuts the text",
)


def asked_for(config: Config, head: str | int | None) -> bool:
    """Whether a checkpoint is read token by token: a classifier of tokens with other than two labels, or where ``head`` says so.

    >>> asked_for({"architectures": ["LlamaForTokenClassification"]}, None)
    False
    >>> asked_for({"architectures": ["LlamaForTokenClassification"]}, "tokens:1-0")
    True
    """
    named = any(str(name).endswith("ForTokenClassification") for name in config.get("architectures") or ())
    return named and (_count(config) != 2 or _is_prefixed(head))


def label_of(config: Config, head: str | int | None, name: str) -> str | int | None:
    """The label, index or difference that ``head`` names, None where it names none.

    Raises
    ------
    RedvizError
        Where a classifier with two labels is asked for rewards of tokens, and for neither label.
    """
    if not _is_prefixed(head):
        return head
    rest = str(head).removeprefix(PREFIX).removeprefix(":")
    if not rest and _count(config) == 2:
        raise RedvizError(f"{name} has two labels; say which is the reward of a token, e.g. --head {PREFIX}:1-0.")
    return rest or None


def build(
    folder: Path, name: str, dtype: torch.dtype | str, options: dict[str, Any], allow_pickle: bool = False
) -> Any:
    """The module as Transformers builds it.

    Raises
    ------
    RedvizError
        Where weights are missing.
    """
    auto = AutoModelForTokenClassification
    module, report = pretrained(auto, folder, name, dtype, options, allow_pickle)
    check_weights(report, name, auto)
    return module


def head_of(module: Any) -> Any:
    """A copy of its head in float32."""
    return copy.deepcopy(module.score if hasattr(module, "score") else module.classifier).float()


def _count(config: Config) -> int:
    return len(config.get("id2label") or (0, 1))  # config.json does not say the two that Transformers takes by itself


def _is_prefixed(head: str | int | None) -> bool:
    return str(head) == PREFIX or str(head).startswith(f"{PREFIX}:")
