"""From marked characters to units (words, tokens, sentences): what a person said about each of them.

A unit has the grade that most of its characters hold, blanks not counted; where two grades hold as many, the larger magnitude
counts, then the positive one. A unit of blanks alone has the grade of its blanks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import regex
from numpy.typing import ArrayLike

from redviz.data.labels.labels import LabelledItem, graded
from redviz.records import Array
from redviz.text import UNSPACED, ZERO_WIDTH, units

Span = tuple[int, int]  # start, end (exclusive)
CHARACTER = re.compile(r".", re.DOTALL)
GRAPHEME = regex.compile(r"\X")
PIECE = re.compile(r"[^\W_]+|[\W_]")  # runs that no word border divides


def text_spans(response: str, granularity: str = "word") -> tuple[Span, ...]:
    r"""Words or sentences of a response without any model's tokens, as character spans without the blanks around them.

    The borders are those of :func:`redviz.text.units` over single characters ("token": characters as people see them). Scripts that
    write words without blanks between them (Chinese, Japanese, Thai ...) get a word per character.

    >>> text_spans("It isn't\n\ndull.")
    ((0, 2), (3, 8), (10, 14), (14, 15))
    >>> text_spans("很好 film")
    ((0, 1), (1, 2), (3, 7))
    """
    offsets = [match.span() for match in (CHARACTER if granularity == "token" else PIECE).finditer(response)]
    spans = []
    for unit in units(response, offsets, granularity):
        shown = _shown(unit.text).nonzero()[0]
        if len(shown):
            start, end = unit.start + int(shown[0]), unit.start + int(shown[-1]) + 1
            apart = granularity == "word" and UNSPACED.search(response, start, end)
            spans += [m.span() for m in GRAPHEME.finditer(response, start, end)] if apart else [(start, end)]
    return tuple(spans)


def unit_grades(response: str, grades: ArrayLike, spans: Sequence[Span]) -> Array:
    """The grade of every unit, ``[U]`` float64.

    Parameters
    ----------
    response
        The text, of ``C`` characters.
    grades
        One person's grade of every character, ``[C]``.
    spans
        ``U`` pairs (start, end) of characters.

    Examples
    --------
    >>> unit_grades("good bad", [1, 1, 0, 0, 0, 0, -1, -1], [(0, 4), (4, 8)]).tolist()
    [1.0, -1.0]
    """
    given = np.asarray(grades, np.float64)  # [C]
    if not len(given) or not len(spans):
        return np.zeros(len(spans))
    starts, ends = np.asarray(spans, np.int64).T  # [U]
    values = np.array(sorted(set(given.tolist()), key=_strongest_first))  # [V]
    held = given == values[:, None]  # [V, C]

    def count(characters: Array) -> Array:
        sums = np.pad(characters.cumsum(1), ((0, 0), (1, 0)))  # [V, C + 1]
        return sums[:, ends] - sums[:, starts]  # [V, U]

    seen = count(held & _shown(response))
    counts = np.where(seen.any(0), seen, count(held))
    return np.where(counts.any(0), values[counts.argmax(0)], 0.0)


def grades_of_people(item: LabelledItem, spans: Sequence[Span]) -> dict[str, Array]:
    """What every person who submitted said about every unit: name -> ``[U]``."""
    size = len(item.response)
    return {given.annotator: unit_grades(item.response, given.grades(size), spans) for given in item.annotations}


def truth_of_units(item: LabelledItem, spans: Sequence[Span]) -> Array | None:
    """The settled label of every unit, else the mean over people of their units' grades; None without either. ``[U]`` float64."""
    if item.gold is not None:
        return unit_grades(item.response, graded(item.gold, len(item.response)), spans)
    people = grades_of_people(item, spans)
    return np.mean(list(people.values()), axis=0) if people else None


def top_places(scores: ArrayLike, k: int, tie_break: ArrayLike) -> Array:
    """The ``k`` units with the largest scores, in their order in the text; among equals the smaller ``tie_break`` comes first.

    >>> top_places([0.0, 3.0, 0.0, 1.0], 3, [9, 0, 1, 2]).tolist()
    [1, 2, 3]
    """
    order = np.lexsort((np.asarray(tie_break), -np.asarray(scores, np.float64)))  # [U]
    return np.sort(order[:k])


def runs(places: Iterable[Any]) -> list[Span]:
    """Neighbouring units as spans of units.

    >>> runs([1, 2, 3, 6])
    [(1, 4), (6, 7)]
    """
    spans: list[Span] = []
    for place in sorted({int(place) for place in places}):
        if spans and spans[-1][1] == place:
            spans[-1] = spans[-1][0], place + 1
        else:
            spans.append((place, place + 1))
    return spans


def _strongest_first(value: float) -> tuple[float, float]:
    return -abs(value), -value


def _shown(text: str) -> Array:
    return np.array([not (c.isspace() or c in ZERO_WIDTH) for c in text], dtype=bool)
