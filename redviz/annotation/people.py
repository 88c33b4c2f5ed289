"""The people of a project: each a name, a state, and the secret code of a personal link."""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from redviz.annotation.store import Store, locked_project, milliseconds
from redviz.annotation.tables import Annotator, Project
from redviz.errors import RedvizError

LONGEST_NAME = 200


@dataclass(frozen=True)
class AnnotatorInfo:
    """A person of a project; ``code`` is the secret of their link, ``agreement`` their F1 with gold once it is known."""

    id: int
    project_id: int
    name: str
    code: str
    state: str
    agreement: float | None


def annotator_of(store: Store, code: str) -> AnnotatorInfo:
    """Whose link this is. Raises RedvizError for a code that is nobody's (any more)."""
    given = code if code.isascii() and code.isprintable() else ""  # PostgreSQL would not even compare a NUL
    with store.reading() as session:
        alive = select(Annotator).join(Project).where(Annotator.deleted_at.is_(None), Project.deleted_at.is_(None))
        # an imported name has a code, but nobody was given the link
        found = session.scalars(alive.where(Annotator.code == given, Annotator.state != "imported")).one_or_none()
        if found is None:
            raise RedvizError("This link belongs to nobody; ask whoever sent it for a new one.")
        return annotator_info(found)


def add_annotators(
    store: Store, project_id: int, names: Sequence[str], now: int | None = None
) -> tuple[AnnotatorInfo, ...]:
    """Add people, each with the secret code of a personal link. Raises RedvizError for a name that the project already has."""
    with store.writing() as session:
        project = locked_project(session, project_id)
        rows = insert_annotators(session, project, names, milliseconds() if now is None else now)
        return tuple(annotator_info(row) for row in rows)


def insert_annotators(session: Session, project: Project, names: Sequence[str], now: int) -> list[Annotator]:
    of_project = select(Annotator.name).where(Annotator.project_id == project.id, Annotator.deleted_at.is_(None))
    known = set(session.scalars(of_project))
    rows = []
    for name in (named(name, "annotator") for name in names):
        if name in known:
            raise RedvizError(f"The project already has an annotator {name!r}; give each a name of their own.")
        known.add(name)
        code = secrets.token_urlsafe(16)
        rows.append(Annotator(project_id=project.id, name=name, code=code, state="active", created_at=now))
    session.add_all(rows)
    session.flush()
    return rows


def list_annotators(store: Store, project_id: int) -> tuple[AnnotatorInfo, ...]:
    """The people of a project, imported ones included, in the order they came."""
    with store.reading() as session:
        alive = select(Annotator).where(Annotator.project_id == project_id, Annotator.deleted_at.is_(None))
        return tuple(annotator_info(row) for row in session.scalars(alive.order_by(Annotator.id)))


def set_annotator_state(store: Store, annotator_id: int, state: str, now: int | None = None) -> None:
    """Let a person work ("active") or wait ("paused"). Who was refused and is set active need not qualify again."""
    if state not in ("active", "paused"):
        raise RedvizError(f"An annotator cannot be set {state!r}; use active or paused.")
    with store.writing() as session:
        person = _locked_annotator(session, annotator_id)
        if person.state == "refused" and state == "active":
            person.qualified_at = milliseconds() if now is None else now
        person.state = state


def renew_code(store: Store, annotator_id: int) -> str:
    """Give a person a new link, where the old one leaked; the old one stops working."""
    with store.writing() as session:
        person = _locked_annotator(session, annotator_id)
        person.code = secrets.token_urlsafe(16)
        return person.code


def delete_annotator(store: Store, annotator_id: int, now: int | None = None) -> None:
    """Take a person out: the link stops working and what they submitted no longer counts, so its items are asked again."""
    with store.writing() as session:
        _locked_annotator(session, annotator_id).deleted_at = milliseconds() if now is None else now


def _locked_annotator(session: Session, annotator_id: int) -> Annotator:
    project_id = session.scalar(select(Annotator.project_id).where(Annotator.id == annotator_id))
    if project_id is not None:
        locked_project(session, project_id)
    person = session.get(Annotator, annotator_id)
    if person is None or person.deleted_at is not None:
        raise RedvizError(f"There is no annotator {annotator_id}; they may have been deleted.")
    return person


def annotator_info(row: Annotator) -> AnnotatorInfo:
    return AnnotatorInfo(row.id, row.project_id, row.name, row.code, row.state, row.agreement)


def named(name: str, whose: str) -> str:
    name = unicodedata.normalize("NFC", name).strip()
    if not name or len(name) > LONGEST_NAME or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise RedvizError(
            f"{name[:40]!r} cannot name this {whose}; give 1 to {LONGEST_NAME} characters without control characters."
        )
    return name
