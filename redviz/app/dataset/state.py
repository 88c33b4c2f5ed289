"""Which part of the Data set screen is shown, and of what."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from redviz.app.parts.kept import keep
from redviz.app.session import remembered
from redviz.runs.runs import Run

PARTS = ("Open a data set", "Results", "Runs")
PART, FROM = "dataset.part", "dataset.from"


def chosen_part() -> str:
    """Which of the three parts is shown."""
    return remembered("Part of this screen", PART, PARTS, label_visibility="collapsed")


def show_part(part: str) -> None:
    """Turn to a part at the next run of the page."""
    st.session_state[f"redviz.{PART}"] = part


def show_results(run: Run) -> None:
    """Turn to the results of a run."""
    keep(FROM, ("run", run.id))
    show_part("Results")


def size(path: Path) -> str:
    """A file's size as a person reads it."""
    count = float(path.stat().st_size)
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
