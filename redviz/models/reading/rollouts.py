"""Rows of a policy's rollout as a reward model reads them: as they are, or their text encoded anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.reading.token_bytes import character_offsets, encoded_ends, text_and_ends
from redviz.records import Array, Encoding, Example, Prompt


@dataclass(frozen=True)
class Run:
    """Where a row's response stands among its attended columns.

    Attributes
    ----------
    attended
        The row's attended columns, ``[n]`` int64.
    start, stop
        Where among them the response starts and stops; the same where the row has none.
    own
        Which of its ``m = stop - start`` tokens the policy wrote, ``[m]`` bool: the last of them, and all but the holes, which are
        the environment's (the output of tools).
    """

    attended: Array  # [n] int64
    start: int
    stop: int
    own: Array  # [m] bool

    @property
    def next_own(self) -> Array:
        """Which of the policy's tokens is each of them, or the first behind its hole: ``[m]`` int64.

        What the environment writes between two of the policy's turns is in the state before the later one, so what it does to the
        score goes to the policy's first token behind it.
        """
        found: Array = np.cumsum(self.own) - self.own
        return found


def response_run(seen: Array, mask: Array) -> Run:
    """Where a row's response stands.

    Parameters
    ----------
    seen
        The row's attention mask, ``[L]`` bool.
    mask
        1 at the response's tokens, ``[T]`` bool: the last T of the columns.
    """
    attended = np.flatnonzero(seen)  # [n]
    wanted = np.flatnonzero(mask) + len(seen) - len(mask)
    if not len(wanted):
        return Run(attended, 0, 0, np.zeros(0, bool))
    if not seen[wanted].all():
        raise RedvizError(
            "The response mask holds tokens that the attention mask hides; give masks of the same rollout."
        )
    places = np.searchsorted(attended, wanted)
    start, stop = int(places[0]), int(places[-1]) + 1
    own = np.zeros(stop - start, bool)
    own[places - start] = True
    return Run(attended, start, stop, own)


def same_ids(tokenizer: Any, model: RewardModel | FunctionModel) -> bool:
    """Whether a tokenizer and the model's own mean the same by every id."""
    own = getattr(model, "tokenizer", None)
    if own is None or own is tokenizer:
        return own is tokenizer
    return len(own) == len(tokenizer) and bool(own.get_vocab() == tokenizer.get_vocab())


def from_ids(
    model: RewardModel, ids: Array, start: int, stop: int, *, closed: bool, offsets: bool
) -> tuple[Encoding, Array]:
    """A row of the reward model's own ids as it is.

    Parameters
    ----------
    ids
        The attended ones, ``[n]``.
    start, stop
        Where the response stands among them.
    closed
        Whether special tokens that end the response are what closes it, rather than tokens of it.
    offsets
        Whether the response's text and offsets are needed, which say where words and sentences stand.

    Returns
    -------
    tuple[Encoding, Array]
        What the model reads, and which of the response's tokens gets the credit of each (its own), ``[T]`` int64.
    """
    if model.both_ways:
        raise RedvizError(
            f"{model.name} looks both ways and reads texts of its own form, not a policy's ids; give messages or policy_tokenizer."
        )
    if not start:
        raise RedvizError(
            "Nothing stands before the response, so there is no empty-prefix score; give the prompt's ids too."
        )
    if len(ids) > model.max_length:
        raise RedvizError(
            f"{len(ids)} tokens are more than the {model.max_length} that {model.name} reads; shorten prompts or responses."
        )
    known = model.module.get_input_embeddings().weight.shape[0]
    if ids.min() < 0 or ids.max() >= known:
        raise RedvizError(
            f"Id {ids[(ids < 0) | (ids >= known)][0]} is not among the {known} of {model.name}; "
            "give policy_tokenizer, if another tokenizer made the ids."
        )
    read = len(ids) - 1
    if model.read == "model" and model.pad_id is not None and len(kept := np.flatnonzero(ids != model.pad_id)):
        read = int(kept[-1])  # where the model's own forward reads
    if closed:
        special = model.tokenizer.all_special_ids
        while stop - 1 > start and ids[stop - 1] in special:
            stop -= 1
    text, ends = "", np.zeros(stop - start, np.int64)
    if offsets:
        text, ends = text_and_ends(model.tokenizer, ids[start:stop])
    spans = character_offsets(text, ends)
    encoding = Encoding(ids.astype(np.int64), start, stop, read, spans, (), text, example=Example("", text))
    return encoding, np.arange(stop - start)


def prompt_text(tokenizer: Any, ids: Array) -> str:
    """The prompt that a policy without a chat template read; with one, the conversation cannot be told from its ids."""
    if tokenizer.chat_template:
        raise RedvizError(
            "The policy's tokenizer has a chat template, so the prompt's ids are no plain text; "
            "give messages, the conversation of every row."
        )
    return str(tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def from_text(
    model: RewardModel | FunctionModel, tokenizer: Any, prompt: Prompt, ids: Array, own: Array
) -> tuple[Encoding, Array]:
    """A response's text as the reward model reads it, with its own tokenizer and template.

    Parameters
    ----------
    tokenizer
        The policy's.
    prompt
        What stands before the response.
    ids
        The response's, ``[T]``; its special tokens are left out of the text.
    own
        Which of them the policy wrote, ``[T]`` bool.

    Returns
    -------
    tuple[Encoding, Array]
        What the model reads, T' response tokens, and which of the policy's tokens gets the credit of each: the first after which
        all its bytes are there, ``[T']`` int64.
    """
    if ids.min() < 0:
        raise RedvizError(
            f"The response holds the id {ids.min()}, which no tokenizer has; give the ids that were sampled."
        )
    special = np.isin(ids, tokenizer.all_special_ids)  # [T]
    if not own.all() and special[: np.flatnonzero(~special)[-1] if not special.all() else 0].any():
        raise RedvizError(
            "The response has turns of its own in it (tool output between special tokens), and one text cannot say so; "
            "leave out messages and policy_tokenizer where the ids are the reward model's, or give every turn a row of its own."
        )
    text, ends = text_and_ends(tokenizer, ids[~special])
    reached = np.zeros(len(ids), np.int64)  # [T]: bytes after each token
    reached[~special] = ends
    example = Example(prompt, text)
    try:
        encoding = model.encode(example)
    except RedvizError:
        if text.strip():
            raise
        encoding = _of_nothing(model, example)
        return encoding, np.full(encoding.stop - encoding.start, len(ids) - 1)
    own = encoded_ends(getattr(model, "tokenizer", None), encoding)  # [T']
    target = np.searchsorted(np.maximum.accumulate(reached), own, side="left")
    return encoding, np.minimum(target, len(ids) - 1)


def _of_nothing(model: RewardModel | FunctionModel, example: Example) -> Encoding:
    """A response without text, as of a policy that ends at once: the template's closing tokens are all there is of it."""
    stand_in = model.encode(replace(example, response="."))  # a stand-in, taken out again
    ids = np.delete(stand_in.ids, slice(stand_in.start, stand_in.stop))
    if isinstance(model, RewardModel) and model.both_ways:
        types = None if stand_in.types is None else np.delete(stand_in.types, slice(stand_in.start, stand_in.stop))
        spans, read = ((0, 0),) * (len(ids) - stand_in.start), 0 if model.first else len(ids) - 1
        alone = replace(example, response="")
        return Encoding(ids, stand_in.start, len(ids), read, spans, (), "", example=alone, types=types)
    read = max(stand_in.start - 1, stand_in.read - (stand_in.stop - stand_in.start))
    spans = ((0, 0),) * (read + 1 - stand_in.start)
    return Encoding(ids, stand_in.start, read + 1, read, spans, (), "", example=replace(example, response=""))
