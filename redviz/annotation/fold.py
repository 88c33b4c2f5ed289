"""From the log of one assignment to the marks that stand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from redviz.data.labels.labels import Mark


@dataclass(frozen=True)
class Event:
    """One line of the log: characters ``[start, end)`` marked (``grade`` None clears them); ``op`` "undo" takes the latest back."""

    op: str
    start: int = 0
    end: int = 0
    grade: float | None = None
    label: str = ""


def fold(events: Iterable[Event]) -> tuple[Mark, ...]:
    """The marks that stand after all events, in the order of their characters; no two share a character.

    A mark takes its characters away from earlier ones, which are trimmed or split, then stands for itself; a clear only takes
    away; an undo takes back the latest event not yet taken back. Neighbours of one grade stay two marks. Grade 0 is a mark.

    >>> fold([Event("mark", 0, 9, 1.0), Event("mark", 3, 5, -2.0)])
    (Mark(start=0, end=3, grade=1.0, label=''), Mark(start=3, end=5, grade=-2.0, label=''), Mark(start=5, end=9, grade=1.0, label=''))
    >>> fold([Event("mark", 0, 9, 1.0), Event("mark", 3, 5, -2.0), Event("undo")])
    (Mark(start=0, end=9, grade=1.0, label=''),)
    """
    standing: list[Event] = []
    for event in events:
        if event.op != "undo":
            standing.append(event)
        elif standing:
            standing.pop()
    marks: list[Mark] = []
    for event in standing:
        marks = [part for mark in marks for part in _without(mark, event.start, event.end)]
        if event.grade is not None:
            marks.append(Mark(event.start, event.end, event.grade, event.label))
    return tuple(sorted(marks, key=lambda mark: mark.start))


def _without(mark: Mark, start: int, end: int) -> list[Mark]:
    """What remains of a mark when the characters ``[start, end)`` are taken away: itself, one part, two, or nothing."""
    if end <= mark.start or mark.end <= start:
        return [mark]
    parts = [(mark.start, start), (end, mark.end)]
    return [Mark(first, last, mark.grade, mark.label) for first, last in parts if first < last]
