"""Data set: open one, score it, read what the scores say about the model; the runs that do it."""

from __future__ import annotations

import streamlit as st

from redviz.app.dataset.open import open_part
from redviz.app.dataset.results import results_part
from redviz.app.dataset.state import PARTS, chosen_part
from redviz.app.runs.list import runs_part
from redviz.app.session import NOTICE, view
from redviz.errors import RedvizError
from redviz.view.markdown import plain


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
