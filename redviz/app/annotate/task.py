"""Marking spans: the response as a pad, its prompt above it and the guidelines beside it."""

from __future__ import annotations

import re

import streamlit as st

from redviz.annotation.adjudication import grades_of_cells
from redviz.annotation.inbox import log_of
from redviz.annotation.judgements import get_assignment, marks_of, reveal
from redviz.annotation.people import AnnotatorInfo
from redviz.annotation.projects import ProjectInfo
from redviz.annotation.queue import Assigned
from redviz.app.annotate.state import ENDED, PROBLEM, acks, store, take
from redviz.errors import RedvizError
from redviz.messages import shown_text
from redviz.records import Prompt
from redviz.view.map_figures import map_html
from redviz.view.markdown import plain
from redviz.view.pad import GRADES, pad

PAD = "redviz.pad"
PICTURE = re.compile(r"!\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])?")
LONG_PROMPT = 600  # characters beyond which it can be folded
HOW = """\
**Keys** ← → ↑ ↓ move · Shift with an arrow selects · number keys grade the selection · ⌫ clears · U undoes · S skips ·
Ctrl ↵ submits. **Mouse** drag over words, then press a grade. What you leave unmarked counts as neutral once you submit.
"""


def spans_part(project: ProjectInfo, person: AnnotatorInfo, given: Assigned) -> None:
    """One response to mark."""
    text, beside = st.columns([3, 1], gap="large")
    with text:
        prompt_part(given.prompt)
        st.markdown(f"**{plain(project.question)}**")
        _pad(project, person, given)
        st.caption(HOW)
    with beside:
        guidelines_part(project)


@st.fragment
def _pad(project: ProjectInfo, person: AnnotatorInfo, given: Assigned) -> None:
    key = f"{PAD}.{given.id}"
    if st.session_state.get(ENDED) == given.id:
        st.rerun(scope="app")
    problem()
    pad(
        assignment=given.id,
        person=f"{project.created_at}.{person.id}",  # the same after a new link, another on another server
        response=given.response,
        cells=given.cells,
        entries=log_of(store(), given.id),
        scale=project.scale,
        acks=acks(),
        key=key,
        on_sent=lambda: take(key, person),
    )


def problem() -> None:
    """What went wrong with what was sent last, until something goes right."""
    if said := st.session_state.pop(PROBLEM, ""):
        st.warning(plain(said))


def revealed_part(project: ProjectInfo, assignment: int) -> None:
    """What a method says about the response that was just handed in, if the person wants to see it."""
    asked = f"redviz.annotate.reveal.{assignment}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.success("Saved and handed in.")
        st.button("Next response", type="primary", on_click=st.session_state.pop, args=(ENDED, None))
        if not st.session_state.get(asked):
            st.button("Show how the model sees it", on_click=st.session_state.__setitem__, args=(asked, True))
    if not st.session_state.get(asked):
        return
    try:
        shown = reveal(store(), assignment)
    except RedvizError as error:
        st.info(plain(error))
        return
    given = get_assignment(store(), assignment)
    st.caption(f"The credits of {plain(shown.label)}: blue raises the score, orange lowers it.")
    st.html(map_html(given.response, given.cells, shown.values))
    own = grades_of_cells({"": marks_of(store(), assignment)}, given.cells, project.scale)[0]
    st.caption("Your marks")
    st.html(map_html(given.response, given.cells, own, limit=max(GRADES[project.scale])))


def prompt_part(prompt: Prompt) -> None:
    """What the response answers."""
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
    length = sum(len(turn["content"]) for turn in turns)
    with st.expander("Prompt", expanded=length <= LONG_PROMPT):
        for turn in turns:
            if len(turns) > 1 or turn["role"] != "user":
                st.caption(plain(turn["role"]))
            st.text(shown_text(turn) or "(empty)")


def guidelines_part(project: ProjectInfo) -> None:
    """The lead's Markdown; pictures are shown as their descriptions, so that nothing is fetched from elsewhere unasked."""
    st.markdown("**Guidelines**")
    written = PICTURE.sub(r"\1", project.guidelines).replace("![", "!\\[")
    st.markdown(written or "None were written: mark what you would tell a colleague.")
