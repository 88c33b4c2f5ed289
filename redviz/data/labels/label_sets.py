"""Opens files of human token labels, published or exported by annotation tools, and writes redviz's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from redviz.data.labels.label_exports import KINDS
from redviz.data.labels.label_kinds import Kind
from redviz.data.labels.label_values import Judged, regraded, unknown_labels
from redviz.data.labels.labels import Annotation, LabelledItem, LabelSet, Mark
from redviz.data.labels.places import Counting, counting_of, placed
from redviz.data.sets.dataset import MAX_PROBLEMS, MAX_UPLOAD, SAMPLE
from redviz.data.sets.formats import ENDINGS, MAX_JSON, Content, Numbered, Rows, rows_of
from redviz.data.sets.hub import hub_files, is_hub_id
from redviz.data.sets.items import RowProblem
from redviz.data.sets.values import BadValue, file_name, kind_of, parsed, quoted
from redviz.errors import RedvizError

__all__ = ["KINDS", "open_labels", "to_lines"]


@dataclass(frozen=True)
class _Source:
    """The rows of a source, numbered from 1 through all its files; ``read`` starts anew."""

    name: str
    read: Callable[[], Numbered]


def open_labels(
    source: Path | bytes | str,
    name: str = "",
    kind: str | None = None,
    limit: int | None = None,
    grades: Mapping[str, float] | None = None,
) -> LabelSet:
    """Read what people marked in responses, in any of the forms of ``KINDS``.

    Parameters
    ----------
    source
        A path, the bytes of an upload (at most 200 MB), or as text a path or a Hub id (``owner/name:split``).
    name
        The file's name, whose ending is the format: ``.jsonl``, ``.jsonl.gz``, ``.json``, ``.parquet``, ``.csv`` or ``.txt``
        (trees); without one it is the path's.
    kind
        A name in ``KINDS``; without one the rows decide.
    limit
        Give at most so many items.
    grades
        What the labels of an annotation tool mean, -2 to 2 each: ``{"Hallucination": -1}``. Without it words for good and bad
        count as such and any other label as +1, and the sentence names those; forms that state grades keep theirs.

    Returns
    -------
    LabelSet
        Rows that give nothing are its ``problems``, at most 10,000 (the sentence counts all). Offsets are code points,
        whatever the file counts.

    Raises
    ------
    RedvizError
        If the source cannot be opened, looks like no known kind, or has no row that can be read.

    Examples
    --------
    >>> rows = b'{"text": "A dull film.", "label": [[2, 6, "bad"]], "user": "ada"}'
    >>> labels = open_labels(rows, "export.jsonl")
    >>> labels.sentence
    '1 response with 1 mark by 1 annotator (doccano spans).'
    >>> labels.items[0].annotations[0].marks
    (Mark(start=2, end=6, grade=-1.0, label='bad'),)
    """
    if kind is not None and kind not in KINDS:
        raise RedvizError(f"{kind[:40]!r} is no kind of labels; use one of {', '.join(KINDS)}.")
    if limit is not None and limit < 1:
        raise RedvizError(f"The limit is {limit}; give 1 or more, or none for all rows.")
    if wrong := next((label for label, grade in (grades or {}).items() if not -2 <= grade <= 2), None):
        raise RedvizError(f"The label {wrong[:40]!r} is given a grade outside -2 to 2; give one inside.")
    opened = _opened(source, name)
    known = KINDS[kind] if kind is not None else _kind_of(opened)
    problems: list[RowProblem] = []
    read = list(_read(opened, known, None if known.joins else limit, problems))
    if known.by_label and grades:
        read = [(line, regraded(row, grades)) for line, row in read]
    settled = Counting(known.unit), ""
    counting, counted = settled if known.settled else counting_of((row for _, row in read), known.unit)
    items, moved = _items(read, known, counting, problems)
    items = items[:limit]
    if not items:
        first = min(problems, key=lambda problem: problem.line)
        raise RedvizError(
            f"{opened.name} was read as {known.label}, but none of its rows gives a label (line {first.line}: {first.reason}); "
            f"mend them, or name another kind: {', '.join(KINDS)}."
        )
    scales = {row.scale for _, row in read if row.scale}
    scale = known.scale or ("graded" if "graded" in scales or (not scales and _several(items)) else "binary")
    remarks = [_counted(items, known), known.remark]
    if known.by_label:
        remarks.append(unknown_labels((mark for item in items for mark in _marks(item)), grades or ()))
    remarks.append(counted)
    if moved == 1:
        remarks.append("1 mark did not stand at the words quoted beside it, and was put there")
    elif moved:
        remarks.append(f"{moved:,} marks did not stand at the words quoted beside them, and were put there")
    if problems:
        remarks.append(f"{len(problems):,} {'row gives' if len(problems) == 1 else 'rows give'} nothing")
    listed = tuple(sorted(problems, key=lambda problem: problem.line)[:MAX_PROBLEMS])
    return LabelSet(opened.name, scale, tuple(items), "; ".join(filter(None, remarks)) + ".", listed)


def to_lines(labels: LabelSet) -> Iterator[str]:
    r"""The items as lines of JSON without line ends, one each; :func:`open_labels` gives the same items and scale.

    >>> one = LabelSet("", "graded", (LabelledItem("7", "How?", "Well.", (Annotation("ada", (Mark(0, 4, 2.0),)),)),))
    >>> open_labels("\n".join(to_lines(one)).encode(), "labels.jsonl").items == one.items
    True
    """
    for item in labels.items:
        line = {
            "id": item.id,
            "prompt": item.prompt if isinstance(item.prompt, str) else [dict(message) for message in item.prompt],
            "response": item.response,
            "scale": labels.scale,
            "annotations": [
                {"annotator": given.annotator, "marks": _told(given.marks, item)} for given in item.annotations
            ],
            "gold": None if item.gold is None else _told(item.gold, item),
            "subset": item.subset,
        }
        yield json.dumps(line, ensure_ascii=False, allow_nan=False)


def _told(marks: Iterable[Mark], item: LabelledItem) -> list[dict[str, Any]]:
    """Marks with the words that they cover, so that a text that was changed on the way is noticed."""
    return [vars(mark) | {"text": item.response[mark.start : mark.end]} for mark in marks]


def _read(source: _Source, kind: Kind, limit: int | None, problems: list[RowProblem]) -> Iterator[tuple[int, Judged]]:
    given = 0
    for line, row in source.read():
        if limit is not None and given >= limit:
            return
        try:
            if isinstance(row, BadValue):
                raise row
            if not isinstance(row, kind.rows):
                raise BadValue(f"{kind_of(row)}, expected {kind.shape}")
            judged = kind.read(row, line)
            if kind.settled:
                placed(judged, Counting(kind.unit))  # so that a limit counts what can be placed
            given += 1
            yield line, judged
        except BadValue as problem:
            problems.append(RowProblem(line, str(problem)))


def _items(
    read: Iterable[tuple[int, Judged]], kind: Kind, counting: Counting, problems: list[RowProblem]
) -> tuple[list[LabelledItem], int]:
    """The items in file order, and how many marks were moved; rows of one text join where different annotators are named."""
    items: list[LabelledItem] = []
    names: Counter[str] = Counter()
    texts: dict[tuple[Any, str], list[int]] = {}
    moved = 0
    for line, row in read:
        try:
            found = placed(row, counting)
        except BadValue as problem:
            problems.append(RowProblem(line, str(problem)))
            continue
        given, moved = found.annotations, moved + found.moved
        if kind.joins and row.named:
            same = texts.setdefault((repr(row.prompt), row.response), [])
            open_to = next((n for n in same if not _judged_by(items[n], given)), None)
            if open_to is not None:
                items[open_to] = replace(items[open_to], annotations=items[open_to].annotations + given)
                continue
            same.append(len(items))
        name = row.id
        while name in names:  # a, a-2, a-3, ...
            names[row.id] += 1
            name = f"{row.id}-{names[row.id]}"
        names[name] = 1
        items.append(LabelledItem(name, row.prompt, row.response, given, found.gold, row.subset))
    return items, moved


def _judged_by(item: LabelledItem, given: Iterable[Annotation]) -> bool:
    return bool({one.annotator for one in item.annotations} & {one.annotator for one in given})


def _several(items: Iterable[LabelledItem]) -> bool:
    """Whether the marks have more strengths than marked or not."""
    return any(abs(mark.grade) not in (0.0, 1.0) for item in items for mark in _marks(item))


def _marks(item: LabelledItem) -> Iterator[Mark]:
    for given in item.annotations:
        yield from given.marks
    yield from item.gold or ()


def _counted(items: list[LabelledItem], kind: Kind) -> str:
    people = len({given.annotator for item in items for given in item.annotations})
    marks = sum(len(given.marks) for item in items for given in item.annotations)
    counted = [(len(items), "response"), (marks, "mark"), (people, "annotator")]
    responses, marked, by = (f"{count:,} {word}{'s' * (count != 1)}" for count, word in counted)
    return f"{responses} with {marked} by {by} ({kind.label})"


def _kind_of(source: _Source) -> Kind:
    """The first kind that fits most of the rows that fit any."""
    fits: Counter[str] = Counter()
    columns: dict[str, None] = {}
    fitting = 0
    sample = [row for _, row in islice(source.read(), SAMPLE)]
    for row in sample:
        columns |= dict.fromkeys(row) if isinstance(row, dict) else {}
        found = [kind.name for kind in KINDS.values() if kind.fits(row)]
        fits.update(found)
        fitting += bool(found)
    common = [kind for kind in KINDS.values() if 2 * fits[kind.name] > fitting]
    if common:
        return common[0]
    seen = f"the columns {quoted(columns)}" if columns else f"{kind_of(sample[0])} in its first row"
    seen = f"{sample[0]} in its first row" if isinstance(sample[0], BadValue) else seen
    shapes = "; ".join(f"{kind.name}: {kind.shape}" for kind in KINDS.values())
    raise RedvizError(f"{source.name} has {seen}, which is no form of labels that is read here ({shapes}).")


def _opened(source: Path | bytes | str, name: str) -> _Source:
    shown, contents = _contents(source, name)
    if isinstance(source, bytes) and len(source) > MAX_UPLOAD:
        raise RedvizError(
            f"{shown} has {len(source) / 2**20:,.1f} MB, more than the {MAX_UPLOAD >> 20} MB taken here; "
            "put it on the machine and open it by its path, or take a part of it."
        )
    files = [_rows(content) for content in contents]
    if not any(file.count for file in files):
        raise RedvizError(f"{shown} holds no rows; give at least one labelled response.")

    def read() -> Numbered:
        before = 0  # the lines of the files before this one
        for file in files:
            line = 0
            for line, row in file.read():
                yield before + line, row
            before += line

    return _Source(shown, read)


def _contents(source: Path | bytes | str, name: str) -> tuple[str, list[Content]]:
    if isinstance(source, bytes):
        return file_name(name), [Content(source, file_name(name))]
    shown, path = file_name(name or str(source)), Path(source).expanduser()
    try:
        there = path.is_file()
    except (OSError, ValueError):  # a name of 10,000 characters, a null character
        there = False
    if there:
        return shown, [Content(path, shown)]
    if isinstance(source, str) and is_hub_id(source) and not source.lower().endswith(ENDINGS):
        return source, [Content(file, file_name(file.name)) for file in hub_files(source)[1]]
    raise RedvizError(f"{shown} is no file on this machine, nor a Hub id such as owner/name:split; check the path.")


def _rows(content: Content) -> Rows:
    if content.name.lower().endswith(".json") and (turned := _turned(content)):
        return Rows(len(turned), lambda: iter(enumerate(turned, 1)))
    rows = rows_of(content, ())
    if rows.columns:  # Parquet, of which every column may hold answers
        return rows_of(content, rows.columns)
    if not content.name.lower().endswith(".txt"):
        return rows
    lines = [(n, line) for _, row in rows.read() for n, line in enumerate(row["response"].split("\n"), 1)]
    lines = [(n, line.rstrip("\r")) for n, line in lines if line.strip()]
    return Rows(len(lines), lambda: iter(lines))


def _turned(content: Content) -> list[dict[str, Any]]:
    """The rows of a JSON object of columns, or of rows by their id (``to_dict``); none if it is neither."""
    if content.size > MAX_JSON:
        return []
    raw = b"".join(content.blocks()).removeprefix(b"\xef\xbb\xbf").lstrip()
    try:
        table = parsed(raw.decode("utf-8")) if raw.startswith(b"{") else None
    except UnicodeDecodeError:
        return []  # refused in words when it is read as rows
    if not isinstance(table, dict) or not table or table.keys() == {"data"}:
        return []
    if all(isinstance(value, dict) and "fields" in value for value in table.values()):
        return list(table.values())
    columns = [value for value in table.values() if isinstance(value, list)]
    if len(columns) == len(table) > 1 and len({len(column) for column in columns}) == 1:
        return [dict(zip(table, row, strict=True)) for row in zip(*columns, strict=True)]
    return []
