"""What people said about the characters of responses: marks, one person's annotation, a set of labelled responses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from redviz.data.sets.items import RowProblem
from redviz.errors import RedvizError
from redviz.records import Array, Example, Prompt

SCALES = ("binary", "graded")


@dataclass(frozen=True)
class Mark:
    """Characters ``[start, end)`` of a response and the grade a person gave them.

    Attributes
    ----------
    grade
        Above 0: they speak for the response (raise its score); below 0: against it; 0: seen, and neither.
    label
        What kind of mark it is, where the source names kinds (``Missing Information``).
    """

    start: int
    end: int
    grade: float
    label: str = ""


@dataclass(frozen=True)
class Annotation:
    """One person's submitted judgement of one response: characters without a mark are graded 0."""

    annotator: str
    marks: tuple[Mark, ...] = ()

    def grades(self, length: int) -> Array:
        """The grade of every character, ``[length]`` float64; where marks overlap, the later one counts.

        >>> Annotation("ada", (Mark(0, 3, 2.0), Mark(2, 4, -1.0))).grades(5).tolist()
        [2.0, 2.0, -1.0, -1.0, 0.0]
        """
        return graded(self.marks, length)


@dataclass(frozen=True)
class LabelledItem:
    """A response and what people marked in it.

    Attributes
    ----------
    annotations
        One per person who submitted a judgement.
    gold
        The settled label, where somebody adjudicated; None where nobody did.
    subset
        The part of the set it belongs to, if any.
    """

    id: str
    prompt: Prompt
    response: str
    annotations: tuple[Annotation, ...] = ()
    gold: tuple[Mark, ...] | None = None
    subset: str = ""

    @property
    def example(self) -> Example:
        return Example(self.prompt, self.response, self.id)

    @property
    def truth(self) -> Array | None:
        """The grade of every character: the settled label, else the mean over people; None without either. ``[len(response)]``."""
        if self.gold is not None:
            return graded(self.gold, len(self.response))
        if not self.annotations:
            return None
        return np.mean([given.grades(len(self.response)) for given in self.annotations], axis=0)


class Preference(NamedTuple):
    """One person's answer about one item: ``outcome`` 1.0 where ``label_a`` is better, 0.0 where ``label_b`` is, 0.5 for neither."""

    label_a: str
    label_b: str
    outcome: float
    item: str


@dataclass(frozen=True)
class LabelSet:
    """Labelled responses with one scale.

    Attributes
    ----------
    scale
        "binary": marked or not, with a sign; "graded": several strengths.
    sentence
        How the file or project was understood, in words for a person.
    problems
        Rows that gave nothing, with the reason.
    """

    name: str
    scale: str
    items: tuple[LabelledItem, ...]
    sentence: str = ""
    problems: tuple[RowProblem, ...] = ()

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise RedvizError(f"Unknown scale {self.scale!r}; use one of {', '.join(SCALES)}.")


def graded(marks: Sequence[Mark], length: int) -> Array:
    """The grade of every character, ``[length]`` float64: 0 without a mark, the later mark where they overlap."""
    grades = np.zeros(length)
    for mark in marks:
        if not 0 <= mark.start <= mark.end <= length:
            raise RedvizError(
                f"A mark covers {mark.start} to {mark.end} of a text of {length} characters; give offsets inside it."
            )
        grades[mark.start : mark.end] = mark.grade
    return grades
