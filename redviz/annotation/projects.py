"""Annotation projects and their people: made, changed, closed, deleted (nothing is erased)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from redviz.annotation.items import insert_items
from redviz.annotation.people import insert_annotators, named
from redviz.annotation.store import Store, living, locked_project, milliseconds
from redviz.annotation.tables import TASKS, UNITS, Guidelines, Item, Project
from redviz.data.labels.labels import SCALES, LabelledItem
from redviz.errors import RedvizError
from redviz.records import Example

QUESTIONS = {
    "spans": "Which words make this response better, and which make it worse?",
    "maps": "Which of the two maps explains the score better?",
}


@dataclass(frozen=True)
class ProjectInfo:
    """A project as it stands.

    Attributes
    ----------
    overlap
        How many people judge each item.
    qualification_items, qualification_agreement
        How many gold items everybody is asked first, and the token F1 with their gold that is wanted.
    reveal_method
        The map shown after an item is submitted; "" shows none.
    guidelines, guidelines_version
        Markdown; version 0 where none were written.
    items
        How many items it has.
    """

    id: int
    name: str
    task: str
    question: str
    scale: str
    unit: str
    overlap: int
    qualification_items: int
    qualification_agreement: float
    reveal_method: str
    source: str
    state: str
    created_at: int
    guidelines: str
    guidelines_version: int
    items: int


def create_project(
    store: Store,
    name: str,
    items: Sequence[LabelledItem | Example],
    *,
    task: str = "spans",
    question: str = "",
    scale: str = "graded",
    unit: str = "word",
    overlap: int = 1,
    guidelines: str = "",
    qualification_items: int = 0,
    qualification_agreement: float = 0.0,
    reveal_method: str = "",
    source: str = "",
    with_annotations: bool = True,
    annotators: Sequence[str] = (),
    now: int | None = None,
) -> ProjectInfo:
    """Make a project from responses, in their order.

    Parameters
    ----------
    items
        ``LabelledItem`` or ``Example``; an item's gold makes it a gold item.
    unit
        What a cell is: "word" or "character".
    with_annotations
        Whether what people already said about the items is taken over, as submitted work of imported annotators.
    annotators
        Names of people who get a link; labels under the same name are taken over as "… (imported)".

    Raises
    ------
    RedvizError
        For a name, task, scale, unit or number that cannot be, an id or a person given twice, a response without visible
        characters, and qualification items of a project that compares maps; then nothing is made.

    Examples
    --------
    >>> import tempfile
    >>> from redviz.annotation.store import open_store
    >>> store = open_store(f"sqlite:///{tempfile.mkdtemp()}/redviz.db")
    >>> project = create_project(store, "Films", [Example("How was it?", "Superb, if long.")], overlap=2)
    >>> project.items, project.state
    (1, 'open')
    >>> store.close()
    """
    now = milliseconds() if now is None else now
    for value, allowed, what in ((task, TASKS, "task"), (scale, SCALES, "scale"), (unit, UNITS, "unit")):
        if value not in allowed:
            raise RedvizError(f"Unknown {what} {value!r}; use one of {', '.join(allowed)}.")
    _check_numbers(overlap, qualification_items, qualification_agreement)
    _check_task(task, qualification_items)
    with store.writing() as session:
        project = Project(
            name=named(name, "project"),
            task=task,
            question=question or QUESTIONS[task],
            scale=scale,
            unit=unit,
            overlap=overlap,
            qualification_items=qualification_items,
            qualification_agreement=qualification_agreement,
            reveal_method=reveal_method,
            source=source,
            state="open",
            created_at=now,
        )
        session.add(project)
        session.flush()
        if guidelines:
            session.add(Guidelines(project_id=project.id, version=1, text=guidelines, created_at=now))
        insert_annotators(session, project, annotators, now)
        insert_items(session, project, items, with_annotations, now)
        return _info(session, project)


def list_projects(store: Store) -> tuple[ProjectInfo, ...]:
    """The projects that are not deleted, newest first."""
    with store.reading() as session:
        alive = select(Project).where(Project.deleted_at.is_(None)).order_by(Project.id.desc())
        return tuple(_info(session, project) for project in session.scalars(alive).all())


def get_project(store: Store, project_id: int) -> ProjectInfo:
    with store.reading() as session:
        project = living(session, Project, project_id)
        return _info(session, project)


def update_project(
    store: Store,
    project_id: int,
    *,
    name: str | None = None,
    question: str | None = None,
    overlap: int | None = None,
    qualification_items: int | None = None,
    qualification_agreement: float | None = None,
    reveal_method: str | None = None,
) -> ProjectInfo:
    """Change what is given; what is None stays. Task, scale and unit are what the judgements were given under, and stay for ever."""
    with store.writing() as session:
        project = locked_project(session, project_id)
        _check_task(project.task, qualification_items or 0)
        changes = {
            "name": None if name is None else named(name, "project"),
            "question": question,
            "overlap": overlap,
            "qualification_items": qualification_items,
            "qualification_agreement": qualification_agreement,
            "reveal_method": reveal_method,
        }
        for field, value in changes.items():
            if value is not None:
                setattr(project, field, value)
        _check_numbers(project.overlap, project.qualification_items, project.qualification_agreement)
        return _info(session, project)


def set_guidelines(store: Store, project_id: int, text: str, now: int | None = None) -> int:
    """Write a new version of the guidelines (Markdown); its number. The same text again is no new version."""
    with store.writing() as session:
        project = locked_project(session, project_id)
        last = latest_guidelines(session, project.id)
        if last is not None and last.text == text:
            return last.version
        version = 1 if last is None else last.version + 1
        at = milliseconds() if now is None else now
        session.add(Guidelines(project_id=project.id, version=version, text=text, created_at=at))
        return version


def close_project(store: Store, project_id: int) -> None:
    """Nobody is given an item any more, and nothing is taken in, until it is reopened."""
    with store.writing() as session:
        locked_project(session, project_id).state = "closed"


def reopen_project(store: Store, project_id: int) -> None:
    with store.writing() as session:
        locked_project(session, project_id).state = "open"


def delete_project(store: Store, project_id: int, now: int | None = None) -> None:
    """Take a project out of every list; its links stop working. Its rows stay in the database."""
    with store.writing() as session:
        locked_project(session, project_id).deleted_at = milliseconds() if now is None else now


# ---------------------------------------------------------------- at the door


def latest_guidelines(session: Session, project_id: int) -> Guidelines | None:
    versions = select(Guidelines).where(Guidelines.project_id == project_id).order_by(Guidelines.version.desc())
    return session.scalars(versions.limit(1)).one_or_none()


def _info(session: Session, project: Project) -> ProjectInfo:
    count = select(func.count()).select_from(Item).where(Item.project_id == project.id, Item.deleted_at.is_(None))
    written = latest_guidelines(session, project.id)
    kept = {name: getattr(project, name) for name in ProjectInfo.__dataclass_fields__ if hasattr(Project, name)}
    text, version = ("", 0) if written is None else (written.text, written.version)
    return ProjectInfo(**kept, guidelines=text, guidelines_version=version, items=session.scalar(count) or 0)


def _check_numbers(overlap: int, qualification_items: int, agreement: float) -> None:
    if overlap < 1:
        raise RedvizError(f"The overlap is {overlap}; at least 1 person must judge an item.")
    if qualification_items < 0 or not 0 <= agreement <= 1:
        raise RedvizError("Give a number of qualification items of 0 or more and a wanted agreement between 0 and 1.")


def _check_task(task: str, qualification_items: int) -> None:
    if task == "maps" and qualification_items > 0:
        raise RedvizError(
            "Qualification holds marks against gold, and who compares maps marks nothing; ask 0 items first."
        )
