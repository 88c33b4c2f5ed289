"""What the Annotate screen keeps between runs: the store, who is here, what was acknowledged."""

from __future__ import annotations

import streamlit as st

from redviz.annotation.inbox import take_in
from redviz.annotation.people import AnnotatorInfo
from redviz.annotation.store import Store, open_store
from redviz.errors import RedvizError
from redviz.view.pad import received

ACKS, PROBLEM = "redviz.annotate.acks", "redviz.annotate.problem"
ENDED, SUBMITTED = "redviz.annotate.ended", "redviz.annotate.submitted"  # the assignment that ended last, and how


@st.cache_resource(show_spinner=False)
def store() -> Store:
    """The annotation store of this server."""
    return open_store()


def take(key: str, person: AnnotatorInfo) -> None:
    """Commit what the pad sent, and remember how far it is acknowledged. Called before the page runs again."""
    acks: dict[str, int] = st.session_state.setdefault(ACKS, {})
    for batch in received(key):
        try:
            receipt = take_in(store(), person.id, batch.assignment, batch.client, batch.entries)
        except RedvizError as error:
            st.session_state[PROBLEM] = str(error)
            continue
        acks[batch.name] = max(acks.get(batch.name, 0), receipt.last)
        if receipt.problem:
            st.session_state[PROBLEM] = receipt.problem
        if receipt.ended:
            st.session_state[ENDED] = batch.assignment
            st.session_state[SUBMITTED] = receipt.submitted


def acks() -> dict[str, int]:
    """The last committed number of each ``assignment/client`` of this session."""
    found: dict[str, int] = st.session_state.setdefault(ACKS, {})
    return found
