"""Adjudication: the items people are furthest apart about, their judgements side by side, and the label that is settled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

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
from redviz.app.annotate.state import store
from redviz.app.annotate.task import prompt_part
from redviz.app.parts.kept import kept
from redviz.app.project.state import show_project, told, warn
from redviz.data.labels.labels import Mark
from redviz.errors import RedvizError
from redviz.view.map_figures import map_html
from redviz.view.markdown import plain
from redviz.view.pad import GRADES, Entry, pad, received

MOST = 500  # items to choose from
LEAD = "the lead"
DRAFTS, DRAFT_ACKS, SUBMITTED = "redviz.settle.drafts", "redviz.settle.acks", "redviz.settle.submitted"
Draft = tuple[Entry, Event]  # what the pad shows, and what it means in characters


def disagreements_part(project: ProjectInfo) -> None:
    """Draw it."""
    if project.task == "maps":
        _choices(project)
        return
    rows = [row for row in disagreements(store(), project.id) if row.people]
    if not rows:
        st.info("Nobody has submitted a judgement yet; watch Progress, and come back when people have.")
        return
    settled = sum(row.settled for row in rows)
    st.caption(
        f"Judged: {len(rows):,}. Settled: {settled:,}. The response that people are furthest apart about comes first."
    )
    if len(rows) > MOST:
        st.caption(f"The first {MOST} are listed.")
    item_id = st.selectbox("Response", [row.item_id for row in rows[:MOST]], format_func=_names(rows).__getitem__)
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
            "Ask it of new annotators first",
            help="Makes it a gold item; how many are asked, and what agreement is wanted, is under Settings.",
            on_click=told,
            args=(set_gold, store(), seen.item_id, seen.gold, by, True),
        )


def _pad(project: ProjectInfo, seen: SideBySide, start: Sequence[Mark], name: str, by: str) -> None:
    """The lead's changes are a draft of this session until they are submitted; the next draft is a new pad."""
    drafts: dict[str, list[Draft]] = st.session_state.setdefault(DRAFTS, {})
    acks: dict[str, int] = st.session_state.setdefault(DRAFT_ACKS, {})
    times: dict[str, int] = st.session_state.setdefault(SUBMITTED, {})
    name = f"{project.id}.{name}.{times.get(name, 0)}"
    draft = drafts.setdefault(name, [made for mark in start if (made := _of_mark(mark, seen)) is not None])
    key = f"redviz.settle.pad.{name}"

    def take() -> None:
        for batch in received(key):
            for entry in batch.entries:
                if entry["seq"] != acks.get(batch.name, 0) + 1 or batch.assignment != seen.item_id:
                    continue
                acks[batch.name] = entry["seq"]
                if entry["op"] == "submit":
                    if _submit(project, seen, draft, by):
                        base = name.partition(".")[2].rpartition(".")[0]
                        times[base] = times.get(base, 0) + 1
                elif made := _of_entry(entry, seen):
                    draft.append(made)

    pad(
        assignment=seen.item_id,
        person=f"lead.{name}",
        response=seen.response,
        cells=seen.cells,
        entries=[entry for entry, _ in draft],
        scale=project.scale,
        acks=acks,
        saved="A draft until you submit",
        keep=False,
        skippable=False,
        key=key,
        on_sent=take,
    )


def _of_mark(mark: Mark, seen: SideBySide) -> Draft | None:
    """A mark as it stands: its own characters and its kind, shown on the cells that it touches."""
    inside = [n for n, (start, end) in enumerate(seen.cells) if mark.start < end and start < mark.end]
    if not inside:
        return None
    return ("mark", inside[0], inside[-1], mark.grade), Event("mark", mark.start, mark.end, mark.grade, mark.label)


def _of_entry(entry: Mapping[str, Any], seen: SideBySide) -> Draft | None:
    """What the lead did on the pad; None for what cannot be."""
    if entry["op"] == "undo":
        return ("undo", None, None, None), Event("undo")
    first, last, grade = entry.get("first"), entry.get("last"), entry.get("grade")
    if not (isinstance(first, int) and isinstance(last, int) and 0 <= first <= last < len(seen.cells)):
        return None
    return ("mark", first, last, grade), Event("mark", seen.cells[first][0], seen.cells[last][1], grade)


def _submit(project: ProjectInfo, seen: SideBySide, draft: Sequence[Draft], by: str) -> bool:
    try:
        settle(store(), seen.item_id, fold(event for _, event in draft), by)
    except RedvizError as error:
        warn(str(error))
        return False
    show_project(project.id, f"The label of {plain(seen.item)} is settled.")
    return True


def _choices(project: ProjectInfo) -> None:
    made = preferences(store(), project.id)
    if not made:
        st.info("Nobody has chosen between two maps yet.")
        return
    rows = [{"item": one.item, "left": one.label_a, "right": one.label_b, "outcome": one.outcome} for one in made]
    st.caption(f"{len(made):,} choices. The ranking of the methods with its intervals is on the Agreement screen.")
    st.dataframe(pd.DataFrame(rows), hide_index=True)
