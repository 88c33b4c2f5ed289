"""Many people at once: no error, no item asked too often, nobody asked twice."""

import random
import threading
import time
from collections import Counter

import pytest
from sqlalchemy import select

from redviz.annotation.judgements import commit, submit
from redviz.annotation.labels import labelled_items
from redviz.annotation.people import add_annotators
from redviz.annotation.progress import progress
from redviz.annotation.projects import create_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.store import open_store
from redviz.annotation.tables import Assignment
from redviz.records import Example


def work(url, person, items, errors, shared):
    """Judge until nothing is left, as a browser tab does: what is unsure is sent again."""
    lot = random.Random(person)
    store = shared or open_store(url)
    try:
        while True:
            offer = next_assignment(store, person)
            if offer.why == "waiting":
                time.sleep(0.05)
                continue
            if offer.assignment is None:
                return
            given = offer.assignment
            last = len(given.cells) - 1
            sent = [
                {"seq": n, "first": lot.randint(0, last), "last": last, "grade": lot.randint(-2, 2)} for n in (1, 2, 3)
            ]
            commit(store, given.id, "tab", sent)
            assert commit(store, given.id, "tab", sent) == 3
            submit(store, given.id)
            items.append((given.item_id, person))
    except BaseException as error:
        errors.append(error)
    finally:
        if shared is None:
            store.close()


@pytest.mark.parametrize(
    ("number", "crowd", "stores"),
    [(100, 20, "one for all"), (24, 8, "one each"), pytest.param(2000, 20, "one for all", marks=pytest.mark.slow)],
)
def test_many_people_finish_a_project(url, store, number, crowd, stores):
    examples = [Example("How was it?", f"Film {n} was good, if long.", str(n)) for n in range(number)]
    project = create_project(store, "Films", examples, overlap=2)
    people = [person.id for person in add_annotators(store, project.id, [f"person {n}" for n in range(crowd)])]
    done, errors = [], []
    shared = store if stores == "one for all" else None
    threads = [threading.Thread(target=work, args=(url, person, done, errors, shared)) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(done) == len(set(done)) == 2 * number
    assert set(Counter(item for item, _ in done).values()) == {2}
    with store.reading() as session:
        rows = session.execute(select(Assignment.item_id, Assignment.annotator_id, Assignment.state)).all()
    assert {(item, person) for item, person, state in rows if state == "submitted"} == set(done)
    assert len(rows) == len(done)
    assert progress(store, project.id).done == number
    assert all(len({a.annotator for a in item.annotations}) == 2 for item in labelled_items(store, project.id).items)
