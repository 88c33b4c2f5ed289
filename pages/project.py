"""Project: make an annotation project, invite people, watch it, settle what they disagree about, take it away."""

import streamlit as st

from redviz.annotation.projects import list_projects
from redviz.errors import RedvizError
from redviz.view.markdown import plain
from redviz.view.screens.annotate_state import store
from redviz.view.screens.project_disagreements import disagreements_part
from redviz.view.screens.project_export import export_part
from redviz.view.screens.project_new import new_part
from redviz.view.screens.project_people import people_part
from redviz.view.screens.project_progress import progress_part
from redviz.view.screens.project_settings import settings_part
from redviz.view.screens.project_state import NEW, PARTS, chosen_project
from redviz.view.session import remembered, through_app, view, write_link


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


through_app("pages/project.py")
page()
write_link()
