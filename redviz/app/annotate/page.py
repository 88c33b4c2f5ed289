"""Annotate: one response at a time, for whoever holds a personal link."""

from __future__ import annotations

import streamlit as st

from redviz.annotation.people import annotator_of
from redviz.annotation.progress import judged_by
from redviz.annotation.projects import get_project
from redviz.annotation.queue import next_assignment
from redviz.app.access import code
from redviz.app.annotate.maps import maps_part
from redviz.app.annotate.state import ENDED, SUBMITTED, store
from redviz.app.annotate.task import problem, revealed_part, spans_part
from redviz.errors import RedvizError
from redviz.view.markdown import plain


def page() -> None:
    """Draw the page."""
    if not code():
        st.header("Annotate")
        st.write("Annotators come here by a personal link. Make a project, and find its links, on the Project screen.")
        st.page_link("pages/project.py", label="Open the Project screen", icon=":material/group:")
        return
    try:
        person = annotator_of(store(), code())
        project = get_project(store(), person.project_id)
        st.subheader(plain(project.name), anchor=False)
        st.caption(plain(f"{person.name}, {judged_by(store(), person.id)} handed in so far"))
        ended = st.session_state.get(ENDED)
        if ended is not None and st.session_state.get(SUBMITTED) and project.reveal_method and project.task == "spans":
            problem()
            revealed_part(project, ended)
            return
        st.session_state.pop(ENDED, None)
        offer = next_assignment(store(), person.id)
        if offer.assignment is None:
            problem()
            (st.success if offer.why == "done" else st.info)(plain(offer.reason))
            st.button("Look again", icon=":material/refresh:")
        elif project.task == "maps":
            maps_part(project, offer.assignment)
        else:
            spans_part(project, person, offer.assignment)
    except RedvizError as error:
        st.error(plain(error))
