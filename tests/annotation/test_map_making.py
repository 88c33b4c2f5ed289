"""Maps of a whole project, by the shipped model: an item that can have none stops nothing."""

import pytest
from sqlalchemy import select

import redviz
from redviz.annotation.map_making import make_maps, without_maps
from redviz.annotation.projects import create_project
from redviz.annotation.store import StoreError, open_store
from redviz.annotation.tables import CreditMap, Item
from redviz.credit.ingredients import Partners
from redviz.credit.recipes import recipes
from redviz.records import Example

WANTED = recipes(["red", "uniform"])


@pytest.fixture
def kept(tmp_path):
    store = open_store(f"sqlite:///{tmp_path / 'redviz.db'}")
    yield store
    store.close()


def made(store, project_id):
    model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    return make_maps(store, project_id, model, WANTED, Partners(), lambda done, of: None)


def test_an_item_that_can_have_no_map_is_named_and_the_others_get_theirs(kept):
    project = create_project(
        kept, "Maps", [Example("Q", f"Film {n} is superb.", f"f{n}") for n in range(3)], task="maps"
    )
    with kept.writing() as session:  # as older versions kept a blank response
        blank = session.scalar(select(Item).where(Item.external_id == "f1"))
        blank.cells = []
    found = made(kept, project.id)
    assert found.items == 2 and list(found.failed) == ["f1"] and "visible characters" in found.failed["f1"]
    assert without_maps(kept, project.id, frozenset(WANTED)) == [blank.id]
    with kept.reading() as session:
        whole = session.scalar(select(Item.id).where(Item.external_id == "f2"))
        of_item = select(CreditMap.label).where(CreditMap.item_id == whole).order_by(CreditMap.id)
        assert session.scalars(of_item).all() == ["red", "uniform"]
    again = made(kept, project.id)
    assert (again.items, list(again.failed)) == (0, ["f1"])


def test_a_store_that_takes_nothing_ends_the_job(kept):
    project = create_project(kept, "Maps", [Example("Q", "Superb.", "f")], task="maps")
    with kept.writing() as session:
        session.connection().exec_driver_sql(
            f"CREATE TRIGGER full BEFORE INSERT ON {CreditMap.__tablename__} BEGIN SELECT RAISE(ABORT, 'disk is full'); END"
        )
    with pytest.raises(StoreError, match="disk is full"):
        made(kept, project.id)
