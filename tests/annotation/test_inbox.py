"""What a tab sends: acknowledged where it is on disk or can never be, and only then."""

import pytest
from sqlalchemy import text

from redviz.annotation.inbox import Receipt, take_in
from redviz.annotation.judgements import get_assignment, marks_of
from redviz.annotation.people import add_annotators, set_annotator_state
from redviz.annotation.queue import next_assignment
from redviz.annotation.store import StoreError
from redviz.data.labels.labels import Mark

SENT = [
    {"seq": 1, "first": 0, "last": 0, "grade": 2, "op": "mark", "at": 5},
    {"seq": 2, "op": "submit", "at": 6},
]


@pytest.fixture
def given(store, project):
    (ada,) = add_annotators(store, project.id, ["Ada"])
    return next_assignment(store, ada.id).assignment


def refuse_submissions(store):
    """The database fails at the update that hands an item in."""
    if store.address.startswith("sqlite"):
        full = [
            "CREATE TRIGGER full_ BEFORE UPDATE ON assignments WHEN NEW.state = 'submitted' "
            "BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        ]
        mended = ["DROP TRIGGER full_"]
    else:
        full = [
            "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'disk is full'; END $$",
            "CREATE TRIGGER full_ BEFORE UPDATE ON assignments FOR EACH ROW WHEN (NEW.state = 'submitted') "
            "EXECUTE FUNCTION fail()",
        ]
        mended = ["DROP TRIGGER full_ ON assignments"]
    with store.writing() as session:
        for statement in full:
            session.execute(text(statement))
    return mended


def test_a_submission_that_the_database_did_not_take_is_not_acknowledged(store, given):
    mended = refuse_submissions(store)
    for _ in range(2):
        with pytest.raises(StoreError, match="disk is full"):
            take_in(store, given.annotator_id, given.id, "tab", SENT)
    assert get_assignment(store, given.id).state == "open" and marks_of(store, given.id) == (Mark(0, 6, 2.0),)
    with store.writing() as session:
        for statement in mended:
            session.execute(text(statement))
    receipt = take_in(store, given.annotator_id, given.id, "tab", SENT)  # the tab still has it
    assert (receipt.last, receipt.ended, receipt.problem) == (2, True, "")
    assert get_assignment(store, given.id).state == "submitted"


def test_who_is_paused_keeps_the_marks_and_hands_nothing_in(store, given):
    set_annotator_state(store, given.annotator_id, "paused")
    receipt = take_in(store, given.annotator_id, given.id, "tab", SENT)
    assert isinstance(receipt, Receipt) and receipt.last == 2 and "You are paused" in receipt.problem
    assert get_assignment(store, given.id).state == "open" and marks_of(store, given.id) == (Mark(0, 6, 2.0),)
    set_annotator_state(store, given.annotator_id, "active")
    assert next_assignment(store, given.annotator_id).assignment.id == given.id
    take_in(store, given.annotator_id, given.id, "tab two", [{"seq": 1, "op": "submit", "at": 7}])
    assert get_assignment(store, given.id).state == "submitted"
