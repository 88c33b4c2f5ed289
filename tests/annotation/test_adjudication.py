"""Judgements side by side: what most people say, who differs where, and the label that is settled."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from redviz.annotation.adjudication import disagreements, grades_of_cells, propose, settle, side_by_side
from redviz.annotation.judgements import commit
from redviz.annotation.labels import labelled_items
from redviz.annotation.people import add_annotators, delete_annotator, list_annotators
from redviz.annotation.projects import create_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.tables import Gold, Item
from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.errors import RedvizError

CELLS = [(0, 4), (5, 9), (10, 14)]


def said(*people):
    """Grades per cell -> marks by name; 0 leaves a cell unmarked."""
    return {
        f"p{n}": [Mark(a, b, float(g)) for (a, b), g in zip(CELLS, grades, strict=True) if g]
        for n, grades in enumerate(people)
    }


def proposed(scale, *people):
    return grades_of_cells({"all": propose(said(*people), CELLS, scale)}, CELLS, scale)[0].tolist()


def test_the_binary_proposal_is_the_sign_that_more_than_half_gave():
    assert proposed("binary", (1, 1, -1), (1, 0, -1), (1, 0, 0)) == [1, 0, -1]
    assert proposed("binary", (1, 1, 1), (1, 0, -1)) == [1, 0, 0]  # one of two is no majority
    assert proposed("binary", (1, 1, 1), (1, 1, 1), (-1, 0, 1), (-1, 0, 0)) == [0, 0, 1]
    assert proposed("binary", (2, 0.5, 0), (1, 2, 0), (0, 0, 0)) == [1, 1, 0]  # only the sign counts
    assert proposed("binary") == [0, 0, 0]


def test_the_graded_proposal_is_the_median_and_ties_go_toward_zero():
    assert proposed("graded", (2, -2, 1), (1, -1, 0), (0, -1, -2)) == [1, -1, 0]
    assert proposed("graded", (2, -2, 2), (1, -1, -1)) == [1, -1, 0]
    assert proposed("graded", (2, 2, 0), (2, 0, 0), (1, 0, 0), (0, -1, 1)) == [1, 0, 0]


@given(st.lists(st.tuples(*[st.sampled_from([-2, -1, 0, 1, 2])] * 3), min_size=1, max_size=7))
def test_who_is_asked_first_does_not_matter_nor_which_sign_is_called_good(people):
    for scale in ("binary", "graded"):
        found = proposed(scale, *people)
        assert proposed(scale, *people[::-1]) == found
        assert proposed(scale, *(tuple(-g for g in one) for one in people)) == [-g for g in found]
        if len(people) % 2 and scale == "graded":
            assert found == np.median(people, axis=0).tolist()
        if scale == "binary":
            signs = np.sign(people)
            wanted = [
                (2 * (column > 0).sum() > len(column)) * 1 - (2 * (column < 0).sum() > len(column))
                for column in signs.T
            ]
            assert found == wanted


def test_neighbours_are_one_mark_where_somebody_marked_them_together_and_kinds_stay_where_all_agree():
    together = {"ada": [Mark(0, 9, 1.0)], "bob": [Mark(0, 4, 1.0), Mark(5, 9, 1.0)]}
    assert propose(together, CELLS, "binary") == (Mark(0, 9, 1.0),)
    apart = {"ada": [Mark(0, 4, 1.0), Mark(5, 9, 1.0)]}
    assert propose(apart, CELLS, "binary") == (Mark(0, 4, 1.0), Mark(5, 9, 1.0))
    kinds = {"ada": [Mark(0, 9, -1.0, "fact")], "bob": [Mark(0, 4, -1.0, "fact"), Mark(5, 9, -1.0, "style")]}
    assert propose(kinds, CELLS, "binary") == (Mark(0, 4, -1.0, "fact"), Mark(5, 9, -1.0))


def test_a_mark_that_covers_less_than_half_of_a_cell_does_not_count_for_it():
    assert propose({"ada": [Mark(1, 6, 1.0)]}, CELLS, "binary") == (Mark(0, 4, 1.0),)


@pytest.fixture
def film(store):
    text = "Good film, sad end."
    items = [
        LabelledItem("same", "", text, tuple(Annotation(name, (Mark(0, 4, 1.0),)) for name in ("ada", "bob"))),
        LabelledItem("far", "Q", text, (Annotation("ada", (Mark(0, 4, 2.0),)), Annotation("bob", (Mark(0, 4, -2.0),)))),
        LabelledItem("near", "", text, (Annotation("ada", (Mark(0, 9, 2.0),)), Annotation("bob", (Mark(0, 4, 2.0),)))),
        LabelledItem("alone", "", text, (Annotation("ada", (Mark(0, 9, 2.0),)),)),
        LabelledItem("silent", "", text),
    ]
    return create_project(store, "Films", items, overlap=3)


def item_id(store, project, name):
    with store.reading() as session:
        return session.scalar(select(Item.id).where(Item.project_id == project.id, Item.external_id == name))


def test_items_come_by_how_far_people_are_apart(store, film):
    (cem,) = add_annotators(store, film.id, ["cem"])
    held = next_assignment(store, cem.id).assignment
    commit(
        store, held.id, "tab", [{"seq": 1, "first": 0, "last": 0, "grade": -2, "op": "mark", "at": 0}]
    )  # not submitted
    found = disagreements(store, film.id)
    assert [(one.item, one.people, one.marked, one.differing, one.variance) for one in found] == [
        ("far", 2, 1, 1, 4.0),
        ("near", 2, 2, 1, 0.5),  # variances 0 and 1 of the two marked cells
        ("same", 2, 1, 0, 0.0),
        ("alone", 1, 2, 0, 0.0),
    ]
    assert not any(one.settled for one in found)
    settle(store, item_id(store, film, "near"), [], "lead")
    assert [one.item for one in disagreements(store, film.id) if one.settled] == ["near"]
    bob = next(person for person in list_annotators(store, film.id) if person.name == "bob")
    delete_annotator(store, bob.id)
    assert {one.people for one in disagreements(store, film.id)} == {1}


def test_side_by_side_shows_everybody_and_what_most_say(store, film):
    view = side_by_side(store, item_id(store, film, "near"))
    assert list(view.marks) == ["ada", "bob"] and view.marks["bob"] == (Mark(0, 4, 2.0),)
    assert view.grades.tolist() == [[2, 2, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]]
    assert view.differs == (False, True, False, False, False, False)
    assert (view.proposed, view.gold, view.prompt) == ((Mark(0, 4, 2.0),), None, "")
    silent = side_by_side(store, item_id(store, film, "silent"))
    assert (silent.grades.shape, silent.proposed, any(silent.differs)) == ((0, 6), (), False)
    with pytest.raises(RedvizError, match="no item 999"):
        side_by_side(store, 999)


def test_a_settled_label_replaces_the_one_before_which_is_kept(store, film):
    item = item_id(store, film, "far")
    settle(store, item, [Mark(5, 9, -1.0), Mark(0, 4, 1.0)], "lead", now=10)
    settle(store, item, side_by_side(store, item).proposed, " boss ", now=20)
    with store.reading() as session:
        rows = session.scalars(select(Gold).where(Gold.item_id == item).order_by(Gold.id)).all()
    assert [(row.settled_by, row.settled_at, row.replaced_at) for row in rows] == [("lead", 10, 20), ("boss", 20, None)]
    assert rows[0].marks == [[0, 4, 1.0, ""], [5, 9, -1.0, ""]]
    assert side_by_side(store, item).gold == ()
    assert next(one for one in labelled_items(store, film.id).items if one.id == "far").gold == ()


def test_what_cannot_be_settled(store, film):
    item = item_id(store, film, "far")
    binary = create_project(store, "Binary", [LabelledItem("x", "", "Good film.")], scale="binary")
    for where, marks, by, words in (
        (item, [Mark(0, 4, 1.0), Mark(3, 9, 2.0)], "lead", "share the characters from 3"),
        (item, [Mark(0, 400, 1.0)], "lead", "give offsets inside"),
        (item, [Mark(0, 4, float("nan"))], "lead", "cannot have the grade nan"),
        (item_id(store, binary, "x"), [Mark(0, 4, 2.0)], "lead", "grade 2.0 on the binary scale"),
        (item, [], " ", "name of whoever settles"),
        (999, [], "lead", "no item 999"),
    ):
        with pytest.raises(RedvizError, match=words):
            settle(store, where, marks, by)
    with store.reading() as session:
        assert session.scalars(select(Gold)).all() == []
