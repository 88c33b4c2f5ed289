"""Waiting for the worker without holding the page: progress that polls, a cancel button, and errors with a way on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz.app.session import ask_again, asked, engine
from redviz.app.worker import SHORT, Job
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
                elif " --" in job.error or job.error.startswith("The template"):
                    st.caption(
                        "What the sentence calls --head, --dtype, --read or a template is under Loading options, at the left."
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


def result_of(
    spec: ModelSpec,
    title: str,
    key: Hashable,
    work: Callable[[RewardModel, Job], Any],
    *,
    priority: int = SHORT,
    subject: Hashable = None,
    button: str = "",
    note: str = "",
) -> Any:
    """The kept result of some work on a model, or None until it is there: what leads to it is then on the page.

    Parameters
    ----------
    subject
        What the job is about, where a demonstration counts it (see :func:`redviz.app.session.asked`).
    button, note
        Words of the button that begins it, and what stands under it; without a button the work begins at once.
    """
    content = key if isinstance(key, str) else repr(key)
    result = engine().kept(spec, title, content)
    if result is not None:
        return result
    begun = f"redviz.begun.{title}.{hash((spec, content))}"
    if button and not st.session_state.get(begun):
        st.button(button, type="primary", on_click=st.session_state.__setitem__, args=(begun, True))
        if note:
            st.caption(note)
    else:
        wait_for([job_on(spec, title, content, work, priority, subject)])
    return None


def job_on(
    spec: ModelSpec,
    title: str,
    content: str,
    work: Callable[[RewardModel, Job], Any],
    priority: int = SHORT,
    subject: Hashable = None,
) -> tuple[Hashable, Job]:
    """The job of this session for some work on a model, with the key it is asked for under."""
    key = (title, spec, content)
    start = lambda: engine().with_model(spec, title, work, key=content, priority=priority)  # noqa: E731
    return key, asked(key, start, subject=subject)


def with_partners(specs: Mapping[str, ModelSpec], work: Callable[..., Any]) -> Callable[[RewardModel, Job], Any]:
    """Work that also gets the models beside the reward model, as keywords. Nothing of Streamlit is called in it: it runs in the
    worker's thread, which has no browser session.
    """
    running = engine()

    def work_beside(model: RewardModel, job: Job) -> Any:
        with running.partners(specs) as partners:
            return work(model, job, **partners)

    return work_beside
