"""Span answers as Argilla keeps them: records of Argilla 2, feedback records and token classification records of Argilla 1."""

from __future__ import annotations

from typing import Any

from redviz.data.labels.label_values import (
    ANNOTATORS,
    UNNAMED,
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
from redviz.data.sets.spelling import objects_of
from redviz.data.sets.values import BadValue, Row, kind_of

ENDINGS = (".responses", ".users", ".status", ".suggestion", ".score", ".agent")
OF_TOKENS = ("annotation", "prediction", "annotation_agent", "prediction_agent")

Answer = tuple[str, str, Any, Any]  # question, user, status, value


def is_argilla(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    if isinstance(row.get("fields"), dict) and "responses" in row:
        return True
    if _of_tokens(row):
        return True
    return any(name.endswith(".responses") or _by_user(value) for name, value in row.items())


def read_argilla(row: Row, line: int) -> Judged:
    """The span answers of a record, nested (``fields``, ``responses``), flat (``question.responses``) or an ``annotation``."""
    if _of_tokens(row):
        return _read_of_tokens(row, line)
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


def _of_tokens(row: Row) -> bool:
    """Whether it is a token classification record of Argilla 1."""
    return isinstance(row.get("text"), str) and isinstance(row.get("tokens"), list) and bool(row.keys() & {*OF_TOKENS})


def _read_of_tokens(row: Row, line: int) -> Judged:
    given, status = row.get("annotation"), row.get("status")
    if given is None or status not in (None, "Validated"):
        raise BadValue("nobody submitted an annotation of it" if given is None else f"its status is {status!r}")
    spans = []
    for entry in listed(given, "annotation"):
        if isinstance(entry, dict):
            spans.append(span_of(*entry_of(entry, "annotation"), entry.get("label")))
        elif isinstance(entry, list) and len(entry) in (3, 4) and isinstance(entry[0], str):
            spans.append(span_of(entry[1], entry[2], entry[0]))
        else:
            raise BadValue("an entry of annotation is not [label, start, end]")
    by = UNNAMED if row.get("annotation_agent") is None else person(row["annotation_agent"])
    prompt, response = prompt_and_response({"text": row["text"]})
    about = row["metadata"] if isinstance(row.get("metadata"), dict) else {}
    return Judged(id_of(row, line), prompt, response, ((by, tuple(spans)),), subset=subset_of(about))


def _nested(row: Row) -> tuple[list[Answer], set[str]]:
    """The answers by question (Argilla 2), or by user (Argilla 1)."""
    responses = row.get("responses")
    if isinstance(responses, list):
        return [answer for given in responses for answer in _of_user(given)], set()
    if not isinstance(responses, dict):
        raise BadValue(f"responses is {kind_of(responses)}, expected an object with a list for each question")
    return [answer for question, given in responses.items() for answer in _answers(question, given)], set()


def _of_user(given: Any) -> list[Answer]:
    """One user's answers to all questions; a discarded response has none."""
    values = given.get("values") if isinstance(given, dict) else None
    if not isinstance(given, dict) or not isinstance(values or {}, dict):
        raise BadValue("an entry of responses is no object with user_id, status and values")
    by = UNNAMED if given.get("user_id") is None else person(given["user_id"])
    return [
        (question, by, given.get("status"), answer.get("value") if isinstance(answer, dict) else answer)
        for question, answer in (values or {}).items()
    ]


def _flat(row: Row) -> tuple[list[Answer], set[str]]:
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


def _answers(question: str, given: Any) -> list[Answer]:
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
    value = objects_of(value)
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, dict) and {"user_id", "value"} <= entry.keys() for entry in value)
    )
