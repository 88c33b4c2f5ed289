"""A project as a file: nothing is lost on the way through, and a file that does not fit itself is refused."""

import csv
import io
import json

import pytest
from sqlalchemy import func, select

from redviz.annotation.interchange import COLUMNS, export_project, export_rows, import_project, rows_as_csv
from redviz.annotation.items import set_gold
from redviz.annotation.judgements import commit, skip, submit
from redviz.annotation.labels import labelled_items
from redviz.annotation.maps import put_map
from redviz.annotation.people import add_annotators, annotator_of, delete_annotator, list_annotators
from redviz.annotation.projects import create_project, delete_project, list_projects, set_guidelines, update_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.store import open_store
from redviz.annotation.tables import Annotator, Assignment, Choice, CreditMap, Item, Judgement, Project, Table
from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.errors import RedvizError

TALK = ({"role": "user", "content": "Et alors ?\n\u2028"}, {"role": "assistant", "content": "…"})
ODD = "Süperb 👩‍👩‍👧!\r\n=1+1\u2028\x00\ud800 \x01json:\ufeff end"


def mark(seq, first, last, grade=1, op="mark"):
    return {"seq": seq, "first": first, "last": last, "grade": grade, "op": op, "at": 5}


@pytest.fixture
def film(store):
    """A project with a row of every table, and deleted ones."""
    items = [
        LabelledItem("a", "How was it?", "=SUM(A1) is superb.", (Annotation("crowd", (Mark(0, 4, 0.5, "kind"),)),)),
        LabelledItem("b", TALK, ODD, (), (Mark(0, 6, 2.0, "x\ud800"),), "part"),
        LabelledItem("c", "", "Dull, dull, dull."),
        LabelledItem("d", "", "Deleted."),
    ]
    info = create_project(
        store, "Films / 映画", items, overlap=3, guidelines="# Heed\nthis", reveal_method="red", now=1
    )
    set_guidelines(store, info.id, "Heed that", now=2)
    ada, bob, cem = add_annotators(store, info.id, ["ada", "bob", "cem"], now=3)
    first = next_assignment(store, ada.id, now=4).assignment
    commit(store, first.id, "tab1", [mark(1, 0, 1, -2), mark(2, 2, 2, 0), mark(3, 0, 0, None)], now=5)
    commit(store, first.id, "tab2", [mark(1, 0, 0, None, "undo"), mark(2, 3, 3, 1)], now=6)
    submit(store, first.id, now=1_000_000)
    skip(store, next_assignment(store, bob.id, now=7).assignment.id, "no idea", now=8)
    second = next_assignment(store, cem.id, now=9).assignment
    commit(store, second.id, "tab3", [mark(1, 0, 0, 2)], now=10)
    set_gold(store, first.item_id, [Mark(0, 3, 1.0)], "lead", now=11)
    set_gold(store, first.item_id, [], "lead", now=12)
    for label, sign in (("red", 1), ("abc", -1)):
        values = [sign * 0.1 * n for n in range(len(second.cells))]
        put_map(store, second.item_id, label, label, values, options={"beta_c": 0.5}, provenance={"model": "m"}, now=13)
    with store.writing() as session:
        one, two = session.scalars(select(CreditMap.id).where(CreditMap.item_id == second.item_id))
        session.add_all(
            Choice(assignment_id=second.id, left_id=one, right_id=two, choice=choice, chosen_at=at)
            for choice, at in (("neither", 14), ("left", 15))
        )
    delete_annotator(store, bob.id, now=16)
    add_annotators(store, info.id, ["bob"], now=17)
    with store.writing() as session:
        session.scalars(select(Item).where(Item.project_id == info.id, Item.external_id == "d")).one().deleted_at = 18
    return info


def counts(store):
    with store.reading() as session:
        return {t.name: session.scalar(select(func.count()).select_from(t)) for t in Table.metadata.sorted_tables}


def test_exporting_what_was_imported_gives_the_same_lines_in_this_store_and_in_another(store, film, tmp_path):
    create_project(store, "Another", [LabelledItem("a", "", "Not of it.")])  # ids of the two do not run in step
    lines = list(export_project(store, film.id))
    kinds = {json.loads(line)["kind"] for line in lines}
    assert len(kinds) == len(Table.metadata.tables) + 2, "a table is left out of the file"
    again = import_project(store, lines)
    assert list(export_project(store, again)) == lines
    path = tmp_path / "film.jsonl"
    path.write_text("".join(lines), encoding="utf-8", newline="")
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    with path.open(encoding="utf-8", newline="\n") as file:
        there = import_project(other, file)
    assert list(export_project(other, there)) == lines
    assert list(export_project(other, there)) == "".join(lines).splitlines(keepends=True)  # no line ends within a text
    assert labelled_items(other, there).items == labelled_items(store, film.id).items
    assert export_rows(other, there) == export_rows(store, film.id)
    other.close()


def test_what_is_deleted_travels_and_stays_deleted(store, film):
    again = import_project(store, export_project(store, film.id))
    with store.reading() as session:
        of_project = select(Item.external_id).where(Item.project_id == again, Item.deleted_at == 18)
        assert session.scalars(of_project).all() == ["d"]
        bobs = select(Annotator.deleted_at).where(Annotator.project_id == again, Annotator.name == "bob")
        assert session.scalars(bobs.order_by(Annotator.id)).all() == [16, None]
    delete_project(store, film.id, now=19)
    gone = import_project(store, export_project(store, film.id))
    assert [info.id for info in list_projects(store)] == [again]
    with store.reading() as session:
        assert session.get_one(Project, gone).deleted_at == 19


def test_codes_stay_at_home_unless_asked_for(store, film, tmp_path):
    codes = {person.code for person in list_annotators(store, film.id)}
    assert not any(code in line for line in export_project(store, film.id) for code in codes)
    fresh = import_project(store, export_project(store, film.id))
    assert not codes & {person.code for person in list_annotators(store, fresh)}

    lines = list(export_project(store, film.id, codes=True))
    twin = import_project(store, lines, codes=True)  # here everybody's code is taken: each gets a new one
    assert not codes & {person.code for person in list_annotators(store, twin)}
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    assert not codes & {person.code for person in list_annotators(other, import_project(other, lines))}
    moved = import_project(other, lines, codes=True)
    assert {person.code for person in list_annotators(other, moved)} == codes
    ada = next(person for person in list_annotators(store, film.id) if person.name == "ada")
    assert annotator_of(other, ada.code).name == "ada"
    other.close()


@pytest.mark.parametrize("weak", ["1", "a" * 21, "", "\x00" * 30, "ä" * 30, None])
def test_a_code_that_can_be_guessed_is_replaced(store, film, tmp_path, weak):
    lines, _ = changed(list(export_project(store, film.id, codes=True)), "annotator", lambda t: t.update(code=weak))
    other = open_store(f"sqlite:///{tmp_path / 'other.db'}")
    codes = [person.code for person in list_annotators(other, import_project(other, lines, codes=True))]
    assert weak not in codes and min(map(len, codes)) >= 22
    assert len(set(codes) & {person.code for person in list_annotators(store, film.id)}) == len(codes) - 1
    other.close()


def test_the_log_keeps_its_order_however_long_it_is(store, film):
    held = next_assignment(store, list_annotators(store, film.id)[-1].id).assignment
    commit(store, held.id, "long", [mark(n, 0, 0, (-2, -1, 1, 2)[n % 4]) for n in range(1, 3001)])
    again = import_project(store, export_project(store, film.id))
    with store.reading() as session:
        log = select(Judgement.seq).join(Assignment).join(Item).where(Item.project_id == again)
        assert session.scalars(log.where(Judgement.client == "long").order_by(Judgement.id)).all() == [*range(1, 3001)]


def changed(lines, kind, change):
    """The lines with the last one of a kind changed, and its number."""
    at = max(n for n, line in enumerate(lines) if json.loads(line)["kind"] == kind)
    told = json.loads(lines[at])
    change(told)
    return [*lines[:at], json.dumps(told) + "\n", *lines[at + 1 :]], at + 1


BROKEN = [
    ("item", lambda t: t.update(response=t["response"] + "!"), "the response of item 4 does not fit its hash"),
    ("item", lambda t: t.update(cells=[[0, 4], [3, 5]]), "not in order"),
    ("item", lambda t: t.update(cells=[[0, 400]]), "item 4 covers 0 to 400 of a response of 8"),
    ("item", lambda t: t.update(prompt={"role": "user"}), "prompt of item 4 is neither text nor messages"),
    ("item", lambda t: t.update(external_id="c", deleted_at=None), "has the external_id of another"),
    ("judgement", lambda t: t.update(assignment_id=77), "refers to assignment 77, which no line before it has"),
    ("judgement", lambda t: t.update(end=400), "covers 0 to 400"),
    ("judgement", lambda t: t.update(start=t["start"] + 1), "does not begin and end with cells"),
    ("judgement", lambda t: t.update(end=t["end"] - 1, client="import"), "does not begin and end with cells"),
    ("judgement", lambda t: t.update(op="erase"), "none of mark, undo"),
    ("judgement", lambda t: t.update(seq=True), "seq of judgement 7 is not a whole number"),
    ("judgement", lambda t: t.update(received_at=2**63), "too large"),
    ("judgement", lambda t: t.update(client="x" * 65), "too long"),
    ("judgement", lambda t: t.update(op="undo"), "yet has characters"),
    ("gold", lambda t: t.update(marks=[[0, 1, "good", ""]]), "not [start, end, grade, label]"),
    ("gold", lambda t: t.update(item_id=0), "refers to item 0"),
    ("annotator", lambda t: t.update(admin=True), "unknown 'admin'"),
    ("annotator", lambda t: t.pop("agreement"), "has no agreement"),
    ("annotator", lambda t: t.update(id=1), "annotator 1 is there twice"),
    ("annotator", lambda t: t.update(name="ada"), "has the name of another"),
    ("assignment", lambda t: t.update(state="submitted"), "has no time of it"),
    ("map", lambda t: t["values"].pop(), "one number for each of the"),
    ("map", lambda t: t.update(label="red"), "has the item_id and label of another"),
    ("choice", lambda t: t.update(right_id=t["left_id"]), "not between two maps of its item"),
    ("project", lambda t: t.update(overlap=0), "overlap is below 1"),
    ("project", lambda t: t.update(kind="folder"), "its kind is 'folder'"),
    ("end", lambda t: t.update(lines=3), "lines are missing or were added"),
]


def refusal(store, lines):
    with pytest.raises(RedvizError) as raised:
        import_project(store, lines)
    told = str(raised.value)
    assert "\n" not in told and told.endswith(".")
    return told


def test_a_file_changed_by_hand_is_refused_with_its_line_and_nothing_is_written(store, film):
    lines, before = list(export_project(store, film.id)), counts(store)
    for kind, change, words in BROKEN:
        broken, line = changed(lines, kind, change)
        told = refusal(store, broken)
        assert told.startswith(f"Line {line}: ") and words in told, (kind, words, told)
    assert counts(store) == before
    import_project(store, lines)


def test_a_cut_a_newer_and_a_strange_file_are_refused(store, film):
    lines, before = list(export_project(store, film.id)), counts(store)
    for keep in range(1, len(lines)):
        assert f"ends after line {keep} without its last line" in refusal(store, lines[:keep])
    assert f"Line {len(lines) - 1}: it is no JSON, or was cut" in refusal(store, [*lines[:-2], lines[-2][:-20]])
    without_choice = [*lines[:-2], lines[-1]]
    assert f"Line {len(lines) - 1}: it counts {len(lines)} lines" in refusal(store, without_choice)
    newer, _ = changed(lines, "redviz annotation project", lambda t: t.update(format=2, redviz="9.9"))
    assert "newer redviz (9.9, format 2" in refusal(store, newer) and "upgrade redviz" in refusal(store, newer)
    assert "no exported annotation project" in refusal(store, ['{"prompt": "p", "response": "r"}\n'])
    assert "ends after line 0" in refusal(store, [])
    assert "second project" in refusal(store, [*lines[:2], lines[1].replace('"id": 1', '"id": 2'), *lines[2:]])
    assert "something follows" in refusal(store, [*lines, lines[1]])
    assert "no JSON" in refusal(store, [lines[0], "[" * 100_000])
    assert counts(store) == before


def test_what_only_the_database_refuses_undoes_everything(store, film, monkeypatch):
    broken, _ = changed(list(export_project(store, film.id)), "choice", lambda t: t.update(choice="both"))
    monkeypatch.setattr("redviz.annotation.interchange_checks.ALLOWED", {})
    before = counts(store)
    assert "did not take this" in refusal(store, broken)  # at the very last row
    assert counts(store) == before


def test_flat_rows_say_what_was_submitted_and_csv_runs_no_formula(store, film):
    update_project(store, film.id, name="=cmd()")
    rows = export_rows(store, film.id)
    assert all(tuple(row) == COLUMNS for row in rows)
    ada = [tuple(row.values())[1:] for row in rows if row["annotator"] == "ada"]
    at = "1970-01-01T00:16:40.000+00:00"
    ((person_of_b,),) = [[row["item"] for row in rows if row["annotator"] == "crowd"]]
    assert person_of_b == "a"
    assert [one[-1] for one in ada] == [at] * len(ada) and {one[1] for one in ada} == {"ada"}
    assert {"cem", "bob"} & {row["annotator"] for row in rows} == set()  # open, skipped, deleted
    for row in rows:
        if row["start"] is not None:
            assert row["text"] == labelled(store, film.id, row["item"])[row["start"] : row["end"]]
    read = list(csv.reader(io.StringIO(rows_as_csv(rows), newline="")))
    assert read[0] == list(COLUMNS) and len(read) == len(rows) + 1
    assert {row[0] for row in read[1:]} == {"'=cmd()"}
    assert read[1 + next(n for n, row in enumerate(rows) if row["annotator"] == "crowd")][3:7] == [
        "0",
        "4",
        "'=SUM",
        "0.5",
    ]


def labelled(store, project_id, item):
    return next(one.response for one in labelled_items(store, project_id).items if one.id == item)


def test_a_judgement_without_a_mark_is_one_row(store):
    info = create_project(store, "Films", [LabelledItem("a", "", "Dull."), LabelledItem("b", "", "Fine.")])
    (ada,) = add_annotators(store, info.id, ["ada"])
    submit(store, next_assignment(store, ada.id).assignment.id)
    (row,) = export_rows(store, info.id)
    assert (row["item"], row["annotator"], row["start"], row["text"], row["grade"]) == ("a", "ada", None, None, None)
    assert rows_as_csv([row]).splitlines()[1].startswith("Films,a,ada,,,,,,")
    assert rows_as_csv([]).splitlines() == [",".join(COLUMNS)]


def test_maps_of_the_imported_item_are_those_of_the_file(store, film):
    again = import_project(store, export_project(store, film.id))
    with store.reading() as session:
        item = session.scalar(select(Item.id).where(Item.project_id == again, Item.external_id == "a"))
        (kept,) = session.scalars(select(CreditMap).where(CreditMap.item_id == item, CreditMap.label == "red"))
        assert kept.options == {"beta_c": 0.5} and kept.values[1] == 0.1
