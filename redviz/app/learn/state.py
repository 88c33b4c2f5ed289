"""Which scene a session looks at and how its knobs stand: kept in the session, read from and written into the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from redviz.app.learn.scenes.scene import Scene, Value, query_of, values_of
from redviz.app.learn.scenes.table import SCENES
from redviz.app.session import update
from redviz.app.state import DEFAULT, ViewState

SCENE, VALUES, FOLLOWED, WRONG = "redviz.scene", "redviz.scene.values", "redviz.scene.followed", "redviz.scene.wrong"
PRESENT = "redviz.scene.presenting"


def read_link() -> None:
    """Follow the address bar where a session begins (a link) and where the browser's back or forward button was pressed.

    At every other run the browser may send an address that it is about to change: while a job is polled for, a request can leave
    before the address written last has reached it. Whoever follows that one undoes what was done in between.
    """
    query = st.query_params.to_dict()
    asked, context = query.get("scene"), get_script_run_ctx()
    turned_back = context is not None and context.is_history_navigation
    if asked is None or not (turned_back or FOLLOWED not in st.session_state):
        return
    st.session_state[FOLLOWED] = True
    st.session_state[PRESENT] = query.get("present") == "1"
    if asked not in SCENES:
        st.session_state[WRONG] = f"There is no scene {asked!r}; choose one of the list."
        return
    values, problem = values_of(SCENES[asked], query)
    st.session_state[SCENE] = asked
    st.session_state[WRONG] = problem
    _all_values()[asked] = values


def chosen() -> Scene:
    """The scene to show; the first one at first."""
    return SCENES[st.session_state.setdefault(SCENE, next(iter(SCENES)))]


def choose(scene: str) -> None:
    """Go to another scene."""
    st.session_state[SCENE] = scene
    st.session_state[WRONG] = ""


def values(scene: Scene) -> dict[str, Value]:
    """How its knobs stand."""
    return _all_values().setdefault(scene.id, scene.defaults)


def move(scene: Scene, knob: str, value: Value) -> None:
    """Set a knob."""
    values(scene)[knob] = value
    st.session_state[WRONG] = ""


def presenting() -> bool:
    """Whether everything is large, for a room."""
    large: bool = st.session_state.get(PRESENT, False)
    return large


def present(large: bool) -> None:
    """Make everything large, or as it was."""
    st.session_state[PRESENT] = large


def link_of(scene: Scene) -> dict[str, str]:
    """What the link to the scene holds: its knobs as they stand, and whether it is shown large."""
    return query_of(scene, values(scene)) | ({"present": "1"} if presenting() else {})


def wrong() -> str:
    """What is wrong with the link that was followed last."""
    said: str = st.session_state.get(WRONG, "")
    return said


def write_scene(scene: Scene) -> None:
    """Put the scene and its knobs into the address bar."""
    query = link_of(scene)
    st.session_state[FOLLOWED] = True
    if st.query_params.to_dict() != query:
        st.query_params.from_dict(query)


def inspect_view(scene: Scene, more: Mapping[str, Any]) -> ViewState:
    """The view of Inspect that shows what the scene shows; what the scene says nothing of is at its default."""
    asked = {**scene.inspect, **more}
    own = {} if asked.get("response") else {"example": asked.get("example") or DEFAULT.example}
    made = replace(DEFAULT, **{"example": "", **asked, **own})
    return made if made.rewards in made.methods else replace(made, rewards=next(iter(made.methods)))


def open_in_inspect(scene: Scene, more: Mapping[str, Any]) -> None:
    """Look at it there."""
    update(**vars(inspect_view(scene, more)))


def _all_values() -> dict[str, dict[str, Value]]:
    kept: dict[str, dict[str, Value]] = st.session_state.setdefault(VALUES, {})
    return kept
