"""Maps that were seen stay as they are."""

import pytest
from sqlalchemy import select

from redviz.annotation.judgements import submit
from redviz.annotation.maps import put_map
from redviz.annotation.people import add_annotators
from redviz.annotation.projects import create_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.tables import CreditMap, Item
from redviz.errors import RedvizError
from redviz.records import Example


@pytest.fixture
def given(store):
    project = create_project(store, "Maps", [Example("How was it?", "Dull.")], task="maps", overlap=40)
    with store.reading() as session:
        item_id = session.scalars(select(Item.id)).one()
    for label in ("red", "abc", "ig"):
        put_map(store, item_id, label, label, [1.0, 2.0])
    names = [f"person {n}" for n in range(40)]
    return [next_assignment(store, person.id).assignment for person in add_annotators(store, project.id, names)]


def test_an_item_with_maps_is_handed_in_by_the_choice_alone(store, given):
    with pytest.raises(RedvizError, match="the choice between them"):
        submit(store, given[0].id)


def test_a_map_that_was_seen_keeps_its_values(store, given):
    put_map(store, given[0].item_id, "red", "red", [1.0, 2.0], provenance={"note": "the same again"})
    with pytest.raises(RedvizError, match="People have seen the map 'red'"):
        put_map(store, given[0].item_id, "red", "red", [9.0, 2.0])
    with store.reading() as session:
        assert session.scalars(select(CreditMap.values)).all() == [[1.0, 2.0]] * 3
