"""Project: make an annotation project, invite people, watch it, settle what they disagree about, take it away."""

from __future__ import annotations

import streamlit as st

from redviz.annotation.projects import list_projects
from redviz.app.annotate.state import store
from redviz.app.project.disagreements import disagreements_part
from redviz.app.project.export import export_part
from redviz.app.project.new import new_part
from redviz.app.project.people import people_part
from redviz.app.project.progress import progress_part
from redviz.app.project.settings import settings_part
from redviz.app.project.state import NEW, PARTS, chosen_project
from redviz.app.session import remembered, view
from redviz.errors import RedvizError
from redviz.view.markdown import plain


def page() -> None:
    """Draw the page."""
    view()
    try:
        chosen = chosen_project(list_projects(store()))
        if chosen is NEW:
            new_part()
            return
        part = remembered("Part of this project", "project.part", PARTS)
        draw = (people_part, progress_part, disagreements_part, settings_part, export_part)[PARTS.index(part)]
        draw(chosen)
    except RedvizError as error:
        st.error(plain(error))
