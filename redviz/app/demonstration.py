"""A demonstration for the public (``redviz serve --demo``): what it refuses, and how it starts again when nobody is there."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz import settings
from redviz.app.worker import LONG, Job
from redviz.errors import RedvizError
from redviz.records import Prompt
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

NO_FILES = "This is a demonstration, which takes no files; run redviz on your own machine to open yours."
idle_component = st.components.v2.component("redviz.idle", js=Path(__file__).with_name("idle.js").read_text("utf-8"))
WARNED_SECONDS = 30.0  # the countdown, or half of the time where that is less


def file_uploader(label: str, **options: Any) -> UploadedFile | None:
    """``st.file_uploader`` for one file, or in a demonstration a sentence that it takes none."""
    if settings.demo_mode():
        st.info(NO_FILES)
        return None
    found: UploadedFile | None = st.file_uploader(label, **options)
    return found


def check_length(*texts: Prompt) -> None:
    """Refuse texts that are longer together than a demonstration takes.

    Raises
    ------
    RedvizError
        With both numbers.

    Examples
    --------
    >>> check_length("Review the film.", "Superb.")  # outside of a demonstration anything goes
    """
    most = settings.most_characters()
    if most is None:
        return
    count = sum(len(text) if isinstance(text, str) else sum(len(turn["content"]) for turn in text) for text in texts)
    if count > most:
        raise RedvizError(
            f"The text is {count:,} characters long, its prompt included; this demonstration takes {most:,}, so shorten it."
        )


def too_long(*texts: Prompt) -> bool:
    """Whether texts are refused by :func:`check_length`; the page then says so, for as long as they are what is written."""
    try:
        check_length(*texts)
    except RedvizError as error:
        st.error(plain(error))
        return True
    return False


def busy_job(key: Hashable, other: Job) -> Job:
    """A job that was not begun, since this session has another one under way; its number is the same for the same key."""
    said = f"This demonstration runs one job at a time for each visitor, and {other.title} is under way; try again when it is done."
    job = Job(-1 - (hash(key) & 0xFFFFFFFF), other.title, LONG, lambda _: None, key, state="failed", error=said)
    job.finished.set()
    return job


def about() -> str:
    """What a demonstration means for the visitor, in a line; "" elsewhere."""
    if not settings.demo_mode():
        return ""
    idle = settings.idle_minutes()
    after = "" if idle is None else f"{idle:g} minutes" if idle > 1 else f"{60 * idle:.0f} seconds"
    again = f" After {after} without a touch it starts again." if after else ""
    return (
        f"**Demonstration.** It keeps nothing, takes no files and up to {settings.most_characters():,} characters of text, and "
        f"runs one job at a time for each visitor.{again}"
    )


def watch_idle() -> None:
    """Watch, in the browser, for a time without a person: then the window opens the app anew, as a new session.

    Nothing of a session outlives it: its texts, knobs and widgets are the old session's. Other windows are not touched.
    """
    minutes = settings.idle_minutes()
    if minutes is None:
        return
    seconds = 60.0 * minutes
    with st.container(key="redviz-idle"):
        idle_component(key="redviz.idle", data={"seconds": seconds, "warned": min(WARNED_SECONDS, seconds / 2)})
