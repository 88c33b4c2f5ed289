"""Finds out which schema a data set has from its first rows, and says so in a sentence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from redviz.data.sets.candidates import CONTEXTS
from redviz.data.sets.conversations import is_dialogue, is_turn, unwritten
from redviz.data.sets.items import DataItem, RowProblem
from redviz.data.sets.schema import AROUND, PROMPTS
from redviz.data.sets.schemas import IDS, SCHEMAS, SUBSETS, Schema, items_of
from redviz.data.sets.values import BadValue, quoted

SIDES = (
    "preference",
    "preference_chat",
    "implicit",
    "unpaired",
    "response",
    "completion",
)  # schemas whose text may also be messages


PAIRS = ("preference", "preference_chat", "implicit")
TOLD = frozenset(
    [
        *PROMPTS,
        *CONTEXTS,
        "documents",
        "images",
        "image",
        "videos",
        "functions",
        "quotes_0",
        "quotes_1",
        "chat_template_kwargs",
    ]
)


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
    unread: set[str] = field(default_factory=set)  # columns that a template could show, and this schema leaves out


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
    findings = Findings(schema)
    for line, row in rows:
        try:
            items = items_of(row, line, schema)
        except BadValue as problem:
            findings.first_problem = findings.first_problem or RowProblem(line, str(problem))
        else:
            _note(findings, row, items)
    return findings


def understood(found: Findings, columns: Collection[str], mapping: Mapping[str, str]) -> dict[str, str]:
    """Which column plays which part; as a mapping it gives the same reading."""
    needed = [name for names in found.schema.columns for name in names]
    parts = dict.fromkeys([*needed, *found.schema.extra, *IDS, *SUBSETS])
    return {
        part: mapping.get(part, part) for part in parts if part in found.there and mapping.get(part, part) in columns
    }


def sentence(findings: Findings, rows: int, mapping: Mapping[str, str], limit: int | None) -> str:
    """What was understood, in words for a person."""
    schema = findings.schema
    unit = schema.unit if rows != 1 else re.sub(r"s\b", "", schema.unit, count=1)
    forms = [schema.label]
    if findings.messages:
        forms.append("chat messages")
    if findings.dialogues:
        forms.append("Human/Assistant text")
    remarks = [f"{rows:,} {unit} ({', '.join(forms)})", _remark(findings)]
    if schema.name in PAIRS and findings.ratings:
        remarks.append("ratings are kept")
    if findings.unread and not mapping:
        remarks.append(f"not read: {quoted(sorted(findings.unread))}")
    if mapping:
        remarks.append(", ".join(f"{part} is the column {column!r}" for part, column in mapping.items()))
    if limit is not None and limit < rows:
        remarks.append(f"limited to the first {limit:,}")
    return "; ".join(remark for remark in remarks if remark) + "."


def _remark(findings: Findings) -> str:
    if findings.schema.name != "implicit":
        return findings.schema.remark
    if not findings.prompts:
        return "there is no prompt, each text is scored by itself"
    if findings.apart:
        return f"the prompt is all before the last answer, and differs within {findings.apart} of the first {findings.items} pairs"
    return findings.schema.remark


def _is_chat(value: Any) -> bool:
    try:
        found = unwritten(value)
    except BadValue:
        return False
    return isinstance(found, list) and bool(found) and all(is_turn(turn) for turn in found)


def _note(findings: Findings, row: Mapping[str, Any], items: list[DataItem]) -> None:
    used = findings.schema.found(row)
    values = [unwritten(row[name]) for name in used]
    findings.items += len(items)
    findings.there |= {name for name, value in row.items() if value is not None}
    about = ("input", "context") if "instruction" in used else ()
    read = {*used, *about, *AROUND, *(name for name in findings.schema.extra if name != "context")}
    findings.unread |= {name for name in TOLD - read if row.get(name) not in (None, "", [], {})}
    # A column of any other name may hold a chat.
    findings.unread |= {name for name, value in row.items() if name not in read and _is_chat(value)}
    findings.messages |= findings.schema.name in SIDES and any(isinstance(value, list | dict) for value in values)
    findings.dialogues |= any(is_dialogue(value) for value in values)
    candidates = [candidate for item in items for candidate in item.candidates]
    findings.prompts |= any(item.prompt for item in items)
    findings.ratings |= any(candidate.rating is not None for candidate in candidates)
    findings.apart += any(candidate.prompt is not None for candidate in candidates)
