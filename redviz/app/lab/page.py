"""Lab: a policy learns under each token reward; its curves while it does, and what it wrote before and after."""

from __future__ import annotations

import streamlit as st

from redviz.app.lab.curves import curves_part
from redviz.app.lab.form import form_part
from redviz.app.lab.list import list_part
from redviz.app.lab.state import PARTS, chosen_part
from redviz.app.session import NOTICE, view
from redviz.errors import RedvizError
from redviz.view.markdown import plain


def page() -> None:
    """Draw the page."""
    view()
    if problem := st.session_state.get(NOTICE, ""):
        st.warning(plain(problem))
    draw = dict(zip(PARTS, (form_part, curves_part, list_part), strict=True))[chosen_part()]
    try:
        draw()
    except RedvizError as error:
        st.error(plain(error))
