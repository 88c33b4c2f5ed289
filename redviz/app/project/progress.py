"""How far a project is: items done, time per item, what each person did and how far they agree."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from redviz.annotation.cells import cells_of
from redviz.annotation.labels import labelled_items
from redviz.annotation.progress import Progress, progress
from redviz.annotation.projects import ProjectInfo
from redviz.app.annotate.state import store
from redviz.app.parts.kept import once
from redviz.errors import RedvizError
from redviz.evaluation.agreement.people import PeopleReport, among_people
from redviz.view.markdown import plain


def progress_part(project: ProjectInfo) -> None:
    """Draw it."""
    state = progress(store(), project.id)
    _figures(state)
    if not state.by_annotator:
        st.info("Nobody has been invited yet; add people under People.")
        return
    report = _agreement(project, state) if project.task == "spans" else None
    st.markdown("**People**")
    st.dataframe(_people(state, report), hide_index=True, width="stretch")
    if report is not None:
        st.caption(plain(report.sentence))
    if state.skipped:
        with st.expander(f"{len(state.skipped)} skipped"):
            rows = [{"item": s.item, "annotator": s.annotator, "reason": s.reason} for s in state.skipped]
            st.dataframe(pd.DataFrame(rows), hide_index=True)
    st.button("Look again", icon=":material/refresh:")


def _figures(state: Progress) -> None:
    done, submitted, held, time = st.columns(4)
    done.metric("Items done", f"{state.done:,} of {state.items:,}", help=f"Judged by {state.overlap} people.")
    submitted.metric(
        "Judgements", f"{state.submitted:,}", help="Submitted, imported ones and those of gold items included."
    )
    held.metric(
        "Being judged now", f"{state.open_leases:,}", help="A response is kept for a person for 30 idle minutes."
    )
    time.metric(
        "Median time",
        _seconds(state.median_seconds),
        help="Of work on one response; pauses of five minutes and more do not count.",
    )
    if state.items:
        st.progress(state.done / state.items)


def _seconds(given: float | None) -> str:
    return "none yet" if given is None else f"{given:.0f} s" if given < 100 else f"{given / 60:.1f} min"


def _agreement(project: ProjectInfo, found: Progress) -> PeopleReport | None:
    """Computed anew only where somebody submitted something since."""
    if sum(person.submitted > 0 for person in found.by_annotator) < 2:
        st.caption("Agreement is shown once two people have judged the same responses.")
        return None
    given = tuple((person.id, person.submitted) for person in found.by_annotator)
    try:
        report: PeopleReport = once("project.agreement", (project.id, given), lambda: _report(project))
    except RedvizError as error:
        st.caption(plain(error))
        return None
    return report


def _report(project: ProjectInfo) -> PeopleReport:
    """Over the project's own cells: words of the screen, or characters."""
    items = labelled_items(store(), project.id).items
    return among_people(items, spans=lambda item: cells_of(item.response, project.unit))


def _people(found: Progress, report: PeopleReport | None) -> pd.DataFrame:
    theirs = {} if report is None else {row.name: row for row in report.people}
    rows = []
    for person in found.by_annotator:
        row = {
            "name": person.name,
            "state": person.state,
            "judged": person.submitted,
            "skipped": person.skipped,
            "in hand": person.open,
            "median time": _seconds(person.median_seconds) if person.median_seconds is not None else "",
            "F1 with gold": person.agreement,
        }
        if person.name in theirs:
            alpha, without = theirs[person.name].alpha, theirs[person.name].alpha_without
            row |= {
                "alpha": round(alpha.value, 3),
                "alpha of the rest": round(without.value, 3),
                "share marked": round(theirs[person.name].marked_share, 3),
            }
        rows.append(row)
    return pd.DataFrame(rows).dropna(axis="columns", how="all")
