"""Reads the few examples that a person pastes or uploads: .jsonl, .json, .csv and .txt."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from redviz.data.sets.formats import json_rows, jsonl_rows, txt_rows
from redviz.data.sets.items import DataItem, RowProblem
from redviz.data.sets.schemas import EXPECTED, items_of
from redviz.data.sets.separated import csv_rows
from redviz.data.sets.values import BadValue, NoSchema, file_name, quoted
from redviz.errors import RedvizError
from redviz.git_lfs import LONGEST, refuse_start
from redviz.records import Example

__all__ = ["MAX_BYTES", "RowProblem", "read_examples"]

MAX_BYTES = 50 * 2**20


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
        lists the columns understood; each row is read by its own. An example's id is the row's ``id`` or its line, followed
        by ``-chosen`` and ``-rejected``, or ``-1``, ``-2``, ..., where a row has several responses.

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
    filename = file_name(filename)
    rows_of = FORMATS.get(Path(filename).suffix.lower())
    if rows_of is None:
        raise RedvizError(f"{filename} has an ending that is not read here; use one of {', '.join(FORMATS)}.")
    examples: list[Example] = []
    problems: list[RowProblem] = []
    unknown: dict[str, None] = {}  # columns of the rows that fit no schema, in order
    for line, row in rows_of(_text(source, filename), filename):
        try:
            examples += [example for item in items_of(row, line) for example in _examples(item)]
        except BadValue as problem:
            problems.append(RowProblem(line, str(problem)))
            if isinstance(problem, NoSchema):
                unknown |= dict.fromkeys(row)
    if unknown and not examples:
        raise RedvizError(f"{filename} has the columns {quoted(unknown)}; {EXPECTED}. Rename its columns.")
    if not examples and not problems:
        raise RedvizError(f"{filename} holds no rows; give at least one prompt with its response.")
    return examples, problems


def _examples(item: DataItem) -> list[Example]:
    return [
        Example(example.prompt, example.response, f"{item.id}-{candidate.role}" if candidate.role else item.id)
        for candidate, example in zip(item.candidates, item.examples, strict=True)
    ]


def _text(source: bytes | str | Path, filename: str) -> str:
    try:
        size = source.stat().st_size if isinstance(source, Path) else len(source)
        if size > MAX_BYTES:
            limit = f"more than the {MAX_BYTES >> 20} MB that are read here"
            raise RedvizError(f"{filename} has {size / 2**20:.1f} MB, {limit}; take a part of it.")
        content = source.read_bytes() if isinstance(source, Path) else source
        refuse_start(content[:LONGEST].encode() if isinstance(content, str) else content[:LONGEST], filename)
        return content.removeprefix("\ufeff") if isinstance(content, str) else content.decode("utf-8-sig")
    except OSError as error:
        raise RedvizError(f"{filename} cannot be opened ({error.strerror}); check its path and permissions.") from None
    except UnicodeDecodeError as error:
        raise RedvizError(f"{filename} is not UTF-8 (byte {error.start + 1}); save it in that encoding.") from None


def _jsonl_rows(text: str, filename: str) -> Iterator[tuple[int, Any]]:
    # Only "\n" ends a line: str.splitlines would also cut at U+2028, which JSON allows inside a string.
    rows = list(jsonl_rows(text.split("\n")))
    if rows and all(isinstance(row, BadValue) for _, row in rows):
        raise RedvizError(f"{filename}, line {rows[0][0]}, is {rows[0][1]}; write one JSON object per line.")
    yield from rows


FORMATS: dict[str, Callable[[str, str], Iterator[tuple[int, Any]]]] = {
    ".jsonl": _jsonl_rows,
    ".json": json_rows,
    ".csv": lambda text, filename: csv_rows(io.StringIO(text, newline=""), filename),
    ".txt": lambda text, filename: txt_rows(text),
}
