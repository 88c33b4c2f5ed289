"""Who judges what next: leases, so that no item is asked more often than wanted, and no one is asked twice."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select, true
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import Subquery

from redviz.annotation.cells import Cells, signs, token_f1
from redviz.annotation.fold import Event, fold
from redviz.annotation.items import gold_of, in_batches, prompt_of, qualification_ids
from redviz.annotation.projects import latest_guidelines
from redviz.annotation.store import Store, locked_project, milliseconds
from redviz.annotation.tables import Annotator, Assignment, CreditMap, Item, Judgement, Project
from redviz.data.labels.labels import Mark
from redviz.errors import RedvizError
from redviz.records import Prompt

LEASE = 30 * 60 * 1000  # milliseconds an item is kept for a person who does nothing


@dataclass(frozen=True)
class Assigned:
    """One item in one person's hands, as they may see it (nothing says whether it is gold).

    Attributes
    ----------
    cells
        Characters ``[start, end)`` of the response that can be pointed at.
    leased_until
        Milliseconds since the epoch; every commit renews it.
    """

    id: int
    project_id: int
    item_id: int
    annotator_id: int
    item: str
    prompt: Prompt
    response: str
    cells: Cells
    state: str
    leased_until: int
    guidelines_version: int


@dataclass(frozen=True)
class Offer:
    """What a person gets when they ask for work: an assignment, or None and why.

    Attributes
    ----------
    why
        "" with an assignment; else "done", "waiting" (others hold the rest), "no maps" (of what is left), "closed", "paused" or
        "refused".
    reason
        The same in a sentence for the person.
    """

    assignment: Assigned | None
    why: str = ""
    reason: str = ""


NOTHING = {
    "done": "You have judged everything there is for you; thank you.",
    "waiting": "The last items are in other people's hands; look again in half an hour.",
    "no maps": "There are no maps to compare yet; whoever leads the project computes them.",
    "closed": "This project is closed; nothing is asked any more.",
    "paused": "You are paused in this project; ask whoever leads it.",
    "imported": "This name stands for imported labels; ask whoever leads the project for a link of your own.",
    "refused": "Your answers to the first items differ from what was expected; ask whoever leads the project.",
}


def next_assignment(store: Store, annotator_id: int, now: int | None = None) -> Offer:
    """The item that a person should judge now.

    First their own open one, if its slot is still theirs or free; then, until they qualified, the qualification items; then,
    of the items with a free slot that they never had, the one with most progress (of these, the first). Submissions and live
    leases of an item never exceed the project's overlap; qualification items are asked of everybody. Where maps are compared,
    items with fewer than two are passed over.

    Raises
    ------
    RedvizError
        For a person or project that is not there (any more).
    """
    now = milliseconds() if now is None else now
    with store.writing() as session:
        project_id = session.scalar(select(Annotator.project_id).where(Annotator.id == annotator_id))
        if project_id is None:
            raise RedvizError(f"There is no annotator {annotator_id}.")
        project = locked_project(session, project_id)
        person = session.get_one(Annotator, annotator_id)
        if person.deleted_at is not None:
            raise RedvizError("This link belongs to nobody any more; ask whoever leads the project.")
        why = "closed" if project.state == "closed" else person.state
        if why != "active":
            return Offer(None, why, NOTHING[why])
        found = _own(session, project, person, now) or _fresh(session, project, person, now)
        if isinstance(found, str):
            return Offer(None, found, NOTHING[found])
        session.flush()
        return Offer(assigned(found, session.get_one(Item, found.item_id)))


# ---------------------------------------------------------------- one assignment, locked


@dataclass(frozen=True)
class Held:
    """An assignment with all it hangs on, in a transaction that has the project's lock."""

    project: Project
    item: Item
    row: Assignment
    person: Annotator


def locked_assignment(session: Session, assignment_id: int) -> Held:
    """Raises RedvizError where the assignment, its item, its person or its project is gone."""
    project_id = session.scalar(select(Item.project_id).join(Assignment).where(Assignment.id == assignment_id))
    if project_id is None:
        raise RedvizError(f"There is no assignment {assignment_id}.")
    project = locked_project(session, project_id)
    three = select(Assignment, Item, Annotator).join(Item, Item.id == Assignment.item_id)
    row, item, annotator = session.execute(
        three.join(Annotator, Annotator.id == Assignment.annotator_id).where(Assignment.id == assignment_id)
    ).one()
    if item.deleted_at is not None or annotator.deleted_at is not None:
        raise RedvizError("This item was taken out of the project; go on with the next one.")
    return Held(project, item, row, annotator)


def hold(session: Session, held: Held, now: int) -> bool:
    """Renew the lease of an open assignment if its slot is still its person's, or free."""
    if held.row.state != "open" or not _has_slot(session, held.project, held.row, now):
        return False
    held.row.leased_until = now + LEASE
    return True


def _has_slot(session: Session, project: Project, row: Assignment, now: int) -> bool:
    if row.leased_until > now or row.item_id in qualification_ids(session, project):
        return True
    taken = slots_taken(project.id, now)
    return (session.scalar(select(taken.c.n).where(taken.c.item_id == row.item_id)) or 0) < project.overlap


def slots_taken(project_id: int, now: int) -> Subquery:
    """For every item of a project that has any, how many submissions and live leases it has: columns ``item_id`` and ``n``."""
    holds = or_(Assignment.state == "submitted", and_(Assignment.state == "open", Assignment.leased_until > now))
    of_project = select(Assignment.item_id, func.count().label("n")).join(Annotator)
    alive = of_project.where(Annotator.project_id == project_id, Annotator.deleted_at.is_(None), holds)
    return alive.group_by(Assignment.item_id).subquery()


def assigned(row: Assignment, item: Item) -> Assigned:
    return Assigned(
        id=row.id,
        project_id=item.project_id,
        item_id=item.id,
        annotator_id=row.annotator_id,
        item=item.external_id,
        prompt=prompt_of(item.prompt),
        response=item.response,
        cells=tuple((start, end) for start, end in item.cells),
        state=row.state,
        leased_until=row.leased_until,
        guidelines_version=row.guidelines_version,
    )


# ---------------------------------------------------------------- which item


def _own(session: Session, project: Project, person: Annotator, now: int) -> Assignment | None:
    """The open assignment that a person may go on with: a live lease first."""
    theirs = select(Assignment).join(Item).where(Assignment.annotator_id == person.id, Assignment.state == "open")
    theirs = theirs.where(Item.deleted_at.is_(None), _answerable(project))
    for row in session.scalars(theirs.order_by(Assignment.leased_until.desc())).all():
        if _has_slot(session, project, row, now):
            row.leased_until = now + LEASE
            return row
    return None


def _fresh(session: Session, project: Project, person: Annotator, now: int) -> Assignment | str:
    """A new assignment, or why there is none."""
    first = qualification_ids(session, project)
    if first and person.qualified_at is None and not _worked(session, person):
        had = select(Assignment.item_id).where(Assignment.annotator_id == person.id, Assignment.item_id.in_(first))
        unasked = [item_id for item_id in first if item_id not in set(session.scalars(had))]
        if unasked:
            return _assign(session, project, person, unasked[0], now)
        person.agreement = _agreement(session, person, first)
        if person.agreement < project.qualification_agreement:
            person.state = "refused"
            return "refused"
        person.qualified_at = now
    taken = slots_taken(project.id, now)
    had_too = select(Assignment.id).where(Assignment.item_id == Item.id, Assignment.annotator_id == person.id)
    unhad = (
        select(Item.id, func.coalesce(taken.c.n, 0).label("n"))
        .outerjoin(taken, taken.c.item_id == Item.id)
        .where(Item.project_id == project.id, Item.deleted_at.is_(None), Item.id.not_in(first), ~had_too.exists())
    )
    n = func.coalesce(taken.c.n, 0)
    free = unhad.where(n < project.overlap, _answerable(project)).order_by(n.desc(), Item.place)
    found = session.execute(free.limit(1)).first()
    if found is not None:
        person.qualified_at = person.qualified_at or now  # who works already is asked no entrance test that comes later
        return _assign(session, project, person, found[0], now)
    if _may_come_back(session, project, person, _answerable(project)):
        return "waiting"
    return "no maps" if _may_come_back(session, project, person, ~_answerable(project)) else "done"


def _answerable(project: Project) -> ColumnElement[bool]:
    """Of items: whether they can be asked about now."""
    if project.task != "maps":
        return true()
    return Item.id.in_(select(CreditMap.item_id).group_by(CreditMap.item_id).having(func.count() >= 2))


def _worked(session: Session, person: Annotator) -> bool:
    """Whether a person was ever given an item that is no gold."""
    given = select(Assignment.id).join(Item).where(Assignment.annotator_id == person.id, ~Item.is_gold)
    return session.scalar(given.limit(1)) is not None


def _may_come_back(session: Session, project: Project, person: Annotator, which: ColumnElement[bool]) -> bool:
    """Whether one of these items could still become this person's: it lacks submissions, and they neither submitted nor skipped it."""
    submitted = slots_taken(project.id, now=2**62)  # every lease ends: what counts in the end is submissions
    settled = select(Assignment.id).where(
        Assignment.item_id == Item.id, Assignment.annotator_id == person.id, Assignment.state != "open"
    )
    lacking = (
        select(Item.id)
        .outerjoin(submitted, submitted.c.item_id == Item.id)
        .where(Item.project_id == project.id, Item.deleted_at.is_(None), ~settled.exists())
        .where(func.coalesce(submitted.c.n, 0) < project.overlap, which)
        .where(Item.id.not_in(qualification_ids(session, project)))
    )
    return session.scalar(lacking.limit(1)) is not None


def _assign(session: Session, project: Project, person: Annotator, item_id: int, now: int) -> Assignment:
    guidelines = latest_guidelines(session, project.id)
    row = Assignment(
        item_id=item_id,
        annotator_id=person.id,
        state="open",
        skip_reason="",
        leased_until=now + LEASE,
        opened_at=now,
        guidelines_version=0 if guidelines is None else guidelines.version,
    )
    session.add(row)
    return row


# ---------------------------------------------------------------- qualification


def _agreement(session: Session, person: Annotator, item_ids: list[int]) -> float:
    """Token F1 over cells with the gold of these items, pooled; an item that was skipped counts as left unmarked."""
    gold = gold_of(session, item_ids)
    given: dict[int, tuple[Mark, ...]] = {}
    theirs = select(Assignment).where(Assignment.annotator_id == person.id, Assignment.item_id.in_(item_ids))
    for row in session.scalars(theirs).all():
        given[row.item_id] = marks_in(session, [row.id]).get(row.id, ()) if row.state == "submitted" else ()
    pairs = []
    for item in session.scalars(select(Item).where(Item.id.in_(item_ids))):
        cells = tuple((start, end) for start, end in item.cells)
        length = len(item.response)
        pairs.append((signs(given.get(item.id, ()), cells, length), signs(gold.get(item.id, ()), cells, length)))
    return token_f1(pairs)


def marks_in(session: Session, assignment_ids: list[int]) -> dict[int, tuple[Mark, ...]]:
    """The marks that stand of those of the assignments that have any event."""
    columns = (Judgement.assignment_id, Judgement.op, Judgement.start, Judgement.end, Judgement.grade, Judgement.label)
    events: dict[int, list[Event]] = {}
    for ids in in_batches(assignment_ids):
        log = select(*columns).where(Judgement.assignment_id.in_(ids)).order_by(Judgement.id)
        for assignment_id, op, start, end, grade, label in session.execute(log):
            events.setdefault(assignment_id, []).append(Event(op, start or 0, end or 0, grade, label))
    return {assignment_id: fold(log) for assignment_id, log in events.items()}
