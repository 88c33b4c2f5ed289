"""Models whose tokens see later ones: every prefix is a text of its own, and is scored by a forward pass of its own.

A prefix of t tokens is closed as a finished response is: whatever the tokenizer or the template writes after the response follows
it ([SEP]), and the score is read where the model reads it ([CLS] stays in column 0, so padding goes to the right). Prefixes run in
batches of like length, within a budget of tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel, positions
from redviz.models.reading.encode import reading_column
from redviz.models.reading.known_tokens import filler_id
from redviz.models.running.attention import reading
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.finite import finite
from redviz.models.running.micro_batches import in_batches, padded
from redviz.models.running.own_forward import check_takes_embeddings, own_labels, reads_types, together
from redviz.records import Array, Encoding, Observation


@dataclass(frozen=True)
class Row:
    """One text as such a model reads it, and where its score is read."""

    ids: Array  # [L] int64
    types: Array | None  # [L] int64
    read: int
    seen: Array | None = None  # [L] bool, which columns may be attended to; None means all

    @classmethod
    def of(cls, model: RewardModel, encoding: Encoding, columns: Array | None = None) -> Row:
        """An encoded conversation, or the given columns of it (``[L]`` bool or indices) closed up."""
        at = slice(None) if columns is None else columns
        ids = encoding.ids[at]
        two = encoding.types is not None and reads_types(model.module)
        return cls(
            ids,
            encoding.types[at] if two and encoding.types is not None else None,
            0 if model.first else reading_column(ids, model.read, model.pad_id),
        )

    def inputs(self, model: RewardModel) -> dict[str, Tensor]:
        """What one forward pass over this text alone is given."""
        return _inputs(model, [self])


def _inputs(model: RewardModel, rows: Sequence[Row]) -> dict[str, Tensor]:
    """Ids, mask and segments of a right-padded batch, ``[B, L]`` each.

    No positions are given, so that every model counts its own; padding stands after the text and is masked, so it shifts none.
    """
    ids, mask = padded([row.ids for row in rows], filler_id(model.module, model.pad_id))
    for own, row in zip(mask, rows, strict=True):
        if row.seen is not None:
            own[: len(row.seen)] = torch.as_tensor(row.seen)
    given = {"input_ids": ids, "attention_mask": mask}
    if rows[0].types is not None:
        given["token_type_ids"] = padded([row.types for row in rows if row.types is not None])[0]
    return {name: tensor.to(model.device) for name, tensor in given.items()}


def inputs_of(model: Any, encoding: Encoding) -> dict[str, Tensor]:
    """What the trunk of a reward model, either way, or of a policy is given for one encoded conversation, unpadded."""
    if isinstance(model, RewardModel) and model.both_ways:
        return Row.of(model, encoding).inputs(model)
    ids = torch.as_tensor(encoding.ids[None], device=model.device)  # [1, L]
    mask = torch.ones_like(ids)
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask)}


def rows_scores(model: RewardModel, rows: Sequence[Row], progress: Progress | None = None) -> Array:
    """The model's score of each text: ``[B]`` float32, in the order given. Texts of like length run together.

    Parameters
    ----------
    progress
        Called with (texts scored, texts) between micro-batches; may raise to cancel.

    Raises
    ------
    RedvizError
        Where one text does not fit memory.
    """
    return _read(model, rows, progress)[:, 0]


def _read(model: RewardModel, rows: Sequence[Row], progress: Progress | None) -> Array:
    """The score of each text and, after it, that of every label: ``[B, 1+K]`` float32."""
    each = in_batches(
        [len(row.ids) for row in rows],
        at_once("forward", model.device),
        lambda batch: _pass(model, [rows[i] for i in batch]),
        lambda i: _too_large(rows[i]),
        progress,
    )
    scores = np.array(each, np.float32).reshape(len(rows), 1 + len(model.mix))
    return finite(model.source, "the score of a text", scores)


def _too_large(row: Row) -> str:
    return f"Memory ran out on one text of {len(row.ids)} tokens; use a shorter response or a smaller dtype."


@torch.inference_mode()
def _pass(model: RewardModel, rows: Sequence[Row]) -> Array:
    if model.own_forward:
        return _own_pass(model, rows)
    hidden = model.run(**_inputs(model, rows), use_cache=False).last_hidden_state  # [B, L, D]
    columns = torch.tensor([row.read for row in rows], device=hidden.device)
    read = hidden[torch.arange(len(rows), device=hidden.device), columns]  # [B, D]
    found: Array = torch.cat([model.scores(read)[:, None], model.label_scores(read)], 1).cpu().numpy()  # [B, 1+K]
    return found


def _own_pass(model: RewardModel, rows: Sequence[Row]) -> Array:
    """The same by the model's own forward, in as many passes as it needs: ``[B, 1+K]``."""
    found = np.empty((len(rows), 1 + len(model.mix)), np.float32)
    for places in together(model, [row.ids for row in rows]):
        labels = own_labels(model, _inputs(model, [rows[place] for place in places]))  # [b, K]
        found[places] = torch.cat([(labels @ model.mix)[:, None], labels], 1).cpu().numpy()
    return found


@dataclass(frozen=True)
class Embedded:
    """A whole text as embeddings, ``[1, L, D]``, the columns of its response in it, and the text they came from."""

    embeddings: Tensor
    response: slice
    row: Row

    def scores(self, model: RewardModel, response: Tensor) -> Tensor:
        """The score with other embeddings as the response: ``[B, T, D] -> [B]`` float32, with gradients where they are asked for."""
        count = len(response)
        before, after = self.embeddings[:, : self.response.start], self.embeddings[:, self.response.stop :]
        parts = [before.expand(count, -1, -1), response.to(self.embeddings), after.expand(count, -1, -1)]
        return self.scores_of(model, torch.cat(parts, 1), torch.full((count,), self.row.read))

    def scores_of(self, model: RewardModel, whole: Tensor, columns: Tensor) -> Tensor:
        """The score of other embeddings of the whole text, each read at its column: ``[B, L, D], [B] -> [B]`` float32."""
        given = {"attention_mask": torch.ones(whole.shape[:2], dtype=torch.long, device=whole.device)}
        if self.row.types is not None:
            given["token_type_ids"] = torch.as_tensor(self.row.types, device=whole.device).expand(len(whole), -1)
        if model.own_forward:
            return own_labels(model, {"inputs_embeds": whole, **given}) @ model.mix
        hidden = model.run(inputs_embeds=whole, **given, use_cache=False).last_hidden_state  # [B, L, D]
        at = columns.to(hidden.device)
        return model.scores(hidden[torch.arange(len(whole), device=hidden.device), at])


def embedded(model: RewardModel, encoding: Encoding) -> Embedded:
    """Embed a whole text.

    Raises
    ------
    RedvizError
        Where the text spells the model's pad token: models count positions around it, and embeddings do not show where it is. And
        where the model's own forward takes no embeddings.
    """
    check_takes_embeddings(model)
    row = Row.of(model, encoding)
    if model.pad_id is not None and model.pad_id in row.ids:
        raise RedvizError(
            f"The text holds the pad token of {model.name}, which is seen in ids and not in embeddings; use red or occlusion with "
            'the operator "delete", or take that token out.'
        )
    layer = model.module.get_input_embeddings()
    ids = torch.as_tensor(row.ids[None], device=model.device)  # [1, L]
    with torch.no_grad():
        parts = [layer(ids[:, : encoding.start]), layer(ids[:, encoding.start :])]
    return Embedded(torch.cat(parts, 1), slice(encoding.start, encoding.stop), row)


def prefix_row(model: RewardModel, encoding: Encoding, tokens: int) -> Row:
    """The conversation whose response is the first ``tokens`` tokens of this one, closed as it is."""
    columns = np.delete(np.arange(len(encoding.ids)), slice(encoding.start + tokens, encoding.stop))
    return Row.of(model, encoding, columns)


def observe_both_ways(
    model: RewardModel,
    encodings: Sequence[Encoding],
    *,
    attention: bool = True,
    prefixes: bool = True,
    stride: int = 1,
    progress: Progress | None = None,
) -> list[Observation]:
    """One padded pass over the whole texts, then passes over their prefixes.

    Parameters
    ----------
    model, encodings
        A model that looks both ways, and examples encoded by it.
    attention
        Whether to read the attention rows of the last response token and of the reading position.
    prefixes
        Whether to score the prefixes; without, only the score is known and all else is nan.
    stride
        Score only every stride-th prefix (and the whole response): the prefix scores between are put on a straight line, so that the
        tokens between share their credit equally. A notice says so.
    progress
        Called with (prefixes scored, prefixes) between micro-batches; may raise to cancel.

    Returns
    -------
    list[Observation]
        In the order given; ``P_t`` is the score of the first t tokens with the closing tokens after them, ``P_T`` is the score.
    """
    attention = attention and not model.own_forward  # no one row says what its head reads
    rows = [Row.of(model, encoding) for encoding in encodings]
    for encoding, row in zip(encodings, rows, strict=True):
        if encoding.start - 1 <= row.read < encoding.stop - 1:
            raise RedvizError(
                "The response ends in the model's pad token, so the model reads its score before the response's end; leave that "
                'token out, or load the model with read="last" (--read last).'
            )
    whole, layers = _whole_pass(model, encodings, rows, attention)  # [B, 1+K], [B, layer, 2, head, L]
    marks = [list(range(0, e.stop - e.start, stride)) if prefixes else [] for e in encodings]
    cuts = [prefix_row(model, encoding, t) for encoding, own in zip(encodings, marks, strict=True) for t in own]
    known = np.split(_read(model, cuts, progress), np.cumsum([len(own) for own in marks])[:-1])  # [marks, 1+K] each
    observations = []
    for i, encoding in enumerate(encodings):
        columns = np.full((len(encoding.ids), whole.shape[1]), np.nan, np.float32)  # [L, 1+K]
        size = encoding.stop - encoding.start
        if prefixes:
            scored = np.vstack([known[i], whole[i]])  # [marks + 1, 1+K]
            between = [np.interp(np.arange(size + 1), [*marks[i], size], scores) for scores in scored.T]
            columns[encoding.start - 1 : encoding.stop] = np.stack(between, 1)
        columns[rows[i].read] = whole[i]
        shown = None if layers is None else layers[i, ..., : len(encoding.ids)]  # [layer, 2, head, L]
        noted = encoding
        if prefixes and stride > 1:
            noted = replace(encoding, notices=(*encoding.notices, stride_notice(stride)))
        observations.append(
            Observation(
                noted,
                columns[:, 0].copy(),
                label_scores=columns[:, 1:].copy() if len(model.mix) > 1 else None,
                response_row=None if shown is None else shown[:, 0].copy(),
                pooling_row=None if shown is None else shown[:, 1].copy(),
                both_ways=True,
                stride=stride if prefixes else 1,
            )
        )
    return observations


def stride_notice(stride: int) -> str:
    """What a person should know of credits between whose marks nothing was scored."""
    return f"Only one prefix in {stride} was scored (stride {stride}); the tokens between two of them share their credit equally."


@torch.inference_mode()
def _whole_pass(
    model: RewardModel, encodings: Sequence[Encoding], rows: Sequence[Row], attention: bool
) -> tuple[Array, Array | None]:
    """Scores of texts and labels, ``[B, 1+K]`` float32, and the two attention rows, ``[B, layer, 2, head, L]``, where they are shown."""
    columns = torch.tensor([[e.stop - 1, row.read] for e, row in zip(encodings, rows, strict=True)])
    try:
        with reading((columns if attention else columns[:, :0]).to(model.device)) as read:
            scores = _pass(model, rows)
    except torch.OutOfMemoryError:
        if len(rows) > 1:  # who asked makes the batch smaller
            raise
        raise RedvizError(_too_large(rows[0])) from None
    layers = torch.stack(read.layers, 1).cpu().numpy() if attention and read.layers else None
    return finite(model.source, "the score of a response", scores), layers
