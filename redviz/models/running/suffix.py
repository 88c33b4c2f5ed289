"""Observe edits of a conversation that was already observed: only what follows the first changed token runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.finite import all_finite
from redviz.models.running.micro_batches import micro_batches
from redviz.models.running.observe import observe
from redviz.models.running.shared_prompt import begin, common_columns, continued
from redviz.models.running.tail import PromptCache
from redviz.records import Encoding, Observation

KEYS_PER_COLUMN = 4  # every row of a forward also holds the keys and values of the columns before it
PADDED = 1.25  # columns that a pass may run for each column that it has to


@dataclass(frozen=True)
class Continued:
    """An edited conversation as the model sees it, and how many of its first columns are those of the original."""

    observation: Observation
    kept: int


def kept_columns(original: Encoding, edited: Encoding) -> int:
    """How many first columns have the original's ids: their hidden states are the original's too.

    What decides is the ids of the whole conversation, encoded anew: an edit can change the token before it, and a longer text
    can fall into other tokens where it is joined.
    """
    return common_columns(original.ids, edited.ids)


def observe_edited(
    model: RewardModel, original: Observation, encodings: Sequence[Encoding], progress: Progress | None = None
) -> list[Continued]:
    """Observe edited conversations over the original's keys and values.

    The original's first columns, as many as the edit that keeps the most, run once; every edit then runs from its first changed
    column, those with beginnings of like length in one padded pass.

    Parameters
    ----------
    model
        The model that made ``original``, a causal one; any other gets an ordinary pass over every edited text.
    original
        The observation of the unchanged response. Scores of columns that an edit keeps are taken from it.
    encodings
        The edited conversations, by this model.
    progress
        Called with (edits done, edits) between passes; may raise to cancel.

    Returns
    -------
    list[Continued]
        In the order given, with the observations of :func:`redviz.models.running.observe.observe`; ``kept`` is 0 where nothing was reused.

    Raises
    ------
    RedvizError
        Where one edited text does not fit memory.
    """
    if model.both_ways:  # every column sees the change
        return _one_by_one(model, original, encodings, progress)
    model = model.for_prompt(original.encoding)
    by_edit: dict[int, Continued] = {}
    begins = [_begins(original.encoding, encoding) for encoding in encodings]  # where each edit's own pass starts
    # A row that starts at column 0 has nothing to reuse, and one column more is run again as a check.
    sharing = [i for i, begin in enumerate(begins) if begin > 0]
    cache = _beginning(model, original, max(begins[i] for i in sharing)) if sharing else None
    if cache is None:
        begins = [0] * len(encodings)

    def run(batch: Sequence[int]) -> list[Continued]:
        return _pass(model, original, cache, min(begins[i] for i in batch), [encodings[i] for i in batch])

    for batch, own in micro_batches(
        sorted(range(len(encodings)), key=lambda i: (-begins[i], len(encodings[i].ids))),
        _together(begins, encodings, at_once("forward", model.device)),
        run,
        lambda i: (
            f"Memory ran out on one edited response of {len(encodings[i].ids)} tokens; use a shorter one or a smaller dtype."
        ),
        progress,
    ):
        by_edit |= zip(batch, own, strict=True)
    return [by_edit[i] for i in range(len(encodings))]


def _one_by_one(
    model: RewardModel, original: Observation, encodings: Sequence[Encoding], progress: Progress | None
) -> list[Continued]:
    """Every edit observed as the original was, with its prefixes and its stride; progress is told between micro-batches."""
    observed = []
    for done, encoding in enumerate(encodings):
        beat = None if progress is None else (lambda *_, told=progress, at=done: told(at, len(encodings)))
        observed.append(Continued(observe(model, [encoding], stride=original.stride, progress=beat)[0], 0))
    if progress is not None:
        progress(len(encodings), len(encodings))
    return observed


def _begins(original: Encoding, edited: Encoding) -> int:
    """The column before the first changed one, at most the one before the first whose attention is read; 0 keeps nothing.

    That column runs again: both passes score it, which shows a model that misplaces what it is given, and no pass is ever a
    single query, to which Transformers gives no mask.
    """
    kept = min(kept_columns(original, edited), edited.stop - 1, edited.read, len(edited.ids) - 1)
    return max(0, kept - 1)


def _beginning(model: RewardModel, original: Observation, length: int) -> PromptCache | None:
    """Keys and values of the original's first columns; None where the model has none that can be reused, or no memory for them."""
    try:
        started = begin(model, original.encoding.ids[:length])
    except torch.OutOfMemoryError:
        return None
    if started is None:
        return None
    scores, cache = started  # [n]
    return cache if _alike(model, scores, original, slice(0, length)) else None


def _alike(model: RewardModel, scores: np.ndarray, original: Observation, columns: slice) -> bool:
    """Whether scores of columns that nothing after them can change are the original's."""
    spread = float(original.column_scores.std())
    slack = max(0.01, 32 * torch.finfo(model.dtype).eps) * max(spread, 1e-3)
    return bool((np.abs(scores - original.column_scores[columns]) <= slack).all())


def _together(begins: Sequence[int], encodings: Sequence[Encoding], budget: int) -> Callable[[Sequence[int]], int]:
    """How many of the first edits run together from the earliest of their beginnings, without much that none of them needs."""

    def fitting(order: Sequence[int]) -> int:
        for count, i in enumerate(order):  # beginnings only get earlier, so the new one sets it
            rows = order[: count + 1]
            length = max(len(encodings[j].ids) for j in rows)
            grid = len(rows) * (length - begins[i])
            needed = sum(len(encodings[j].ids) - begins[j] for j in rows)
            if count and (grid > PADDED * needed or grid > budget or len(rows) * length > KEYS_PER_COLUMN * budget):
                return count
        return len(order)

    return fitting


def _pass(
    model: RewardModel, original: Observation, cache: PromptCache | None, begin: int, given: Sequence[Encoding]
) -> list[Continued]:
    if cache is None or begin < 1:
        return [Continued(observation, 0) for observation in observe(model, given)]
    rest, rows = continued(model, cache.cropped(begin), given)  # [B, S], [B, layer, 2, head, n+S]
    if not _alike(model, rest[:, 0], original, slice(begin, begin + 1)):
        return [Continued(observation, 0) for observation in observe(model, given)]
    observed = []
    for row, encoding in enumerate(given):
        own, kept = len(encoding.ids), kept_columns(original.encoding, encoding)
        columns = np.concatenate([original.column_scores[:begin], rest[row, : own - begin]])  # [L]
        columns[:kept] = original.column_scores[:kept]  # what did not change differs by nothing, not even by rounding
        pair = (None, None) if rows is None else (rows[row, :, 0, :, :own].copy(), rows[row, :, 1, :, :own].copy())
        observed.append(Continued(Observation(encoding, columns, *pair), kept))
    all_finite(model.source, [one.observation for one in observed])
    return observed
