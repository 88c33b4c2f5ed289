"""Compare: responses to one prompt side by side, or one response under two models."""

from __future__ import annotations

import streamlit as st

from redviz.app.compare.models import models_part
from redviz.app.compare.pick import pool, to_paste
from redviz.app.compare.responses import responses_part
from redviz.app.session import NOTICE, allowed, confirmed, engine, remembered, spec_of, view
from redviz.errors import RedvizError
from redviz.view.markdown import plain

MODES = ("Responses", "Two models")


def page() -> None:
    """Draw the page; every early end is a return, so that the sidebar still follows."""
    if problem := st.session_state.get(NOTICE, ""):
        st.warning(plain(problem))
    mode = remembered("Compare", "compare.mode", MODES)
    try:
        found = pool()
        spec, wanted = spec_of(view()), view().recipes
        if not found:
            st.info("Write a prompt and two to six responses above, then press Compare them.")
        elif mode == MODES[0] and len(found) == 1:
            st.info("This is the only response to its prompt here; paste another to compare it with.")
            st.button("Paste another response", on_click=to_paste, type="primary")
        elif not allowed(spec.name):
            st.error(f"This server does not offer {plain(spec.name)}; choose a model at the left.")
        elif confirmed(spec.name):
            (responses_part if mode == MODES[0] else models_part)(found, spec, wanted, engine())
    except RedvizError as error:
        st.error(plain(error))
