"""Labels, and credits as pre-annotations, as Label Studio, doccano and Argilla document what they import.

Label Studio: https://labelstud.io/guide/predictions and https://labelstud.io/guide/task_format; doccano: a JSON line with ``text`` and
``label`` for each document of a sequence labelling project; Argilla: records as ``dataset.records.to_json`` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from redviz.data.labels.label_values import SETTLED, grade_of
from redviz.data.labels.labels import LabelledItem, Mark
from redviz.errors import RedvizError
from redviz.records import Prompt

FILES = {"label_studio": ("Label Studio", ".json"), "doccano": ("doccano", ".jsonl"), "argilla": ("Argilla", ".json")}
FROM, TO, QUESTION = "label", "text", "spans"  # of Label Studio's interface, and Argilla's question


@dataclass(frozen=True)
class Prediction:
    """What a credit method would mark in a response.

    Attributes
    ----------
    by
        The method and the model, in words.
    marks, strengths
        The marks, and how sure each is, 0 to 1.
    """

    by: str
    marks: tuple[Mark, ...]
    strengths: tuple[float, ...]


@dataclass(frozen=True)
class Exported:
    """A response with what people marked in it and what is suggested."""

    item: LabelledItem
    predictions: tuple[Prediction, ...] = ()


def tool_file(tool: str, responses: Iterable[Exported]) -> str:
    """The file that a tool imports: JSON for Label Studio and Argilla, JSON lines for doccano.

    Marks of one person do not overlap in it: where they do, the later one counts. A label that means another grade than the mark has
    is written with it, ``-1 Missing``, and a mark without a label as its grade; :func:`redviz.data.labels.label_sets.open_labels`
    reads both.

    Raises
    ------
    RedvizError
        For an unknown tool, and for several predictions of a response where a tool takes one.

    Examples
    --------
    >>> from redviz.data.labels.labels import Annotation
    >>> item = LabelledItem("7", "", "A dull film.", (Annotation("ada", (Mark(2, 6, -1.0),)),))
    >>> print(tool_file("doccano", [Exported(item)]), end="")
    {"id": "7", "text": "A dull film.", "label": [[2, 6, "-1"]], "user": "ada"}
    """
    if tool not in TOOLS:
        raise RedvizError(f"There is no tool {tool!r}; use one of {', '.join(TOOLS)}.")
    return TOOLS[tool](list(responses))


def _label_studio(responses: Sequence[Exported]) -> str:
    return json.dumps([_task(one) for one in responses], ensure_ascii=False, indent=1) + "\n"


def _task(one: Exported) -> dict[str, Any]:
    """A task; who made an annotation stands beside it, for ``completed_by`` must be a member of the project it is imported into."""
    item, text = one.item, one.item.response

    def results(marks: Sequence[Mark], strengths: Mapping[int, float]) -> list[dict[str, Any]]:
        return [
            {
                "id": f"m{n}",
                "from_name": FROM,
                "to_name": TO,
                "type": "labels",
                "value": {"start": a, "end": b, "text": text[a:b], "labels": [_label(mark)]},
                **({"score": strengths[n]} if strengths else {}),
            }
            for n, mark in enumerate(marks)
            for a, b in [(mark.start, mark.end)]
        ]

    annotations = [
        {"created_username": given.annotator, "ground_truth": False, "result": results(_apart(given.marks, text), {})}
        for given in item.annotations
    ]
    if item.gold is not None:
        gold = results(_apart(item.gold, text), {})
        annotations.append({"created_username": SETTLED, "ground_truth": True, "result": gold})
    predictions = [
        {
            "model_version": guess.by,
            "score": max(guess.strengths, default=0.0),
            "result": results(guess.marks, dict(enumerate(guess.strengths))),
        }
        for guess in one.predictions
    ]
    data = {
        **_prompted(item.prompt),
        TO: text,
        "redviz_id": item.id,
        **({"subset": item.subset} if item.subset else {}),
    }
    return {"data": data, "annotations": annotations, "predictions": predictions}


def _doccano(responses: Sequence[Exported]) -> str:
    """A line for each response and person; doccano keeps the other columns as metadata, and what is suggested as labels."""
    lines = []
    for one in responses:
        item, guess = one.item, _only(one)
        said = [(given.annotator, given.marks) for given in item.annotations]
        said += [(SETTLED, item.gold)] if item.gold is not None and not said else []
        said += [(guess.by, guess.marks)] if guess else []
        for by, marks in said or [("", ())]:
            label = [[*_utf16(mark, item.response), _label(mark)] for mark in _apart(marks, item.response)]
            row = {"id": item.id, **_prompted(item.prompt), "text": item.response, "label": label}
            row |= ({"subset": item.subset} if item.subset else {}) | ({"user": by} if by else {})
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def _argilla(responses: Sequence[Exported]) -> str:
    return json.dumps([_record(one) for one in responses], ensure_ascii=False, indent=1) + "\n"


def _record(one: Exported) -> dict[str, Any]:
    item, guess = one.item, _only(one)

    def spans(marks: Sequence[Mark]) -> list[dict[str, Any]]:
        places = [(_utf16(mark, item.response), mark) for mark in _apart(marks, item.response)]
        return [{"start": start, "end": end, "label": _label(mark)} for (start, end), mark in places]

    answers = [{"value": spans(given.marks), "user_id": _user(given.annotator)} for given in item.annotations]
    suggested = None
    if guess is not None:
        suggested = {"value": spans(guess.marks), "score": None, "agent": guess.by}
    elif item.gold is not None:
        suggested = {"value": spans(item.gold), "score": None, "agent": SETTLED}
    return {
        "id": item.id,
        "fields": {**_prompted(item.prompt), "text": item.response},
        "metadata": {"subset": item.subset} if item.subset else {},
        "suggestions": {} if suggested is None else {QUESTION: suggested},
        "responses": {QUESTION: answers} if answers else {},
        "vectors": {},
    }


TOOLS: dict[str, Callable[[Sequence[Exported]], str]] = {
    "label_studio": _label_studio,
    "doccano": _doccano,
    "argilla": _argilla,
}


def _only(one: Exported) -> Prediction | None:
    if len(one.predictions) > 1:
        raise RedvizError(
            f"{one.item.id!r} has {len(one.predictions)} predictions and this tool takes one; choose a method."
        )
    return next(iter(one.predictions), None)


def _prompted(prompt: Prompt) -> dict[str, Any]:
    """The prompt: text, or messages, which Label Studio's Paragraphs and Argilla's ChatField show."""
    return {"prompt": prompt if isinstance(prompt, str) else [dict(message) for message in prompt]} if prompt else {}


def _user(name: str) -> str:
    """An id in the form of Argilla's; the same name has the same one."""
    try:
        return str(UUID(name))
    except ValueError:
        return str(uuid5(NAMESPACE_URL, f"redviz:annotator:{name}"))


def _label(mark: Mark) -> str:
    grade = f"{mark.grade:+g}" if mark.grade else "0"
    if not mark.label:
        return grade
    return mark.label if grade_of(mark.label) == (mark.grade, mark.label) else f"{mark.grade:+g} {mark.label}"


def _apart(marks: Sequence[Mark], text: str) -> list[Mark]:
    """The same grades without overlaps, in order: each run of characters has the last mark over it."""
    owner = [-1] * len(text)
    for n, mark in enumerate(marks):
        owner[mark.start : mark.end] = [n] * (mark.end - mark.start)
    edges = [0, *(at for at in range(1, len(text)) if owner[at] != owner[at - 1]), len(text)]
    runs = zip(edges, edges[1:], strict=False)
    return [replace(marks[owner[a]], start=a, end=b) for a, b in runs if a < b and owner[a] >= 0]


def _utf16(mark: Mark, text: str) -> tuple[int, int]:
    """Offsets as the pages of doccano and Argilla count them."""
    start, end = (len(text[:at].encode("utf-16-le", "surrogatepass")) // 2 for at in (mark.start, mark.end))
    return start, end
