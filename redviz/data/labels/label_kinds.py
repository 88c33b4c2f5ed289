"""Published token labels and redviz's own lines: how a row of each is recognized and read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redviz.data.labels.label_values import Judged, Span, listed, span_of
from redviz.data.labels.labels import SCALES
from redviz.data.labels.places import CODE_POINTS
from redviz.data.labels.treebank import NAMES, detokenize, parse_tree
from redviz.data.sets.schemas import SCHEMAS, items_of
from redviz.data.sets.values import BadValue, Row, kind_of, number_of, prompt_of, short_name, text_of

REVIEW_PROMPT = "Write a film review."
CROWD = "crowd"
QA = next(schema for schema in SCHEMAS if schema.name == "qa_feedback")


@dataclass(frozen=True)
class Kind:
    """One way in which files hold labels of characters.

    Attributes
    ----------
    label, shape
        What it is called, and what its rows look like, in words for a person.
    fits
        Whether a row looks like it; called with any JSON value.
    read
        Gives what a row says, called with the row and its line; raises ``BadValue``.
    scale
        "" where the grades (or the rows) decide.
    unit
        The unit in which its tool counts characters; ``settled`` where that is beyond doubt.
    joins
        Whether rows of one text by different annotators are one item.
    by_label
        Whether a mark has the grade that its label means.
    rows
        What its rows can be in JSON.
    """

    name: str
    label: str
    shape: str
    fits: Callable[[Any], bool]
    read: Callable[[Any, int], Judged]
    scale: str = ""
    unit: str = CODE_POINTS
    settled: bool = True
    joins: bool = False
    by_label: bool = False
    remark: str = ""
    rows: tuple[type, ...] = (dict,)


def is_feedback(row: Any) -> bool:
    return isinstance(row, dict) and QA.fits(row)


def read_feedback(row: Row, line: int) -> Judged:
    """The error spans that people marked in prediction 1."""
    if not isinstance(row.get("feedback"), dict) or not isinstance(row["feedback"].get("errors"), list):
        raise BadValue("feedback has no list of errors")
    [item] = items_of(row, line, QA)
    first = next((candidate for candidate in item.candidates if candidate.role == "1"), None)
    if first is None:
        raise BadValue("prediction 1 is empty")
    spans = tuple(Span(*_ends([span.start, span.end]), -1.0, span.label) for span in first.spans)
    return Judged(item.id, item.prompt, first.response, ((CROWD, spans),), subset=item.subset)


def is_review(row: Any) -> bool:
    return isinstance(row, dict) and {"label", "text", "evidence"} <= row.keys()


def read_review(row: Row, line: int) -> Judged:
    """The rationales of a film review: they speak for its label."""
    grade = {"POS": 1.0, "NEG": -1.0}.get(str(row.get("label")))
    if grade is None:
        raise BadValue(f"label is {short_name(str(row.get('label')), 20)!r}, expected POS or NEG")
    response = _response(row.get("text"), "text")
    spans = tuple(Span(*_ends(entry), grade) for entry in listed(row.get("evidence"), "evidence"))
    name = short_name(str(row.get("id") or line), 120).replace("/", "_")
    return Judged(name, REVIEW_PROMPT, response, ((CROWD, spans),), subset="positive" if grade > 0 else "negative")


def is_tree(row: Any) -> bool:
    return isinstance(row, str) and row.startswith("(") and row[1:3] in ("0 ", "1 ", "2 ", "3 ", "4 ")


def read_tree(row: Any, line: int) -> Judged:
    """The words of a sentence with their grades, as a person would have typed it."""
    words, grade = parse_tree(row)
    text, places = detokenize([word for word, _ in words])
    spans = tuple(Span(*place, float(grade - 2)) for place, (_, grade) in zip(places, words, strict=True))
    return Judged(str(line), REVIEW_PROMPT, text, ((CROWD, spans),), subset=NAMES[grade])


def is_own(row: Any) -> bool:
    return isinstance(row, dict) and {"response", "annotations", "scale"} <= row.keys()


def read_own(row: Row, line: int) -> Judged:
    """One :class:`redviz.data.labels.labels.LabelledItem` as :func:`redviz.data.labels.label_sets.to_lines` writes it."""
    if row.get("scale") not in SCALES:
        raise BadValue(f"scale is {short_name(str(row.get('scale')), 20)!r}, expected {' or '.join(SCALES)}")
    judgements = []
    for given in listed(row.get("annotations"), "annotations"):
        if not isinstance(given, dict):
            raise BadValue(f"an annotation is {kind_of(given)}, expected an object with annotator and marks")
        judgements.append((text_of(given.get("annotator"), "annotator"), _own_marks(given.get("marks"), "marks")))
    return Judged(
        text_of(row["id"], "id") if "id" in row else str(line),
        prompt_of(row.get("prompt", "")),
        _response(row.get("response"), "response"),
        tuple(judgements),
        None if row.get("gold") is None else _own_marks(row["gold"], "gold"),
        text_of(row.get("subset", ""), "subset"),
        scale=row["scale"],
    )


def _own_marks(value: Any, name: str) -> tuple[Span, ...]:
    spans = []
    for mark in listed(value, name):
        grade = mark.get("grade") if isinstance(mark, dict) else None
        if isinstance(grade, str) or (number := number_of(grade)) is None:
            raise BadValue(f"an entry of {name} is no object with start, end and a grade")
        place = span_of(mark.get("start"), mark.get("end"))
        quote = mark.get("text") if isinstance(mark.get("text"), str) else None
        spans.append(Span(place.start, place.end, number, text_of(mark.get("label", ""), "label"), quote))
    return tuple(spans)


def _response(value: Any, name: str) -> str:
    text = text_of(value, name)
    if not text.strip():
        raise BadValue(f"{name} is empty")
    return text


def _ends(entry: Any) -> tuple[int, int]:
    if not isinstance(entry, list) or len(entry) != 2:
        raise BadValue("a span is no pair of start and end")
    place = span_of(*entry)
    return place.start, place.end


PUBLISHED = (
    Kind("redviz", "redviz labels", "response, annotations and scale", is_own, read_own),
    Kind(
        "feedback",
        "FineGrainedRLHF error spans",
        "question, passages, prediction 1 and feedback",
        is_feedback,
        read_feedback,
        "binary",
        remark="errors are graded -1",
    ),
    Kind(
        "movies",
        "ERASER film reviews",
        "text, evidence and a label POS or NEG",
        is_review,
        read_review,
        "binary",
        remark="rationales are graded +1 in positive and -1 in negative reviews",
    ),
    Kind(
        "sst",
        "Stanford Sentiment Treebank",
        "one tree such as (3 (2 It) (3 works)) on each line of a .txt file",
        is_tree,
        read_tree,
        "graded",
        remark="each word has its grade less 2, and the tokens are joined to natural text",
        rows=(str,),
    ),
)
