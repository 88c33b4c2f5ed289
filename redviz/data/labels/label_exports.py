"""Span labels as annotation tools export them: doccano and its like, Label Studio, Argilla.

Which unit their offsets count, where a text holds emoji: doccano's and Argilla's pages count UTF-16 units
(https://github.com/doccano/doccano/issues/2290, https://github.com/argilla-io/argilla/issues/5729), Label Studio counts
code points since late 2021 and UTF-16 units before (https://github.com/HumanSignal/label-studio/pull/1559). Files that scripts
wrote may differ from all of them, so the marks themselves are asked (:func:`redviz.data.labels.label_values.unit_of`).
"""

from __future__ import annotations

from typing import Any

from redviz.data.labels.label_kinds import PUBLISHED, Kind
from redviz.data.labels.label_values import (
    ANNOTATORS,
    UNNAMED,
    UTF16,
    Judged,
    Span,
    entry_of,
    id_of,
    listed,
    person,
    prompt_and_response,
    span_of,
    subset_of,
)
from redviz.data.sets.values import BadValue, Row, kind_of, parsed

LABELS = ("label", "labels", "entities")
REGION_LABELS = ("labels", "hypertextlabels")
MIN_COLUMNS = ("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement")
ENDINGS = (".responses", ".users", ".status", ".suggestion", ".score", ".agent")


def is_doccano(row: Any) -> bool:
    if not isinstance(row, dict) or not any(isinstance(row.get(name), str) for name in ("text", "data")):
        return False
    for name in LABELS:
        entries = _maybe_list(row.get(name))
        if entries is not None:
            return all(
                "label" in entry if isinstance(entry, dict) else isinstance(entry, list) and len(entry) == 3
                for entry in entries
            )
    return False


def read_doccano(row: Row, line: int) -> Judged:
    """``[[start, end, label], ...]`` beside a text; also objects with start_offset, end_offset and label."""
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
    return _judged(row, {key: row[key] for key in row if key not in (*LABELS, *ANNOTATORS)}, line, tuple(spans))


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
        return _judged(row, fields, line, tuple(spans))
    prompt, response = prompt_and_response(row["data"])
    judgements: dict[str, tuple[Span, ...]] = {}
    gold = None
    for given in listed(_annotations(row), "annotations"):
        if not isinstance(given, dict):
            raise BadValue(f"an annotation is {kind_of(given)}, expected an object")
        if given.get("was_cancelled") or given.get("skipped"):
            continue
        results = [result for result in listed(given.get("result"), "result") if isinstance(result, dict)]
        marks = tuple(span for result in results for span in _region(result.get("value")))
        by = person(given["completed_by"]) if given.get("completed_by") is not None else UNNAMED
        _add(judgements, by, marks)
        gold = marks if given.get("ground_truth") and gold is None else gold
    if not judgements:
        raise BadValue("nobody submitted an annotation of it")
    return Judged(id_of(row, line), prompt, response, tuple(judgements.items()), gold, subset_of(row["data"]))


def is_argilla(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if isinstance(row.get("fields"), dict) and "responses" in row:
        return True
    return any(name.endswith(".responses") or _by_user(value) for name, value in row.items())


def read_argilla(row: Row, line: int) -> Judged:
    """The span answers of a record, nested (``fields``, ``responses``) or flat (``question.responses``)."""
    nested = isinstance(row.get("fields"), dict)
    answers, columns = _nested(row) if nested else _flat(row)
    judgements: dict[str, tuple[Span, ...]] = {}
    for _, by, status, value in answers:
        entries = _answer_spans(value)
        if entries is not None and status in (None, "submitted"):
            spans = tuple(span_of(*entry_of(entry, "a response"), entry.get("label")) for entry in entries)
            judgements[by] = judgements.get(by, ()) + spans  # several span questions about one record
    if not judgements:
        raise BadValue("no response with spans was submitted")
    if len({(question, by) for question, by, _, _ in answers}) < len(answers):
        raise BadValue("somebody answered a question twice; keep one answer")
    fields = row["fields"] if nested else {name: row[name] for name in row if name not in columns}
    prompt, response = prompt_and_response(fields)
    about = row["metadata"] if isinstance(row.get("metadata"), dict) else row
    return Judged(id_of(row, line), prompt, response, tuple(judgements.items()), subset=subset_of(about))


def _judged(row: Row, fields: Row, line: int, spans: tuple[Span, ...]) -> Judged:
    """A row that is one annotator's."""
    prompt, response = prompt_and_response(fields)
    named = next((row[name] for name in ANNOTATORS if row.get(name) not in (None, "")), None)
    by = UNNAMED if named is None else person(named)
    return Judged(id_of(row, line), prompt, response, ((by, spans),), subset=subset_of(fields), named=named is not None)


def _add(judgements: dict[str, tuple[Span, ...]], by: str, marks: tuple[Span, ...]) -> None:
    if by in judgements:
        raise BadValue(f"{by!r} annotated it twice; keep one annotation")
    judgements[by] = marks


def _annotations(row: Row) -> Any:
    return row.get("annotations", row.get("completions"))  # completions: before 2021


def _region(value: Any) -> list[Span]:
    """The spans of one region, one per label; none where it is no span of text (a choice, a rating)."""
    if not isinstance(value, dict) or "start" not in value or "end" not in value:
        return []
    if isinstance(value["start"], str) and not value["start"].isdigit():
        raise BadValue("a mark is a place in HTML; export a task of plain text")
    start, end = (int(at) if isinstance(at, str) and at.isdigit() else at for at in (value["start"], value["end"]))
    labels = next((value[name] for name in REGION_LABELS if value.get(name)), [None])
    return [span_of(start, end, label, value.get("text")) for label in listed(labels, "labels")]


def _region_columns(row: Row) -> list[str]:
    """The columns of a JSON-MIN row that hold regions."""
    columns = []
    for name, value in row.items():
        entries = _maybe_list(value)
        if entries and all(
            isinstance(entry, dict) and "start" in entry and entry.keys() & {*REGION_LABELS} for entry in entries
        ):
            columns.append(name)
    return columns


def _nested(row: Row) -> tuple[list[tuple[str, str, Any, Any]], set[str]]:
    """Question, user, status and value of every answer."""
    responses = row.get("responses")
    if not isinstance(responses, dict):
        raise BadValue(f"responses is {kind_of(responses)}, expected an object with a list for each question")
    return [answer for question, given in responses.items() for answer in _answers(question, given)], set()


def _flat(row: Row) -> tuple[list[tuple[str, str, Any, Any]], set[str]]:
    answers, columns = [], {name for name in row if name.endswith(ENDINGS) or name in (*ANNOTATORS, "_server_id")}
    columns |= {"id", "status", "metadata", "external_id"}
    for name, value in row.items():
        question = name.removesuffix(".responses")
        if question == name and _by_user(value):  # Argilla 1
            answers += _answers(name, value)
            columns |= {name, f"{name}-suggestion", f"{name}-suggestion-metadata"}
        elif question != name and value is not None:
            values = value if isinstance(value, list) else listed(value, name)
            users = listed(row.get(f"{name}.users") or [None] * len(values), f"{name}.users")
            states = listed(row.get(f"{name}.status") or [None] * len(values), f"{name}.status")
            if not len(users) == len(states) == len(values):
                raise BadValue(f"{name} has {len(values)} entries, but not as many users or states")
            for n, given in enumerate(values):
                by = UNNAMED if users[n] is None else person(users[n])
                answers.append((question, by, states[n], given))
    return answers, columns


def _answers(question: str, given: Any) -> list[tuple[str, str, Any, Any]]:
    answers = []
    for answer in listed(given or [], f"the responses to {question[:40]!r}"):
        if not isinstance(answer, dict) or "value" not in answer:
            raise BadValue(f"a response to {question[:40]!r} has no value")
        by = UNNAMED if answer.get("user_id") is None else person(answer["user_id"])
        answers.append((question, by, answer.get("status"), answer["value"]))
    return answers


def _answer_spans(value: Any) -> list[Any] | None:
    """The spans of an answer; None where it is an answer of another kind."""
    if not isinstance(value, list | dict):
        return None
    entries = listed(value, "a response")
    return entries if all(isinstance(entry, dict) and "start" in entry for entry in entries) else None


def _by_user(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, dict) and {"user_id", "value"} <= entry.keys() for entry in value)
    )


def _maybe_list(value: Any) -> list[Any] | None:
    found = parsed(value) if isinstance(value, str) and value.lstrip().startswith("[") else value
    return found if isinstance(found, list) else None


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
            "doccano",
            "doccano spans",
            "text beside label, labels or entities as [[start, end, label], ...]",
            is_doccano,
            read_doccano,
            unit=UTF16,
            settled=False,
            by_label=True,
            joins=True,
        ),
    )
}
