"""Learn: how one reward at the end becomes a signal for every token, in scenes with the real model."""

import streamlit as st

from redviz.view.markdown import plain
from redviz.view.screens.learn_scene import scene_part
from redviz.view.screens.learn_scenes import scenes_bar
from redviz.view.screens.learn_state import read_link, wrong
from redviz.view.session import through_app, view

through_app("pages/learn.py")
view()
read_link()
if said := wrong():
    st.warning(plain(said))
scenes_bar()
scene_part()
