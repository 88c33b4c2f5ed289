"""Where people differ about an item, what most of them say, and the label that is settled."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from redviz.annotation.cells import Cells
from redviz.annotation.items import gold_of, prompt_of, set_gold
from redviz.annotation.judgements import GRADES
from redviz.annotation.queue import marks_in
from redviz.annotation.store import Store, living
from redviz.annotation.tables import Annotator, Assignment, Item, Project
from redviz.data.labels.labels import SCALES, Mark, graded
from redviz.errors import RedvizError
from redviz.evaluation.agreement.labelled_units import unit_grades
from redviz.records import Array, Prompt


@dataclass(frozen=True)
class SideBySide:
    """What people submitted about one item.

    Attributes
    ----------
    marks
        Each person's marks, in the order in which they were given the item.
    grades
        ``[P, C]`` float64: the grade of every cell by each of them; in a binary project only the sign counts.
    differs
        ``C`` times whether not everybody gave a cell the same grade.
    proposed
        What :func:`propose` makes of the marks.
    gold
        The settled label; None where nothing was settled.
    """

    item_id: int
    item: str
    prompt: Prompt
    response: str
    cells: Cells
    marks: Mapping[str, tuple[Mark, ...]]
    grades: Array  # [P, C] float64
    differs: tuple[bool, ...]
    proposed: tuple[Mark, ...]
    gold: tuple[Mark, ...] | None


@dataclass(frozen=True)
class Disagreement:
    """How far people are apart about one item.

    Attributes
    ----------
    people
        How many submitted a judgement.
    marked, differing
        Cells that anybody marked, and those of them about which not everybody says the same.
    variance
        Of the people's grades, the mean over the marked cells; 0 with one person or without marks.
    settled
        Whether it has a settled label.
    """

    item_id: int
    item: str
    people: int
    marked: int
    differing: int
    variance: float
    settled: bool


def side_by_side(store: Store, item_id: int) -> SideBySide:
    """What people submitted about an item, where they differ, and what most of them say.

    Raises RedvizError where there is no such item.
    """
    with store.reading() as session:
        item = living(session, Item, item_id)
        scale = session.get_one(Project, item.project_id).scale
        said = _submitted(session, Assignment.item_id == item_id).get(item_id, {})
        cells = _cells(item)
        grades = grades_of_cells(said, cells, scale)
        return SideBySide(
            item.id,
            item.external_id,
            prompt_of(item.prompt),
            item.response,
            cells,
            said,
            grades,
            tuple(bool(apart) for apart in (grades != grades[:1]).any(0)),
            propose(said, cells, scale),
            gold_of(session, [item_id]).get(item_id),
        )


def grades_of_cells(marks: Mapping[str, Sequence[Mark]], cells: Sequence[Sequence[int]], scale: str) -> Array:
    """Each person's grade of every cell, ``[P, C]`` float64: that of most of its characters; only its sign on the binary scale."""
    if scale not in SCALES:
        raise RedvizError(f"Unknown scale {scale!r}; use one of {', '.join(SCALES)}.")
    length = max([*(end for _, end in cells), *(mark.end for theirs in marks.values() for mark in theirs)], default=0)
    spans = [(start, end) for start, end in cells]
    grades = np.zeros((len(marks), len(spans)))
    for person, theirs in enumerate(marks.values()):
        grades[person] = unit_grades("x" * length, graded(theirs, length), spans)
    return np.sign(grades) if scale == "binary" else grades


def propose(marks: Mapping[str, Sequence[Mark]], cells: Sequence[Sequence[int]], scale: str) -> tuple[Mark, ...]:
    """The label that most people would give: the median of their grades for every cell, the one nearer 0 where two are in the middle.

    On the binary scale this is the majority: a sign that more than half of the people gave. Neighbours of one grade are one mark
    where somebody marked them together. A label (a kind of mark) is kept where all who gave the grade gave it.

    Parameters
    ----------
    marks
        Name -> one person's marks.
    cells
        Pairs (start, end) of characters, in order.

    Examples
    --------
    >>> said = {"ada": [Mark(0, 9, 2.0)], "bob": [Mark(0, 4, 1.0)], "cem": [Mark(0, 4, 1.0), Mark(5, 9, -1.0)]}
    >>> propose(said, [(0, 4), (5, 9)], "graded")
    (Mark(start=0, end=4, grade=1.0, label=''),)
    """
    grades = grades_of_cells(marks, cells, scale)  # [P, C]
    middle = medians(grades)  # [C]
    proposed: list[Mark] = []
    for place, (start, end) in enumerate(cells):
        grade = float(middle[place])
        if not grade:
            continue
        agree = [theirs for theirs, given in zip(marks.values(), grades[:, place], strict=True) if given == grade]
        labels = {mark.label for theirs in agree for mark in theirs if mark.start < end and start < mark.end}
        label = labels.pop() if len(labels) == 1 else ""
        last = proposed[-1] if proposed else None
        together = last is not None and any(
            mark.start < last.end and start < mark.end and np.sign(mark.grade) == np.sign(grade)
            for theirs in marks.values()
            for mark in theirs
        )
        if together and last is not None and (last.grade, last.label) == (grade, label):
            proposed[-1] = Mark(last.start, end, grade, label)
        else:
            proposed.append(Mark(start, end, grade, label))
    return tuple(proposed)


def medians(grades: Array) -> Array:
    """The median of each column, ``[P, C] -> [C]``; of two in the middle the one nearer 0, and 0 where their signs differ.

    >>> medians(np.array([[1.0, 2.0, -1.0], [2.0, 2.0, 1.0]])).tolist()
    [1.0, 2.0, 0.0]
    """
    if not len(grades):
        return np.zeros(grades.shape[1])
    ordered = np.sort(grades, axis=0)
    low, high = ordered[(len(grades) - 1) // 2], ordered[len(grades) // 2]
    nearer = np.where(np.abs(low) < np.abs(high), low, high)
    found: Array = np.where(low * high > 0, nearer, 0.0)
    return found


def settle(store: Store, item_id: int, marks: Sequence[Mark], by: str, now: int | None = None) -> None:
    """Write down the settled label of an item; the one before it is kept as replaced.

    Raises
    ------
    RedvizError
        Without a name, for a mark outside the response or over another, and a grade that the project's scale has not.
    """
    if not by.strip():
        raise RedvizError("Give the name of whoever settles this label.")
    with store.reading() as session:
        item = living(session, Item, item_id)
        scale = session.get_one(Project, item.project_id).scale
    kept = sorted(marks, key=lambda mark: (mark.start, mark.end))
    for mark in kept:  # graded labels from elsewhere may have steps of their own
        if not math.isfinite(mark.grade) or (scale == "binary" and mark.grade not in GRADES["binary"]):
            raise RedvizError(f"A mark cannot have the grade {mark.grade!r} on the {scale} scale; give another.")
    for one, other in zip(kept, kept[1:], strict=False):
        if other.start < one.end:
            raise RedvizError(
                f"Two marks share the characters from {other.start}; give every character one grade at most."
            )
    set_gold(store, item_id, kept, by.strip(), now=now)


def disagreements(store: Store, project_id: int) -> tuple[Disagreement, ...]:
    """The items that anybody judged, the one that people are furthest apart about first.

    Raises RedvizError where there is no such project.
    """
    with store.reading() as session:
        project = living(session, Project, project_id)
        alive = select(Item).where(Item.project_id == project_id, Item.deleted_at.is_(None)).order_by(Item.place)
        items = session.scalars(alive).all()
        said = _submitted(session, Annotator.project_id == project_id)
        gold = gold_of(session, [item.id for item in items])
        found = [
            _disagreement(item, grades_of_cells(said[item.id], _cells(item), project.scale), item.id in gold)
            for item in items
            if item.id in said
        ]
    return tuple(sorted(found, key=lambda one: (-one.variance, -one.people)))


def _disagreement(item: Item, grades: Array, settled: bool) -> Disagreement:
    marked = (grades != 0).any(0)  # [C]
    apart = (grades != grades[:1]).any(0)
    variance = float(grades[:, marked].var(0).mean()) if marked.any() else 0.0
    return Disagreement(item.id, item.external_id, len(grades), int(marked.sum()), int(apart.sum()), variance, settled)


def _submitted(session: Session, which: object) -> dict[int, dict[str, tuple[Mark, ...]]]:
    """Item -> person -> marks, of what was submitted by people who are still there."""
    given = select(Assignment.id, Assignment.item_id, Annotator.name).join(Annotator)
    alive = given.where(which, Assignment.state == "submitted", Annotator.deleted_at.is_(None))  # type: ignore[arg-type]
    rows = session.execute(alive.order_by(Assignment.id)).all()
    marks = marks_in(session, [assignment_id for assignment_id, _, _ in rows])
    found: dict[int, dict[str, tuple[Mark, ...]]] = {}
    for assignment_id, item_id, name in rows:
        found.setdefault(item_id, {})[name] = marks.get(assignment_id, ())
    return found


def _cells(item: Item) -> Cells:
    return tuple((start, end) for start, end in item.cells)
