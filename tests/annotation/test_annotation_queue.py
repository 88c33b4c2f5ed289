"""Who is given what: leases, overlap, qualification, and why there is nothing."""

import pytest
from sqlalchemy import select

from redviz.annotation.items import set_gold
from redviz.annotation.judgements import commit, marks_of, skip, submit
from redviz.annotation.maps import put_map
from redviz.annotation.people import add_annotators, delete_annotator, list_annotators, set_annotator_state
from redviz.annotation.projects import close_project, create_project, update_project
from redviz.annotation.queue import LEASE, next_assignment
from redviz.annotation.tables import Annotator, Assignment, Item, Project
from redviz.data.labels.labels import LabelledItem, Mark
from redviz.errors import RedvizError
from redviz.records import Example

MARK = {"seq": 1, "first": 0, "last": 0, "grade": 1}


def people(store, project, n):
    return [person.id for person in add_annotators(store, project.id, [f"person {k}" for k in range(n)])]


def give(store, person, now=0):
    return next_assignment(store, person, now=now).assignment


def why(store, person, now=0):
    offer = next_assignment(store, person, now=now)
    assert (offer.assignment is None) == bool(offer.why) == bool(offer.reason)
    return offer.why


def test_an_open_item_is_given_again_and_begun_items_are_finished_first(store, project):
    update_project(store, project.id, overlap=2)
    a, b, c = people(store, project, 3)
    first = give(store, a)
    assert first.item == "film0" and first.response[slice(*first.cells[0])] == "Superb"
    assert give(store, a).id == first.id
    assert give(store, b).item == "film0"  # the most progress
    assert give(store, c).item == "film1"  # its two places are taken
    submit(store, first.id, now=1)
    assert give(store, a).item == "film1"


def test_a_lease_that_lapsed_frees_the_place_for_others(store, project):
    a, b = people(store, project, 2)
    mine = give(store, a, now=0)
    assert mine.leased_until == LEASE
    assert give(store, b, now=LEASE - 1).item == "film1"
    later = LEASE + LEASE
    theirs = give(store, b, now=later)
    assert theirs.item == "film1"  # b's own, lapsed but free, comes before anything new
    submit(store, theirs.id, now=later)
    taken = give(store, b, now=later)
    assert (taken.item, taken.id == mine.id) == ("film0", False)
    # a comes back: the marks are kept, the place is gone, and something else is given
    assert commit(store, mine.id, "tab", [MARK], now=later) == 1
    with pytest.raises(RedvizError, match="Others have judged this item.*marks are kept"):
        submit(store, mine.id, now=later)
    assert give(store, a, now=later).item == "film2"
    # b gives it back, so a may go on where they were: one row for one pair
    skip(store, taken.id, "Not for me.", now=later)
    submit(store, give(store, a, now=later).id, now=later)
    assert give(store, a, now=later).id == mine.id
    assert marks_of(store, mine.id) == (Mark(0, 6, 1.0),)
    submit(store, mine.id, now=later)


def test_a_commit_renews_the_lease(store, project):
    a, b = people(store, project, 2)
    mine = give(store, a, now=0)
    commit(store, mine.id, "tab", [MARK], now=LEASE - 1)
    assert give(store, b, now=LEASE + 1).item == "film1"
    assert give(store, a, now=LEASE + 3).id == mine.id


def test_one_item_is_never_given_twice_to_one_person(store, project):
    update_project(store, project.id, overlap=5)
    (a,) = people(store, project, 1)
    had = []
    while given := give(store, a):
        had.append(given.item)
        if given.item == "film1":
            skip(store, given.id, "No.", now=1)
        else:
            submit(store, given.id, now=1)
    assert had == ["film0", "film1", "film2"]
    assert why(store, a) == "done"


def test_the_last_items_in_other_hands_are_worth_waiting_for(store, project):
    a, b = people(store, project, 2)
    for _ in range(2):
        submit(store, give(store, a).id, now=1)
    held = give(store, a)
    assert why(store, b) == "waiting"
    submit(store, held.id, now=1)
    assert why(store, b) == "done"


def test_paused_closed_and_deleted_say_so(store, project):
    a, b = people(store, project, 2)
    mine = give(store, a)
    set_annotator_state(store, a, "paused")
    assert why(store, a) == "paused"
    set_annotator_state(store, a, "active")
    with store.writing() as session:
        session.get_one(Item, mine.item_id).deleted_at = 1
    with pytest.raises(RedvizError, match="taken out of the project"):
        commit(store, mine.id, "tab", [MARK])
    assert give(store, a).item == "film1"
    close_project(store, project.id)
    assert why(store, a) == "closed"
    delete_annotator(store, b)
    with pytest.raises(RedvizError, match="link belongs to nobody"):
        next_assignment(store, b)


# ---------------------------------------------------------------- qualification


@pytest.fixture
def gold_project(store):
    items = [
        Example("How was it?", "Plain words.", "work"),
        LabelledItem("gold1", "How was it?", "Good bad dull.", gold=(Mark(0, 4, 2.0), Mark(5, 8, -1.0))),
        LabelledItem("gold2", "How was it?", "Nothing here.", gold=()),
        LabelledItem("gold3", "How was it?", "More gold.", gold=()),
    ]
    return create_project(store, "Films", items, qualification_items=2, qualification_agreement=0.6)


def answer(store, person, cells):
    """Judge what is given with grade by cell."""
    given = give(store, person)
    entries = [{"seq": n, "first": c, "last": c, "grade": g} for n, (c, g) in enumerate(cells.items(), 1)]
    commit(store, given.id, "tab", entries, now=1)
    submit(store, given.id, now=1)
    return given.item


def test_gold_is_asked_of_everybody_first_and_lets_in_who_agrees(store, gold_project):
    good, bad = people(store, gold_project, 2)
    assert [answer(store, good, {0: 1, 1: -2}), answer(store, good, {})] == ["gold1", "gold2"]
    assert answer(store, bad, {0: -1, 1: 2}) == "gold1"  # although its one place is taken; the signs are wrong
    skip(store, give(store, bad).id, "I don't know.", now=1)
    assert give(store, good).item == "work"
    assert why(store, bad) == "refused"
    found = {person.id: (person.state, person.agreement) for person in list_annotators(store, gold_project.id)}
    assert found == {good: ("active", 1.0), bad: ("refused", 0.0)}
    set_annotator_state(store, bad, "active")  # by the lead, who need not say it twice
    assert give(store, bad).item == "gold3"  # beyond the first two, gold is an item like any other


def test_a_label_settled_during_the_work_makes_no_qualification_item(store, gold_project):
    with store.reading() as session:
        ids = dict(session.execute(select(Item.external_id, Item.id)).all())
    set_gold(store, ids["work"], (), "Ada")
    (a,) = people(store, gold_project, 1)
    assert give(store, a).item == "gold1"


def test_one_pair_has_one_row(store, gold_project):
    update_project(store, gold_project.id, overlap=3)
    a, b = people(store, gold_project, 2)
    for now in range(0, 6 * LEASE, LEASE // 2):
        for person in (a, b):
            give(store, person, now)
    with store.reading() as session:
        pairs = session.execute(select(Assignment.item_id, Assignment.annotator_id)).all()
    assert len(pairs) == len(set(pairs)) == 2


def test_qualification_items_are_no_ordinary_work(store, gold_project):
    (a,) = people(store, gold_project, 1)
    answer(store, a, {0: 1, 1: -2})
    answer(store, a, {})
    held = give(store, a)
    assert held.item == "work"  # with that, they are qualified
    update_project(store, gold_project.id, qualification_items=3)
    submit(store, held.id, now=1)
    assert why(store, a) == "done"  # gold3 is asked of newcomers only


def item_id(store, name):
    with store.reading() as session:
        return session.scalar(select(Item.id).where(Item.external_id == name))


def test_an_entrance_test_that_comes_after_the_work_is_not_asked_of_who_works(store, project):
    update_project(store, project.id, qualification_items=2, qualification_agreement=1.0, overlap=2)
    a, b, c = people(store, project, 3)
    assert answer(store, a, {0: -2}) == "film0"  # there is no gold yet
    held = give(store, b)
    for name in ("film0", "film1"):
        set_gold(store, item_id(store, name), (Mark(0, 4, 1.0),), "lead", ask_first=True)
    assert give(store, a).item == "film2"  # what a said about film0 is no test, and film1 is asked of newcomers
    assert give(store, b).id == held.id
    submit(store, held.id, now=1)
    assert give(store, b).item == "film2"
    assert [answer(store, c, {}), answer(store, c, {})] == ["film0", "film1"]
    assert why(store, c) == "refused"
    assert {person.state for person in list_annotators(store, project.id)} == {"active", "refused"}


def test_who_worked_before_that_was_written_down_is_not_asked_either(store, project):
    (a,) = people(store, project, 1)
    answer(store, a, {0: -2})
    with store.writing() as session:
        session.get_one(Annotator, a).qualified_at = None
    update_project(store, project.id, qualification_items=1, qualification_agreement=1.0)
    set_gold(store, item_id(store, "film1"), (), "lead", ask_first=True)
    assert give(store, a).item == "film2"


# ---------------------------------------------------------------- maps


def test_only_items_with_two_maps_are_offered(store):
    texts = ["One.", "Two.", "Three."]
    made = create_project(store, "Maps", [Example("", text, text) for text in texts], task="maps")
    a, b = people(store, made, 2)
    assert why(store, a) == "no maps"
    put_map(store, item_id(store, "One."), "red", "red", [0.1, 0.2])
    with store.writing() as session:  # given out by a version that did not look
        lease = {"leased_until": LEASE, "opened_at": 0, "guidelines_version": 0, "skip_reason": ""}
        session.add(Assignment(item_id=item_id_in(session, "One."), annotator_id=a, state="open", **lease))
    assert why(store, a) == "no maps"
    for label in ("red", "abc"):
        put_map(store, item_id(store, "Two."), label, label, [0.1, 0.2])
    given = give(store, a)
    assert given.item == "Two." and why(store, b) == "waiting"
    skip(store, given.id, "No.", now=1)
    assert why(store, a) == "no maps"
    put_map(store, item_id(store, "One."), "abc", "abc", [0.1, 0.2])
    assert give(store, a).item == "One."


def item_id_in(session, name):
    return session.scalar(select(Item.id).where(Item.external_id == name))


def test_gold_asks_nothing_of_who_compares_maps(store):
    items = [LabelledItem("gold", "", "One.", gold=(Mark(0, 3, 1.0),)), Example("", "Two.", "work")]
    made = create_project(store, "Maps", items, task="maps")
    with store.writing() as session:  # made by a version that took it
        session.get_one(Project, made.id).qualification_items = 1
        session.get_one(Project, made.id).qualification_agreement = 0.5
    for name in ("gold", "work"):
        for label in ("red", "abc"):
            put_map(store, item_id(store, name), label, label, [0.1, 0.2])
    (a,) = people(store, made, 1)
    for name in ("gold", "work"):
        given = give(store, a)
        assert given.item == name
        skip(store, given.id, "No.", now=1)
    assert why(store, a) == "done"
