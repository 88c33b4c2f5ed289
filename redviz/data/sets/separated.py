"""The rows of CSV: cells parted by commas, semicolons, tabs or bars, whichever its header is written with."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import chain
from typing import Any, TextIO

from redviz.data.sets.conversations import is_turn
from redviz.data.sets.published import CHOSEN, REJECTED
from redviz.data.sets.schema import MAX_COLUMNS
from redviz.data.sets.schemas import FIELDS
from redviz.data.sets.spelling import spelled, spells_messages
from redviz.data.sets.values import BadValue, quoted
from redviz.errors import RedvizError

SEPARATORS = (",", ";", "\t", "|")
MAX_LINE = 8 * 2**20
# What an object of OpenAI's, WebGPT's, OpenAssistant's and summarize_from_feedback's holds.
OBJECTS = (("messages", list), ("full_text", str), ("replies", list), ("post", str), ("article", str))


def csv_rows(text: TextIO, filename: str) -> Iterator[tuple[int, Any]]:
    """The rows of a CSV file with a header, each with the line it starts on."""
    csv.field_size_limit(MAX_LINE)  # csv's own limit, 131,072 characters a cell, is less than a long conversation
    lines = _lines(text, filename)
    line = 0
    try:
        before, first, separator = _head(lines)
        # strict: else an open quote swallows all later rows
        reader = csv.reader(chain(before, [first], lines), strict=True, delimiter=separator)
        header = [name.strip() for name in next((cells for cells in reader if cells), [])]
        if len(header) > MAX_COLUMNS:
            raise RedvizError(
                f"{filename} has {len(header):,} columns, more than the {MAX_COLUMNS:,} read here; keep those with text."
            )
        if len(set(header)) < len(header):
            raise RedvizError(f"{filename} names a column twice: {quoted(header)}; rename one.")
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                yield line, _values(dict(zip(header, cells, strict=True)))
            elif cells:
                yield (
                    line,
                    BadValue(f"{len(cells)} cell{'s' if len(cells) > 1 else ''}, but the header has {len(header)}"),
                )
            line = reader.line_num + 1
    except csv.Error as error:
        raise RedvizError(f"{filename} is not CSV near line {reader.line_num} ({error}); check the quotes.") from None
    except UnicodeDecodeError:
        where = f"after line {max(0, line - 1)}"
        raise RedvizError(f"{filename} is not UTF-8 ({where}); save it in that encoding.") from None


def _values(row: dict[str, Any]) -> dict[str, Any] | BadValue:
    """The row with the values that its cells spell where a text cannot be meant: a message, or OpenAI's object of messages.

    Chosen and rejected responses become lists where the cells of both spell lists of texts (RewardBench 2): one alone may be an
    answer that is a list.
    """
    found: dict[str, Any] = {}
    for name, cell in row.items():
        if not cell.lstrip().startswith("{"):
            continue
        value = spelled(cell)
        if is_turn(value) or (isinstance(value, dict) and any(isinstance(value.get(key), of) for key, of in OBJECTS)):
            found[name] = value
        elif isinstance(value, BadValue) and spells_messages(cell):
            return BadValue(f"{name} begins as a message does, and is none that JSON or Python reads")
    return row | found | _lists(row)


def _lists(row: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for names in (CHOSEN, REJECTED):
        name = next((name for name in names if row.get(name, "").lstrip().startswith("[")), "")
        listed = spelled(row[name]) if name else None
        if not isinstance(listed, list) or not listed or not all(isinstance(text, str) for text in listed):
            return {}
        found[name] = listed
    return found


def _head(lines: Iterator[str]) -> tuple[list[str], str, str]:
    """Blank lines before the header, its first line, and its separator, which Excel may name in a line of its own."""
    before: list[str] = []
    for first in lines:
        if first[:4].lower() == "sep=" and len(first.strip("\r\n")) == 5:
            before.append("\n")
            return before, next(lines, ""), first[4]
        if first.strip():
            return before, first, separator_of(first)
        before.append(first)
    return before, "", ","


def separator_of(header: str) -> str:
    r"""The separator that gives a header the most columns of known names, then the most columns; a comma where none does.

    >>> separator_of("prompt;chosen;rejected\n"), separator_of("frage\tantwort\n"), separator_of("text\n")
    (';', '\t', ',')
    """

    def columns(separator: str) -> tuple[int, int]:
        try:
            names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
        except csv.Error:  # a name with a line end in it: told when the rows are read
            names = []
        return sum(name in FIELDS for name in names), len(names)

    return max(SEPARATORS, key=columns)


def _lines(text: TextIO, filename: str) -> Iterator[str]:
    for number, line in enumerate(iter(lambda: text.readline(MAX_LINE), ""), 1):
        if "\0" in line:
            raise RedvizError(f"{filename} holds null bytes (line {number}); save it as CSV in UTF-8.")
        if len(line) == MAX_LINE:
            raise RedvizError(f"{filename}, line {number}, is longer than {MAX_LINE >> 20} MB; check that it is CSV.")
        yield line
