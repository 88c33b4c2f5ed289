"""Opens a data set of any known schema and streams its items: the one door for the app, the CLI and the runs."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from redviz.data.sets.candidates import CONTEXTS
from redviz.data.sets.detection import TOLD, Findings, findings_of, schema_of, sentence, understood
from redviz.data.sets.formats import ENDINGS, Content, Rows, rows_of
from redviz.data.sets.hub import files_of, hub_files, is_hub_id
from redviz.data.sets.items import Candidate, DataItem, Detected, HumanSpan, RowProblem
from redviz.data.sets.schemas import FIELDS, PROMPTS, Schema, items_of, kept_beside, schemas_with
from redviz.data.sets.values import BadText, BadValue, file_name, kind_of, quoted
from redviz.errors import RedvizError

__all__ = ["Candidate", "DataItem", "Dataset", "Detected", "HumanSpan", "RowProblem", "open_dataset"]

SAMPLE = 100
MAX_UPLOAD = 200 * 2**20
MAX_PROBLEMS = 10_000


class Dataset:
    """A data set that was opened and understood; its rows are read anew by every :meth:`items`.

    Attributes
    ----------
    name
        For a screen: the file's name, or the Hub id.
    detected
        How its rows were understood.
    rows
        How many rows its files hold, before malformed ones are left out and before ``limit``.
    examples
        How many responses its items hold, where it was opened to be counted whole; else None.
    problems
        The rows that gave nothing, filled by the latest :meth:`items` (the first 10,000; ``skipped`` counts all).
    renamed
        How many ids had been seen before and got an ending, by the latest :meth:`items`.
    """

    def __init__(
        self, name: str, contents: list[Content], mapping: Mapping[str, str], limit: int | None, whole: bool = False
    ) -> None:
        self.name = name
        self.limit = limit
        self.problems: list[RowProblem] = []
        self.skipped = 0
        self.renamed = 0
        self._contents = contents
        self._mapping = dict(mapping)
        self._files: list[Rows] = [
            rows_of(content, frozenset([*FIELDS, *TOLD, *mapping.values()]), not whole) for content in contents
        ]
        self.rows = sum(file.count or 0 for file in self._files)
        self.examples: int | None = None
        self._kept = kept_beside(mapping) if mapping else ()
        # Where there is no column of prompts either, a mapping to responses says that there is none.
        self._no_prompt = bool(mapping.keys() & {"response", "responses", "completion"}) and not (
            {*mapping, *(self._columns() & {*self._kept})} & {*PROMPTS, *CONTEXTS}
        )
        self._schema, columns, findings = self._detect()
        if whole:
            self._count()
        said = sentence(findings, self.rows, self._mapping, self.limit)
        self.detected = Detected(self._schema.name, said, columns, understood(findings, columns, self._mapping))

    def items(self, bad_texts: bool = False) -> Iterator[DataItem]:
        """The items in file order, at most ``limit``; a row that cannot be read is listed in ``problems`` and left out.

        With ``bad_texts`` a row of which only a text cannot be read (an empty response, half a character) is an item with its
        ``problem``, so that a run has a row for it.
        """
        return self._items(self._rows(), bad_texts)

    def _items(self, rows: Iterable[tuple[int, Any]], bad_texts: bool) -> Iterator[DataItem]:
        problems: list[RowProblem] = []
        self.problems, self.skipped, self.renamed = problems, 0, 0
        seen: dict[str, int] = {}
        given = 0
        for line, row in rows:
            if self.limit is not None and given >= self.limit:
                return
            try:
                items = items_of(self._mapped(row), line, self._schema)
            except BadValue as problem:
                if not (bad_texts and isinstance(problem, BadText)):
                    self.skipped += 1
                    if len(problems) < MAX_PROBLEMS:
                        problems.append(RowProblem(line, str(problem)))
                    continue
                items = [DataItem(str(line), "", (Candidate("", ""),), line=line, problem=f"Line {line}: {problem}.")]
            for item in items[: None if self.limit is None else self.limit - given]:
                name = item.id
                while name in seen:  # a, a-2, a-3, ...
                    seen[item.id] += 1
                    name = f"{item.id}-{seen[item.id]}"
                self.renamed += name != item.id
                seen[name] = 1
                given += 1
                yield item if name == item.id else replace(item, id=name)

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of the content (of the files' own, one after the other, where there are several)."""
        for content in self._contents:
            if not content.digests:
                deque(content.blocks(), maxlen=0)
        return self.read_last

    @property
    def read_last(self) -> str:
        """What :attr:`fingerprint` would be of what was read last, where that is known of every file."""
        digests = [content.digests[-1] for content in self._contents]
        return digests[0].hex() if len(digests) == 1 else hashlib.sha256(b"".join(digests)).hexdigest()

    def _count(self) -> None:
        """Rows and examples, in one reading from start to end; beyond the limit rows are counted only."""
        rows = 0

        def counting() -> Iterator[tuple[int, Any]]:
            nonlocal rows
            for numbered in self._rows():
                rows += 1
                yield numbered

        source = counting()
        self.examples = sum(len(item.candidates) for item in self._items(source, bad_texts=True))
        deque(source, maxlen=0)
        self.rows = rows

    def _rows(self) -> Iterator[tuple[int, Any]]:
        before = 0  # the lines of the files before this one
        for file in self._files:
            line = 0
            for line, row in file.read():
                yield before + line, row
            before += line

    def _mapped(self, row: Any) -> Any:
        if not self._mapping or not isinstance(row, dict):
            return row
        kept = {name: row[name] for name in self._kept if name in row}
        if self._no_prompt:
            kept["prompt"] = ""
        return kept | {part: row.get(column) for part, column in self._mapping.items()}

    def _columns(self) -> set[str]:
        seen = {name for _, row in self._sample() if isinstance(row, dict) for name in row}
        return seen.union(*(file.columns for file in self._files))

    def _detect(self) -> tuple[Schema, tuple[str, ...], Findings]:
        """The schema, the columns, and what the first rows show."""
        if next(self._sample(), None) is None:
            raise RedvizError(f"{self.name} holds no rows; give at least one prompt with its response.")
        schema, seen = schema_of((row for _, row in self._sample()), self._mapped, schemas_with(self._mapping))
        columns = tuple(dict.fromkeys([*(name for file in self._files for name in file.columns), *seen]))
        if not columns:
            line, row = next(self._rows())
            reason = row if isinstance(row, BadValue) else f"{kind_of(row)}, expected an object"
            what = "one object per row"
            if self.name.lower().endswith((".csv", ".tsv")):
                reason, what = f"a row of {reason}", "as many cells in each row"
            raise RedvizError(f"{self.name} cannot be read: line {line} is {reason}; write {what}.")
        if unknown := [column for column in self._mapping.values() if column not in columns]:
            raise RedvizError(f"{self.name} has no column {unknown[0]!r}; it has {quoted(columns)}.")
        if schema is None:
            raise RedvizError(
                f"{self.name} has the columns {quoted(columns)}, which fit no known schema; say with a mapping (--column on "
                "the command line) which one is the prompt and which the response, such as prompt=question response=answer "
                "(or chosen=... rejected=...)."
            )
        findings = findings_of(((line, self._mapped(row)) for line, row in self._sample()), schema)
        if not findings.items and (problem := findings.first_problem):
            raise RedvizError(
                f"{self.name} looks like {schema.label}, but none of its first rows can be read "
                f"(line {problem.line}: {problem.reason}); mend them, or say with a mapping (--column on the "
                "command line) which column is which."
            )
        return schema, columns, findings

    def _sample(self) -> Iterator[tuple[int, Any]]:
        return islice(self._rows(), SAMPLE)


def open_dataset(
    source: Path | bytes | str,
    name: str = "",
    *,
    mapping: Mapping[str, str] | None = None,
    limit: int | None = None,
    max_bytes: int | None = None,
    whole: bool = False,
) -> Dataset:
    """Open a data set and find out how its rows are to be read.

    Parameters
    ----------
    source
        A path (of a file, or of a folder laid out as on the Hub or written by ``datasets``), the bytes of an upload, or as text a
        path or a Hub id: ``owner/name``, ``owner/name:split``, ``owner/name/config:split``.
    name
        The file's name, whose ending is the format: ``.jsonl``, ``.jsonl.gz``, ``.json``, ``.parquet``, ``.arrow``,
        ``.csv``, ``.tsv`` or ``.txt``; without one it is the path's.
    mapping
        Which column plays which part, such as ``{"prompt": "question", "chosen": "better", "rejected": "worse"}``; the parts
        are the column names of ``schemas.SCHEMAS``. Columns of such names that it does not take are read as they are.
    limit
        Give at most so many items.
    max_bytes
        The largest source to take: 200 MB for bytes, no limit for paths.
    whole
        Read every row now: its ``examples`` are then counted, its ``problems`` listed and its ``fingerprint`` known, by one reading.

    Raises
    ------
    RedvizError
        If the source cannot be opened, is not what its name says, is dangerous to unpack, holds no row that can be read, or fits
        no schema (then its columns are listed).

    Examples
    --------
    >>> pairs = b'{"prompt": "How was it?", "chosen": "Superb.", "rejected": "Dull."}'
    >>> dataset = open_dataset(pairs, "pairs.jsonl")
    >>> dataset.detected.sentence
    '1 pair of prompt, chosen and rejected (TRL preference).'
    >>> [candidate.role for candidate in next(dataset.items()).candidates]
    ['chosen', 'rejected']
    """
    mapping = dict(mapping or {})
    if unknown := [part for part in mapping if part not in FIELDS]:
        raise RedvizError(f"{unknown[0]!r} is no part of a data set; map one of {quoted(FIELDS)}.")
    if limit is not None and limit < 1:
        raise RedvizError(f"The limit is {limit}; give 1 or more, or none for all rows.")
    shown, contents = _contents(source, name)
    allowed = max_bytes if max_bytes is not None else MAX_UPLOAD if isinstance(source, bytes) else None
    size = sum(content.size for content in contents)
    if allowed is not None and size > allowed:
        raise RedvizError(
            f"{shown} has {size / 2**20:,.1f} MB, more than the {allowed / 2**20:,.0f} MB taken here; "
            "put it on the machine and open it by its path, or take a part of it."
        )
    return Dataset(shown, contents, mapping, limit, whole)


def _contents(source: Path | bytes | str, name: str) -> tuple[str, list[Content]]:
    """The name to show, and the files behind a source."""
    if isinstance(source, bytes):
        return file_name(name), [Content(source, file_name(name))]
    if isinstance(source, str) and not source.strip():
        raise RedvizError("No data set was named; give a file, a folder, or a Hub id such as owner/name:split.")
    path = Path(source).expanduser()
    try:
        there, folder, special = path.exists(), path.is_dir(), path.exists() and not (path.is_file() or path.is_dir())
    except (OSError, ValueError):  # a name of 10,000 characters, a null character
        there = folder = special = False
    shown = file_name(name or str(source))
    if special:
        raise RedvizError(f"{shown} is neither a file nor a folder; give a file of rows.")
    if folder:
        return shown, [Content(file, file_name(file.name)) for file in files_of(path, "", "", shown)]
    if there:
        return shown, [Content(path, shown)]
    if isinstance(source, str) and is_hub_id(source) and not source.lower().endswith(ENDINGS):
        _, files = hub_files(source)
        return source, [Content(file, file_name(file.name)) for file in files]
    raise RedvizError(f"{shown} is no file on this machine, nor a Hub id such as owner/name:split; check the path.")
