"""Reads the lines of an exported project and holds each against the others before anything is written."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, UniqueConstraint

from redviz.annotation.cells import on_cells
from redviz.annotation.items import LONGEST_ID, fingerprint
from redviz.annotation.tables import (
    ANNOTATOR_STATES,
    ASSIGNMENT_STATES,
    CHOICES,
    OPS,
    PROJECT_STATES,
    TASKS,
    UNITS,
    Annotator,
    Assignment,
    Choice,
    CreditMap,
    Gold,
    Guidelines,
    Item,
    Judgement,
    Project,
)
from redviz.data.labels.labels import SCALES
from redviz.data.sets.values import BadValue
from redviz.errors import RedvizError

FORMAT = 1
HEADER, END = "redviz annotation project", "end"
KINDS: dict[str, Any] = {
    "project": Project,
    "guidelines": Guidelines,
    "item": Item,
    "annotator": Annotator,
    "assignment": Assignment,
    "judgement": Judgement,
    "gold": Gold,
    "map": CreditMap,
    "choice": Choice,
}
ALLOWED = {
    ("project", "task"): TASKS,
    ("project", "scale"): SCALES,
    ("project", "unit"): UNITS,
    ("project", "state"): PROJECT_STATES,
    ("annotator", "state"): ANNOTATOR_STATES,
    ("assignment", "state"): ASSIGNMENT_STATES,
    ("judgement", "op"): OPS,
    ("choice", "choice"): CHOICES,
}
LISTS = ("cells", "marks", "values")
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"} | {
    list: "a list",
    dict: "an object",
}
AGAIN = "export the project again"

Known = Mapping[str, Mapping[int, "Record"]]


@dataclass(frozen=True)
class Record:
    """One line: a row of a kind, its number in the file, its columns (references are numbers of the file)."""

    kind: str
    number: int
    values: Mapping[str, Any]
    line: int


def read_records(lines: Iterable[str]) -> dict[str, list[Record]]:
    """Every row of a file by kind, checked. Raises RedvizError with the line of the first thing that cannot be."""
    known: dict[str, dict[int, Record]] = {kind: {} for kind in KINDS}
    seen: set[Any] = set()
    line, ended = 0, False
    for line, text in _numbered(lines):
        try:
            if ended:
                raise BadValue("something follows the last line")
            told = _object(text)
            kind = told.pop("kind", None)
            if line == 1:
                _check_header(kind, told)
            elif kind == END:
                if told.get("lines") != line:
                    raise BadValue(
                        f"it counts {told.get('lines')} lines and is line {line}: lines are missing or were added"
                    )
                ended = True
            else:
                record = _record(kind, told, line)
                _check(record, known)
                _refuse_doubles(record, seen)
                known[record.kind][record.number] = record
        except BadValue as problem:
            raise RedvizError(f"Line {line}: {problem}; nothing was imported, {AGAIN}.") from None
    if not ended:
        raise RedvizError(f"The file ends after line {line} without its last line, so it was cut; {AGAIN}.")
    if len(known["project"]) != 1:
        raise RedvizError(f"The file holds {len(known['project'])} projects and must hold one; {AGAIN}.")
    return {kind: list(records.values()) for kind, records in known.items()}


@cache
def parents(kind: str) -> dict[str, str]:
    """The columns of a kind that refer to a line of another kind, and that kind."""
    kinds = {model.__tablename__: name for name, model in KINDS.items()}
    columns = [(column, next(iter(column.foreign_keys))) for column in columns_of(kind).values() if column.foreign_keys]
    return {column.name: kinds[key.column.table.name] for column, key in columns}


@cache
def columns_of(kind: str) -> dict[str, Column[Any]]:
    """The columns that a line of a kind has: not the id, and not the project, of which a file holds one."""
    return {column.name: column for column in KINDS[kind].__table__.columns if column.name not in ("id", "project_id")}


# ---------------------------------------------------------------- a line by itself


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    return ((n, text) for n, text in enumerate(lines, 1) if text.strip())


def _object(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text.removeprefix("\ufeff"), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise BadValue("it is no JSON, or was cut") from None
    if not isinstance(told, dict):
        raise BadValue("it is no JSON object")
    return told


def _no_number(name: str) -> None:
    raise ValueError(name)


def _check_header(kind: Any, told: Mapping[str, Any]) -> None:
    form = told.get("format")
    if kind != HEADER or not isinstance(form, int):
        raise RedvizError(
            "This is no exported annotation project: its first line does not say so; choose another file."
        )
    if form > FORMAT:
        raise RedvizError(
            f"The file is of a newer redviz ({told.get('redviz')}, format {form}; here it is {FORMAT}); upgrade redviz."
        )
    if form != FORMAT:
        raise RedvizError(f"There is no format {form}; the first line says so and should say {FORMAT}.")


def _record(kind: Any, told: dict[str, Any], line: int) -> Record:
    if not isinstance(kind, str) or kind not in KINDS:
        raise BadValue(f"its kind is {str(kind)[:40]!r}, none of {', '.join(KINDS)}")
    number = told.pop("id", None)
    if not _fits(number, int):
        raise BadValue(f"this {kind} has no number (id)")
    columns = columns_of(kind)
    if strange := [name for name in told if name not in columns]:
        raise BadValue(f"{kind} {number} has an unknown {strange[0]!r}")
    values: dict[str, Any] = {}
    for name, column in columns.items():
        if name not in told and (kind, name) != ("annotator", "code"):
            raise BadValue(f"{kind} {number} has no {name}")
        values[name] = told.get(name)
        if kind == "item" and name == "prompt":
            _check_prompt(values[name], number)
        elif values[name] is not None or not (column.nullable or name == "code"):
            values[name] = _checked(values[name], column, f"{name} of {kind} {number}")
        if (kind, name) in ALLOWED and values[name] not in ALLOWED[kind, name]:
            raise BadValue(f"{name} of {kind} {number} is none of {', '.join(ALLOWED[kind, name])}")
    return Record(kind, number, values, line)


def _check_prompt(prompt: Any, number: int) -> None:
    turns = prompt if isinstance(prompt, list) else [] if isinstance(prompt, str) else [prompt]
    if not all(isinstance(turn, dict) and {"role", "content"} <= turn.keys() for turn in turns):
        raise BadValue(f"prompt of item {number} is neither text nor messages with role and content")


def _checked(value: Any, column: Column[Any], what: str) -> Any:
    wanted = list if column.name in LISTS else column.type.python_type
    if not _fits(value, wanted):
        raise BadValue(f"{what} is not {WORDS[wanted]}")
    if wanted is int and abs(value) >= 2 ** (63 if isinstance(column.type, BigInteger) else 31):
        raise BadValue(f"{what} is too large")
    if wanted is str and len(value) > (getattr(column.type, "length", None) or math.inf):
        raise BadValue(f"{what} is too long")
    return float(value) if wanted is float else value


def _fits(value: Any, wanted: type) -> bool:
    if wanted in (int, float) and isinstance(value, bool):
        return False
    if wanted is float:
        return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max
    return isinstance(value, wanted)


# ---------------------------------------------------------------- a line and those before it


def _check(record: Record, known: Known) -> None:
    kind, values, name = record.kind, record.values, f"{record.kind} {record.number}"
    if record.number in known[kind]:
        raise BadValue(f"{name} is there twice")
    for column, parent in parents(kind).items():
        if values[column] not in known[parent]:
            raise BadValue(f"{name} refers to {parent} {values[column]}, which no line before it has")
    if kind != "project" and not known["project"]:
        raise BadValue(f"{name} comes before the project")
    if kind == "project" and (known["project"] or values["overlap"] < 1):
        raise BadValue("there is a second project" if known["project"] else "the overlap is below 1")
    if kind == "item":
        _check_item(record)
    elif kind == "assignment" and values["state"] == "submitted" and values["submitted_at"] is None:
        raise BadValue(f"{name} is submitted and has no time of it (submitted_at)")
    elif kind == "judgement":
        _check_judgement(record, known)
    elif kind == "gold":
        for mark in values["marks"]:
            if not (isinstance(mark, list) and len(mark) == 4 and _fits(mark[2], float) and isinstance(mark[3], str)):
                raise BadValue(f"a mark of {name} is not [start, end, grade, label]")
            _check_span(mark[0], mark[1], _item_of(record, known), name)
    elif kind == "map":
        cells = _item_of(record, known).values["cells"]
        if len(values["values"]) != len(cells) or not all(_fits(value, float) for value in values["values"]):
            raise BadValue(f"{name} has not one number for each of the {len(cells)} cells of its item")
    elif kind == "choice":
        sides = {known["map"][values[side]].values["item_id"] for side in ("left_id", "right_id")}
        if values["left_id"] == values["right_id"] or sides != {_item_of(record, known).number}:
            raise BadValue(f"{name} is not between two maps of its item")


def _item_of(record: Record, known: Known) -> Record:
    if "assignment_id" in record.values:
        record = known["assignment"][record.values["assignment_id"]]
    return known["item"][record.values["item_id"]]


def _check_item(item: Record) -> None:
    values, name = item.values, f"item {item.number}"
    if fingerprint(values["response"]) != values["sha256"]:
        raise BadValue(f"the response of {name} does not fit its hash (sha256), so one of them was changed")
    if not 0 < len(values["external_id"]) <= LONGEST_ID:
        raise BadValue(f"external_id of {name} has not 1 to {LONGEST_ID} characters")
    reached = 0
    for cell in values["cells"]:
        if not (isinstance(cell, list) and len(cell) == 2):
            raise BadValue(f"a cell of {name} is not [start, end]")
        _check_span(cell[0], cell[1], item, name)
        if cell[0] < reached or cell[0] == cell[1]:
            raise BadValue(f"the cells of {name} are empty or not in order")
        reached = cell[1]


def _check_judgement(event: Record, known: Known) -> None:
    values, name, item = event.values, f"judgement {event.number}", _item_of(event, known)
    if values["op"] == "mark":
        _check_span(values["start"], values["end"], item, name)
        given = (
            values["client"] == "import" and known["assignment"][values["assignment_id"]].values["state"] == "submitted"
        )
        if not given and not on_cells(item.values["cells"], values["start"], values["end"]):
            raise BadValue(f"{name} does not begin and end with cells of its item")
    elif (values["start"], values["end"], values["grade"]) != (None, None, None):
        raise BadValue(f"{name} takes something back and yet has characters or a grade")


def _check_span(start: Any, end: Any, item: Record, name: str) -> None:
    length = len(item.values["response"])
    if not (_fits(start, int) and _fits(end, int) and 0 <= start <= end <= length):
        raise BadValue(f"{name} covers {start} to {end} of a response of {length} characters")


def _refuse_doubles(record: Record, seen: set[Any]) -> None:
    """What the tables hold to be unique: constraints, and indexes over what is not deleted."""
    table = KINDS[record.kind].__table__
    keys = [rule.columns.keys() for rule in table.constraints if isinstance(rule, UniqueConstraint)]
    if record.values.get("deleted_at") is None:
        keys += [index.columns.keys() for index in table.indexes if index.unique]
    for names in (tuple(name for name in key if name != "project_id") for key in keys):
        key = (record.kind, names, tuple(record.values[name] for name in names))
        if key in seen and names != ("code",):
            raise BadValue(f"{record.kind} {record.number} has the {' and '.join(names)} of another")
        seen.add(key)
