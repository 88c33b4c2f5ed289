"""What is judged: the responses of a project, the labels they came with, and what was settled about them."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from redviz.annotation.cells import cells_of
from redviz.annotation.store import Store, living, locked_project, milliseconds
from redviz.annotation.tables import Annotator, Assignment, Gold, Item, Judgement, Project
from redviz.data.labels.labels import Annotation, LabelledItem, Mark, graded
from redviz.errors import RedvizError
from redviz.records import Example, Prompt

MOST_VALUES = 1_000
LONGEST_ID = 500  # characters: PostgreSQL indexes no more than about 2,700 bytes


def insert_items(
    session: Session, project: Project, items: Sequence[LabelledItem | Example], with_annotations: bool, now: int
) -> None:
    """Fill a new project with responses, and with their gold and their people's judgements if they have any.

    An item without an id is named by its place, from 1. Raises RedvizError where an id is given twice, and for a response without
    visible characters.
    """
    names = [given.id or str(place + 1) for place, given in enumerate(items)]
    _refuse_doubles(names)
    cells = [cells_of(given.response, project.unit) for given in items]
    if blank := next((name for name, own in zip(names, cells, strict=True) if not own), None):
        raise RedvizError(f"The response of item {blank!r} has no visible characters to judge; leave it out.")
    rows = [
        Item(
            project_id=project.id,
            place=place,
            external_id=name,
            prompt=prompt_text(given.prompt),
            response=given.response,
            sha256=fingerprint(given.response),
            cells=[list(cell) for cell in cells[place]],
            subset=getattr(given, "subset", ""),
            is_gold=isinstance(given, LabelledItem) and given.gold is not None,
            created_at=now,
        )
        for place, (name, given) in enumerate(zip(names, items, strict=True))
    ]
    session.add_all(rows)
    session.flush()
    labelled = [(row, given) for row, given in zip(rows, items, strict=True) if isinstance(given, LabelledItem)]
    for row, given in labelled:
        if given.gold is not None:
            _settle(session, row, given.gold, "imported", now)
    if with_annotations:
        _insert_annotations(session, project, [(row, given.annotations) for row, given in labelled], now)


def _refuse_doubles(names: Sequence[str]) -> None:
    known: set[str] = set()
    for name in names:
        if len(name) > LONGEST_ID:
            raise RedvizError(f"The id {name[:40]!r}… has {len(name)} characters; give ids of at most {LONGEST_ID}.")
        if name in known:
            raise RedvizError(f"The id {name!r} stands for two items; give every item of a project an id of its own.")
        known.add(name)


def prompt_text(prompt: Prompt) -> str:
    """A prompt as JSON text, the way items keep it."""
    return json.dumps(prompt if isinstance(prompt, str) else [dict(turn) for turn in prompt], ensure_ascii=False)


def prompt_of(text: str) -> Prompt:
    """The prompt that ``prompt_text`` wrote down.

    >>> prompt_of(prompt_text(({"role": "user", "content": "Hi"},)))
    ({'role': 'user', 'content': 'Hi'},)
    """
    prompt = json.loads(text)
    return prompt if isinstance(prompt, str) else tuple(prompt)


def fingerprint(text: str) -> str:
    """The sha256 of the exact text (half surrogate pairs, which UTF-8 has no place for, count as they are)."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def locked_item(session: Session, item_id: int) -> Item:
    project_id = session.scalar(select(Item.project_id).where(Item.id == item_id))
    if project_id is not None:
        locked_project(session, project_id)
    return living(session, Item, item_id)


# ---------------------------------------------------------------- labels that people gave elsewhere


def _insert_annotations(
    session: Session, project: Project, given: Iterable[tuple[Item, Sequence[Annotation]]], now: int
) -> None:
    """Take over judgements as submitted work of annotators of their names ("imported", without a link), one of each person."""
    of_project = select(Annotator).where(Annotator.project_id == project.id, Annotator.deleted_at.is_(None))
    people = {person.name: person for person in session.scalars(of_project)}
    done: set[tuple[int, int]] = set()
    new: list[tuple[Assignment, Annotation]] = []
    for item, theirs in given:
        for annotation in theirs:
            graded(annotation.marks, len(item.response))  # raises where a mark is outside the response
            person = _imported_person(session, project, people, annotation.annotator, now)
            if (item.id, person.id) not in done:
                done.add((item.id, person.id))
                new.append((_submitted(item, person, now), annotation))
    session.add_all(row for row, _ in new)
    session.flush()
    events = [
        {
            "assignment_id": row.id,
            "client": "import",
            "seq": seq,
            "op": "mark",
            "start": mark.start,
            "end": mark.end,
            "grade": float(mark.grade),
            "label": mark.label,
            "received_at": now,
        }
        for row, annotation in new
        for seq, mark in enumerate((mark for mark in annotation.marks if mark.start < mark.end), 1)
    ]
    if events:
        session.execute(insert(Judgement), events)


def _submitted(item: Item, person: Annotator, now: int) -> Assignment:
    return Assignment(
        item_id=item.id,
        annotator_id=person.id,
        state="submitted",
        skip_reason="",
        leased_until=now,
        opened_at=now,
        submitted_at=now,
        guidelines_version=0,
    )


def _imported_person(
    session: Session, project: Project, people: dict[str, Annotator], name: str, now: int
) -> Annotator:
    name = name or "unnamed"
    while name in people and people[name].state != "imported":
        name = f"{name} (imported)"  # somebody who works here has this name, and may be somebody else
    if name not in people:
        code = secrets.token_urlsafe(16)
        people[name] = Annotator(project_id=project.id, name=name, code=code, state="imported", created_at=now)
        session.add(people[name])
        session.flush()
    return people[name]


# ---------------------------------------------------------------- gold


def set_gold(
    store: Store, item_id: int, marks: Sequence[Mark], settled_by: str, ask_first: bool = False, now: int | None = None
) -> None:
    """Settle the label of an item; the one before it is kept as replaced.

    Parameters
    ----------
    ask_first
        Make it a gold item that new annotators can be asked to qualify with; False leaves it what it is.
    """
    with store.writing() as session:
        item = locked_item(session, item_id)
        item.is_gold = item.is_gold or ask_first
        _settle(session, item, marks, settled_by, milliseconds() if now is None else now)


def _settle(session: Session, item: Item, marks: Sequence[Mark], settled_by: str, now: int) -> None:
    graded(marks, len(item.response))  # raises where a mark is outside the response
    for before in session.scalars(select(Gold).where(Gold.item_id == item.id, Gold.replaced_at.is_(None))):
        before.replaced_at = now
    rows = [[mark.start, mark.end, mark.grade, mark.label] for mark in marks]
    session.add(Gold(item_id=item.id, marks=rows, settled_by=settled_by, settled_at=now))


def gold_of(session: Session, item_ids: Sequence[int]) -> dict[int, tuple[Mark, ...]]:
    """The settled labels of those of the items that have one."""
    settled: dict[int, tuple[Mark, ...]] = {}
    for ids in in_batches(item_ids):
        for row in session.scalars(select(Gold).where(Gold.item_id.in_(ids), Gold.replaced_at.is_(None))):
            settled[row.item_id] = tuple(Mark(*mark) for mark in row.marks)
    return settled


def in_batches(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    """The ids in runs that one statement takes: databases bound how many values it may have."""
    for first in range(0, len(ids), MOST_VALUES):
        yield ids[first : first + MOST_VALUES]


def qualification_ids(session: Session, project: Project) -> list[int]:
    """The items that everybody is asked first: the gold items of the lowest places; none where maps are compared."""
    if project.task == "maps":  # gold is marks, and a choice has none to hold against them
        return []
    gold = select(Item.id).where(Item.project_id == project.id, Item.is_gold, Item.deleted_at.is_(None))
    return list(session.scalars(gold.order_by(Item.place).limit(project.qualification_items)))
