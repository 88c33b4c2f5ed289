"""Projects, their items and people, labels that come in and labels that go out."""

import hashlib
import json

import pytest
from sqlalchemy import select

from redviz.annotation.items import set_gold
from redviz.annotation.judgements import commit, skip, submit
from redviz.annotation.labels import labelled_items
from redviz.annotation.people import (
    add_annotators,
    annotator_of,
    delete_annotator,
    list_annotators,
    renew_code,
    set_annotator_state,
)
from redviz.annotation.progress import Skipped, progress
from redviz.annotation.projects import (
    close_project,
    create_project,
    delete_project,
    get_project,
    list_projects,
    reopen_project,
    set_guidelines,
    update_project,
)
from redviz.annotation.queue import next_assignment
from redviz.annotation.tables import Gold, Item, Judgement
from redviz.data.labels.labels import Annotation, LabelledItem, LabelSet, Mark
from redviz.errors import RedvizError
from redviz.records import Example

CHAT = ({"role": "user", "content": "Wie war's?\x00"},)
LABELS = LabelSet(
    "films",
    "graded",
    (
        LabelledItem(
            "a/1",
            CHAT,
            "Superb 😀, if\x00 long. \ud83d مرحبا",
            (Annotation("Ada", (Mark(0, 6, 2.0, "praise"), Mark(10, 12, -1.0))), Annotation("Ben 👩‍🚀")),
            gold=(Mark(0, 8, 1.5),),
            subset="long",
        ),
        LabelledItem("a/2", "How was it?", "Dull.", (Annotation("Ada", (Mark(0, 4, -2.0),)),)),
        LabelledItem("a/3", "How was it?", "…", gold=()),
        LabelledItem("a/4", "How was it?", "Nobody said anything about this."),
    ),
)


def test_labels_that_come_in_go_out_as_they_were(store):
    project = create_project(store, "Films", LABELS.items, source=LABELS.sentence)
    given_back = labelled_items(store, project.id)
    assert given_back.items == LABELS.items[:3]
    assert given_back.scale == "graded"
    assert [person.state for person in list_annotators(store, project.id)] == ["imported"] * 2
    with pytest.raises(RedvizError, match="link belongs to nobody"):
        annotator_of(store, list_annotators(store, project.id)[0].code)


def test_gold_is_settled_in_versions(store, project):
    with store.reading() as session:
        item_id = session.scalars(select(Item.id).order_by(Item.place)).first()
    set_gold(store, item_id, (Mark(0, 6, 1.0),), "Ada", now=1)
    set_gold(store, item_id, (Mark(0, 6, 2.0),), "Ben", now=2)
    with pytest.raises(RedvizError, match="give offsets inside it"):
        set_gold(store, item_id, (Mark(0, 600, 2.0),), "Ben")
    assert labelled_items(store, project.id).items[0].gold == (Mark(0, 6, 2.0),)
    with store.reading() as session:
        assert session.execute(select(Gold.settled_by, Gold.replaced_at)).all() == [("Ada", 2), ("Ben", None)]
        assert session.get(Item, item_id).is_gold is False


def test_a_long_response_is_an_item_like_any_other(store):
    text = "A long story — with 😀 and words. " * 1000
    project = create_project(store, "Long", [Example("Tell me.", text)])
    (person,) = add_annotators(store, project.id, ["Ada"])
    given = next_assignment(store, person.id).assignment
    assert given.response == text and len(given.cells) == 9000
    assert commit(store, given.id, "tab", [{"seq": 1, "first": 8999, "last": 8999, "grade": 1}]) == 1
    submit(store, given.id)
    (marks,) = (a.marks for a in labelled_items(store, project.id).items[0].annotations)
    assert marks == (Mark(len(text) - 2, len(text) - 1, 1.0),)


def test_items_without_a_name_get_their_place_and_no_name_stands_for_two(store):
    create_project(store, "Unnamed", [Example("How was it?", "Fine.")] * 2)
    with store.reading() as session:
        assert session.scalars(select(Item.external_id).order_by(Item.place)).all() == ["1", "2"]
    with pytest.raises(RedvizError, match="'2' stands for two items"):
        create_project(store, "Doubled", [Example("How was it?", "Dull.", "2"), Example("How was it?", "Fine.")])


def test_guidelines_are_kept_in_versions_and_an_assignment_names_its_own(store, project):
    (person,) = add_annotators(store, project.id, ["Ada"])
    assert set_guidelines(store, project.id, "# Mark\nwhat matters") == 1
    assert next_assignment(store, person.id).assignment.guidelines_version == 1
    assert set_guidelines(store, project.id, "# Mark\nwhat matters") == 1
    assert set_guidelines(store, project.id, "# Mark less") == 2
    assert next_assignment(store, person.id).assignment.guidelines_version == 1
    assert (get_project(store, project.id).guidelines, get_project(store, project.id).guidelines_version) == (
        "# Mark less",
        2,
    )


def test_a_project_is_changed_closed_and_deleted(store, project):
    (person,) = add_annotators(store, project.id, ["Ada"])
    changed = update_project(store, project.id, overlap=2, question="Why?", reveal_method="red")
    assert (changed.overlap, changed.question, changed.reveal_method, changed.name) == (2, "Why?", "red", "Films")
    with pytest.raises(RedvizError, match="at least 1 person"):
        update_project(store, project.id, overlap=0)
    assert get_project(store, project.id) == changed
    close_project(store, project.id)
    assert get_project(store, project.id).state == "closed"
    reopen_project(store, project.id)
    assert annotator_of(store, person.code) == person
    delete_project(store, project.id)
    assert list_projects(store) == ()
    for gone in (lambda: get_project(store, project.id), lambda: labelled_items(store, project.id)):
        with pytest.raises(RedvizError, match="may have been deleted"):
            gone()
    with pytest.raises(RedvizError, match="link belongs to nobody"):
        annotator_of(store, person.code)
    with store.reading() as session:
        assert len(session.scalars(select(Item)).all()) == 3  # nothing was erased


def test_a_deleted_person_no_longer_counts_and_the_name_is_free(store, project):
    ada, ben = add_annotators(store, project.id, ["Ada", "Ben"])
    given = next_assignment(store, ada.id).assignment
    commit(store, given.id, "tab", [{"seq": 1, "first": 0, "last": 0, "grade": 2}])
    submit(store, given.id)
    assert progress(store, project.id).done == 1
    delete_annotator(store, ada.id)
    assert labelled_items(store, project.id).items == ()
    assert progress(store, project.id).done == 0
    assert next_assignment(store, ben.id).assignment.item_id == given.item_id  # its slot is free again
    with store.reading() as session:
        assert len(session.scalars(select(Judgement)).all()) == 1
    (again,) = add_annotators(store, project.id, ["Ada"])
    assert again.code != ada.code
    with pytest.raises(RedvizError, match="already has an annotator 'Ada'"):
        add_annotators(store, project.id, ["Ada"])


def test_a_link_that_leaked_is_replaced(store, project):
    (person,) = add_annotators(store, project.id, ["Ada"])
    code = renew_code(store, person.id)
    assert annotator_of(store, code).id == person.id
    for wrong in (person.code, "", "\x00", "x" * 100):
        with pytest.raises(RedvizError, match="link belongs to nobody"):
            annotator_of(store, wrong)


@pytest.mark.parametrize("name", ["", "  ", "a\x00b", "a\nb", "\ud83d", "x" * 201])
def test_names_that_cannot_be_shown_are_refused(store, project, name):
    with pytest.raises(RedvizError, match="without control characters"):
        add_annotators(store, project.id, [name])
    with pytest.raises(RedvizError, match="without control characters"):
        create_project(store, name, [])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"task": "x"}, "one of spans, maps"),
        ({"scale": "x"}, "one of binary, graded"),
        ({"unit": "x"}, "one of word, character"),
        ({"qualification_agreement": 1.5}, "between 0 and 1"),
    ],
)
def test_a_project_that_cannot_be_is_refused(store, wrong, sentence):
    with pytest.raises(RedvizError, match=sentence):
        create_project(store, "Films", [], **wrong)
    assert list_projects(store) == ()


def test_progress_counts_what_was_done_held_and_skipped(store, project):
    update_project(store, project.id, overlap=2)
    ada, ben, cem = add_annotators(store, project.id, ["Ada", "Ben", "Cem"])
    for person, seconds in ((ada, 10), (ben, 30)):
        given = next_assignment(store, person.id, now=0).assignment
        submit(store, given.id, now=seconds * 1000)
    held = next_assignment(store, ada.id, now=40_000).assignment
    skip(store, next_assignment(store, ben.id, now=40_000).assignment.id, " No text. \x00", now=41_000)
    set_annotator_state(store, cem.id, "paused")
    found = progress(store, project.id, now=50_000)
    assert (found.items, found.done, found.submitted, found.open_leases, found.median_seconds) == (3, 1, 2, 1, 20.0)
    assert found.skipped == (Skipped(held.item, "Ben", "No text. \x00"),)
    rows = [(p.name, p.state, p.submitted, p.skipped, p.open, p.median_seconds) for p in found.by_annotator]
    assert rows == [
        ("Ada", "active", 1, 0, 1, 10.0),
        ("Ben", "active", 1, 1, 0, 30.0),
        ("Cem", "paused", 0, 0, 0, None),
    ]
    assert progress(store, project.id, now=2**50).open_leases == 0


def test_an_item_keeps_its_prompt_as_json_and_the_hash_of_its_text(store):
    create_project(store, "Films", LABELS.items[1:2])
    with store.reading() as session:
        row = session.scalars(select(Item)).one()
        assert json.loads(row.prompt) == "How was it?"
        assert row.sha256 == hashlib.sha256(b"Dull.").hexdigest()


def test_people_come_with_the_project_or_there_is_no_project(store):
    project = create_project(store, "Films", LABELS.items, annotators=["Ada", " Cem "])
    found = {person.name: person.state for person in list_annotators(store, project.id)}
    assert found == {"Ada": "active", "Cem": "active", "Ada (imported)": "imported", "Ben 👩‍🚀": "imported"}
    for names, sentence in ((["Dan", "Dan"], "already has an annotator 'Dan'"), (["Dan", "\n"], "control characters")):
        with pytest.raises(RedvizError, match=sentence):
            create_project(store, "Half", LABELS.items, annotators=names)
    assert [one.id for one in list_projects(store)] == [project.id]


def test_labels_are_never_put_down_to_a_person_at_work(store):
    names = ["Ada", "Ada (imported)"]
    project = create_project(store, "Films", LABELS.items, annotators=names)
    given = [one.annotator for item in labelled_items(store, project.id).items for one in item.annotations]
    assert set(given) == {"Ada (imported) (imported)", "Ben 👩‍🚀"}


@pytest.mark.parametrize("blank", ["", " \n\t\u2003"])
def test_a_response_with_nothing_to_point_at_is_refused_by_name(store, project, blank):
    given = [Example("How was it?", "Fine.", "a"), Example("How was it?", blank, "b")]
    with pytest.raises(RedvizError, match="item 'b' has no visible characters"):
        create_project(store, "Blank", given)
    assert [(one.name, one.items) for one in list_projects(store)] == [("Films", 3)]


def test_who_compares_maps_is_asked_no_gold_first(store):
    with pytest.raises(RedvizError, match="ask 0 items first"):
        create_project(store, "Maps", LABELS.items, task="maps", qualification_items=1)
    project = create_project(store, "Maps", LABELS.items, task="maps")
    with pytest.raises(RedvizError, match="ask 0 items first"):
        update_project(store, project.id, qualification_items=1)
    assert update_project(store, project.id, name="Two maps", qualification_items=0).name == "Two maps"
