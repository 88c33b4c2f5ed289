"""The score of a response of which only some units are there, under a model that looks both ways: every altered text runs whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from redviz.credit.from_models.gradient_inputs import baseline_embedding
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.both_ways import Row, embedded, rows_scores
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.micro_batches import in_batches
from redviz.records import Array, Observation
from redviz.text import Unit

ALTERED = "Memory ran out on a single altered response; use a shorter one or a smaller dtype."


class WholeTexts:
    """The value function of a model that looks both ways; it is called with distinct coalitions ``[U, P]``."""

    def __init__(self, model: RewardModel, observation: Observation, players: Sequence[Unit], operator: str) -> None:
        self.model, self.observation, self.operator = model, observation, operator
        self.owner = np.repeat(np.arange(len(players)), [p.last - p.first for p in players])  # [T]: whose token it is

    def scores(self, rows: Array, progress: Progress | None) -> Array:
        """Distinct coalitions ``[U, P]`` to scores ``[U]`` float64."""
        encoding = self.observation.encoding
        stays = np.ones((len(rows), len(encoding.ids)), bool)  # [U, L]
        stays[:, encoding.start : encoding.stop] = rows[:, self.owner]
        values = np.full(len(rows), self.observation.score)  # of the whole response
        left = np.flatnonzero(~stays.all(1))
        if not len(left):
            return values
        if self.operator in ("pad", "mean"):
            values[left] = self._replaced(stays[left], progress)
        else:
            values[left] = rows_scores(self.model, [self._row(own) for own in stays[left]], progress)
        return values

    def _row(self, stays: Array) -> Row:
        """The text without these tokens, or with nobody attending to them."""
        if self.operator == "delete":
            return Row.of(self.model, self.observation.encoding, np.flatnonzero(stays))
        row = Row.of(self.model, self.observation.encoding)
        return Row(row.ids, row.types, self._read(stays), stays)

    def _read(self, stays: Array) -> int:
        """Where the score is read: as in the whole text or, where that token is away, at the last legible one that stays."""
        if self.model.first:
            return 0
        legible = stays.copy()
        if self.model.read == "model" and self.model.pad_id is not None:
            legible &= self.observation.encoding.ids != self.model.pad_id
        return int(np.flatnonzero(legible)[-1])

    def _replaced(self, stays: Array, progress: Progress | None) -> Array:
        """Scores with the embeddings of missing tokens replaced: ``[U, L] -> [U]`` float32."""
        text = embedded(self.model, self.observation.encoding)
        filler = baseline_embedding(self.model, self.operator).to(text.embeddings)  # [D]
        kept = torch.as_tensor(stays, device=text.embeddings.device)[..., None]  # [U, L, 1]
        columns = torch.tensor([self._read(own) for own in stays])  # [U]

        @torch.inference_mode()
        def run(batch: Sequence[int]) -> Array:
            whole = torch.where(kept[batch], text.embeddings, filler)  # [B, L, D]
            scores: Array = text.scores_of(self.model, whole, columns[batch]).cpu().numpy()  # [B]
            return scores

        lengths = [stays.shape[1]] * len(stays)
        budget = at_once("forward", kept.device)
        return np.array(in_batches(lengths, budget, run, lambda _: ALTERED, progress), np.float32)
