"""Adjudication: the items people are furthest apart about, their judgements side by side, and the label that is settled."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from redviz.annotation.adjudication import (
    Disagreement,
    SideBySide,
    disagreements,
    grades_of_cells,
    settle,
    side_by_side,
)
from redviz.annotation.fold import Event, fold
from redviz.annotation.items import set_gold
from redviz.annotation.map_pairs import preferences
from redviz.annotation.projects import ProjectInfo
from redviz.data.labels import Mark
from redviz.errors import RedvizError
from redviz.view.map_figures import map_html
from redviz.view.markdown import plain
from redviz.view.pad import GRADES, Entry, pad, received
from redviz.view.screens.annotate_state import store
from redviz.view.screens.annotate_task import prompt_part
from redviz.view.screens.dataset_state import kept
from redviz.view.screens.project_state import show_project

MOST = 500  # items to choose from
LEAD = "the lead"
DRAFT = "redviz.project.draft"


def disagreements_part(project: ProjectInfo) -> None:
    """Draw it."""
    if project.task == "maps":
        _choices(project)
        return
    found = [row for row in disagreements(store(), project.id) if row.people]
    if not found:
        st.info("Nobody has submitted a judgement yet; watch Progress, and come back when people have.")
        return
    settled = sum(row.settled for row in found)
    st.caption(
        f"Judged: {len(found):,}. Settled: {settled:,}. The response that people are furthest apart about comes first."
    )
    item_id = st.selectbox("Response", [row.item_id for row in found[:MOST]], format_func=_names(found).__getitem__)
    seen = side_by_side(store(), item_id)
    prompt_part(seen.prompt)
    _people(seen, max(GRADES[project.scale]))
    _settle(project, seen)


def _names(found: Sequence[Disagreement]) -> dict[int, str]:
    return {row.item_id: _name(row) for row in found}


def _name(row: Disagreement) -> str:
    end = ", settled" if row.settled else ""
    people = "1 person" if row.people == 1 else f"{row.people} people"
    return f"{row.item}: {people}, {row.differing} of {row.marked} marked cells differ{end}"


def _people(seen: SideBySide, limit: float) -> None:
    shown = [(name, seen.grades[n]) for n, name in enumerate(seen.marks)]
    for first in range(0, len(shown), 2):
        for column, (name, grades) in zip(st.columns(2, gap="large"), shown[first : first + 2], strict=False):
            column.markdown(f"**{plain(name)}**")
            column.html(map_html(seen.response, seen.cells, grades, limit))
    if seen.gold is not None:
        st.markdown("**Settled**")
        grades = grades_of_cells({"": seen.gold}, seen.cells, "graded")[0]
        st.html(map_html(seen.response, seen.cells, grades, limit))


def _settle(project: ProjectInfo, seen: SideBySide) -> None:
    st.markdown("**Settle a label**")
    by = kept(st.text_input, "Settled by", "project.lead", LEAD, width=240)
    starts = {"What most say": seen.proposed, **{f"As {name}": marks for name, marks in seen.marks.items()}}
    if seen.gold is not None:
        starts = {"As settled": seen.gold, **starts}
    start = st.selectbox("Begin with", list(starts), key=f"redviz.settle.{seen.item_id}", width=240)
    st.caption(
        "Change what should be otherwise, then Submit: the label counts as gold from then on, and the one before it is kept."
    )
    _pad(project, seen, starts[start], f"{seen.item_id}.{start}", by)
    if seen.gold is not None:
        st.button(
            "Ask it of everybody first",
            help="Makes it a gold item; how many are asked, and what agreement is wanted, is under Settings.",
            on_click=_ask_first,
            args=(seen, by),
        )


def _ask_first(seen: SideBySide, by: str) -> None:
    set_gold(store(), seen.item_id, seen.gold or (), by, ask_first=True)


def _pad(project: ProjectInfo, seen: SideBySide, start: Sequence[Mark], name: str, by: str) -> None:
    """The lead's changes are a draft of this session until they are submitted."""
    drafts: dict[str, tuple[list[Entry], dict[str, int]]] = st.session_state.setdefault(DRAFT, {})
    if name not in drafts:
        drafts[name] = ([("mark", *_place(mark, seen), mark.grade) for mark in start if _place(mark, seen)[0] >= 0], {})
    entries, acks = drafts[name]
    key = f"redviz.settle.pad.{name}"

    def take() -> None:
        for batch in received(key):
            for entry in batch.entries:
                if entry["seq"] <= acks.get(batch.name, 0) or batch.assignment != seen.item_id:
                    continue
                acks[batch.name] = entry["seq"]
                if entry["op"] == "submit":
                    _submit(project, seen, entries, by)
                    drafts.pop(name, None)
                elif entry["op"] != "skip":
                    entries.append((entry["op"], entry.get("first"), entry.get("last"), entry.get("grade")))

    pad(
        assignment=seen.item_id,
        person=f"lead.{project.id}.{name}",
        response=seen.response,
        cells=seen.cells,
        entries=entries,
        scale=project.scale,
        acks=acks,
        saved="A draft until you submit",
        key=key,
        on_sent=take,
    )


def _place(mark: Mark, seen: SideBySide) -> tuple[int, int]:
    inside = [n for n, (start, end) in enumerate(seen.cells) if mark.start < end and start < mark.end]
    return (inside[0], inside[-1]) if inside else (-1, -1)


def _submit(project: ProjectInfo, seen: SideBySide, entries: Sequence[Entry], by: str) -> None:
    events = [
        Event(op, seen.cells[first][0], seen.cells[last][1], grade)
        if first is not None and last is not None
        else Event(op)
        for op, first, last, grade in entries
    ]
    try:
        settle(store(), seen.item_id, fold(events), by)
    except RedvizError as error:
        show_project(project.id, plain(error))
        return
    show_project(project.id, f"The label of {plain(seen.item)} is settled.")


def _choices(project: ProjectInfo) -> None:
    made = preferences(store(), project.id)
    if not made:
        st.info("Nobody has chosen between two maps yet.")
        return
    rows = [{"item": one.item, "left": one.label_a, "right": one.label_b, "outcome": one.outcome} for one in made]
    st.caption(f"{len(made):,} choices. The ranking of the methods with its intervals is on the Agreement screen.")
    st.dataframe(pd.DataFrame(rows), hide_index=True)
