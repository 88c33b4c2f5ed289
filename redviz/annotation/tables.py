"""The tables of the annotation store. Times are milliseconds since the epoch (UTC); offsets are Unicode code points.

Nothing here is ever deleted: projects, items and annotators carry ``deleted_at``, a settled label ``replaced_at``, guidelines
are versions, and a judgement is a row of a log whose order is its ``id``.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

TASKS = ("spans", "maps")
UNITS = ("word", "character")
PROJECT_STATES = ("open", "closed")
ANNOTATOR_STATES = ("active", "paused", "refused", "imported")
ASSIGNMENT_STATES = ("open", "submitted", "skipped")
OPS = ("mark", "undo")
CHOICES = ("left", "right", "neither")

ESCAPED = "\x01json:"
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class ExactText(TypeDecorator[str]):
    r"""Text that comes back exactly as it was given, on every database.

    PostgreSQL refuses NUL and every database refuses half a surrogate pair, yet models write both: such a text (and one that
    looks like the result) is stored as ``\x01json:`` and its JSON; any other text is stored as it is.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not (UNSTORABLE.search(value) or value.startswith(ESCAPED)):
            return value
        return ESCAPED + json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not value.startswith(ESCAPED):
            return value
        return str(json.loads(value.removeprefix(ESCAPED)))


Id = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up by itself only in a column of type INTEGER
ALIVE: dict[str, Any] = {"sqlite_where": text("deleted_at IS NULL"), "postgresql_where": text("deleted_at IS NULL")}


def one_of(column: str, allowed: tuple[str, ...]) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(name) for name in allowed)})", name=column)


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {str: ExactText(), int: BigInteger(), dict[str, Any]: JSON(), list[Any]: JSON()}


class Project(Table):
    """One question asked about a set of responses.

    ``overlap`` people judge each item; the first ``qualification_items`` gold items are asked of everybody first, and a token F1
    with their gold below ``qualification_agreement`` refuses a person. ``reveal_method`` names the map shown after submitting.
    """

    __tablename__ = "projects"
    __table_args__ = (
        one_of("task", TASKS),
        one_of("scale", ("binary", "graded")),
        one_of("unit", UNITS),
        one_of("state", PROJECT_STATES),
        CheckConstraint("overlap >= 1", name="overlap"),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str]
    task: Mapped[str] = mapped_column(String(16))
    question: Mapped[str]
    scale: Mapped[str] = mapped_column(String(16))
    unit: Mapped[str] = mapped_column(String(16))
    overlap: Mapped[int] = mapped_column(Integer)
    qualification_items: Mapped[int] = mapped_column(Integer)
    qualification_agreement: Mapped[float]
    reveal_method: Mapped[str]
    source: Mapped[str]  # how the items were understood, or where they came from, in words
    state: Mapped[str] = mapped_column(String(16))
    created_at: Mapped[int]
    deleted_at: Mapped[int | None]


class Guidelines(Table):
    """One version of what annotators are asked to heed, in Markdown; the highest version counts."""

    __tablename__ = "guidelines"
    __table_args__ = (UniqueConstraint("project_id", "version"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    version: Mapped[int] = mapped_column(Integer)
    text: Mapped[str]
    created_at: Mapped[int]


class Item(Table):
    """One response to judge. ``prompt`` is the JSON text of a string or of messages, ``cells`` ``[[start, end], ...]``."""

    __tablename__ = "items"
    __table_args__ = (
        Index("ix_items_project_id_place", "project_id", "place"),
        Index("uq_items_project_id_external_id", "project_id", "external_id", unique=True, **ALIVE),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    place: Mapped[int] = mapped_column(Integer)
    external_id: Mapped[str]
    prompt: Mapped[str]
    response: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    cells: Mapped[list[Any]]
    subset: Mapped[str]
    is_gold: Mapped[bool]  # its label was known before anybody was asked; a label settled later does not make it one
    created_at: Mapped[int]
    deleted_at: Mapped[int | None]


class Annotator(Table):
    """A person of one project; the code is the secret of their personal link.

    ``refused``: below the wanted agreement. ``imported``: existing labels carry this name, and nobody has the link.
    ``qualified_at``: passed, waived by the lead, or given work when there was nothing to pass.
    """

    __tablename__ = "annotators"
    __table_args__ = (
        one_of("state", ANNOTATOR_STATES),
        UniqueConstraint("code"),
        Index("uq_annotators_project_id_name", "project_id", "name", unique=True, **ALIVE),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str]
    code: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    agreement: Mapped[float | None]  # token F1 with gold on the qualification items, once all were answered
    qualified_at: Mapped[int | None]
    created_at: Mapped[int]
    deleted_at: Mapped[int | None]


class Assignment(Table):
    """One item given to one person: one row for ever, whatever becomes of it."""

    __tablename__ = "assignments"
    __table_args__ = (
        one_of("state", ASSIGNMENT_STATES),
        UniqueConstraint("item_id", "annotator_id"),
        Index("ix_assignments_annotator_id_state", "annotator_id", "state"),
    )
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotators.id"))
    state: Mapped[str] = mapped_column(String(16))
    skip_reason: Mapped[str]
    leased_until: Mapped[int]
    opened_at: Mapped[int]
    submitted_at: Mapped[int | None]
    skipped_at: Mapped[int | None]
    seconds: Mapped[float | None]  # worked on it, see judgements.worked; None where labels were imported
    revealed_at: Mapped[int | None]
    guidelines_version: Mapped[int] = mapped_column(Integer)  # when it was opened; 0 where there were none


class Judgement(Table):
    """One event of the log of an assignment: a mark (``grade`` None clears) or an undo, which has no characters."""

    __tablename__ = "judgements"
    __table_args__ = (UniqueConstraint("assignment_id", "client", "seq"), one_of("op", OPS))
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"))
    client: Mapped[str] = mapped_column(String(64))
    seq: Mapped[int]
    op: Mapped[str] = mapped_column(String(8))
    start: Mapped[int | None] = mapped_column(Integer)
    end: Mapped[int | None] = mapped_column(Integer)
    grade: Mapped[float | None]
    label: Mapped[str]  # the kind of mark, where imported labels name kinds
    client_at: Mapped[int | None]
    received_at: Mapped[int]


class Gold(Table):
    """A settled label of an item: ``[[start, end, grade, label], ...]``; the one not yet replaced counts."""

    __tablename__ = "gold"
    __table_args__ = (Index("ix_gold_item_id", "item_id"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    marks: Mapped[list[Any]]
    settled_by: Mapped[str]
    settled_at: Mapped[int]
    replaced_at: Mapped[int | None]


class CreditMap(Table):
    """The credits of one method for one item, a number per cell, and what computed them."""

    __tablename__ = "maps"
    __table_args__ = (UniqueConstraint("item_id", "label"),)
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    label: Mapped[str]
    method: Mapped[str]
    options: Mapped[dict[str, Any]]
    values: Mapped[list[Any]]
    provenance: Mapped[dict[str, Any]]
    created_at: Mapped[int]


class Choice(Table):
    """Which of two unnamed maps explains the score better, in one person's eyes; the latest row of a pair counts."""

    __tablename__ = "choices"
    __table_args__ = (one_of("choice", CHOICES), Index("ix_choices_assignment_id", "assignment_id"))
    id: Mapped[int] = mapped_column(Id, primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"))
    left_id: Mapped[int] = mapped_column(ForeignKey("maps.id"))
    right_id: Mapped[int] = mapped_column(ForeignKey("maps.id"))
    choice: Mapped[str] = mapped_column(String(8))
    chosen_at: Mapped[int]
