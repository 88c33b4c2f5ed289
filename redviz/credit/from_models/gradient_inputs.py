"""What every gradient method starts from: the response's embeddings, with the prompt's keys and values computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from redviz.credit.choices import BASELINES
from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.reading.known_tokens import known_ids
from redviz.models.running.both_ways import Embedded, embedded
from redviz.models.running.budgets import at_once
from redviz.models.running.tail import PromptCache, prompt_cache, tail_embeddings, tail_scores
from redviz.records import Encoding, Observation

ROWS_AT_ONCE = 8192  # of the embedding table, where its mean is taken

Made = TypeVar("Made")


@dataclass(frozen=True)
class GradientInputs:
    """The columns after the prompt as embeddings, and where among them the score is read (before them: negative).

    Attributes
    ----------
    cache
        Keys and values of the columns before the response.
    response
        What gradients are taken of, ``[1, T, D]``.
    closing
        The template's tokens after the response, which stay as they are, ``[1, S-T, D]``.
    read
        The column whose score is the model's own, counted from the first response token.
    around
        Of a model that looks both ways, which has no keys and values to reuse: the whole text, run again by every pass.
    """

    cache: PromptCache
    response: Tensor  # [1, T, D]
    closing: Tensor  # [1, S-T, D]
    read: int
    around: Embedded | None = None

    @property
    def unread(self) -> bool:
        """Whether the score is read before the response, where nothing of it is known: a response of padding alone."""
        return self.around is None and self.read < 0

    @property
    def rows(self) -> int:
        """How many copies of the response one forward and backward takes."""
        length = self.response.shape[1] if self.around is None else self.around.embeddings.shape[1]
        length += 0 if self.cache.ahead is None else self.cache.length
        return max(1, at_once("backward", self.response.device) // length)

    def whole(self, embeddings: Tensor) -> Tensor:
        """The response's embeddings with what follows them, in the model's dtype and place: ``[B, T, D] -> [B, S, D]``."""
        return torch.cat([embeddings.to(self.closing), self.closing.expand(len(embeddings), -1, -1)], 1)

    def score(self, model: RewardModel, embeddings: Tensor) -> Tensor:
        """The model's own score with these embeddings as the response: ``[B, T, D] -> [B]`` float32."""
        if self.around is None:
            return tail_scores(model, self.cache, self.whole(embeddings))[:, self.read]
        return self.around.scores(model, embeddings)


class ResponseScore(nn.Module):
    """The model's own score as a function of the response's embeddings: ``[B, T, D] -> [B]``; a module, so that DeepLIFT sees inside."""

    def __init__(self, model: RewardModel, given: GradientInputs) -> None:
        super().__init__()
        self.parts = nn.ModuleList(part for part in (model.module, model.head) if isinstance(part, nn.Module))
        self.model, self.given = model, given

    def forward(self, embeddings: Tensor) -> Tensor:
        return self.given.score(self.model, embeddings)  # [B]


def gradient_inputs(model: RewardModel, encoding: Encoding) -> GradientInputs:
    """Run the prompt and embed what follows it; of a model that looks both ways, embed the whole text."""
    length = encoding.stop - encoding.start
    if model.both_ways:
        around = embedded(model, encoding)
        own, closing = around.embeddings[:, encoding.start : encoding.stop], around.embeddings[:, encoding.stop :]
        return GradientInputs(PromptCache((), 0), own, closing, around.row.read - encoding.start, around)
    tail = tail_embeddings(model, encoding)  # [1, S, D]
    return GradientInputs(
        prompt_cache(model, encoding), tail[:, :length], tail[:, length:], encoding.read - encoding.start
    )


def baseline_kind(model: RewardModel, kind: str) -> str:
    """The baseline that is used where ``kind`` is asked for: "pad" is "mean" where no pad token has an embedding."""
    pad = model.tokenizer.pad_token_id
    return "mean" if kind == "pad" and (pad is None or pad >= known_ids(model.module)) else kind


def baseline_embedding(model: RewardModel, kind: str) -> Tensor:
    """The embedding every response token starts from: ``[D]``."""
    if kind not in BASELINES:
        raise RedvizError(f"baseline is {kind!r}; use one of {', '.join(BASELINES)}.")
    layer = model.module.get_input_embeddings()
    weight: Tensor = layer.weight.detach()  # [V, D]
    if kind == "zero":
        return torch.zeros_like(weight[0])
    if kind == "mean":
        ids = torch.arange(len(weight), device=weight.device)
        with (
            torch.no_grad()
        ):  # through the layer: some scale what they look up, and the mean must be of what the model reads
            parts = [layer(part).float().sum(0) for part in ids.split(ROWS_AT_ONCE)]  # [D] each
        return (torch.stack(parts).sum(0) / len(weight)).to(weight.dtype)
    token = model.tokenizer.pad_token_id if kind == "pad" else model.tokenizer.eos_token_id
    if token is None or token >= len(weight):
        raise RedvizError(f'There is no {kind} token that has an embedding; use baseline "mean" or "zero".')
    with torch.no_grad():
        embedded: Tensor = layer(torch.tensor([token], device=weight.device))[0]
    return embedded


def residual_tolerance(observation: Observation, reference: float) -> float:
    """Below which a completeness residual is small: 1 % of what is explained, or of the spread of the prefix scores."""
    return max(0.01 * abs(observation.score - reference), 0.01 * float(observation.prefix_scores.std()))


def halving(run: Callable[[int], Made], rows: int) -> Made:
    """``run(rows)``, with half the rows as often as memory runs out."""
    while True:
        try:
            return run(rows)
        except torch.OutOfMemoryError:
            if rows == 1:
                raise RedvizError(
                    "Memory ran out on a single gradient step; use a shorter response or a smaller dtype."
                ) from None
        rows //= 2
