"""What arrives from a browser tab for one person: marks, and the submission or skip that ends them, taken in in their order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from redviz.annotation.judgements import commit, skip, submit
from redviz.annotation.store import Store, StoreError
from redviz.annotation.tables import Assignment, Item, Judgement
from redviz.errors import RedvizError

ENDS = ("submit", "skip")
Logged = tuple[str, int | None, int | None, float | None]  # op, first and last cell (both included), grade


@dataclass(frozen=True)
class Receipt:
    """What became of the entries of one tab.

    Attributes
    ----------
    last
        The number up to which everything is on disk, or can never be; the tab forgets entries up to it.
    ended
        Whether there is nothing more to do for the assignment: it is submitted, skipped or gone.
    submitted
        Whether it is submitted now.
    problem
        What the person should know, in a sentence; "" where there is nothing.
    """

    last: int
    ended: bool = False
    problem: str = ""
    submitted: bool = False


def take_in(
    store: Store,
    annotator_id: int,
    assignment_id: int,
    client: str,
    entries: Sequence[Mapping[str, Any]],
    now: int | None = None,
) -> Receipt:
    """Write down what a tab sent; sent again, it changes nothing.

    Parameters
    ----------
    annotator_id
        Whose link the tab was opened with: entries for another person's assignment are refused.
    entries
        As in :func:`redviz.annotation.judgements.commit`; an entry with ``op`` "submit", or "skip" with its ``reason``, is the last.

    Raises
    ------
    RedvizError
        For an assignment that is not this person's, and for entries that cannot be; nothing of them is written then.
    """
    with store.reading() as session:
        columns = select(Assignment.annotator_id, Assignment.state, Item.deleted_at).join(Item)
        found = session.execute(columns.where(Assignment.id == assignment_id)).one_or_none()
        whose, state, gone = found or (None, None, None)
    if whose != annotator_id:
        raise RedvizError("These marks belong to another person's link; open that link to save them.")
    marks = [entry for entry in entries if entry.get("op") not in ENDS]
    end = next((entry for entry in entries if entry.get("op") in ENDS), None)
    highest = max(entry["seq"] for entry in entries)
    if gone is not None:
        return Receipt(highest, True, "This response was taken out of the project; marks on it do not count.")
    if state != "open":  # the same entries again, or a second tab's
        known = _last_of(store, assignment_id, client)
        late = sum(entry["seq"] > known for entry in marks)
        problem = f"{late} marks came after this response was handed in and do not count." if late else ""
        return Receipt(highest, True, problem, state == "submitted")
    last = commit(store, assignment_id, client, marks, now) if marks else _last_of(store, assignment_id, client)
    if end is None or end["seq"] != last + 1:
        return Receipt(last)
    try:
        if end["op"] == "submit":
            submit(store, assignment_id, now)
        else:
            skip(store, assignment_id, str(end.get("reason", "")), now)
    except StoreError:
        raise  # the tab sends it again
    except RedvizError as refused:  # others have its place: the marks are kept, and there is nothing to send again
        return Receipt(highest, True, str(refused))
    return Receipt(highest, True, submitted=end["op"] == "submit")


def log_of(store: Store, assignment_id: int) -> tuple[Logged, ...]:
    """Everything committed for an assignment, in the server's order, in cells."""
    with store.reading() as session:
        cells = session.scalars(select(Item.cells).join(Assignment).where(Assignment.id == assignment_id)).one()
        first = {start: n for n, (start, _) in enumerate(cells)}
        last = {end: n for n, (_, end) in enumerate(cells)}
        rows = session.scalars(select(Judgement).where(Judgement.assignment_id == assignment_id).order_by(Judgement.id))
        return tuple(
            (row.op, None, None, None)
            if row.start is None or row.end is None
            else (row.op, first[row.start], last[row.end], row.grade)
            for row in rows
        )


def _last_of(store: Store, assignment_id: int, client: str) -> int:
    return commit(store, assignment_id, client, [])
