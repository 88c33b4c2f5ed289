"""What a list of runs and a list of experiments do alike: the newest at first, and buttons that may be refused; deletion asks twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import streamlit as st

from redviz.app.parts.kept import keep, kept, recall
from redviz.errors import RedvizError
from redviz.view.markdown import plain

MOST_SHOWN = 20


class Listed(Protocol):
    """What stands in a list."""

    @property
    def id(self) -> str: ...


One = TypeVar("One", bound=Listed)


def newest(entries: list[One], place: str, label: str) -> list[One]:
    """The newest, or all of them where the toggle of this label is set."""
    if len(entries) > MOST_SHOWN and not kept(st.toggle, label, f"{place}.all", False):
        return entries[:MOST_SHOWN]
    return entries


def delete_button(place: str, entry: One, what: str, delete: Callable[[One], object]) -> None:
    """Delete, once asked again. No popover: it would stay open on the entry that moves up, and a second click delete that one."""
    key, deleting = f"redviz.{place}.{entry.id}", f"{place}.deleting"
    if recall(deleting) != entry.id:
        st.button("Delete", key=f"{key}.ask", type="tertiary", on_click=keep, args=(deleting, entry.id))
        return
    st.markdown(f"Delete {what} for good?", width="content")
    st.button("Delete for good", key=f"{key}.delete", on_click=tried, args=(place, delete, entry))
    st.button("Keep", key=f"{key}.keep", on_click=keep, args=(deleting, ""))


def tried(place: str, act: Callable[[One], object], entry: One) -> None:
    """Do what a button says; :func:`show_problem` tells what stands against it, since a callback has no place of its own."""
    keep(f"{place}.deleting", "")
    keep(f"{place}.problem", ("", ""))
    try:
        act(entry)
    except RedvizError as error:
        keep(f"{place}.problem", (entry.id, str(error)))


def show_problem(place: str, entry: Listed) -> None:
    """Draw what stood against the last button, beside the entry whose button it was."""
    whose, sentence = recall(f"{place}.problem", ("", ""))
    if whose == entry.id:
        st.error(plain(sentence))
