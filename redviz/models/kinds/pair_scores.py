"""What a model says that scores pairs of responses: margins in both orders, a ranking, and what words add to a margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.records import Array, Message, Source

if TYPE_CHECKING:
    import pandas as pd

CAUTION = "This model judges pairs: there is no score of one response, so there are no strips."


@dataclass(frozen=True)
class PairWord:
    """A word of one of two responses, its place in that response, and what it adds to the margin: the margin less that without it."""

    response: int
    text: str
    start: int
    end: int
    value: float


@dataclass(frozen=True)
class PairWords:
    """Occlusion on a pair: every word of both responses is left out once, in both orders. The values promise no sum.

    Attributes
    ----------
    first, second, margin
        Of which response over which other, and by how much.
    rows
        The words of the first response, then those of the second; what lowers the second response raises the margin.
    """

    first: int
    second: int
    margin: float
    rows: tuple[PairWord, ...]

    @property
    def largest(self) -> tuple[PairWord, ...]:
        """The rows, the largest values first."""
        return tuple(sorted(self.rows, key=lambda row: -abs(row.value)))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows]}


@dataclass(frozen=True)
class PairScores:
    """Responses to one prompt under a model that scores pairs. Responses are counted from 0, in the order given.

    Attributes
    ----------
    prompt, responses, source
        What was judged, and by which model.
    shown_first
        ``[n, n]`` float32: at ``[i, j]`` the margin of response i over response j where i is shown first; 0 on the diagonal.
    notices
        What a person should know, such as a text that was cut.
    words
        What the words earn of the first response's margin over each other one, where ``occlusion`` was asked for.

    Examples
    --------
    >>> import numpy as np
    >>> shown_first = np.array([[0, 3.0], [-0.5, 0]], np.float32)  # A leads by 3 where it is shown first, else by 0.5
    >>> found = PairScores("Review it.", ("Superb.", "Dull."), Source("m"), shown_first)
    >>> found.margin(0, 1), float(found.order_effects[0, 1]), found.ranking
    (1.75, 2.5, (0, 1))
    """

    prompt: str | Sequence[Message]
    responses: tuple[str, ...]
    source: Source
    shown_first: Array  # [n, n] float32
    notices: tuple[str, ...] = ()
    words: tuple[PairWords, ...] = ()

    @property
    def shown_second(self) -> Array:
        """``[n, n]`` float32: the margin of response i over response j where i is shown second."""
        return -self.shown_first.T

    @property
    def margins(self) -> Array:
        """``[n, n]`` float32: the mean margin over both orders; that of j over i is its negative."""
        return (self.shown_first + self.shown_second) / 2

    @property
    def order_effects(self) -> Array:
        """``[n, n]`` float32: by how much the margin is larger where the response is shown first; a pair has one."""
        return self.shown_first - self.shown_second

    @property
    def mean_margins(self) -> Array:
        """``[n]`` float32: each response's margin, on average over the others."""
        return self.margins.sum(1) / (len(self.responses) - 1)

    @property
    def ranking(self) -> tuple[int, ...]:
        """The responses by mean margin, the best first."""
        return tuple(int(i) for i in np.argsort(-self.mean_margins, kind="stable"))

    def margin(self, i: int, j: int) -> float:
        """By how much response i is scored above response j, on average over both orders."""
        return float(self.margins[i, j])

    def probability(self, i: int, j: int) -> float:
        """How likely the model holds response i to be preferred to response j: sigmoid(margin)."""
        return 0.5 * (1.0 + math.tanh(self.margin(i, j) / 2))

    def order_decides(self, i: int, j: int) -> bool:
        """Whether the model prefers one response in one order and not in the other."""
        return bool(np.sign(self.shown_first[i, j]) != np.sign(self.shown_second[i, j]))

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every pair once, the better placed response first."""
        return list(combinations(self.ranking, 2))

    def order_remark(self, names: Sequence[str]) -> str:
        """A sentence about the pairs in which the order of showing decides; "" where it decides none."""
        found = [f"{names[i]} and {names[j]}" for i, j in self.pairs if self.order_decides(i, j)]
        told = found[0] if len(found) == 1 else "; ".join(found)
        return f"Which one the model prefers depends on the order in which it reads them: {told}." if found else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "prompt": self.prompt if isinstance(self.prompt, str) else [dict(turn) for turn in self.prompt],
            "responses": list(self.responses),
            "source": {**asdict(self.source), "heads": list(self.source.heads), "versions": dict(self.source.versions)},
            "shown_first": self.shown_first.tolist(),
            "shown_second": self.shown_second.tolist(),
            "margins": self.margins.tolist(),
            "probabilities": [
                [self.probability(i, j) for j in range(len(self.responses))] for i in range(len(self.responses))
            ],
            "order_effects": self.order_effects.tolist(),
            "mean_margins": self.mean_margins.tolist(),
            "ranking": list(self.ranking),
            "notices": list(self.notices),
            "words": [words.to_dict() for words in self.words],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row per pair: the indices ``first`` and ``second``, the margin of the first over the second, and both orders."""
        import pandas as pd

        rows = [
            {
                "first": i,
                "second": j,
                "margin": self.margin(i, j),
                "probability": self.probability(i, j),
                "shown_first": float(self.shown_first[i, j]),
                "shown_second": float(self.shown_second[i, j]),
                "order_effect": float(self.order_effects[i, j]),
            }
            for i, j in self.pairs
        ]
        return pd.DataFrame(rows)
