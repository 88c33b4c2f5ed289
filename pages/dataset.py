"""Data set: open one, score it, read what the scores say about the model; the runs that do it."""

import streamlit as st

from redviz.errors import RedvizError
from redviz.view.markdown import plain
from redviz.view.screens.dataset_open import open_part
from redviz.view.screens.dataset_results import results_part
from redviz.view.screens.dataset_state import PARTS, chosen_part
from redviz.view.screens.runs_list import runs_part
from redviz.view.session import NOTICE, through_app, view, write_link


def page() -> None:
    """Draw the page."""
    view()
    if problem := st.session_state.get(NOTICE, ""):
        st.warning(plain(problem))
    draw = dict(zip(PARTS, (open_part, results_part, runs_part), strict=True))[chosen_part()]
    try:
        draw()
    except RedvizError as error:
        st.error(plain(error))


through_app("pages/dataset.py")
page()
write_link()
