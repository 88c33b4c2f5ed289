"""A whole annotation project as one file of JSON lines, from one store to another; and its judgements as a flat table.

The first line is a header, the last one counts the lines, so that a cut file is known. Between them every row of the project,
deleted ones too: the project, the versions of its guidelines, items, annotators, assignments, events, settled labels, maps,
choices. Ids are numbers within the file, in order of appearance.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pandas as pd
from sqlalchemy import Select, insert, select

from redviz import __version__
from redviz.annotation.interchange_checks import END, FORMAT, HEADER, KINDS, Record, parents, read_records
from redviz.annotation.items import prompt_of, prompt_text
from redviz.annotation.queue import marks_in
from redviz.annotation.store import Store, living
from redviz.annotation.tables import Annotator, Assignment, Item, Project
from redviz.data.results.rows import without_formulas
from redviz.errors import RedvizError

UNREADABLE = re.compile(
    "[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff]"
)  # what ends a line somewhere, or has no place in UTF-8
SECRET = re.compile("[A-Za-z0-9_-]{22,}")  # as long as secrets.token_urlsafe(16)
WITHOUT_ID = ("guidelines", "judgement", "gold", "choice")  # nothing refers to them
COLUMNS = ("project", "item", "annotator", "start", "end", "text", "grade", "label", "submitted_at")


def export_project(store: Store, project_id: int, codes: bool = False) -> Iterator[str]:
    """Everything there is about a project, a JSON line at a time, each with its line break.

    Parameters
    ----------
    codes
        Whether the secret codes of personal links are written too; whoever has the file can then answer in their names.

    Raises
    ------
    RedvizError
        Where there is no such project (when the first line is asked for). A deleted one is exported.

    Examples
    --------
    >>> import tempfile
    >>> from redviz.annotation.projects import create_project
    >>> from redviz.annotation.store import open_store
    >>> from redviz.records import Example
    >>> store = open_store(f"sqlite:///{tempfile.mkdtemp()}/redviz.db")
    >>> project = create_project(store, "Films", [Example("How was it?", "Superb, if long.")])
    >>> lines = list(export_project(store, project.id))
    >>> len(lines), list(export_project(store, import_project(store, lines))) == lines
    (4, True)
    >>> store.close()
    """
    yield _line({"kind": HEADER, "format": FORMAT, "redviz": __version__, "codes": codes})
    written = 1
    with store.reading() as session:
        if session.get(Project, project_id) is None:
            raise RedvizError(f"There is no project {project_id}.")
        numbers: dict[str, dict[int, int]] = {kind: {} for kind in KINDS}
        for kind in KINDS:
            for row in session.execute(_rows_of(kind, project_id)).mappings():
                numbers[kind][row["id"]] = len(numbers[kind]) + 1
                yield _line(_told(kind, dict(row), numbers, codes))
                written += 1
    yield _line({"kind": END, "lines": written + 1})


def import_project(store: Store, lines: Iterable[str], codes: bool = False) -> int:
    """Make a new project from the lines of :func:`export_project`, an open text file for instance; its id.

    Parameters
    ----------
    codes
        Whether people keep the codes that the file holds, so that links already sent work here too; a code that can be guessed
        (shorter than redviz makes them) or that this store has given to somebody is replaced. Otherwise all codes are new.

    Raises
    ------
    RedvizError
        For a file that is cut, of a newer format or changed so that it does not fit itself (a text and its hash, a reference,
        offsets, a name given twice ...), with the line; then nothing is written.
    """
    records = read_records(lines)
    with store.writing() as session:
        ids: dict[str, dict[int, int]] = {}
        taken = set(session.scalars(select(Annotator.code)))
        for kind, model in KINDS.items():
            rows = [_values(record, ids) for record in records[kind]]
            if kind == "annotator":
                _give_codes(rows, taken, codes)
            if kind in WITHOUT_ID:
                if rows:
                    session.execute(insert(model), rows)
                continue
            made: list[Any] = [model(**row) for row in rows]
            session.add_all(made)
            session.flush()
            ids[kind] = {record.number: row.id for record, row in zip(records[kind], made, strict=True)}
        return next(iter(ids["project"].values()))


def export_rows(store: Store, project_id: int) -> list[dict[str, Any]]:
    """Submitted judgements as flat rows for CSV or JSONL: one per mark, by item and person; see ``COLUMNS``.

    ``start``, ``end``, ``text``, ``grade`` and ``label`` are None in the one row of a judgement without any mark;
    ``submitted_at`` is ISO 8601 in UTC. Raises RedvizError where there is no such project.
    """
    with store.reading() as session:
        project = living(session, Project, project_id)
        submitted = (
            select(Assignment.id, Assignment.submitted_at, Item.external_id, Item.response, Annotator.name)
            .join(Item, Assignment.item_id == Item.id)
            .join(Annotator, Assignment.annotator_id == Annotator.id)
            .where(Item.project_id == project_id, Assignment.state == "submitted")
            .where(Item.deleted_at.is_(None), Annotator.deleted_at.is_(None))
            .order_by(Item.place, Assignment.id)
        )
        given = session.execute(submitted).all()
        marks = marks_in(session, [row.id for row in given])
    rows = []
    for row in given:
        head = (project.name, row.external_id, row.name)
        at = datetime.fromtimestamp(row.submitted_at / 1000, UTC).isoformat(timespec="milliseconds")
        told: list[tuple[Any, ...]] = [
            (mark.start, mark.end, row.response[mark.start : mark.end], mark.grade, mark.label)
            for mark in marks.get(row.id, ())
        ]
        rows += [dict(zip(COLUMNS, (*head, *one, at), strict=True)) for one in told or [(None,) * 5]]
    return rows


def rows_as_csv(rows: list[dict[str, Any]]) -> str:
    """The rows of :func:`export_rows` as CSV in which no text is a formula to a spreadsheet."""
    frame = pd.DataFrame(rows, columns=list(COLUMNS)).astype({"start": "Int64", "end": "Int64", "grade": "Float64"})
    return str(without_formulas(frame).to_csv(index=False))


# ---------------------------------------------------------------- one row


def _line(value: Mapping[str, Any]) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return UNREADABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def _rows_of(kind: str, project_id: int) -> Select[Any]:
    """The rows of a kind that belong to a project, in the order they were made."""
    model = KINDS[kind]
    items = select(Item.id).where(Item.project_id == project_id)
    columns = select(*model.__table__.columns).order_by(model.id)
    if kind == "project":
        return columns.where(model.id == project_id)
    if hasattr(model, "project_id"):
        return columns.where(model.project_id == project_id)
    if hasattr(model, "item_id"):
        return columns.where(model.item_id.in_(items))
    return columns.where(model.assignment_id.in_(select(Assignment.id).where(Assignment.item_id.in_(items))))


def _told(kind: str, row: Mapping[str, Any], numbers: Mapping[str, Mapping[int, int]], codes: bool) -> dict[str, Any]:
    """A row as the file says it: ids and references as numbers of the file, the prompt as it was given."""
    told = {"kind": kind, **row, "id": numbers[kind][row["id"]]}
    told.pop("project_id", None)  # a file holds one project
    for column, parent in parents(kind).items():
        told[column] = numbers[parent][row[column]]
    if kind == "item":
        told["prompt"] = _prompt_told(row["prompt"])
    if kind == "annotator" and not codes:
        del told["code"]
    return told


def _prompt_told(text: str) -> Any:
    prompt = prompt_of(text)
    return prompt if isinstance(prompt, str) else list(prompt)


def _values(record: Record, ids: Mapping[str, Mapping[int, int]]) -> dict[str, Any]:
    """A record as the database takes it."""
    values = dict(record.values)
    for column, parent in parents(record.kind).items():
        values[column] = ids[parent][values[column]]
    if hasattr(KINDS[record.kind], "project_id"):
        values["project_id"] = next(iter(ids["project"].values()))
    if record.kind == "item":
        values["prompt"] = prompt_text(values["prompt"])
    return values


def _give_codes(rows: list[dict[str, Any]], taken: set[str], keep: bool) -> None:
    for row in rows:
        if not keep or row["code"] in taken or not SECRET.fullmatch(row["code"] or ""):
            row["code"] = secrets.token_urlsafe(16)
        taken.add(row["code"])
