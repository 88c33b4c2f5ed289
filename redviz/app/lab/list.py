"""The part "Experiments": what is under way, done or interrupted; open, pause, resume, stop, delete."""

from __future__ import annotations

import streamlit as st

from redviz import settings
from redviz.app.lab.curves import COLOURS, progress_line, settings_line
from redviz.app.lab.form import NAMES
from redviz.app.lab.state import (
    EVERY,
    PART,
    PARTS,
    QUEUE,
    Experiment,
    delete,
    experiments,
    go_on,
    line_name,
    open_experiment,
    show_part,
)
from redviz.app.parts.kept import recall
from redviz.app.parts.listed import MOST_SHOWN, delete_button, newest, show_problem, tried
from redviz.app.session import offered
from redviz.view.markdown import plain


def list_part() -> None:
    """Draw it."""
    if settings.demo_mode():
        st.info("This is a public demo: experiments are kept in memory only, and each visitor sees their own.")
    elif offered() is not None:
        st.caption("This server is shared: you see the experiments that you began in this browser session.")
    moving = any(experiment.moving for experiment in experiments(MOST_SHOWN))
    st.fragment(_list, run_every=EVERY if moving else None)(moving)


def _list(moving: bool) -> None:
    every = experiments(None if recall("lab.list.all", False) else MOST_SHOWN + 1)
    if recall(PART) != PARTS[2] or any(experiment.moving for experiment in every[:MOST_SHOWN]) != moving:
        st.rerun()
    if not every:
        st.caption("No experiment yet: those of this screen and of redviz lab are listed here.")
        st.button("Set up an experiment", type="primary", on_click=show_part, args=(PARTS[0],))
    for experiment in newest(every, "lab.list", "Show all"):
        _one(experiment)


def _one(experiment: Experiment) -> None:
    key, state = f"redviz.lab.list.{experiment.id}", experiment.state
    with st.container(border=True, key=key):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{NAMES[experiment.configs[0].algorithm]}**: {plain(', '.join(map(line_name, experiment.lines)))}",
                width="content",
            )
            st.badge(state, color=COLOURS.get(state, "gray"))  # type: ignore[arg-type]
            st.caption(plain(settings_line(experiment)), width="stretch")
        st.progress(min(1.0, experiment.done / max(1, experiment.total)), text=progress_line(experiment))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button("Open", key=f"{key}.open", on_click=open_experiment, args=(experiment.id,))
            active = any(run.active for run in experiment.runs)
            if active:
                if any(run.state == "paused" for run in experiment.runs):
                    st.button("Resume", key=f"{key}.resume", on_click=QUEUE.resume, args=(experiment.configs,))
                st.button(
                    "Stop",
                    key=f"{key}.stop",
                    on_click=QUEUE.stop,
                    args=(experiment.configs,),
                    disabled=state == "stopping",
                )
            elif state not in ("done", "elsewhere"):
                st.button("Resume", key=f"{key}.go", on_click=tried, args=("lab.list", go_on, experiment))
            if not experiment.moving:
                many = "its run" if len(experiment.runs) == 1 else f"its {len(experiment.runs)} runs"
                delete_button("lab.list", experiment, f"this experiment with {many}", delete)
        show_problem("lab.list", experiment)
