"""Waiting for the worker without holding the page: progress that polls, a cancel button, and errors with a way on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz.app.session import ask_again, asked, engine
from redviz.app.worker import Job
from redviz.models.spec import ModelSpec
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel


def wait_for(jobs: Sequence[tuple[Hashable, Job]]) -> None:
    """Show what runs and what failed; the page runs again when a job ends."""
    for key, job in jobs:
        if job.finished.is_set() and job.state != "done":
            with st.container(horizontal=True, vertical_alignment="center"):
                (st.info if job.state == "cancelled" else st.error)(plain(job.error))
                if " policy" in job.error:
                    st.caption("Policy and reference are chosen under Other models, at the left.")
                elif " --" in job.error:
                    st.caption(
                        "What the sentence calls --head, --dtype or --read is under Loading options, at the left."
                    )
                st.button("Try again", key=f"redviz.again.{job.id}", on_click=ask_again, args=(key,))
    running = [job for _, job in jobs if not job.finished.is_set()]
    if running:
        _poll(running)
    elif any(job.state == "done" for _, job in jobs):
        st.rerun()


@st.fragment(run_every=0.3)
def _poll(jobs: Sequence[Job]) -> None:
    if any(job.finished.is_set() for job in jobs):
        st.rerun()
    for job in jobs:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(job.done / job.total if job.total else 0.0, text=_words(job))
            st.button("Cancel", key=f"redviz.cancel.{job.id}", on_click=job.cancel)


def _words(job: Job) -> str:
    if job.stop.is_set():
        return f"{job.title}: cancelling …"
    if job.state == "queued":
        return f"{job.title}: waiting for its turn"
    return f"{job.title}: {job.done} of {job.total}" if job.total > 1 else f"{job.title} …"


def result_of(spec: ModelSpec, title: str, key: Hashable, work: Callable[[RewardModel, Job], Any]) -> Any:
    """The kept result of some work on a model, or None while it is under way (the progress is then on the page)."""
    content = repr(key)
    found = engine().kept(spec, title, content)
    if found is None:
        asked_key = (title, spec, content)
        wait_for([(asked_key, asked(asked_key, lambda: engine().with_model(spec, title, work, key=content)))])
    return found
