"""Checks on the values of a row of labels: spans, grades, annotators, and the unit in which offsets are counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from redviz.data.labels.labels import Mark
from redviz.data.sets.conversations import context_of
from redviz.data.sets.schemas import IDS, PROMPTS, SUBSETS
from redviz.data.sets.spelling import objects_of
from redviz.data.sets.values import BadValue, Row, kind_of, number_of, parsed, quoted, short_name, text_of
from redviz.records import Prompt

TEXTS = (
    "response",
    "completion",
    "answer",
    "output",
    "prediction",
    "generation",
    "text",
    "data",
    "content",
    "sentence",
)
ANNOTATORS = ("annotator", "user", "created_by", "username", "annotator_id", "user_id")
UNKNOWN = 1.0  # the grade of a label that says neither good nor bad
MOST_NAMED = 10
UNNAMED = "annotator"  # where a file names nobody
SETTLED = "settled"  # who gives a settled label in files for tools that know people only
WITH_GRADE = re.compile(r"([+-][0-2](?:\.[0-9]+)?) (\S.*)", re.DOTALL)  # as redviz writes it for tools: -1 Missing
WORDS = {
    **dict.fromkeys(("very positive", "very good"), 2.0),
    **dict.fromkeys(("positive", "pos", "good", "+"), 1.0),
    **dict.fromkeys(("neutral",), 0.0),
    **dict.fromkeys(("negative", "neg", "bad", "-"), -1.0),
    **dict.fromkeys(("very negative", "very bad"), -2.0),
}


@dataclass(frozen=True)
class Span:
    """Characters that a file states as marked: integers, but not yet held against the text.

    Attributes
    ----------
    quote
        The marked text as the file repeats it, if it does.
    """

    start: int
    end: int
    grade: float
    label: str = ""
    quote: str | None = None


@dataclass(frozen=True)
class Judged:
    """One row: a response and what each annotator marked in it.

    Attributes
    ----------
    named
        Whether the row names its annotator, so that rows of one text are several people's.
    scale
        Where the row states it.
    """

    id: str
    prompt: Prompt
    response: str
    judgements: tuple[tuple[str, tuple[Span, ...]], ...]
    gold: tuple[Span, ...] | None = None
    subset: str = ""
    named: bool = False
    scale: str = ""

    @property
    def spans(self) -> list[Span]:
        return [span for _, spans in self.judgements for span in spans] + list(self.gold or ())


def span_of(start: Any, end: Any, label: Any = None, quote: Any = None) -> Span:
    """A span with the grade that its label means; raises ``BadValue`` where offsets are no whole numbers."""
    grade, name = grade_of(label)
    return Span(_offset(start), _offset(end), grade, name, quote if isinstance(quote, str) else None)


def grade_of(label: Any) -> tuple[float, str]:
    """The grade that a label means, and its name: numbers and words for good and bad by their meaning, any other +1.

    >>> grade_of("-2"), grade_of("Negative"), grade_of("Missing"), grade_of("-0.5 Missing")
    ((-2.0, ''), (-1.0, 'Negative'), (1.0, 'Missing'), (-0.5, 'Missing'))
    """
    if label is None:
        return 1.0, ""
    if not isinstance(label, str | int | float) or isinstance(label, bool):
        raise BadValue(f"a label is {kind_of(label)}, expected text or a number")
    number = number_of(label)
    if number is not None:
        if not -2 <= number <= 2:
            raise BadValue(f"the label {short_name(str(label), 20)} is a number outside -2 to 2")
        return number, ""
    if isinstance(label, str) and (told := WITH_GRADE.fullmatch(label)) and abs(float(told[1])) <= 2:
        return float(told[1]), short_name(text_of(told[2], "a label"), 60)
    name = short_name(text_of(str(label), "a label"), 60)
    return WORDS.get(_word(name), UNKNOWN), name


def regraded(row: Judged, grades: Mapping[str, float]) -> Judged:
    """The row with the grades of those of its labels that are named here, in whatever case."""
    known = {_word(short_name(label, 60)): grade for label, grade in grades.items()}

    def given(spans: Iterable[Span]) -> tuple[Span, ...]:
        return tuple(
            replace(span, grade=known.get(_word(span.label), span.grade) if span.label else span.grade)
            for span in spans
        )

    gold = None if row.gold is None else given(row.gold)
    return replace(row, judgements=tuple((by, given(spans)) for by, spans in row.judgements), gold=gold)


def unknown_labels(marks: Iterable[Mark], grades: Iterable[str]) -> str:
    """Which labels say neither good nor bad, and what they were graded, in words for a person; "" where there are none.

    >>> unknown_labels([Mark(0, 4, 1.0, "Missing"), Mark(0, 4, 1.0, "good")], ())
    "labels of unknown meaning are graded +1: 'Missing' (1 mark)"
    """
    known = {*WORDS, *(_word(short_name(label, 60)) for label in grades)}
    counts = Counter(
        mark.label for mark in marks if mark.label and mark.grade == UNKNOWN and _word(mark.label) not in known
    )
    if not counts:
        return ""
    said = [f"{label!r} ({count:,} mark{'s' * (count != 1)})" for label, count in counts.most_common(MOST_NAMED)]
    more = f" and {len(counts) - MOST_NAMED:,} more" if len(counts) > MOST_NAMED else ""
    return f"labels of unknown meaning are graded {UNKNOWN:+g}: {', '.join(said)}{more}"


def _word(label: str) -> str:
    return label.lower().replace("_", " ")


def listed(value: Any, name: str) -> list[Any]:
    """A list, empty or not, or the JSON text of one (a CSV cell); a column of lists (Parquet) as a list of objects."""
    items = objects_of(parsed(value) if isinstance(value, str) else value)
    if isinstance(items, dict) and items and all(isinstance(column, list) for column in items.values()):
        raise BadValue(f"{name} has lists of different lengths")
    if not isinstance(items, list):
        raise BadValue(f"{name} is {kind_of(items)}, expected a list")
    return items


def person(value: Any) -> str:
    """The name of an annotator: text, a number, or an object with an e-mail address, a name or an id."""
    if isinstance(value, dict):
        value = next((value[key] for key in ("email", "username", "id") if value.get(key) not in (None, "")), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not str(value).strip():
        raise BadValue(f"the annotator is {kind_of(value)}, expected a name or a number")
    return short_name(text_of(str(value), "the annotator"), 120)


def prompt_and_response(fields: Row) -> tuple[Prompt, str]:
    """The text that was labelled, by its usual names or as the only text there is, and the prompt if there is one."""
    names = [name for name in TEXTS if isinstance(fields.get(name), str)]
    names = names[:1] or [name for name, value in fields.items() if isinstance(value, str) and name not in PROMPTS]
    if len(names) != 1:
        raise BadValue(f"which of {quoted(fields)} is the labelled text is not clear; name it response or text")
    response = text_of(fields[names[0]], names[0])
    if not response.strip():
        raise BadValue(f"{names[0]} is empty")
    prompt = next((name for name in PROMPTS if fields.get(name) and name != names[0]), None)
    return context_of(fields[prompt], prompt) if prompt else "", response


def id_of(row: Row, line: int) -> str:
    value = next((row[name] for name in (*IDS, "_server_id") if row.get(name) not in (None, "")), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return str(line)
    return short_name(text_of(str(value), "id"), 120).replace("/", "_") or str(line)


def subset_of(row: Row) -> str:
    return next((short_name(row[name], 80) for name in SUBSETS if isinstance(row.get(name), str)), "")


def entry_of(entry: Mapping[str, Any], name: str) -> tuple[Any, Any]:
    """Start and end of a span that is an object, by either of their names."""
    for start, end in (("start", "end"), ("start_offset", "end_offset")):
        if start in entry or end in entry:
            return entry.get(start), entry.get(end)
    raise BadValue(f"an entry of {name} has no start and end")


def _offset(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a column of numbers with gaps
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadValue(f"the start or end of a mark is {kind_of(value)}, expected a whole number")
    return value


def judged_row(row: Row, fields: Row, line: int, spans: tuple[Span, ...]) -> Judged:
    """A row that is one annotator's: whoever one of its usual columns names."""
    prompt, response = prompt_and_response(fields)
    named = next((row[name] for name in ANNOTATORS if row.get(name) not in (None, "")), None)
    by = UNNAMED if named is None else person(named)
    return Judged(id_of(row, line), prompt, response, ((by, spans),), subset=subset_of(fields), named=named is not None)


def maybe_list(value: Any) -> list[Any] | None:
    """A list, also as JSON text (a CSV cell); None if it is none."""
    found = parsed(value) if isinstance(value, str) and value.lstrip().startswith("[") else value
    return found if isinstance(found, list) else None
