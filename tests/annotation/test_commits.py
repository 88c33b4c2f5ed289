"""Judgements: what is acknowledged is on disk, what is wrong is refused, and the log is only ever added to."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from redviz.annotation.judgements import MOST_EVENTS, commit, get_assignment, marks_of, reveal, skip, submit
from redviz.annotation.labels import labelled_items
from redviz.annotation.maps import put_map
from redviz.annotation.people import add_annotators, set_annotator_state
from redviz.annotation.projects import close_project, create_project, reopen_project, update_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.tables import Assignment, Judgement
from redviz.data.labels.labels import Mark
from redviz.errors import RedvizError
from redviz.records import Example

ROOT = Path(__file__).parents[2]


@pytest.fixture
def given(store, project):
    """ "Superb, if a little long." in the hands of Ada; its cells are Superb , if a little long ."""
    (ada,) = add_annotators(store, project.id, ["Ada"])
    return next_assignment(store, ada.id, now=0).assignment


def mark(seq, first=0, last=None, grade=1, **more):
    return {"seq": seq, "first": first, "last": first if last is None else last, "grade": grade, "op": "mark", **more}


def undo(seq):
    return {"seq": seq, "first": None, "last": None, "grade": None, "op": "undo", "at": 5}


def test_cells_become_characters_and_marks(store, given):
    assert commit(store, given.id, "tab", [mark(1, 0, grade=2, at=12), mark(2, 2, 4, -1), mark(3, 3, grade=None)]) == 3
    assert marks_of(store, given.id) == (Mark(0, 6, 2.0), Mark(8, 11, -1.0), Mark(12, 19, -1.0))
    assert commit(store, given.id, "tab", [undo(4), undo(5)]) == 5
    assert marks_of(store, given.id) == (Mark(0, 6, 2.0),)
    with store.reading() as session:
        rows = session.execute(select(Judgement.op, Judgement.start, Judgement.client_at).order_by(Judgement.id)).all()
    assert rows == [("mark", 0, 12), ("mark", 8, None), ("mark", 11, None), ("undo", None, 5), ("undo", None, 5)]


def test_a_growing_list_sent_again_and_again_is_written_once(store, given):
    events = [mark(n + 1, n % 7, grade=n % 3) for n in range(6)]
    for sent in ([], events[:2], events[:2], events[:5], events[3:], events):
        commit(store, given.id, "tab", sent)
    with store.reading() as session:
        assert session.scalars(select(Judgement.seq).order_by(Judgement.id)).all() == [1, 2, 3, 4, 5, 6]
    submit(store, given.id)
    assert commit(store, given.id, "tab", events) == 6  # an acknowledgement that was lost is given again


def test_what_comes_after_a_gap_waits_for_it(store, given):
    assert commit(store, given.id, "tab", [mark(1), mark(3)]) == 1
    assert commit(store, given.id, "tab", [mark(3), mark(2)]) == 3


def test_two_tabs_of_one_assignment_each_count_and_share_one_log(store, given):
    assert commit(store, given.id, "one", [mark(1, 0, 2, 1)]) == 1
    assert commit(store, given.id, "two", [mark(1, 1, 1, -1), mark(2, 5, 5, 2)]) == 2
    assert commit(store, given.id, "one", [undo(2)]) == 2  # takes back the latest, whichever tab it came from
    assert marks_of(store, given.id) == (Mark(0, 6, 1.0), Mark(6, 7, -1.0), Mark(7, 10, 1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        mark(1, 7),
        mark(1, -1),
        mark(1, 3, 2),
        mark(1, 0, 99),
        mark(1, 0.0),
        mark(1, True),
        mark(1, grade=3),
        mark(1, grade=1.5),
        mark(1, grade="1"),
        mark(1, grade=True),
        mark(0),
        mark("1"),
        mark(2**60),
        {**mark(1), "op": "delete"},
        {"seq": 1},
        {},
    ],
)
def test_an_entry_that_cannot_be_is_refused_and_nothing_of_its_call_is_kept(store, given, wrong):
    with pytest.raises(RedvizError) as refused:
        commit(store, given.id, "tab", [mark(1), {**wrong, "seq": 2} if wrong.get("seq") == 1 else wrong])
    assert "\n" not in str(refused.value)
    assert commit(store, given.id, "tab", []) == 0


def test_hostile_clients_and_times(store, given):
    for client in ("", "x" * 65, "a\x00b", "a\nb"):
        with pytest.raises(RedvizError, match="printable characters"):
            commit(store, given.id, client, [mark(1)])
    assert commit(store, given.id, "😀'; --", [mark(1, at=2**70), mark(2, at="now"), mark(3, at=-1)]) == 3
    many = [undo(n) for n in range(4, MOST_EVENTS + 2)]
    with pytest.raises(RedvizError, match="at most 20,000 events"):
        commit(store, given.id, "😀'; --", many)


def test_a_binary_project_takes_three_grades(store):
    project = create_project(store, "Films", [Example("How was it?", "Dull.")], scale="binary")
    (ada,) = add_annotators(store, project.id, ["Ada"])
    given = next_assignment(store, ada.id).assignment
    with pytest.raises(RedvizError, match="grade 2 is none of -1, 0, 1"):
        commit(store, given.id, "tab", [mark(1, grade=2)])
    assert commit(store, given.id, "tab", [mark(1, grade=-1)]) == 1


def test_only_what_is_submitted_is_a_label(store, project, given):
    commit(store, given.id, "tab", [mark(1, grade=-2)])
    assert labelled_items(store, project.id).items == ()
    submit(store, given.id)
    submit(store, given.id)
    (item,) = labelled_items(store, project.id).items
    assert (item.id, [a.marks for a in item.annotations]) == ("film0", [(Mark(0, 6, -2.0),)])
    for late in (lambda: commit(store, given.id, "tab", [mark(2)]), lambda: skip(store, given.id, "no")):
        with pytest.raises(RedvizError, match="is submitted; it cannot be changed"):
            late()


def test_a_skipped_item_is_no_label_and_needs_a_reason(store, project, given):
    with pytest.raises(RedvizError, match="Give a reason"):
        skip(store, given.id, " ")
    commit(store, given.id, "tab", [mark(1)])
    skip(store, given.id, "Unreadable")
    assert labelled_items(store, project.id).items == ()
    assert get_assignment(store, given.id).state == "skipped"
    with pytest.raises(RedvizError, match="is skipped"):
        submit(store, given.id)


def test_a_closed_project_takes_nothing_in(store, project, given):
    close_project(store, project.id)
    for late in (lambda: commit(store, given.id, "tab", [mark(1)]), lambda: submit(store, given.id)):
        with pytest.raises(RedvizError, match="project is closed"):
            late()
    reopen_project(store, project.id)
    assert commit(store, given.id, "tab", [mark(1)]) == 1


def test_who_is_not_active_hands_nothing_in_and_loses_no_mark(store, project, given):
    set_annotator_state(store, given.annotator_id, "paused")
    assert commit(store, given.id, "tab", [mark(1)]) == 1
    with pytest.raises(RedvizError, match="You are paused.*marks are kept"):
        submit(store, given.id)
    assert labelled_items(store, project.id).items == ()
    set_annotator_state(store, given.annotator_id, "active")
    submit(store, given.id)
    assert labelled_items(store, project.id).items[0].annotations[0].marks == (Mark(0, 6, 1.0),)


def test_the_time_worked_leaves_out_pauses(store, given):
    minute = 60_000
    commit(store, given.id, "tab", [mark(1)], now=2 * minute)
    commit(store, given.id, "tab", [mark(2)], now=3 * minute)
    commit(store, given.id, "tab", [mark(3)], now=20 * minute)  # 17 minutes without an event are no work
    submit(store, given.id, now=21 * minute)
    with store.reading() as session:
        assert session.get_one(Assignment, given.id).seconds == 240.0


def test_a_method_is_revealed_only_after_submitting(store, project, given):
    with pytest.raises(RedvizError, match="reveals no method"):
        reveal(store, given.id)
    update_project(store, project.id, reveal_method="red")
    put_map(store, given.item_id, "red", "red", range(7), options={"beta_c": 1.0}, provenance={"model": "m"})
    with pytest.raises(RedvizError, match="after the item is submitted"):
        reveal(store, given.id)
    submit(store, given.id)
    assert reveal(store, given.id, now=9).values == tuple(map(float, range(7)))
    reveal(store, given.id, now=10)
    with store.reading() as session:
        assert session.get_one(Assignment, given.id).revealed_at == 9
    with pytest.raises(RedvizError, match="needs 7 finite credits; 1 were given"):
        put_map(store, given.item_id, "abc", "abc", [float("nan")])


KILLS = 8
COMMITTER = """
import os, sys
from redviz.annotation.judgements import commit
from redviz.annotation.store import open_store

def work(client):
    store, seq = open_store(sys.argv[1]), 0
    while True:
        sent = [{"seq": seq + k, "first": (seq + k) % 7, "last": 6, "grade": 1, "op": "mark", "at": 0} for k in (1, 2, 3)]
        seq = commit(store, int(sys.argv[2]), client, sent)
        os.write(1, b"%d\\n" % seq)  # in one write, whatever PYTHONUNBUFFERED says: a kill cannot tear the line

for line in sys.stdin:  # a child for each line, so that the imports are paid for once
    child = os.fork()
    if child == 0:
        work(line.strip())
    print(child, flush=True)
    os.waitpid(child, 0)
    print("dead", flush=True)
"""


def test_whatever_was_acknowledged_outlives_a_kill(store, url, given):
    lot = random.Random(5)
    command = [sys.executable, "-c", COMMITTER, url, str(given.id)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as nursery:
        for kill in range(KILLS):
            nursery.stdin.write(f"tab {kill}\n")
            nursery.stdin.flush()
            child = int(nursery.stdout.readline())
            acknowledged = [int(nursery.stdout.readline())]  # it is at work
            time.sleep(lot.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
            while (line := nursery.stdout.readline()) != "dead\n":
                acknowledged.append(int(line))
            with store.reading() as session:
                rows = select(func.count(), func.max(Judgement.seq)).where(Judgement.client == f"tab {kill}")
                count, last = session.execute(rows).one()
            assert count == last >= acknowledged[-1] >= 3  # none is missing
            assert last % 3 == 0  # and no call was written by half
        nursery.stdin.close()
    with store.reading() as session:
        assert session.scalar(select(func.count(Judgement.client.distinct()))) == KILLS
