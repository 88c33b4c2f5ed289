"""Reads the few examples that a person pastes or uploads: .jsonl, .json, .csv and .txt."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redviz.data.schemas import EXPECTED, KINDS, BadValue, NoSchema, examples_of, parsed, quoted
from redviz.errors import RedvizError
from redviz.records import Example

MAX_BYTES = 50 * 2**20


@dataclass(frozen=True)
class RowProblem:
    """A row that gave no example: its line in the file (its place, from 1, in a .json list) and the reason."""

    line: int
    reason: str


def read_examples(source: bytes | str | Path, filename: str) -> tuple[list[Example], list[RowProblem]]:
    r"""Read prompts and responses from a pasted text, an upload or a file.

    Parameters
    ----------
    source
        The content (bytes in UTF-8, or text), or the path of the file that holds it; at most 50 MB.
    filename
        Its name, whose ending is the format: ``.jsonl``, ``.json`` (a list), ``.csv`` or ``.txt`` (one response).

    Returns
    -------
    examples, problems
        One example per response, in file order, and one ``RowProblem`` per row that gave none. ``schemas.SCHEMAS``
        lists the columns understood. An example's id is the row's ``id`` or its line, followed by ``-chosen`` and
        ``-rejected``, or ``-1``, ``-2``, ..., where a row has several responses.

    Raises
    ------
    RedvizError
        If the file cannot be read: unknown ending, too large, not UTF-8, not JSON or CSV, no rows, or no known columns.

    Examples
    --------
    >>> pasted = '{"prompt": "How was it?", "response": "Superb."}\n{"prompt": "And'
    >>> examples, problems = read_examples(pasted, "pasted.jsonl")
    >>> examples[0].response, problems[0].line
    ('Superb.', 2)
    """
    rows_of = FORMATS.get(Path(filename).suffix.lower())
    if rows_of is None:
        raise RedvizError(f"{filename} has an ending that is not read here; use one of {', '.join(FORMATS)}.")
    examples: list[Example] = []
    problems: list[RowProblem] = []
    unknown: dict[str, None] = {}  # columns of the rows that fit no schema, in order
    for line, row in rows_of(_text(source, filename), filename):
        try:
            examples += examples_of(row, line)
        except BadValue as problem:
            problems.append(RowProblem(line, str(problem)))
            if isinstance(problem, NoSchema):
                unknown |= dict.fromkeys(row)
    if unknown and not examples:
        raise RedvizError(f"{filename} has the columns {quoted(unknown)}; {EXPECTED}. Rename its columns.")
    if not examples and not problems:
        raise RedvizError(f"{filename} holds no rows; give at least one prompt with its response.")
    return examples, problems


def _text(source: bytes | str | Path, filename: str) -> str:
    try:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > MAX_BYTES:
            limit = f"more than the {MAX_BYTES >> 20} MB that are read here"
            raise RedvizError(f"{filename} has {size / 2**20:.1f} MB, {limit}; take a part of it.")
        content = source.read_bytes() if isinstance(source, Path) else source
        return content.removeprefix("\ufeff") if isinstance(content, str) else content.decode("utf-8-sig")
    except OSError as error:
        raise RedvizError(f"{filename} cannot be opened ({error.strerror}); check its path and permissions.") from None
    except UnicodeDecodeError as error:
        raise RedvizError(f"{filename} is not UTF-8 (byte {error.start + 1}); save it in that encoding.") from None


def _jsonl_rows(text: str, filename: str) -> Iterator[tuple[int, Any]]:
    # Only "\n" ends a line: str.splitlines would also cut at U+2028, which JSON allows inside a string.
    rows = [(line, parsed(written)) for line, written in enumerate(text.split("\n"), 1) if written.strip()]
    if rows and all(isinstance(row, BadValue) for _, row in rows):
        raise RedvizError(f"{filename}, line {rows[0][0]}, is {rows[0][1]}; write one JSON object per line.")
    yield from rows


def _json_rows(text: str, filename: str) -> Iterator[tuple[int, Any]]:
    rows = parsed(text)
    if isinstance(rows, BadValue):
        raise RedvizError(f"{filename} is {rows}; give a list of objects, or name it .jsonl if each line is one.")
    if not isinstance(rows, list):
        raise RedvizError(f"{filename} holds {KINDS[type(rows)]}, expected a list of objects; put it between [ and ].")
    yield from enumerate(rows, 1)


def _csv_rows(text: str, filename: str) -> Iterator[tuple[int, Any]]:
    csv.field_size_limit(MAX_BYTES)  # csv's own limit, 131,072 characters a cell, is less than a long conversation
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)  # else an open quote swallows all later rows
    try:
        header = [name.strip() for name in next((cells for cells in reader if cells), [])]
        if len(set(header)) < len(header):
            raise RedvizError(f"{filename} names a column twice: {quoted(header)}; rename one.")
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) == len(header):
                yield line, dict(zip(header, cells, strict=True))
            elif cells:
                yield line, BadValue(f"{len(cells)} cells, but the header has {len(header)}")
            line = reader.line_num + 1
    except csv.Error as error:
        raise RedvizError(f"{filename} is not CSV near line {reader.line_num} ({error}); check the quotes.") from None


def _txt_rows(text: str, filename: str) -> Iterator[tuple[int, Any]]:
    response = text.replace("\r\n", "\n").removesuffix("\n")
    if response:
        yield 1, {"prompt": "", "response": response}


FORMATS: dict[str, Callable[[str, str], Iterator[tuple[int, Any]]]] = {
    ".jsonl": _jsonl_rows,
    ".json": _json_rows,
    ".csv": _csv_rows,
    ".txt": _txt_rows,
}
