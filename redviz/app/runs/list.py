"""The part "Runs": what is under way, done or interrupted, with its progress; open, resume, cancel, delete."""

from __future__ import annotations

import streamlit as st

from redviz import settings
from redviz.app.dataset.state import PART, PARTS, show_results
from redviz.app.parts.kept import recall
from redviz.app.parts.listed import MOST_SHOWN, delete_button, newest, show_problem, tried
from redviz.app.runs.jobs import begun, delete, has_rows, job_of, ray_possible, resume, resume_on_ray, shown_runs, stop
from redviz.app.session import offered
from redviz.app.worker import Job
from redviz.runs.runs import UNFINISHED, Run, State
from redviz.text import duration
from redviz.view.markdown import plain

EVERY = 1.0  # seconds
COLOURS = {"done": "green", "running": "blue", "waiting": "blue", "failed": "red", "interrupted": "orange"}


def runs_part() -> None:
    """Draw it."""
    if settings.demo_mode():
        st.info("This is a public demo, which keeps no runs; run redviz on your own machine to score data sets.")
        return
    if offered() is not None:
        st.caption("This server is shared: you see the runs that you began in this browser session.")
    moving = _moves(shown_runs())
    st.fragment(_list, run_every=EVERY if moving else None)(moving)


def _moves(runs: list[Run]) -> bool:
    """Whether anything here changes by itself."""
    return any(not each.job.finished.is_set() for each in begun()) or any(
        job_of(run) or run.state().state == "running" for run in runs[:MOST_SHOWN]
    )


def _list(moving: bool) -> None:
    runs = shown_runs()
    if recall(PART) != PARTS[2] or _moves(runs) != moving:
        st.rerun()  # a button of this fragment, or a run that ended: the page needs another part, or another timer
    waiting = _begun_jobs()
    runs = newest(runs, "runs", f"Show all {len(runs)} runs")
    states = {run.id: run.state() for run in runs}
    if not runs and not waiting:
        st.caption("No run yet. Open a data set and score it, or use redviz score: runs of both are listed here.")
    for run in runs:
        _one(run, states[run.id])


def _begun_jobs() -> bool:
    """Draw the jobs that are no run yet: waiting, loading the model, or failed before they could begin."""
    waiting = False
    for each in list(begun()):
        job = each.job
        if each.run_id:
            if job.finished.is_set():
                begun().remove(each)
        elif not job.finished.is_set():
            waiting = True
            _waiting(job, each.name)
        else:
            with st.container(horizontal=True, vertical_alignment="center"):
                (st.info if job.state == "cancelled" else st.error)(plain(f"{each.name}: {job.error}"))
                st.button("Dismiss", key=f"redviz.runs.dismiss.{job.id}", on_click=begun().remove, args=(each,))
    return waiting


def _waiting(job: Job, name: str) -> None:
    words = "waits for its turn" if job.state == "queued" else "loading the model and opening the data set"
    if job.total:
        words = f"counting rows: {job.done:,} of {job.total:,}"
    with st.container(border=True), st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"**{plain(name)}**", width="stretch")
        st.caption(f"{words} …", width="content")
        st.button("Cancel", key=f"redviz.runs.cancel.job.{job.id}", on_click=job.cancel)


def _one(run: Run, state: State) -> None:
    manifest, word = run.manifest, _word(run, state)
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{plain(manifest.dataset)}**", width="content")
            st.badge(word, color=COLOURS.get(word, "gray"))  # type: ignore[arg-type]
            st.caption(plain(f"{manifest.model} · {', '.join(manifest.methods)} · {run.id}"), width="content")
        st.progress(min(1.0, state.done / max(1, state.total)), text=_progress(state, word))
        if state.message and word in ("running", "failed", "interrupted"):
            st.caption(plain(state.message))
        with st.container(horizontal=True, vertical_alignment="center"):
            if has_rows(run):
                st.button("Open results", key=f"redviz.runs.open.{run.id}", on_click=show_results, args=(run,))
            if word in ("running", "waiting"):
                st.button("Cancel", key=f"redviz.runs.cancel.{run.id}", on_click=tried, args=("runs", stop, run))
            elif word not in ("done", "cancelling"):
                st.button("Resume", key=f"redviz.runs.resume.{run.id}", on_click=tried, args=("runs", resume, run))
                if ray_possible():
                    key = f"redviz.runs.resume.ray.{run.id}"
                    st.button("Resume on Ray", key=key, on_click=tried, args=("runs", resume_on_ray, run))
            if word not in ("running", "waiting", "cancelling"):
                delete_button("runs", run, f"this run with its {state.done:,} scored responses", delete)
            show_problem("runs", run)


def _word(run: Run, state: State) -> str:
    """The state as a person names it."""
    if state.state != "running" and job_of(run):
        return "waiting"
    if state.state == "running" and run.is_cancelled():
        return "cancelling"
    if state.state == "failed" and state.message == UNFINISHED:
        return "interrupted"
    return "interrupted" if state.state == "queued" else state.state


def _progress(state: State, word: str) -> str:
    parts = [f"{state.done:,} of {state.total:,} responses"]
    if state.rate and word in ("running", "done"):
        parts.append(f"{state.rate:.1f} per second")
    if word == "running" and state.rate:
        parts.append(f"{duration((state.total - state.done) / state.rate)} left")
    if state.failed:
        parts.append(f"{state.failed:,} rows failed")
    return " · ".join(parts)
