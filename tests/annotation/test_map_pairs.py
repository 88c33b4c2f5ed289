"""Maps on cells and pairs of them: sums stay, a reload shows the same pair, all pairs are asked equally often."""

import itertools
from collections import Counter

import numpy as np
import pytest
from close import summed
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

import redviz
from redviz.annotation.cells import cells_of
from redviz.annotation.interchange import export_project, import_project
from redviz.annotation.judgements import get_assignment, skip
from redviz.annotation.map_pairs import (
    add_maps,
    cells_values,
    choose_pair,
    next_pair,
    preferences,
    provenance_of,
    shared,
)
from redviz.annotation.people import add_annotators, delete_annotator, set_annotator_state
from redviz.annotation.projects import close_project, create_project
from redviz.annotation.queue import LEASE, next_assignment
from redviz.annotation.tables import Assignment, Choice, CreditMap, Item
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.evaluation.statistics.bradley_terry import bradley_terry
from redviz.records import Example

LABELS = ("red", "abc", "uniform", "sparse")


@st.composite
def tokens_and_cells(draw):
    """Cells with gaps between them, and tokens that cover the text in order, some twice, some of no characters."""
    widths = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=12))
    cells, at = [], 0
    for gap, width in widths:
        cells.append((at + gap, at + gap + width))
        at += gap + width
    cuts = sorted(draw(st.lists(st.integers(0, at + 3), min_size=2, max_size=20)))
    offsets = list(itertools.pairwise(cuts))
    offsets += [offsets[-1]] * draw(st.integers(0, 3))
    values = draw(st.lists(st.floats(-100, 100), min_size=len(offsets), max_size=len(offsets)))
    return np.array(values), offsets, cells


@given(tokens_and_cells())
def test_no_credit_is_lost_and_each_cell_takes_its_characters_share(drawn):
    values, offsets, cells = drawn
    found = shared(values, offsets, cells)
    assert found.sum() == pytest.approx(values.sum(), abs=1e-9)
    wanted = np.zeros(len(cells))
    for value, (start, end) in zip(values, offsets, strict=True):
        owners = [n for at in range(start, end) for n, (a, b) in enumerate(cells) if a <= at < b]
        for n in owners or [max([n for n, (a, _) in enumerate(cells) if a <= start], default=0)]:
            wanted[n] += value / max(len(owners), 1)
    assert found == pytest.approx(wanted, abs=1e-9)


def test_credits_of_a_real_model_on_words(sentiment):
    response = "Superb — if, at times, 👩‍👩‍👧 slow…\n\n"
    analysis = redviz.analyze(sentiment, "How was it?", response, methods=["red", "sparse", "uniform"])
    cells = cells_of(response)
    for label, credit in analysis.credits.items():
        found = cells_values(analysis, label, cells)
        assert found.shape == (len(cells),)
        assert found.sum() == pytest.approx(credit.own.sum(), abs=summed(credit.own))
    first = [t for t, (start, _) in enumerate(analysis.offsets) if start <= len("Superb")]  # the blank after it, too
    red = analysis.credits["red"].own
    assert cells_values(analysis, "red", cells)[0] == pytest.approx(red[first].sum(), abs=summed(red))
    assert provenance_of(analysis)["fingerprint"] == analysis.source.fingerprint
    with pytest.raises(RedvizError, match="no credits 'ig'; it has red, sparse, uniform"):
        cells_values(analysis, "ig", cells)
    with pytest.raises(RedvizError, match="visible characters and a finite credit"):
        shared(np.array([np.nan]), [(0, 1)], [(0, 1)])


@pytest.fixture
def compared(store):
    """Twelve responses with four maps each, every one asked three times."""
    responses = [f"Number {n} is fine." for n in range(12)]
    info = create_project(store, "Maps", [Example("", one) for one in responses], task="maps", overlap=3)
    with store.reading() as session:
        items = session.scalars(select(Item.id).where(Item.project_id == info.id)).all()
    for item in items:
        add_maps(store, item, {label: [0.5] * 5 for label in LABELS}, recipes(LABELS), {"model": "m"})
    return info


def work(store, person, times, choice="left"):
    """Answer so often, and what was asked: the labels left and right."""
    asked = []
    for _ in range(times):
        held = next_assignment(store, person.id).assignment
        pair = next_pair(store, held.id)
        choose_pair(store, held.id, pair.left.id, pair.right.id, choice)
        asked.append((held.item_id, pair.left.label, pair.right.label))
    return asked


def test_every_pair_is_asked_equally_often_overall_and_an_item_is_asked_about_different_ones(store, compared):
    people = add_annotators(store, compared.id, ["ada", "bob", "cem"])
    asked = [one for person in people for one in work(store, person, 12)]
    pairs = Counter(frozenset(labels) for _, *labels in asked)
    assert pairs == dict.fromkeys(map(frozenset, itertools.combinations(LABELS, 2)), 6)  # 36 questions, 6 pairs
    of_items = {item: {frozenset(labels) for one, *labels in asked if one == item} for item, *_ in asked}
    assert len(of_items) == 12 and all(len(found) >= 2 for found in of_items.values())
    assert sum(map(len, of_items.values())) >= 33  # of 36 at most
    sides = Counter(left for _, left, _ in asked)
    assert all(4 <= sides[label] <= 14 for label in LABELS)  # of 18 showings each


def test_a_reload_shows_the_same_whatever_others_do_meanwhile(store, compared):
    ada, bob = add_annotators(store, compared.id, ["ada", "bob"])
    work(store, ada, 2)
    held = next_assignment(store, ada.id).assignment
    shown = next_pair(store, held.id)
    assert shown.choice is None and shown.left.label != shown.right.label
    work(store, bob, 5)
    assert [next_pair(store, held.id) for _ in range(8)] == [shown] * 8
    choose_pair(store, held.id, shown.left.id, shown.right.id, "neither")
    work(store, bob, 2)
    after = next_pair(store, held.id)
    assert (after.left, after.right, after.choice) == (shown.left, shown.right, "neither")


def test_an_answer_is_written_once_submits_and_stands(store, compared):
    (ada,) = add_annotators(store, compared.id, ["ada"])
    held = next_assignment(store, ada.id, now=1000).assignment
    pair = next_pair(store, held.id)
    for later in (5000, 9000):
        choose_pair(store, held.id, pair.left.id, pair.right.id, "right", now=later)
    with store.reading() as session:
        (made,) = session.scalars(select(Choice)).all()
    assert (made.choice, made.chosen_at) == ("right", 5000)
    assert get_assignment(store, held.id).state == "submitted"
    with pytest.raises(RedvizError, match="is submitted; it cannot be changed"):
        choose_pair(store, held.id, pair.left.id, pair.right.id, "left")
    assert next_assignment(store, ada.id).assignment.id != held.id


def test_what_cannot_be_chosen(store, compared):
    ada, bob, cem, dan = add_annotators(store, compared.id, ["ada", "bob", "cem", "dan"])
    held = next_assignment(store, ada.id, now=1000).assignment
    pair = next_pair(store, held.id)
    with store.reading() as session:
        other = session.scalars(select(CreditMap.id).where(CreditMap.item_id != held.item_id)).first()
    for left, right in ((pair.left.id, pair.left.id), (pair.left.id, other), (0, pair.right.id)):
        with pytest.raises(RedvizError, match="not two maps of this item"):
            choose_pair(store, held.id, left, right, "left", now=2000)
    with pytest.raises(RedvizError, match="Unknown choice 'both'"):
        choose_pair(store, held.id, pair.left.id, pair.right.id, "both")
    for person in (bob, cem, dan):  # ada's lease has lapsed, and three others have judged her item
        late = next_assignment(store, person.id, now=LEASE + 2000).assignment
        assert late.item_id == held.item_id
        theirs = next_pair(store, late.id)
        choose_pair(store, late.id, theirs.left.id, theirs.right.id, "left", now=LEASE + 3000)
    with pytest.raises(RedvizError, match="Others have judged this item"):
        choose_pair(store, held.id, pair.left.id, pair.right.id, "left", now=LEASE + 4000)
    mine = next_assignment(store, ada.id, now=LEASE + 5000).assignment
    pair = next_pair(store, mine.id)
    set_annotator_state(store, ada.id, "paused")
    with pytest.raises(RedvizError, match="You are paused.*nothing is handed in"):
        choose_pair(store, mine.id, pair.left.id, pair.right.id, "left", now=LEASE + 6000)
    set_annotator_state(store, ada.id, "active")
    close_project(store, compared.id)
    with pytest.raises(RedvizError, match="project is closed"):
        choose_pair(store, mine.id, pair.left.id, pair.right.id, "left", now=LEASE + 6000)
    assert len(preferences(store, compared.id)) == 3


def test_preferences_are_of_those_who_are_there_and_rank_the_methods(store, compared):
    ada, bob = add_annotators(store, compared.id, ["ada", "bob"])
    for _ in range(12):
        held = next_assignment(store, ada.id).assignment
        pair = next_pair(store, held.id)
        better = min(("left", "right"), key=lambda side: LABELS.index(getattr(pair, side).label))
        choose_pair(store, held.id, pair.left.id, pair.right.id, better)
    work(store, bob, 3, "neither")
    held = next_assignment(store, bob.id).assignment
    skip(store, held.id, "cannot tell")
    found = preferences(store, compared.id)
    assert Counter(one.outcome == 0.5 for one in found) == {False: 12, True: 3}
    for one in found:
        if one.outcome != 0.5:
            assert (LABELS.index(one.label_a) < LABELS.index(one.label_b)) == (one.outcome == 1.0)
    delete_annotator(store, bob.id)
    found = preferences(store, compared.id)
    assert len(found) == 12 and len({one.item for one in found}) == 12
    assert [m.label for m in bradley_terry(found, draws=10).methods] == list(LABELS)
    again = import_project(store, export_project(store, compared.id))
    assert preferences(store, again) == found


def test_an_item_without_two_maps_and_a_project_of_spans_ask_nothing(store, project):
    info = create_project(store, "Maps", [Example("", "One."), Example("", "Two.")], task="maps")
    (ada,) = add_annotators(store, info.id, ["ada"])
    with store.writing() as session:  # as it was given out once: the queue passes it over
        item = session.scalar(select(Item).where(Item.project_id == info.id))
        at = {"leased_until": 0, "opened_at": 0, "guidelines_version": 0, "skip_reason": ""}
        held = Assignment(item_id=item.id, annotator_id=ada.id, state="open", **at)
        session.add(held)
    with pytest.raises(RedvizError, match="fewer than two maps"):
        next_pair(store, held.id)
    (bob,) = add_annotators(store, project.id, ["bob"])
    spans = next_assignment(store, bob.id).assignment
    with pytest.raises(RedvizError, match="asks for marked words"):
        next_pair(store, spans.id)
    with pytest.raises(RedvizError, match="asks for marked words"):
        choose_pair(store, spans.id, 1, 2, "left")
    with pytest.raises(RedvizError, match="no assignment 999"):
        next_pair(store, 999)
    with pytest.raises(RedvizError, match="'red' has no recipe"):
        add_maps(store, held.item_id, {"red": [1.0, 2.0]}, {}, {})


def test_maps_keep_how_they_were_made_and_the_same_again_changes_nothing(store, compared):
    with store.reading() as session:
        item = session.scalars(select(Item.id).where(Item.project_id == compared.id)).first()
    given = recipes({"red half": {"method": "red", "beta_c": 0.5}})
    for _ in range(2):
        (kept,) = add_maps(store, item, {"red half": np.arange(5) / 3}, given, {"model": "m"})
    assert (kept.method, kept.options["beta_c"], kept.values[1]) == ("red", 0.5, 1 / 3)
    with store.reading() as session:
        of_item = select(CreditMap.label).where(CreditMap.item_id == item).order_by(CreditMap.id)
        assert session.scalars(of_item).all() == [*LABELS, "red half"]
