"""Inspect: one response, its strips, its curves, and whether to believe them."""

from __future__ import annotations

import streamlit as st

from redviz.app.inspect.head import headline, missing_credits
from redviz.app.inspect.workspace import workspace
from redviz.app.parts.methods_bar import methods_bar
from redviz.app.parts.picker import picker
from redviz.app.parts.waiting import wait_for
from redviz.app.session import (
    NOTICE,
    allowed,
    asked,
    confirm_partners,
    confirmed,
    engine,
    example_of,
    partners_of,
    remember,
    spec_of,
    view,
)
from redviz.credit.recipes import stride_of
from redviz.errors import RedvizError
from redviz.view.markdown import plain


def page() -> None:
    """Draw the page; every early end is a return, so that the sidebar still follows."""
    state = view()
    if problem := st.session_state.get(NOTICE, ""):
        st.warning(plain(problem))
    try:
        picker()
        example = example_of(view())
    except RedvizError as error:
        st.error(plain(error))
        return
    spec, wanted = spec_of(state), state.recipes
    if not allowed(spec.name):
        st.error(f"This server does not offer {plain(spec.name)}; choose a model at the left.")
        return
    if not confirmed(spec.name):
        return
    partners = partners_of(state)
    analysis, missing, refused = engine().cached(spec, example, wanted, partners)
    if analysis is None:
        stride = stride_of(wanted.values()) or 1
        key = ("observe", spec, repr(example), stride)
        wait_for([(key, asked(key, lambda: engine().observe(spec, example, stride)))])
        return
    remember(example, spec, analysis.score)
    headline(analysis)
    methods_bar(engine().state(spec))
    confirm_partners(wanted)
    missing_credits(spec, example, missing, refused, partners)
    workspace(analysis, spec, wanted)
