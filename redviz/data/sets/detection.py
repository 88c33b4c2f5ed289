"""Finds out which schema a data set has from its first rows, and says so in a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from redviz.data.sets.conversations import is_dialogue, unwritten
from redviz.data.sets.items import DataItem, RowProblem
from redviz.data.sets.schemas import IDS, SCHEMAS, SUBSETS, Schema, item_of
from redviz.data.sets.values import BadValue

SIDES = ("preference", "implicit", "unpaired", "response", "completion")  # schemas whose text may also be messages


@dataclass
class Findings:
    """What the first rows show under one schema; no row is kept, since one alone may be large."""

    schema: Schema
    items: int = 0
    first_problem: RowProblem | None = None
    there: set[str] = field(default_factory=set)  # columns with a value
    messages: bool = False
    dialogues: bool = False
    prompts: bool = False
    ratings: bool = False
    apart: int = 0  # pairs whose prompts differ


def schema_of(
    rows: Iterable[Any], mapped: Callable[[Any], Any], schemas: Collection[Schema] = SCHEMAS
) -> tuple[Schema | None, tuple[str, ...]]:
    """The first of ``schemas`` that fits most of the rows that fit any (a null here and there must not decide), and all columns.

    The columns are those of the rows as they are, the schema is that of the rows after ``mapped``.
    """
    columns: dict[str, None] = {}
    counts: Counter[str] = Counter()
    fitting = 0
    for row in rows:
        if isinstance(row, dict):
            columns |= dict.fromkeys(row)
            fits = [schema.name for schema in schemas if schema.fits(mapped(row))]
            counts.update(fits)
            fitting += bool(fits)
    common = [schema for schema in schemas if 2 * counts[schema.name] > fitting]
    found = common or [schema for schema in schemas if counts[schema.name]]
    return (found[0] if found else None), tuple(columns)


def findings_of(rows: Iterable[tuple[int, Any]], schema: Schema) -> Findings:
    """Read the first rows by ``schema`` and note what they show."""
    found = Findings(schema)
    for line, row in rows:
        try:
            item = item_of(row, line, schema)
        except BadValue as problem:
            found.first_problem = found.first_problem or RowProblem(line, str(problem))
        else:
            _note(found, row, item)
    return found


def understood(found: Findings, columns: Collection[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Which column plays which part; as a mapping it gives the same reading."""
    needed = [name for names in found.schema.columns for name in names]
    parts = dict.fromkeys([*needed, *found.schema.extra, *IDS, *SUBSETS])
    return {
        part: mapping.get(part, part) for part in parts if part in found.there and mapping.get(part, part) in columns
    }


def sentence(found: Findings, rows: int, mapping: Mapping[str, str], limit: int | None) -> str:
    """What was understood, in words for a person."""
    schema = found.schema
    unit = schema.unit if rows != 1 else re.sub(r"s\b", "", schema.unit, count=1)
    forms = [schema.label]
    if found.messages:
        forms.append("chat messages")
    if found.dialogues:
        forms.append("Human/Assistant text")
    remarks = [f"{rows:,} {unit} ({', '.join(forms)})", _remark(found)]
    if schema.name in ("preference", "implicit") and found.ratings:
        remarks.append("ratings are kept")
    if mapping:
        remarks.append(", ".join(f"{part} is the column {column!r}" for part, column in mapping.items()))
    if limit is not None and limit < rows:
        remarks.append(f"limited to the first {limit:,}")
    return "; ".join(remark for remark in remarks if remark) + "."


def _remark(found: Findings) -> str:
    if found.schema.name != "implicit":
        return found.schema.remark
    if not found.prompts:
        return "there is no prompt, each text is scored by itself"
    if found.apart:
        return f"the prompt is all before the last answer, and differs within {found.apart} of the first {found.items} pairs"
    return found.schema.remark


def _note(found: Findings, row: Mapping[str, Any], item: DataItem) -> None:
    values = [unwritten(row[name]) for name in found.schema.found(row)]
    found.items += 1
    found.there |= {name for name, value in row.items() if value is not None}
    found.messages |= found.schema.name in SIDES and any(isinstance(value, list | dict) for value in values)
    found.dialogues |= any(is_dialogue(value) for value in values)
    found.prompts |= bool(item.prompt)
    found.ratings |= any(candidate.rating is not None for candidate in item.candidates)
    found.apart += any(candidate.prompt is not None for candidate in item.candidates)
