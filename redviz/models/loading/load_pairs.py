"""Load a model that scores pairs of responses."""

from __future__ import annotations

import logging
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from redviz.errors import RedvizError
from redviz.models.families import pair_rm
from redviz.models.kinds.pair_scorer import PairScorer
from redviz.models.loading.checkpoint import read_config, refuse_pickle
from redviz.models.loading.files import fingerprint, resolve
from redviz.models.loading.precision import QUANTISED, pick_dtype, saved_in
from redviz.models.loading.shared import building, float32_if_small, load_tokenizer, pick_device, source_of
from redviz.models.loading.weights import weights_of
from redviz.models.reading.templates import OWN

log = logging.getLogger("redviz")

SHORTEST = 32  # tokens, for three parts with their marks


def load_pair_scorer(
    name: str,
    *,
    device: str = "auto",
    dtype: str | torch.dtype = "auto",
    revision: str | None = None,
    max_length: int | None = None,
    template: str | None = None,
) -> PairScorer:
    """Load a model that scores pairs of responses (PairRM), for :func:`redviz.compare`.

    Parameters
    ----------
    name
        A local folder or a Hub id, in the form of ``llm-blender/PairRM-hf``; known by its tensors, not by its name.
    device, dtype, revision
        As in :func:`redviz.load_reward_model`. The head always runs in float32.
    max_length
        Tokens of prompt and two responses together, 2048 if not given; the prompt has at most 1224 of 2048, and the responses share
        evenly what it leaves.
    template
        Refused: such a model has marks of its own around the prompt and the responses.

    Raises
    ------
    RedvizError
        One sentence with the remedy: no model there, no pair scorer, missing weights, a tokenizer without the marks.
    """
    if template and template != OWN:
        raise RedvizError(f"{name} scores pairs and reads them between marks of its own; leave --template out.")
    folder = resolve(name, revision)
    config = read_config(folder, name)
    refuse_pickle(folder, name, or_allow=False)
    weights = weights_of(folder, name)
    if not pair_rm.is_pair_scorer(weights):
        raise RedvizError(f"{name} is no model that scores pairs; load it with redviz.load_reward_model.")
    if dtype in QUANTISED:
        raise RedvizError(f"{name} scores pairs and is read whole; choose another --dtype than {dtype}.")
    if bits := saved_in(config):
        raise RedvizError(f"{name} scores pairs and is saved in {bits}; give the model in whole numbers.")
    target = pick_device(device)
    tokenizer = load_tokenizer(folder, name, trust_remote_code=False)
    tokenizer.truncation_side = "right"  # the mark begins each part
    with building(name, target, or_else=" or another --device"):
        module = pair_rm.build(folder, config, weights, pick_dtype(dtype, target))
        module = float32_if_small(module, dtype).to(target)
    total = _context(module.config, max_length, name)
    source = source_of(
        name, module, tokenizer, revision=revision, fingerprint=fingerprint(folder), heads=("margin",), family="pair_rm"
    )
    log.info("loaded the pair scorer %s (%s, %s)", name, source.dtype, source.device)
    room = total * pair_rm.CANDIDATE // pair_rm.CONTEXT  # of each response where the prompt is long
    return PairScorer(name, module, tokenizer, _marks(config, tokenizer, name), total, total - 2 * room, source)


def _context(config: Any, max_length: int | None, name: str) -> int:
    """Tokens of the whole text: what was asked for, or the card's number, within what learned positions allow."""
    total = pair_rm.CONTEXT if max_length is None else max_length
    if total < SHORTEST:
        raise RedvizError(f"max_length is {total}; give at least {SHORTEST} tokens.")
    most = int(config.max_position_embeddings) if config.position_biased_input else total
    if max_length is not None and max_length > most:
        raise RedvizError(f"{name} reads {most} tokens, fewer than the {max_length} asked for; lower --max-length.")
    return min(total, most)


def _marks(config: pair_rm.Config, tokenizer: PreTrainedTokenizerBase, name: str) -> tuple[str, ...]:
    """The texts of the three marks, each of which the tokenizer makes the one token that config.json names."""
    ids = [int(config[mark]) for mark in pair_rm.MARKS]
    texts = [tokenizer.convert_ids_to_tokens(i) if i < len(tokenizer) else None for i in ids]
    for mark, i, text in zip(pair_rm.MARKS, ids, texts, strict=True):
        if text is None or i not in tokenizer(text, add_special_tokens=False)["input_ids"]:
            raise RedvizError(
                f"{name}'s tokenizer has no mark {i}, which config.json calls {mark}; use the tokenizer that belongs to the model."
            )
    return tuple(str(text) for text in texts)
