"""Choosing between two unnamed maps of one response."""

from __future__ import annotations

import streamlit as st

from redviz.annotation.judgements import skip
from redviz.annotation.map_pairs import choose_pair, next_pair
from redviz.annotation.projects import ProjectInfo
from redviz.annotation.queue import Assigned
from redviz.app.annotate.state import PROBLEM, store
from redviz.app.annotate.task import guidelines_part, problem, prompt_part
from redviz.errors import RedvizError
from redviz.view.map_figures import map_html
from redviz.view.markdown import plain
from redviz.view.pad import REASONS

CHOICES = {"left": "The left one", "neither": "Neither", "right": "The right one"}
HOW = "Blue words are said to raise the score of this response, orange ones to lower it; the stronger the colour, the more."


def maps_part(project: ProjectInfo, given: Assigned) -> None:
    """One response with two maps."""
    try:
        pair = next_pair(store(), given.id)
    except RedvizError as error:
        st.error(plain(error))
        _skipping(given)
        return
    text, beside = st.columns([4, 1], gap="large")
    with text:
        problem()
        prompt_part(given.prompt)
        st.markdown(f"**{plain(project.question)}**")
        st.caption(HOW)
        for column, shown in zip(st.columns(2, gap="large"), (pair.left, pair.right), strict=True):
            column.html(map_html(given.response, given.cells, shown.values))
        with st.container(horizontal=True):
            for choice, label in CHOICES.items():
                st.button(
                    label,
                    key=f"redviz.choice.{given.id}.{choice}",
                    on_click=_choose,
                    args=(given.id, pair.left.id, pair.right.id, choice),
                    shortcut={"left": "Left", "neither": "Down", "right": "Right"}[choice],
                )
            _skipping(given)
    with beside:
        guidelines_part(project)


def _skipping(given: Assigned) -> None:
    with st.popover("Skip"):
        for reason in REASONS:
            st.button(reason, key=f"redviz.skip.{given.id}.{reason}", on_click=_skip, args=(given.id, reason))


def _choose(assignment: int, left: int, right: int, choice: str) -> None:
    try:
        choose_pair(store(), assignment, left, right, choice)
    except RedvizError as error:
        st.session_state[PROBLEM] = str(error)


def _skip(assignment: int, reason: str) -> None:
    try:
        skip(store(), assignment, reason)
    except RedvizError as error:
        st.session_state[PROBLEM] = str(error)
