"""Span labels as annotation tools export them: doccano and its like, and Label Studio; and every kind of file that is read.

Which unit their offsets count, where a text holds emoji: doccano's and Argilla's pages count UTF-16 units
(https://github.com/doccano/doccano/issues/2290, https://github.com/argilla-io/argilla/issues/5729), Label Studio counts
code points since late 2021 and UTF-16 units before (https://github.com/HumanSignal/label-studio/pull/1559). Files that scripts
wrote may differ from all of them, so the marks themselves are asked (:func:`redviz.data.labels.places.counting_of`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from redviz.data.labels.argilla import is_argilla, read_argilla
from redviz.data.labels.label_kinds import PUBLISHED, Kind
from redviz.data.labels.label_values import (
    ANNOTATORS,
    SETTLED,
    UNKNOWN,
    UNNAMED,
    Judged,
    Span,
    entry_of,
    id_of,
    judged_row,
    listed,
    maybe_list,
    person,
    prompt_and_response,
    span_of,
    subset_of,
)
from redviz.data.labels.places import UTF16
from redviz.data.labels.token_exports import is_prodigy, is_spacy, read_prodigy, read_spacy
from redviz.data.sets.values import BadValue, Row, kind_of, quoted

LABELS = ("label", "labels", "entities")
REGION_LABELS = ("labels", "hypertextlabels")
OF_REGIONS = (
    "choices",
    "rating",
    "number",
    "taxonomy",
    "datetime",
    "ranker",
)  # said of a span that another result marks
MIN_COLUMNS = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")


def is_doccano(row: Any) -> bool:
    if not isinstance(row, dict) or not any(isinstance(row.get(name), str) for name in ("text", "data")):
        return False
    if _by_users(row):
        return True
    for name in LABELS:
        entries = maybe_list(row.get(name))
        if entries is not None:
            return all(
                "label" in entry if isinstance(entry, dict) else isinstance(entry, list) and len(entry) == 3
                for entry in entries
            )
    return False


def read_doccano(row: Row, line: int) -> Judged:
    """``[[start, end, label], ...]`` beside a text; also objects with start_offset, end_offset and label."""
    if _by_users(row):
        return _read_by_users(row, line)
    name = next((name for name in LABELS if row.get(name) is not None), None)
    if name is None:
        raise BadValue(f"none of {', '.join(LABELS)} is there")
    spans = []
    for entry in listed(row[name], name):
        if isinstance(entry, dict):
            spans.append(span_of(*entry_of(entry, name), entry.get("label")))
        elif isinstance(entry, list) and len(entry) == 3:
            spans.append(span_of(*entry))
        else:
            raise BadValue(f"an entry of {name} is not [start, end, label]")
    return judged_row(row, {key: row[key] for key in row if key not in (*LABELS, *ANNOTATORS)}, line, tuple(spans))


def _by_users(row: Row) -> bool:
    """Whether it is a row of doccano before 1.3: annotations, each with its user."""
    given = row.get("annotations")
    return isinstance(given, list) and all(isinstance(entry, dict) and "label" in entry for entry in given)


def _read_by_users(row: Row, line: int) -> Judged:
    """Annotations with start_offset, end_offset, label and user; a label that is a number is the id of one, and no grade."""
    judgements: dict[str, tuple[Span, ...]] = {}
    for entry in row["annotations"]:
        by = UNNAMED if entry.get("user") is None else person(entry["user"])
        start, end = entry_of(entry, "annotations")
        label = entry["label"]
        numbered = isinstance(label, int) and not isinstance(label, bool)
        place = span_of(start, end, None if numbered else label)
        span = replace(place, grade=UNKNOWN, label=str(label)) if numbered else place
        judgements[by] = (*judgements.get(by, ()), span)
    if not judgements:
        raise BadValue("nobody submitted an annotation of it")
    fields = {key: row[key] for key in row if key not in ("annotations", "annotation_approver", *ANNOTATORS)}
    prompt, response = prompt_and_response(fields)
    return Judged(id_of(row, line), prompt, response, tuple(judgements.items()), subset=subset_of(fields))


def is_label_studio(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if isinstance(row.get("data"), dict):
        return isinstance(_annotations(row), list)
    return bool(_region_columns(row)) or ("annotation_id" in row and not is_doccano(row))


def read_label_studio(row: Row, line: int) -> Judged:
    """A task with its annotations (JSON), or one annotation beside the task's data (JSON-MIN)."""
    if not isinstance(row.get("data"), dict):
        columns = _region_columns(row)
        spans = [span for column in columns for region in listed(row[column], column) for span in _region(region)]
        fields = {name: row[name] for name in row if name not in (*MIN_COLUMNS, *columns)}
        if other := next((name for name in LABELS if isinstance(fields.get(name), list) and fields[name]), None):
            raise BadValue(f"{other} is no list of objects with start, end and labels")
        return judged_row(row, fields, line, tuple(spans))
    prompt, response = prompt_and_response(row["data"])
    judgements: dict[str, tuple[Span, ...]] = {}
    gold = None
    for given in listed(_annotations(row), "annotations"):
        if not isinstance(given, dict):
            raise BadValue(f"an annotation is {kind_of(given)}, expected an object")
        if given.get("was_cancelled") or given.get("skipped"):
            continue
        results = [result for result in listed(given.get("result"), "result") if isinstance(result, dict)]
        marks = tuple(_regions(results, row["data"], response))
        named = next((given[name] for name in ("completed_by", "created_username") if given.get(name)), None)
        by = UNNAMED if named is None else person(named)
        gold = marks if given.get("ground_truth") and gold is None else gold
        if not (by == SETTLED and given.get("ground_truth")):
            _add(judgements, by, marks)
    if not judgements and gold is None:
        raise BadValue("nobody submitted an annotation of it")
    own = row["data"].get("redviz_id")  # Label Studio numbers what it imports
    name = id_of({"id": own} if own else row, line)
    return Judged(name, prompt, response, tuple(judgements.items()), gold, subset_of(row["data"]))


def _add(judgements: dict[str, tuple[Span, ...]], by: str, marks: tuple[Span, ...]) -> None:
    if by in judgements:
        raise BadValue(f"{by!r} annotated it twice; keep one annotation")
    judgements[by] = marks


def _annotations(row: Row) -> Any:
    return row.get("annotations", row.get("completions"))  # completions: before 2021


def _regions(results: Iterable[Row], data: Row, response: str) -> Iterator[Span]:
    """The spans of the response; those of another column, of which the region is named, are not among them."""
    marked: set[Any] = set()
    for result in results:
        to_name, spans = result.get("to_name"), _region(result.get("value"))
        other = data.get(to_name) if isinstance(to_name, str) else None
        if spans and not (isinstance(other, str) and other != response):
            marked.add(repr(to_name))
            yield from spans
    if len(marked) > 1:
        raise BadValue(f"its marks are about several texts ({quoted(sorted(marked))}); export those of one")


def _region(value: Any) -> list[Span]:
    """The spans of one region, one per label; none where it is no span of text, or says something else of one (a rating)."""
    if not isinstance(value, dict) or "start" not in value or "end" not in value:
        return []
    if value.keys() & {*OF_REGIONS} or isinstance(value.get("text"), list):
        return []
    start, end = (int(at) if isinstance(at, str) and at.isdigit() else at for at in (value["start"], value["end"]))
    if isinstance(start, str):  # a place in HTML, which the quote can be found without
        shown = value.get("globalOffsets")
        if not isinstance(shown, dict) or not isinstance(value.get("text"), str):
            raise BadValue("a mark is a place in HTML; export a task of plain text")
        start, end = shown.get("start"), shown.get("end")
    labels = next((value[name] for name in REGION_LABELS if value.get(name)), [None])
    return [span_of(start, end, label, value.get("text")) for label in listed(labels, "labels")]


def _region_columns(row: Row) -> list[str]:
    """The columns of a JSON-MIN row that hold regions."""
    columns = []
    for name, value in row.items():
        entries = maybe_list(value)
        if entries and all(
            isinstance(entry, dict) and "start" in entry and entry.keys() & {*REGION_LABELS} for entry in entries
        ):
            columns.append(name)
    return columns


KINDS = {
    kind.name: kind
    for kind in (
        *PUBLISHED,
        Kind(
            "label_studio",
            "Label Studio",
            "data and annotations (JSON), or annotation_id beside the data (JSON-MIN)",
            is_label_studio,
            read_label_studio,
            settled=False,
            by_label=True,
            joins=True,
            remark="results that are no span of text and cancelled annotations are left out",
        ),
        Kind(
            "argilla",
            "Argilla span answers",
            "fields and responses, or columns such as span.responses",
            is_argilla,
            read_argilla,
            unit=UTF16,
            settled=False,
            by_label=True,
            remark="suggestions, drafts and discarded answers are left out",
        ),
        Kind(
            "prodigy",
            "Prodigy spans",
            "text, spans and an answer",
            is_prodigy,
            read_prodigy,
            settled=False,
            by_label=True,
            joins=True,
            remark="relations are left out",
        ),
        Kind(
            "spacy",
            "spaCy spans",
            'text beside ents or spans with start and end, or [text, {"entities": [[start, end, label], ...]}]',
            is_spacy,
            read_spacy,
            settled=False,
            by_label=True,
            joins=True,
            rows=(dict, list),
        ),
        Kind(
            "doccano",
            "doccano spans",
            "text beside label, labels or entities as [[start, end, label], ...], or annotations with start_offset",
            is_doccano,
            read_doccano,
            unit=UTF16,
            settled=False,
            by_label=True,
            joins=True,
        ),
    )
}
