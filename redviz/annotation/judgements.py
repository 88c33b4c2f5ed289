"""What a person does with an item: events committed as they come, then submitted or skipped, then perhaps shown a method's view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from redviz.annotation.maps import MapInfo, map_info
from redviz.annotation.queue import Assigned, Held, assigned, hold, locked_assignment, marks_in
from redviz.annotation.store import Store, milliseconds
from redviz.annotation.tables import OPS, Assignment, CreditMap, Item, Judgement
from redviz.data.labels.labels import Mark
from redviz.errors import RedvizError

GRADES = {"graded": (-2, -1, 0, 1, 2), "binary": (-1, 0, 1)}
PAUSE = 5 * 60 * 1000  # milliseconds without an event after which a person is not counted as working
MOST_EVENTS = 20_000  # of one assignment: a page run wild must not fill the disk
LONGEST_CLIENT = 64


def commit(
    store: Store, assignment_id: int, client: str, entries: Sequence[Mapping[str, Any]], now: int | None = None
) -> int:
    """Write down what a browser tab sent; the last number of that client that is on disk.

    Parameters
    ----------
    client
        A random string made by the tab, of at most 64 characters.
    entries
        ``{"seq", "first", "last", "grade", "op", "at"}``: ``seq`` counts from 1; ``first`` to ``last`` are cells, both included;
        ``grade`` None clears; ``op`` is "mark" or "undo". What is there already is passed over; what comes after a gap in the
        numbers is left for the next time. Either all the others are written or none.

    Returns
    -------
    int
        The number up to which everything of this client is on disk; 0 where nothing is.

    Raises
    ------
    RedvizError
        For a cell, grade or number that cannot be, a closed project, and an assignment that is submitted or skipped. Entries
        are taken in after the lease has lapsed: the marks are kept, whatever becomes of the slot.
    """
    now = milliseconds() if now is None else now
    if not 0 < len(client) <= LONGEST_CLIENT or not client.isprintable():
        raise RedvizError(f"The client {client[:20]!r} cannot be; give 1 to {LONGEST_CLIENT} printable characters.")
    with store.writing() as session:
        held = locked_assignment(session, assignment_id)
        last = session.scalar(
            select(func.max(Judgement.seq)).where(Judgement.assignment_id == assignment_id, Judgement.client == client)
        )
        reached = last or 0
        rows = []
        for entry in sorted(entries, key=_number):
            if _number(entry) == reached + 1:
                rows.append({**_checked(entry, held), "client": client, "seq": reached + 1, "received_at": now})
                reached += 1
        if rows:
            refuse_settled(held)
            count = select(func.count()).select_from(Judgement).where(Judgement.assignment_id == assignment_id)
            if (session.scalar(count) or 0) + len(rows) > MOST_EVENTS:
                raise RedvizError(f"One item takes at most {MOST_EVENTS:,} events; submit it or skip it.")
            session.execute(insert(Judgement), [{**row, "assignment_id": assignment_id, "label": ""} for row in rows])
            hold(session, held, now)
        return reached


def marks_of(store: Store, assignment_id: int) -> tuple[Mark, ...]:
    """The marks that stand, submitted or not, in the order of their characters."""
    with store.reading() as session:
        return marks_in(session, [assignment_id]).get(assignment_id, ())


def get_assignment(store: Store, assignment_id: int) -> Assigned:
    """An assignment in whatever state it is."""
    with store.reading() as session:
        row = session.get(Assignment, assignment_id)
        if row is None:
            raise RedvizError(f"There is no assignment {assignment_id}.")
        return assigned(row, session.get_one(Item, row.item_id))


def submit(store: Store, assignment_id: int, now: int | None = None) -> None:
    """Hand an item in: from now on what is not marked counts as 0. Twice is as good as once.

    Raises RedvizError where it was skipped, where the project is closed, where others have taken its place while it lay, and
    where the person is not active (any more), and where two maps are compared (``map_pairs.choose_pair`` hands such an item in).
    """
    now = milliseconds() if now is None else now
    with store.writing() as session:
        held = locked_assignment(session, assignment_id)
        if held.row.state == "submitted":
            return
        refuse_settled(held)
        refuse_idle(held)
        if not hold(session, held, now):
            raise RedvizError(
                "Others have judged this item while it lay; your marks are kept, go on with the next one."
            )
        if held.project.task == "maps":
            raise RedvizError("Two maps are compared here; the choice between them hands the item in.")
        hand_in(session, held, now)


def skip(store: Store, assignment_id: int, reason: str, now: int | None = None) -> None:
    """Give an item back with a reason; it is not given to this person again. Raises RedvizError where it was submitted."""
    if not reason.strip():
        raise RedvizError("Give a reason for skipping this item.")
    now = milliseconds() if now is None else now
    with store.writing() as session:
        held = locked_assignment(session, assignment_id)
        if held.row.state == "skipped":
            return
        refuse_settled(held)
        held.row.state, held.row.skipped_at, held.row.skip_reason = "skipped", now, reason.strip()
        _end(session, held, now)


def reveal(store: Store, assignment_id: int, now: int | None = None) -> MapInfo:
    """The map that the project shows to who has submitted, by its label; that it was seen is written down.

    Raises RedvizError before submitting, where the project reveals nothing, and where the item has no such map.
    """
    with store.writing() as session:
        held = locked_assignment(session, assignment_id)
        label = held.project.reveal_method
        if not label:
            raise RedvizError("This project reveals no method.")
        if held.row.state != "submitted":
            raise RedvizError("A method's view is shown after the item is submitted.")
        of_item = select(CreditMap).where(CreditMap.item_id == held.item.id, CreditMap.label == label)
        found = session.scalars(of_item).one_or_none()
        if found is None:
            raise RedvizError(f"This item has no map {label!r}; compute it on the Project screen.")
        if held.row.revealed_at is None:
            held.row.revealed_at = milliseconds() if now is None else now
        return map_info(found)


def hand_in(session: Session, held: Held, now: int) -> None:
    """Write down that an assignment is submitted; whether it may be is asked before."""
    held.row.state, held.row.submitted_at = "submitted", now
    _end(session, held, now)


def _end(session: Session, held: Held, now: int) -> None:
    times = session.scalars(select(Judgement.received_at).where(Judgement.assignment_id == held.row.id))
    held.row.leased_until = now
    held.row.seconds = worked([held.row.opened_at, *times, now])


def worked(times: Sequence[int]) -> float:
    """Seconds of work: the sum of the gaps between moments (milliseconds) that are under five minutes; longer ones are pauses.

    >>> worked([0, 4_000, 10_000, 3_600_000, 3_601_000])
    11.0
    """
    ordered = sorted(times)
    gaps = [after - before for before, after in zip(ordered, ordered[1:], strict=False)]
    return sum(gap for gap in gaps if gap < PAUSE) / 1000


# ---------------------------------------------------------------- at the door


def refuse_settled(held: Held) -> None:
    if held.project.state == "closed":
        raise RedvizError("This project is closed; nothing is taken in until it is reopened.")
    if held.row.state != "open":
        raise RedvizError(f"This item is {held.row.state}; it cannot be changed any more.")


def refuse_idle(held: Held) -> None:
    """Who is paused or refused hands nothing in; what they marked is kept, and they may go on once they are active."""
    if held.person.state != "active":
        raise RedvizError(
            f"You are {held.person.state} in this project, so nothing is handed in (marks are kept); ask whoever leads it."
        )


def _number(entry: Mapping[str, Any]) -> int:
    return _whole(entry, "seq", 1, 2**53)


def _checked(entry: Mapping[str, Any], held: Held) -> dict[str, Any]:
    op = entry.get("op", "mark")
    if op not in OPS:
        raise RedvizError(f"Unknown operation {op!r}; use one of {', '.join(OPS)}.")
    at = entry.get("at")
    kept = {"op": op, "client_at": at if _is_whole(at) and 0 <= at < 2**53 else None}
    if op == "undo":
        return {**kept, "start": None, "end": None, "grade": None}
    grade, allowed = entry.get("grade"), GRADES[held.project.scale]
    if grade is not None and (not _is_whole(grade) or grade not in allowed):
        raise RedvizError(f"The grade {grade!r} is none of {', '.join(map(str, allowed))}.")
    cells = held.item.cells
    first = _whole(entry, "first", 0, len(cells) - 1)
    last = _whole(entry, "last", first, len(cells) - 1)
    return {**kept, "start": cells[first][0], "end": cells[last][1], "grade": None if grade is None else float(grade)}


def _whole(entry: Mapping[str, Any], name: str, lowest: int, highest: int) -> int:
    value = entry.get(name)
    if not _is_whole(value) or not lowest <= value <= highest:
        raise RedvizError(f"An entry has {name} {value!r}; expected a whole number from {lowest} to {highest}.")
    return value


def _is_whole(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
