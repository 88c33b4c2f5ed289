"""Encoders whose head is no function of one hidden state: their own forward scores a whole text, and a cut one as well.

DistilBERT and ModernBERT have layers before the classifier, EuroBERT and ModernBERT may pool means, XLNet sums up its last token, BART
and T5 decode first. Of all of them the score is what ``module(**inputs).logits`` gives; what that forward cannot take is not asked of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.records import Array

BLOCKS = "block_sparse"  # of BigBird, which turns to full attention at the first short text and would stay there


def decodes(module: Any) -> bool:
    """Whether no one hidden state of a text holds its score, or padding moves it: a decoder, BigBird's lengths, MobileBERT's trigrams."""
    return bool(module.config.is_encoder_decoder) or sparse(module) or holds_neighbours(module)


def sparse(module: Any) -> bool:
    """Whether the length of a text, padding counted, decides how the model attends."""
    return getattr(module.config, "attention_type", None) == BLOCKS


def holds_neighbours(module: Any) -> bool:
    """Whether the embedding of a token holds those of its neighbours, whatever a mask says: padding moves the last one of a text."""
    return bool(getattr(module.config, "trigram_input", False))


def heeds_masks(module: Any) -> bool:
    """Whether padding may leave scores alone: the forward takes a mask, nothing reads past it, and no length decides how it attends."""
    takes = "attention_mask" in inspect.signature(type(module).forward).parameters
    return takes and not sparse(module) and not holds_neighbours(module)


def reads_types(module: Any) -> bool:
    """Whether the model tells two segments apart by token types; XLNet takes them and has no table whose size would say so."""
    count = getattr(module.config, "type_vocab_size", None)
    if count is not None:
        return bool(count > 1)
    return module.config.model_type == "xlnet"


def own_labels(model: RewardModel, inputs: dict[str, Tensor]) -> Tensor:
    """The labels that the model's own forward gives to texts, head and pooling untouched: ``[B, K]`` float32."""
    if sparse(model.module):
        for part in model.module.modules():
            if hasattr(part, "set_attention_type"):
                part.set_attention_type(BLOCKS)
    model.forwards += 1
    taken = inspect.signature(type(model.module).forward).parameters
    logits: Tensor = model.module(**{name: given for name, given in inputs.items() if name in taken}).logits
    return logits.float()


def together(model: RewardModel, texts: Sequence[Array]) -> list[list[int]]:
    """Which texts may stand in one padded pass: all, or those of one length where padding moves scores.

    Models that read at the text's end token (BART, T5) want as many of them in every text of a batch.
    """
    ends = model.module.config.eos_token_id if model.module.config.is_encoder_decoder else None
    groups: dict[tuple[int, int], list[int]] = {}
    for place, ids in enumerate(texts):
        key = (0 if model.takes_padding else len(ids), 0 if ends is None else int((ids == ends).sum()))
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def check_takes_embeddings(model: RewardModel) -> None:
    """Refuse what needs embeddings in place of ids, where the model's own forward takes none.

    Raises
    ------
    RedvizError
        Where it does not take them, or gives another score for them.
    """
    if not model.takes_embeddings:
        raise RedvizError(
            f"{model.name} is a {type(model.module).__name__}, whose own forward takes no embeddings in place of ids, so gradients and "
            'replaced embeddings are not defined for it; use red, or occlusion with the operator "delete".'
        )


def check_takes_a_mask(model: RewardModel) -> None:
    """Refuse to hide tokens from a model that does not heed a mask.

    Raises
    ------
    RedvizError
        Where what a mask hides moves its score.
    """
    if not model.takes_padding:
        raise RedvizError(
            f'{model.name} is a {type(model.module).__name__}, which reads tokens that a mask hides; use the operator "delete".'
        )


def same(one: Tensor, two: Tensor, allowed: float) -> bool:
    """Whether two readings of one score differ by rounding alone; NaN is no reading."""
    return bool((one.cpu() - two.cpu()).abs().max() <= allowed * max(1.0, float(one.abs().max())))


def rounding(model: RewardModel) -> float:
    """How far two readings of a score about 1 may lie apart."""
    return max(1e-4, 32 * torch.finfo(model.dtype).eps)
