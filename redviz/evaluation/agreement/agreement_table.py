"""Figures of every method for every labelled response: what the report against people, and any subset of it, is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from redviz.data.labels.labels import LabelledItem
from redviz.errors import RedvizError
from redviz.evaluation.agreement.labelled_units import grades_of_people, truth_of_units
from redviz.evaluation.agreement.ranking_figures import (
    FIGURES,
    blind_rankings,
    chance_figures,
    ranking_figures,
    tied_share,
)
from redviz.evaluation.statistics.pairs import plain
from redviz.records import Analysis, Array
from redviz.text import Unit, pool, units

PEOPLE = "people"
LeaveOut = Callable[[LabelledItem, Sequence[Unit]], ArrayLike]


@dataclass(frozen=True)
class LeftOut:
    """Responses that gave no figures, by reason; ``cut`` ones gave figures for the part that the model read."""

    unlabelled: int = 0  # nobody submitted a judgement
    unmarked: int = 0  # nothing is marked, or nothing of what is compared
    failed: int = 0  # the analysis has no credits
    partly_failed: int = 0  # the analysis has credits and an error
    cut: int = 0


@dataclass(frozen=True)
class AgreementTable:
    """Figures per response and method.

    Attributes
    ----------
    labels, kinds
        The ``m`` rows of a report: methods, then baselines, then people; kinds are "method", "baseline" and "people".
    values
        ``[n, m, figure]`` in the order of ``FIGURES``; nan where a method has no credits for a response, or a figure is not defined.
    tied
        ``[n, m]``: share of units whose credit another unit has too.
    units, marked
        ``[n]``: units compared, and marked ones among them.
    left_out
        Of the pairs the table was made of; a subset keeps it.
    """

    ids: tuple[str, ...]  # n
    subsets: tuple[str, ...]  # n
    labels: tuple[str, ...]  # m
    kinds: tuple[str, ...]  # m
    values: Array
    tied: Array
    units: Array
    marked: Array
    granularity: str
    threshold: float
    left_out: LeftOut

    def only(self, keep: ArrayLike) -> AgreementTable:
        """The same for some responses: a mask ``[n]`` of those to keep, or their places."""
        places = np.arange(len(self.ids))[np.asarray(keep)]
        return replace(
            self,
            ids=tuple(self.ids[n] for n in places),
            subsets=tuple(self.subsets[n] for n in places),
            values=self.values[places],
            tied=self.tied[places],
            units=self.units[places],
            marked=self.marked[places],
        )

    def figure(self, name: str, kind: str | None = None) -> Array:
        """One figure, ``[n, m]``; of one kind of rows only, where it is named."""
        if name not in FIGURES:
            raise RedvizError(f"Unknown figure {name!r}; use one of {', '.join(FIGURES)}.")
        return self.values[:, [kind in (None, own) for own in self.kinds], FIGURES.index(name)]

    def rows(self) -> list[dict[str, Any]]:
        """One row per response and method: ``id``, ``subset``, ``label``, ``kind``, ``units``, ``marked`` and the figures; nan as None."""
        return [
            plain(
                {
                    "id": self.ids[n],
                    "subset": self.subsets[n],
                    "label": label,
                    "kind": self.kinds[m],
                    "units": self.units[n],
                    "marked": self.marked[n],
                    **dict(zip(FIGURES, self.values[n, m], strict=True)),
                }
            )
            for n in range(len(self.ids))
            for m, label in enumerate(self.labels)
        ]


@dataclass(frozen=True)
class _Response:
    """What one response adds."""

    item: LabelledItem
    units: int
    marked: int
    figures: Mapping[tuple[str, str], tuple[Array, float]]  # (kind, label) -> figures and the share of tied units


def agreement_table(
    pairs: Iterable[tuple[LabelledItem, Analysis]],
    granularity: str = "word",
    seed: int = 0,
    *,
    threshold: float = 0.0,
    leave_out: LeaveOut | None = None,
) -> AgreementTable:
    """Compare the credits of every method with what people marked, response by response.

    Parameters
    ----------
    pairs
        A labelled response and its analysis. May be a stream: a few numbers are kept of each.
    granularity
        "token", "word" or "sentence"; a method's credits are summed over a unit, without the closing tokens' share.
    threshold
        A unit is marked where its grade (the mean over people) is further from 0 than this.
    leave_out
        From an item and its units to a mask ``[U]`` of units that are not compared, such as words seen in training.

    Raises
    ------
    RedvizError
        Where no response can be compared, or an analysis is of another text than its item.
    """
    responses: list[_Response] = []
    counts = {"unlabelled": 0, "unmarked": 0, "failed": 0, "partly_failed": 0, "cut": 0}
    for n, (item, analysis) in enumerate(pairs):
        if analysis.response != item.response:
            raise RedvizError(f"Item {item.id!r} and its analysis are of different texts; pair them by id.")
        groups = units(analysis.response, analysis.offsets, granularity)
        truth = truth_of_units(item, [(u.start, u.end) for u in groups])
        if not analysis.credits:
            counts["failed"] += 1
            continue
        counts["cut"] += analysis.truncated > 0
        counts["partly_failed"] += analysis.error is not None
        if truth is None:
            counts["unlabelled"] += 1
            continue
        kept = np.ones(len(groups), bool) if leave_out is None else ~np.asarray(leave_out(item, groups), bool)  # [U]
        if kept.shape != truth.shape:
            raise RedvizError(
                f"The mask of item {item.id!r} has shape {kept.shape}; give one value per unit, {truth.shape}."
            )
        if not (np.abs(truth[kept]) > threshold).any():
            counts["unmarked"] += 1
            continue
        responses.append(_response(item, analysis, groups, kept, truth, threshold, np.random.default_rng([seed, n])))
    if not responses:
        reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in counts.items() if count)
        raise RedvizError(
            f"No response has both marks and credits ({reasons or 'there are none'}); give some that have."
        )
    return _table(responses, granularity, threshold, LeftOut(**counts))


def _response(
    item: LabelledItem,
    analysis: Analysis,
    groups: Sequence[Unit],
    kept: Array,
    truth: Array,
    threshold: float,
    random: np.random.Generator,
) -> _Response:
    places = np.flatnonzero(kept)
    grades = truth[kept]  # [U]
    ties, order = random.permutation(len(grades)), random.permutation(len(grades))
    figures_of = partial(ranking_figures, grades, threshold=threshold, places=places, tie_break=ties)
    figures: dict[tuple[str, str], tuple[Array, float]] = {}
    for label, credit in analysis.credits.items():
        own = pool(credit.own, groups)[kept]
        if np.isfinite(own).all():
            figures["method", label] = figures_of(own), tied_share(own)
    for label, known in chance_figures(grades, threshold).items():
        figures["baseline", label] = known, np.nan
    lengths = [len("".join(unit.text.split())) for unit, own in zip(groups, kept, strict=True) if own]
    for label, ranking in blind_rankings(lengths, order).items():
        figures["baseline", label] = figures_of(ranking, signed=False), tied_share(ranking)
    people = grades_of_people(item, [(u.start, u.end) for u in groups])
    settled = None if item.gold is None else grades
    if ceiling := _ceiling({name: given[kept] for name, given in people.items()}, settled, ties, places, threshold):
        figures[PEOPLE, PEOPLE] = ceiling
    return _Response(item, len(grades), int((np.abs(grades) > threshold).sum()), figures)


def _ceiling(
    people: Mapping[str, Array], settled: Array | None, ties: Array, places: Array, threshold: float
) -> tuple[Array, float] | None:
    """Everyone's grades against the settled ones, else the mean of the others', averaged over people; None where neither is there."""
    figures, tied = [], []
    for name, own in people.items():
        others = [given for other, given in people.items() if other != name]
        rest = settled if settled is not None else np.mean(others, axis=0) if others else np.zeros(len(own))  # [U]
        if (np.abs(rest) > threshold).any():
            figures.append(ranking_figures(rest, own, ties, own_set=True, threshold=threshold, places=places))
            tied.append(tied_share(own))
    if not figures:
        return None
    each = np.array(figures)  # [person, figure]
    known = np.isfinite(each)
    sums = np.where(known, each, 0).sum(0)
    means = np.divide(sums, known.sum(0), out=np.full(len(FIGURES), np.nan), where=known.any(0))
    return means, float(np.mean(tied))


def _table(responses: Sequence[_Response], granularity: str, threshold: float, left_out: LeftOut) -> AgreementTable:
    kinds = {"method": 0, "baseline": 1, PEOPLE: 2}
    keys = sorted(dict.fromkeys(key for own in responses for key in own.figures), key=lambda key: kinds[key[0]])
    nothing = np.full(len(FIGURES), np.nan), np.nan
    return AgreementTable(
        ids=tuple(own.item.id for own in responses),
        subsets=tuple(own.item.subset for own in responses),
        labels=tuple(label for _, label in keys),
        kinds=tuple(kind for kind, _ in keys),
        values=np.array([[own.figures.get(key, nothing)[0] for key in keys] for own in responses]),
        tied=np.array([[own.figures.get(key, nothing)[1] for key in keys] for own in responses]),
        units=np.array([own.units for own in responses]),
        marked=np.array([own.marked for own in responses]),
        granularity=granularity,
        threshold=threshold,
        left_out=left_out,
    )
