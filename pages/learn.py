"""Learn: how one reward at the end becomes a signal for every token, in scenes with the real model."""

import streamlit as st

from redviz.app.learn.scene import scene_part
from redviz.app.learn.scenes import scenes_bar
from redviz.app.learn.state import read_link, wrong
from redviz.app.session import through_app, view
from redviz.view.markdown import plain

through_app("pages/learn.py")
view()
read_link()
if said := wrong():
    st.warning(plain(said))
scenes_bar()
scene_part()
