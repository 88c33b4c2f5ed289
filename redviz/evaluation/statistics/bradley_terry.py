"""Which credit map people prefer: strengths of methods from comparisons of two, by the model of Bradley and Terry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.sparse.csgraph import connected_components

from redviz.data.labels.labels import Preference
from redviz.errors import RedvizError
from redviz.evaluation.statistics.intervals import DRAWS, Estimate, resampling
from redviz.evaluation.statistics.pairs import plain
from redviz.records import Array

PRIOR = 0.1
STEPS = 200  # seldom more than ten
NEAR = 1e-10  # of log strength
COLUMNS = {1.0: 0, 0.0: 1, 0.5: 2}  # won, lost, tied

RULE = (
    "Bradley and Terry (1952) by maximum likelihood: one method wins over another with the odds exp(difference of their strengths); "
    "strengths have the mean 0. A tie (neither) is half a win for each. "
    f"For every pair that was compared at all, {PRIOR} of a win is added on both sides, so that a method that won everything stays finite. "
    "The intervals are 95 % bootstrap intervals over items."
)


@dataclass(frozen=True)
class Ranked:
    """One method: its log strength with the interval over items, and its answers (``count`` of the estimate is their number)."""

    label: str
    strength: Estimate
    wins: int
    losses: int
    ties: int


@dataclass(frozen=True)
class Ranking:
    """Methods from the most to the least preferred.

    Attributes
    ----------
    comparisons, items
        Answers, and the items that they are about.
    rule
        How ties, the prior and the intervals are meant, for a person.
    """

    methods: tuple[Ranked, ...]
    comparisons: int
    items: int
    rule: str = RULE

    def chance(self, one: str, two: str) -> float:
        """How probably a person prefers ``one`` to ``two``, by the strengths."""
        strength = {method.label: method.strength.value for method in self.methods}
        if strange := [label for label in (one, two) if label not in strength]:
            raise RedvizError(f"{strange[0]!r} was never compared; use one of {', '.join(strength)}.")
        return float(1 / (1 + np.exp(strength[two] - strength[one])))

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain JSON types; nan becomes None."""
        return dict(plain(asdict(self)))


def bradley_terry(
    comparisons: Iterable[Preference | tuple[str, str, float, str]], draws: int = 1000, seed: int = 0
) -> Ranking:
    """Rank methods by which of two maps people preferred.

    Parameters
    ----------
    comparisons
        ``(label_a, label_b, outcome, item)``, see :class:`Preference`. An item's answers are drawn together.
    draws
        Bootstrap draws of items; without any, and with one item only, intervals are nan.

    Raises
    ------
    RedvizError
        Without comparisons, or where they fall apart into groups that were never compared with each other.

    Notes
    -----
    Sources: Bradley and Terry, Rank Analysis of Incomplete Block Designs (1952); Hunter, MM Algorithms for Generalized Bradley-Terry
    Models (2004), for when a maximum exists. The maximum is found by Newton's method with the step of Sun and Tran-Dinh (2019).

    Examples
    --------
    >>> ranking = bradley_terry([("red", "abc", 1.0, "1"), ("abc", "red", 0.5, "2"), ("red", "abc", 1.0, "3")])
    >>> [(method.label, method.wins, method.losses, method.ties) for method in ranking.methods]
    [('red', 2, 0, 1), ('abc', 0, 2, 1)]
    >>> round(ranking.chance("red", "abc"), 4) == round(2.6 / 3.2, 4)
    True
    """
    given = [Preference(*comparison) for comparison in comparisons]
    _check(given)
    labels = sorted({label for answer in given for label in (answer.label_a, answer.label_b)})
    items = sorted({answer.item for answer in given})
    wins, counts = _counted(given, labels, items)  # [item, m, m], [m, 3]
    total = wins.sum(0)  # [m, m]
    compared = (total + total.T) > 0
    _check_connected(compared, labels)
    prior = PRIOR * compared  # [m, m]
    strengths = log_strengths(total + prior)  # [m]
    low = high = np.full(len(labels), np.nan)
    if len(items) > 1 and draws > 0:
        drawn = log_strengths(_drawn(wins, draws, seed) + prior)  # [draw, m]
        low, high = np.quantile(drawn, (0.025, 0.975), axis=0)  # [m] each
    ranked = [
        Ranked(
            label,
            Estimate(float(strengths[n]), float(low[n]), float(high[n]), int(counts[n].sum())),
            *map(int, counts[n]),
        )
        for n, label in enumerate(labels)
    ]
    best_first = sorted(ranked, key=lambda method: (-method.strength.value, method.label))
    return Ranking(tuple(best_first), len(given), len(items))


def log_strengths(wins: Array) -> Array:
    """The most likely log strengths, mean 0, ``[..., m]``, from how often row won over column, ``[..., m, m]``.

    Every method must have won over and lost to every other through a chain of comparisons, else no maximum exists.

    >>> log_strengths(np.array([[0.0, 3.0], [1.0, 0.0]])).round(6).tolist() == [round(np.log(3) / 2, 6), -round(np.log(3) / 2, 6)]
    True
    """
    played = wins + np.swapaxes(wins, -1, -2)  # [..., m, m]
    won = wins.sum(-1)  # [..., m]
    size = wins.shape[-1]
    strengths = np.zeros(won.shape)
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(strengths[..., None, :] - strengths[..., :, None]))  # [..., m, m]: row over column
        slope = won - (played * chance).sum(-1)  # [..., m]
        bends = played * chance * (1 - chance)
        curve = (
            np.eye(size) * bends.sum(-1)[..., None] - bends + 1 / size
        )  # the last term holds the mean, which is free, at 0
        step = np.linalg.solve(curve, slope[..., None])[..., 0]
        reach = np.ptp(step, axis=-1)[
            ..., None
        ]  # a full step may go past the maximum: log(1 + reach) / reach of it never does
        strengths = strengths + step * np.where(reach > 0, np.log1p(reach) / np.where(reach > 0, reach, 1), 1)
        if reach.max() < NEAR:
            break
    centred: Array = strengths - strengths.mean(-1, keepdims=True)
    return centred


def _counted(given: Sequence[Preference], labels: Sequence[str], items: Sequence[str]) -> tuple[Array, Array]:
    """Wins of row over column in each item, ``[item, m, m]``, and each method's wins, losses and ties, ``[m, 3]``."""
    place = {label: n for n, label in enumerate(labels)}
    item_place = {item: n for n, item in enumerate(items)}
    wins = np.zeros((len(items), len(labels), len(labels)))
    counts = np.zeros((len(labels), 3), np.int64)
    for answer in given:
        a, b, item = place[answer.label_a], place[answer.label_b], item_place[answer.item]
        wins[item, a, b] += answer.outcome
        wins[item, b, a] += 1 - answer.outcome
        counts[a, COLUMNS[answer.outcome]] += 1
        counts[b, COLUMNS[1 - answer.outcome]] += 1
    return wins, counts


def _drawn(wins: Array, draws: int, seed: int) -> Array:
    """Wins in resampled items, ``[draw, m, m]``."""
    found = []
    for part in range(-(-draws // DRAWS)):
        resampled = resampling(len(wins), int(np.random.SeedSequence([seed, part]).generate_state(1)[0]))
        blocks = np.zeros((resampled.weights.shape[1], *wins.shape[1:]))  # [block, m, m]
        np.add.at(blocks, resampled.block, wins)
        found.append(np.tensordot(resampled.weights, blocks, 1))
    return np.concatenate(found)[:draws]


def _check(given: Sequence[Preference]) -> None:
    if not given:
        raise RedvizError("There is no comparison to rank methods by; let people choose between maps first.")
    for answer in given:
        if answer.label_a == answer.label_b:
            raise RedvizError(
                f"Item {answer.item!r} compares {answer.label_a!r} with itself; give two different methods."
            )
        if answer.outcome not in (0, 0.5, 1):
            raise RedvizError(
                f"An outcome is {answer.outcome!r}; give 1 where the first won, 0 where it lost, 0.5 for neither."
            )


def _check_connected(compared: Array, labels: Sequence[str]) -> None:
    count, group = connected_components(compared, directed=False)
    if count > 1:
        groups = "; ".join(
            ", ".join(label for label, of in zip(labels, group, strict=True) if of == n) for n in range(count)
        )
        raise RedvizError(
            f"The methods fall apart into groups that were never compared with each other ({groups}); "
            "ask about a pair across them, or rank each group alone."
        )
