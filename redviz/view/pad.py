"""The annotation pad: a response as cells that a person grades with keys or by dragging, and how its entries reach the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from redviz.view.lanes import signature
from redviz.view.link import component

GRADES: dict[str, dict[int, str]] = {
    "graded": {-2: "strongly against", -1: "against", 0: "neutral", 1: "for", 2: "strongly for"},
    "binary": {-1: "against", 0: "neutral", 1: "for"},
}
REASONS = ("I cannot read it", "I am not sure", "It should not be judged", "Something is broken")
MOST_ENTRIES = 10_000  # in one message

pad_component = component("pad", "pad.js")
Cells = Sequence[tuple[int, int]]
Entry = tuple[str, int | None, int | None, float | None]  # op, first cell, last cell (inclusive), grade


@dataclass(frozen=True)
class Batch:
    """Entries of one browser tab for one assignment, each ``{"seq", "at", "op", ...}``, in the order of their numbers."""

    assignment: int
    client: str
    entries: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        return f"{self.assignment}/{self.client}"


def pad(
    *,
    assignment: int,
    person: str,
    response: str,
    cells: Cells,
    entries: Sequence[Entry],
    scale: str,
    acks: Mapping[str, int],
    locked: str = "",
    saved: str = "Saved",
    keep: bool = True,
    skippable: bool = True,
    key: str,
    on_sent: Callable[[], None],
) -> None:
    """Draw the pad.

    Parameters
    ----------
    assignment, person
        What is judged and by whom; the browser keeps what is not yet acknowledged under both.
    response, cells
        The text and its cells ``[start, end)``, in code points.
    entries
        What is committed, in the server's order.
    acks
        The last committed number of each ``assignment/client``: the screen says "Saved" up to it.
    locked
        Why nothing can be changed, in words; "" where it can.
    saved
        What the screen says when everything is acknowledged.
    keep
        Whether the browser keeps unacknowledged entries on disk, for a page that is opened again.
    skippable
        Whether Skip is offered.
    on_sent
        Called when entries arrive; reads them by :func:`received`.
    """
    ends = [0, *(end for _, end in cells)]
    starts = [*(start for start, _ in cells), len(response)]
    names = GRADES[scale]
    data = {
        "assignment": assignment,
        "person": person,
        "signature": signature({"assignment": assignment, "response": response, "scale": scale}),
        "cells": [response[start:end] for start, end in cells],
        "gaps": [response[a:b] for a, b in zip(ends, starts, strict=True)],
        "entries": [list(entry) for entry in entries],
        "grades": list(names),
        "names": list(names.values()),
        "acks": dict(acks),
        "locked": locked,
        "saved": saved,
        "keep": keep,
        "reasons": list(REASONS) if skippable else [],
    }
    pad_component(key=key, data=data, on_sent_change=on_sent)


def received(key: str) -> list[Batch]:
    """The entries that the browser sent last; what is not of the agreed form is left out, and so never acknowledged."""
    sent = st.session_state.get(key, {}).get("sent")
    return batches_of(sent)


def batches_of(sent: Any) -> list[Batch]:
    """A message of the browser as batches.

    >>> batches_of({"batches": [{"assignment": 7, "client": "a", "entries": [{"seq": 1, "op": "undo"}]}, "x"]})
    [Batch(assignment=7, client='a', entries=({'seq': 1, 'op': 'undo'},))]
    """
    listed = sent.get("batches") if isinstance(sent, Mapping) else None
    return [
        Batch(given["assignment"], given["client"], tuple(sorted(given["entries"], key=lambda entry: entry["seq"])))
        for given in (listed if isinstance(listed, list) else [])
        if isinstance(given, Mapping)
        and _number(given.get("assignment"))
        and isinstance(given.get("client"), str)
        and isinstance(given.get("entries"), list)
        and 0 < len(given["entries"]) <= MOST_ENTRIES
        and all(isinstance(entry, Mapping) and _number(entry.get("seq")) for entry in given["entries"])
    ]


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53
