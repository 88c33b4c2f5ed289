"""What a project asks: its question, its guidelines, how many people judge each item; closing it."""

from __future__ import annotations

import streamlit as st

from redviz.annotation.projects import (
    ProjectInfo,
    close_project,
    delete_project,
    reopen_project,
    set_guidelines,
    update_project,
)
from redviz.app.annotate.state import store
from redviz.app.project.state import reveal_choice, show_project, told
from redviz.view.markdown import plain


def settings_part(project: ProjectInfo) -> None:
    """Draw it."""
    st.caption(plain(project.source))
    with st.form(f"redviz.project.settings.{project.id}"):
        name = st.text_input("Name", value=project.name)
        question = st.text_input("Question", value=project.question)
        overlap, asked, wanted = st.columns(3)
        overlap_now = overlap.number_input("People per item", 1, 100, project.overlap)
        asked_now = asked.number_input(
            "Gold items asked first",
            0,
            1000,
            project.qualification_items,
            help="Settle items as gold under Disagreements.",
        )
        wanted_now = wanted.number_input(
            "Token F1 with gold that is wanted", 0.0, 1.0, project.qualification_agreement, 0.05
        )
        reveal = reveal_choice(project.reveal_method)
        guidelines = st.text_area(
            f"Guidelines (Markdown), version {project.guidelines_version}",
            value=project.guidelines,
            height=240,
            help="A change makes a new version; every judgement remembers the one that it was made under.",
        )
        if st.form_submit_button("Save", type="primary"):
            update_project(
                store(),
                project.id,
                name=name,
                question=question,
                overlap=int(overlap_now),
                qualification_items=int(asked_now),
                qualification_agreement=float(wanted_now),
                reveal_method=reveal,
            )
            if guidelines != project.guidelines:
                set_guidelines(store(), project.id, guidelines)
            show_project(project.id, "Saved.")
            st.rerun()
    with st.container(horizontal=True):
        if project.state == "open":
            st.button(
                "Close the project",
                help="Nobody is asked anything more; it can be opened again.",
                on_click=told,
                args=(close_project, store(), project.id),
            )
        else:
            st.button("Open it again", on_click=told, args=(reopen_project, store(), project.id))
        with st.popover("Delete"):
            st.write(
                "It disappears from every list and its links stop working. Export it first: it cannot be brought back here."
            )
            st.button("Delete the project", on_click=told, args=(_delete, project.id))


def _delete(project_id: int) -> None:
    delete_project(store(), project_id)
    show_project(0, "The project is deleted.")
