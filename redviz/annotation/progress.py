"""How far a project is: items done, what is in people's hands, what was skipped and why, and the time it takes."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from sqlalchemy import func, select

from redviz.annotation.items import qualification_ids
from redviz.annotation.store import Store, living, milliseconds
from redviz.annotation.tables import Annotator, Assignment, Item, Project


@dataclass(frozen=True)
class Skipped:
    """An item that a person gave back, and why."""

    item: str
    annotator: str
    reason: str


@dataclass(frozen=True)
class AnnotatorProgress:
    """What one person did; ``median_seconds`` is None before they submitted anything here, ``agreement`` before they qualified."""

    id: int
    name: str
    state: str
    submitted: int
    skipped: int
    open: int
    median_seconds: float | None
    agreement: float | None


@dataclass(frozen=True)
class Progress:
    """How far a project is.

    Attributes
    ----------
    items, done
        Items that ``overlap`` people are to judge, and those that they have; qualification items are not among them.
    submitted
        Submissions, those of qualification items and imported ones included.
    open_leases
        Assignments that somebody holds now.
    median_seconds
        Of the work on a submitted item (imported ones have no time); None before the first.
    """

    items: int
    done: int
    overlap: int
    qualification_items: int
    submitted: int
    open_leases: int
    skipped: tuple[Skipped, ...]
    median_seconds: float | None
    by_annotator: tuple[AnnotatorProgress, ...]


def progress(store: Store, project_id: int, now: int | None = None) -> Progress:
    """How far a project is at this moment. Raises RedvizError where there is no such project."""
    now = milliseconds() if now is None else now
    with store.reading() as session:
        project = living(session, Project, project_id)
        first = set(qualification_ids(session, project))
        alive = select(Item.id, Item.external_id).where(Item.project_id == project_id, Item.deleted_at.is_(None))
        names = {item_id: name for item_id, name in session.execute(alive)}
        of_project = select(Annotator).where(Annotator.project_id == project_id, Annotator.deleted_at.is_(None))
        people = {person.id: person for person in session.scalars(of_project.order_by(Annotator.id))}
        given = select(Assignment).join(Annotator).where(Annotator.project_id == project_id).order_by(Assignment.id)
        rows = [row for row in session.scalars(given) if row.annotator_id in people and row.item_id in names]
        judged: dict[int, int] = {}
        for row in rows:
            if row.state == "submitted":
                judged[row.item_id] = judged.get(row.item_id, 0) + 1
        return Progress(
            items=len(names.keys() - first),
            done=sum(judged.get(item_id, 0) >= project.overlap for item_id in names.keys() - first),
            overlap=project.overlap,
            qualification_items=len(first),
            submitted=sum(judged.values()),
            open_leases=_open(rows, now),
            skipped=tuple(
                Skipped(names[row.item_id], people[row.annotator_id].name, row.skip_reason)
                for row in rows
                if row.state == "skipped"
            ),
            median_seconds=_median(rows),
            by_annotator=tuple(
                _of_person(person, [row for row in rows if row.annotator_id == person.id], now)
                for person in people.values()
            ),
        )


def judged_by(store: Store, annotator_id: int) -> int:
    """How many responses a person has handed in."""
    with store.reading() as session:
        theirs = select(func.count()).where(Assignment.annotator_id == annotator_id, Assignment.state == "submitted")
        return session.scalar(theirs) or 0


def _of_person(person: Annotator, rows: list[Assignment], now: int) -> AnnotatorProgress:
    return AnnotatorProgress(
        person.id,
        person.name,
        person.state,
        submitted=sum(row.state == "submitted" for row in rows),
        skipped=sum(row.state == "skipped" for row in rows),
        open=_open(rows, now),
        median_seconds=_median(rows),
        agreement=person.agreement,
    )


def _open(rows: list[Assignment], now: int) -> int:
    return sum(row.state == "open" and row.leased_until > now for row in rows)


def _median(rows: list[Assignment]) -> float | None:
    times = [row.seconds for row in rows if row.state == "submitted" and row.seconds is not None]
    return statistics.median(times) if times else None
