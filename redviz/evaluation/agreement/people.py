"""Do people agree? Krippendorff's alpha over units, per response, per person, and the overlap of what two people marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from redviz.data.labels.labels import LabelledItem
from redviz.errors import RedvizError
from redviz.evaluation.agreement.labelled_units import Span, grades_of_people, text_spans
from redviz.evaluation.agreement.overlaps_of_people import PairOfPeople, mean_overlap, overlaps_of, pairs_of_people
from redviz.evaluation.statistics.coincidences import LEVELS, alpha_of, coincidences, distances, expected_distance
from redviz.evaluation.statistics.intervals import Estimate, Resampling, resampling
from redviz.evaluation.statistics.pairs import plain
from redviz.records import Array

SAME = "Alpha is not defined where every unit has the same grade: there is nothing to agree about beyond chance."


@dataclass(frozen=True)
class ItemAgreement:
    """Agreement about one response; nan where it is not defined, with the reason in ``why``."""

    id: str
    people: int
    units: int
    marked: int  # units that somebody graded other than 0
    alpha: float
    token_f1: float  # mean over pairs of people
    why: str = ""


@dataclass(frozen=True)
class PersonAgreement:
    """One person against everyone else.

    Attributes
    ----------
    responses, units, marked_share
        What the person shares with others, and the share of those units the person graded other than 0.
    alpha
        ``1 - D_o / D_e`` with the observed distance of the person's pairs only and the expected distance of everybody:
        everybody's alpha is the mean of these, weighted by units.
    alpha_without
        Everybody's alpha if this person had not taken part.
    """

    name: str
    responses: int
    units: int
    marked_share: float
    alpha: Estimate
    alpha_without: Estimate
    token_f1: Estimate


@dataclass(frozen=True)
class PeopleReport:
    """What people agree about.

    Attributes
    ----------
    responses, left_out
        Responses judged by two people or more, and those that were not.
    alpha, alpha_marked
        By level of measurement: over all units, and over those that at least one person graded other than 0. The second leaves out
        what everybody passed over, so that chance agrees less often; it is the stricter figure.
    token_f1
        Mean over responses of the mean over pairs of people.
    notes
        Why a figure is not there.
    """

    level: str
    granularity: str
    responses: int
    left_out: int
    units: int
    marked_units: int
    grades: tuple[float, ...]
    alpha: Mapping[str, Estimate]
    alpha_marked: Mapping[str, Estimate]
    token_f1: Estimate
    people: tuple[PersonAgreement, ...]
    pairs: tuple[PairOfPeople, ...]
    items: tuple[ItemAgreement, ...]
    sentence: str
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; nan as null."""
        found: dict[str, Any] = plain(asdict(self))
        return found

    def rows(self) -> list[dict[str, Any]]:
        """One row per level and set of units: ``level``, ``units``, ``alpha``, ``low``, ``high``, ``responses``."""
        sets = (("all", self.alpha), ("marked by somebody", self.alpha_marked))
        return [
            plain({"level": level, "units": name, "alpha": e.value, "low": e.low, "high": e.high, "responses": e.count})
            for name, found in sets
            for level, e in found.items()
        ]


def among_people(
    items: Sequence[LabelledItem],
    level: str = "ordinal",
    granularity: str = "word",
    spans: Callable[[LabelledItem], Sequence[Span]] | None = None,
    seed: int = 0,
) -> PeopleReport:
    """How far people agree about the units of responses, with 95 % bootstrap intervals over responses.

    Units of one response are not independent, so responses are drawn, not units. Who did not submit a response is missing there;
    who did has graded its unmarked characters 0.

    Parameters
    ----------
    level
        Of the figures per response and per person: "nominal", "ordinal" or "interval".
    granularity
        "word", "sentence" or "token" (characters as people see them).
    spans
        The units of a response where they are known (an annotation item's cells), instead of ``granularity``.

    Raises
    ------
    RedvizError
        Where no response was judged by two people.

    Examples
    --------
    >>> from redviz.data.labels.labels import Annotation, LabelledItem, Mark
    >>> said = (Annotation("ada", (Mark(2, 8, 2),)), Annotation("bob", (Mark(2, 8, 1),)))
    >>> report = among_people([LabelledItem("1", "How was it?", "A superb film.", said)])
    >>> report.marked_units, report.token_f1.value
    (1, 1.0)
    """
    if level not in LEVELS:
        raise RedvizError(f"Unknown level {level!r}; use one of {', '.join(LEVELS)}.")
    given = {n: _graded(item, spans, granularity) for n, item in enumerate(items)}
    kept = {n: people for n, people in given.items() if len(people) > 1}
    if not kept:
        raise RedvizError("No response was judged by two people; for agreement, give at least one that was.")
    ids, ratings = [items[n].id for n in kept], list(kept.values())
    values = np.unique(np.concatenate([own for people in ratings for own in people.values()]))  # [V]
    marked = [_marked(people) for people in ratings]
    draws = resampling(len(ratings), seed)
    shares = [coincidences(people, values) for people in ratings]
    whole = _total(shares, len(values))
    within = _total(
        [coincidences({k: v[m] for k, v in p.items()}, values) for p, m in zip(ratings, marked, strict=True)],
        len(values),
    )
    alpha = {name: _alpha(draws, whole, values, name) for name in LEVELS}
    alpha_marked = {name: _alpha(draws, within, values, name) for name in LEVELS}
    overlaps = [overlaps_of(people) for people in ratings]
    names = list(dict.fromkeys(name for people in ratings for name in people))
    f1 = mean_overlap(draws, overlaps)
    persons = tuple(
        _person(name, ratings, shares, whole, values, level, draws, mean_overlap(draws, overlaps, name))
        for name in names
    )
    notes = [SAME] if not np.isfinite(alpha[level].value) else []
    if not notes and not np.isfinite(alpha_marked[level].value):
        notes.append(f"Over marked units: {SAME}")
    if len(names) == 2:
        notes.append("Two people took part: without one of them there is nobody left to agree.")
    return PeopleReport(
        level,
        granularity if spans is None else "cells",
        len(ratings),
        len(items) - len(ratings),
        sum(len(own) for own in marked),
        int(sum(own.sum() for own in marked)),
        tuple(values.tolist()),
        alpha,
        alpha_marked,
        f1,
        persons,
        pairs_of_people(names, overlaps, draws),
        tuple(_item(*row, values, level) for row in zip(ids, ratings, marked, whole, overlaps, strict=True)),
        _sentence(level, alpha[level], alpha_marked[level], len(names)),
        tuple(notes),
    )


def _graded(
    item: LabelledItem, spans: Callable[[LabelledItem], Sequence[Span]] | None, granularity: str
) -> dict[str, Array]:
    if len({given.annotator for given in item.annotations}) < 2:
        return {}
    return grades_of_people(item, spans(item) if spans else text_spans(item.response, granularity))


def _marked(people: Mapping[str, Array]) -> Array:
    return np.any([own != 0 for own in people.values()], axis=0)  # [U]


def _total(shares: Sequence[Mapping[str, Array]], size: int) -> Array:
    return np.array([sum(own.values(), np.zeros((size, size))) for own in shares])  # [response, V, V]


def _alpha(draws: Resampling, whole: Array, values: Array, level: str) -> Estimate:
    size = len(values)
    count = int((whole.sum((1, 2)) > 0).sum())

    def statistic(sums: Array) -> Array:
        return alpha_of(sums.reshape(*sums.shape[:-1], size, size), values, level)

    return draws.estimate(whole.reshape(len(whole), -1), statistic, count)


def _person(
    name: str,
    ratings: Sequence[Mapping[str, Array]],
    shares: Sequence[Mapping[str, Array]],
    whole: Array,
    values: Array,
    level: str,
    draws: Resampling,
    f1: Estimate,
) -> PersonAgreement:
    size = len(values)
    own = np.array([found.get(name, np.zeros((size, size))) for found in shares])  # [response, V, V]
    both = np.concatenate([own.reshape(len(own), -1), whole.reshape(len(whole), -1)], 1)  # [response, 2 V²]

    def statistic(sums: Array) -> Array:
        mine, all_of_us = np.moveaxis(sums.reshape(*sums.shape[:-1], 2, size, size), -3, 0)
        counts = all_of_us.sum(-1)
        apart = distances(counts, values, level)
        return 1 - (mine * apart).sum((-2, -1)) / mine.sum((-2, -1)) / expected_distance(counts, apart)

    without = _total([coincidences({k: v for k, v in people.items() if k != name}, values) for people in ratings], size)
    mine = [people[name] for people in ratings if name in people]
    grades = np.concatenate(mine)
    return PersonAgreement(
        name,
        len(mine),
        len(grades),
        float((grades != 0).mean()) if len(grades) else float("nan"),
        draws.estimate(both, statistic, len(mine)),
        _alpha(draws, without, values, level),
        f1,
    )


def _item(
    id: str,
    people: Mapping[str, Array],
    marked: Array,
    coincidence: Array,
    overlaps: Mapping[tuple[str, str], float],
    values: Array,
    level: str,
) -> ItemAgreement:
    known = [f1 for f1 in overlaps.values() if np.isfinite(f1)]
    alpha = float(alpha_of(coincidence, values, level))
    return ItemAgreement(
        id,
        len(people),
        len(marked),
        int(marked.sum()),
        alpha,
        float(np.mean(known)) if known else float("nan"),
        "" if np.isfinite(alpha) else SAME,
    )


def _sentence(level: str, alpha: Estimate, marked: Estimate, people: int) -> str:
    def words(found: Estimate) -> str:
        if not np.isfinite(found.value):
            return "not defined"
        return f"{found.value:.2f} (95 % interval {found.low:.2f} to {found.high:.2f})"

    return (
        f"Krippendorff's alpha ({level}) of {people} people over {alpha.count} responses: {words(alpha)} over all units, "
        f"{words(marked)} over units that somebody marked."
    )
