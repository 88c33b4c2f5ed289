"""The gallery: prompts and responses written for this project, from which the first screen takes its examples."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redviz.data.sets.schemas import BadValue, parsed, prompt_of, text_of
from redviz.errors import RedvizError
from redviz.records import Prompt
from redviz.settings import project_file

KINDS = ("review", "dialogue", "code", "summary", "math")
REQUIRED = frozenset({"id", "title", "kind", "note", "prompt", "responses"})
OPTIONAL = frozenset({"rule", "answer"})


@dataclass(frozen=True)
class GalleryResponse:
    """One response; its id is unique within the item."""

    id: str
    text: str


@dataclass(frozen=True)
class GalleryItem:
    """A prompt with its responses. ``note`` marks what a person should know about it first; it may be empty.

    ``rule`` names the rule that scores it, such as "rule:exact-answer" ("": the embedded reward model); ``answer`` is the
    reference answer where that rule needs one.
    """

    id: str
    title: str
    kind: str  # one of KINDS
    note: str
    prompt: Prompt
    responses: tuple[GalleryResponse, ...]
    rule: str = ""
    answer: str = ""


def load_gallery(path: Path | None = None) -> tuple[GalleryItem, ...]:
    """Read the gallery, in the order in which it is shown.

    Parameters
    ----------
    path
        A file like ``sample_data/gallery.jsonl``, which is the default; ``sample_data/README.md`` describes the format.

    Raises
    ------
    RedvizError
        If the file cannot be read, a line is not a gallery item, or an id occurs twice.

    Examples
    --------
    >>> load_gallery()[0].id
    'film-quiet-street'
    """
    path = path or project_file("sample_data/gallery.jsonl")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise RedvizError(f"The gallery {path} cannot be read ({error}); check that it is a UTF-8 file.") from None
    items: list[GalleryItem] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                items.append(_item(parsed(line)))
                _check_unique([item.id for item in items])
            except BadValue as problem:
                raise RedvizError(f"{path}, line {number}: {problem}; mend that line.") from None
    return tuple(items)


def _item(row: Any) -> GalleryItem:
    if isinstance(row, BadValue):
        raise row
    _check_keys(row, REQUIRED, OPTIONAL)
    if row["kind"] not in KINDS:
        raise BadValue(f"kind is {row['kind']!r}, expected one of {', '.join(KINDS)}")
    if not isinstance(row["responses"], list) or not row["responses"]:
        raise BadValue("responses is not a list with something in it")
    responses = tuple(_response(response) for response in row["responses"])
    _check_unique([response.id for response in responses])
    title, note = text_of(row["title"], "title"), text_of(row["note"], "note")
    rule, answer = text_of(row.get("rule", ""), "rule"), text_of(row.get("answer", ""), "answer")
    prompt = prompt_of(row["prompt"])
    return GalleryItem(text_of(row["id"], "id"), title, row["kind"], note, prompt, responses, rule, answer)


def _response(row: Any) -> GalleryResponse:
    _check_keys(row, frozenset({"id", "text"}))
    return GalleryResponse(text_of(row["id"], "id of a response"), text_of(row["text"], "text of a response"))


def _check_keys(row: Any, required: frozenset[str], optional: frozenset[str] = frozenset()) -> None:
    if not isinstance(row, dict) or not required <= row.keys() <= required | optional:
        also = f", and perhaps {', '.join(sorted(optional))}" if optional else ""
        raise BadValue(f"expected an object with the keys {', '.join(sorted(required))}{also}")


def _check_unique(ids: list[str]) -> None:
    if len(set(ids)) < len(ids):
        raise BadValue(f"the id {ids[-1] if ids[-1] in ids[:-1] else ids!r} occurs twice")
