"""Learn: how one reward at the end becomes a signal for every token, in scenes with the real model."""

from __future__ import annotations

import streamlit as st

from redviz.app.learn.bar import scenes_bar
from redviz.app.learn.scene import scene_part
from redviz.app.learn.state import read_link, wrong
from redviz.app.session import view
from redviz.view.markdown import plain


def page() -> None:
    """Draw the page."""
    view()
    read_link()
    if said := wrong():
        st.warning(plain(said))
    scenes_bar()
    scene_part()
