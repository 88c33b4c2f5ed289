"""The score of a response of which only some units are there, for many such coalitions at once.

The units (tokens, words or sentences) are the players of a cooperative game, and the model's score is what a coalition is worth.
Prompt and template tokens stay. A coalition shares every column up to its first missing token with the whole response, so only
what follows is run; a model that looks both ways runs every altered text whole (:mod:`redviz.credit.from_models.whole_texts`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from redviz.credit.choices import OPERATORS
from redviz.credit.from_models.gradient_inputs import baseline_embedding, baseline_kind
from redviz.credit.from_models.whole_texts import ALTERED, WholeTexts
from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.layer_kinds import carries_state
from redviz.models.running.micro_batches import micro_batches
from redviz.models.running.own_forward import check_takes_a_mask
from redviz.models.running.tail import PromptCache, prompt_cache, scores_at, tail_embeddings
from redviz.records import Array, Example, Observation
from redviz.text import Unit, units

KEYS_PER_TOKEN = 4  # every row of a forward also holds the keys and values of the columns before it
TEXTS_AT_ONCE = 32  # of a function, between two reports of progress

Model = RewardModel | FunctionModel
Value = Callable[[Tensor, Progress | None], Tensor]


def players_of(observation: Observation, granularity: str) -> tuple[Unit, ...]:
    """The units of the response that are kept or removed whole."""
    encoding = observation.encoding
    return units(encoding.example.response, encoding.offsets, granularity)


def spread(credits: Array, players: Sequence[Unit]) -> Array:
    """Every player's credit, evenly over its tokens, so that pooling gives it back: ``[P] -> [T]`` float64.

    >>> spread(np.array([3.0, 1.0]), [Unit("so", 0, 2, 0, 2), Unit("!", 2, 3, 2, 3)]).tolist()
    [1.5, 1.5, 1.0]
    """
    tokens = [player.last - player.first for player in players]
    return np.repeat(np.asarray(credits, np.float64) / tokens, tokens)


def operator_for(model: Model, operator: str) -> str:
    """The removal operator as it will be applied: "pad" is "mean" where the tokenizer has no pad token."""
    if operator not in OPERATORS:
        raise RedvizError(f"operator is {operator!r}; use one of {', '.join(OPERATORS)}.")
    if isinstance(model, FunctionModel):
        if operator != "delete":
            raise RedvizError(f'{model.name} reads text, which has no embeddings to {operator}; use operator "delete".')
        return operator
    if operator == "mask" and model.own_forward:
        check_takes_a_mask(model)
    if operator == "mask" and carries_state(model.module):
        raise RedvizError(
            f'{model.name} has layers that carry a state past what nobody attends to; use the operator "delete", "pad" or "mean".'
        )
    return baseline_kind(model, operator)


def value_function(model: Model, observation: Observation, players: Sequence[Unit], operator: str = "delete") -> Value:
    """What a coalition of units is worth: the score of the response with the other units removed.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the whole response.
    players
        Units of the response that cover all its tokens, ``P`` of them (:func:`players_of`).
    operator
        How the others are removed. "delete": their tokens are taken out and the rest closes up. "pad": their embeddings become the
        pad token's (the mean embedding where the tokenizer has none) and nothing moves. "mean": the mean embedding. "mask": nobody
        attends to them, and nothing moves.

    Returns
    -------
    Callable
        ``value(z, progress)``: 0/1 rows ``[B, P]``, 1 where a player stays, to scores ``[B]`` float64. The score is read where the
        conversation's is: after the response or, where nothing follows it, at its last token that stays (in a model that skips
        padding, the last that is no padding). With nothing after an empty response that is the last prompt token, so the score is
        P_0. Equal rows of one call are scored once. ``progress`` is called with (rows done, rows to run) between micro-batches and
        may raise to cancel.

    Raises
    ------
    RedvizError
        For an unknown operator; for any but "delete" with a function, which reads text; where one row does not fit memory.
    """
    operator = operator_for(model, operator)
    if isinstance(model, FunctionModel):
        score = _of_texts(model, observation, players)
    elif model.both_ways:
        score = WholeTexts(model, observation, players, operator).scores
    elif (
        observation.encoding.read < observation.encoding.start
    ):  # a response of padding alone: the model reads before it
        score = lambda rows, _: np.full(len(rows), observation.score)  # noqa: E731
    else:
        score = _OfTokens(model, observation, players, operator).scores

    def value(z: Tensor, progress: Progress | None = None) -> Tensor:
        rows = z.cpu().numpy() > 0.5  # [B, P]
        _, index, where = np.unique(np.packbits(rows, 1), axis=0, return_index=True, return_inverse=True)
        return torch.from_numpy(score(rows[index], progress)[where.reshape(-1)])

    return value


def _of_texts(
    model: FunctionModel, observation: Observation, players: Sequence[Unit]
) -> Callable[[Array, Progress | None], Array]:
    """The value function of a text function."""
    example = observation.encoding.example

    def scores(rows: Array, progress: Progress | None) -> Array:
        texts = ["".join(p.text for p, stays in zip(players, row, strict=True) if stays) for row in rows]
        values = scores_of_texts(model, example, texts, progress)  # [U]
        values[rows.all(1)] = observation.score
        return values

    return scores


def scores_of_texts(model: FunctionModel, example: Example, texts: Sequence[str], progress: Progress | None) -> Array:
    """A function's score of each response to the example's prompt: ``[B]`` float64."""
    found = np.zeros(len(texts))  # [B]
    for at in range(0, len(texts), TEXTS_AT_ONCE):
        if progress is not None:
            progress(at, len(texts))
        found[at : at + TEXTS_AT_ONCE] = model.score_texts(example.prompt, texts[at : at + TEXTS_AT_ONCE])
    if progress is not None:
        progress(len(texts), len(texts))
    return found


class _OfTokens:
    """The value function of a reward model. Columns count from the first response token; the last of S is the reading column."""

    def __init__(self, model: RewardModel, observation: Observation, players: Sequence[Unit], operator: str) -> None:
        encoding = observation.encoding
        model = model.for_prompt(encoding)
        self.model, self.observation, self.operator = model, observation, operator
        self.start, self.size = encoding.start, encoding.read + 1 - encoding.start
        self.owner = np.repeat(np.arange(len(players)), [p.last - p.first for p in players])  # [T]: whose token it is
        self.readable = np.zeros(self.size, bool)  # [S]: where the score may be read
        if observation.has_end:
            self.readable[-1] = True
        else:
            ids = encoding.ids[encoding.start : encoding.read + 1]
            self.readable[:] = True if model.read == "last" else ids != model.pad_id
        self.tail = tail_embeddings(model, encoding)[0]  # [>= S, D]
        self.filler = baseline_embedding(model, operator) if operator in ("pad", "mean") else None
        self.cache: PromptCache | None = None

    def scores(self, rows: Array, progress: Progress | None) -> Array:
        """Distinct coalitions ``[U, P]`` to scores ``[U]`` float64."""
        stays = np.ones((len(rows), self.size), bool)  # [U, S]
        stays[:, : len(self.owner)] = rows[:, self.owner[: self.size]]
        first = np.where(
            stays.all(1), self.size, stays.argmin(1)
        )  # [U] the first column that differs from the response
        legible = stays & self.readable
        last = np.where(legible.any(1), self.size - 1 - legible[:, ::-1].argmax(1), -1)  # [U] where the score is read
        values = self.observation.column_scores[self.start + last].astype(
            np.float64
        )  # right where nothing before it differs
        left = np.flatnonzero(last >= first)
        left = left[np.lexsort((stays[left].sum(1), first[left]))]
        for batch, scores in micro_batches(
            left.tolist(),
            lambda rows: self._fitting(stays, last, rows, int(first[rows[0]])),
            lambda rows: self._run(stays[rows], last[rows], int(first[rows[0]])),
            lambda _: ALTERED,
            progress,
        ):
            values[batch] = scores
        return values

    def _columns(self, stays: Array, last: Array, begin: int) -> Array:
        """Which columns from ``begin`` on are run: ``[B, S - begin]``."""
        upto = np.arange(begin, self.size) <= last[:, None]
        return upto & stays[:, begin:] if self.operator == "delete" else upto

    def _fitting(self, stays: Array, last: Array, batch: Sequence[int], begin: int) -> int:
        """How many of these rows one forward takes."""
        budget = at_once("forward", self.tail.device)
        least = int(self._columns(stays[batch[:1]], last[batch[:1]], begin).sum())
        batch = batch[: max(1, budget // least)]
        widths = np.maximum.accumulate(self._columns(stays[batch], last[batch], begin).sum(1))  # [B]
        count = np.arange(1, len(batch) + 1)
        fits = (count * widths <= budget) & (count * (self.start + begin + widths) <= KEYS_PER_TOKEN * budget)
        return max(1, int(fits.sum()))

    @torch.inference_mode()
    def _run(self, stays: Array, last: Array, begin: int) -> Array:
        """One forward over what follows column ``begin``, which all rows ``[B, S]`` share: ``[B]`` float32."""
        if self.cache is None:
            encoding = self.observation.encoding
            self.cache = prompt_cache(self.model, encoding, encoding.read)
        run = self._columns(stays, last, begin)
        widths = run.sum(1)  # [B]
        index = np.argsort(~run, 1, kind="stable")[:, : widths.max()] + begin  # [B, W]: run columns in order, then any
        device = self.tail.device
        embeddings = self.tail[torch.as_tensor(index, device=device)]  # [B, W, D]
        kept = torch.as_tensor(np.take_along_axis(stays, index, 1), device=device)  # [B, W]
        if self.filler is not None:
            embeddings = torch.where(kept[..., None], embeddings, self.filler)
        scores: Array = (
            scores_at(
                self.model,
                self.cache.cropped(self.start + begin),
                embeddings,
                torch.as_tensor(widths - 1, device=device),
                kept if self.operator == "mask" else None,
            )
            .cpu()
            .numpy()
        )
        return scores
