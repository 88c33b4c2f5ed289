"""What the Agreement screen works on, and the reports that were made of it so far."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from redviz.app.parts.kept import keep, recall
from redviz.app.session import remembered
from redviz.data.labels.labels import LabelledItem, LabelSet, Preference
from redviz.records import Source

PARTS = ("People", "Methods and people", "Methods among themselves", "Faithfulness")
PART = "agreement.part"
MADE, CHOSEN_UNITS = "agreement.made", "agreement.units"
UNITS = ("word", "sentence", "token")
CUT = 40  # characters of text around a unit, on each side


@dataclass(frozen=True)
class Labels:
    """The labels that are looked at.

    Attributes
    ----------
    items
        Those that somebody judged.
    key
        Tells these labels apart from all others.
    answers
        Where people chose between maps: what they chose.
    """

    labels: LabelSet
    items: tuple[LabelledItem, ...]
    key: Hashable
    maps: bool = False
    answers: tuple[Preference, ...] = ()


@dataclass
class Made:
    """The latest reports of one set of labels that this session has made; by their names the options and the model of each."""

    key: Hashable
    reports: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)


def begin_with(labels: Labels) -> None:
    """Forget the reports of other labels."""
    if made().key != labels.key:
        keep(MADE, Made(labels.key))


def made() -> Made:
    """The reports so far."""
    found: Made = recall(MADE) or Made(None)
    return found


def report_of(
    name: str, key: Hashable, options: dict[str, Any], make: Callable[[], Any], source: Source | None = None
) -> Any:
    """A report, made again only where its key changed; it is what the downloads take."""
    kept = f"agreement.report.{name}"
    whole = (made().key, key)
    report = recall(kept)
    if report is None or report[0] != whole:
        with st.spinner("Counting …", show_time=True):
            report = (whole, make())
        keep(kept, report)
    made().reports[name] = report[1]
    made().options[name] = options
    if source is not None:
        made().sources[name] = source
    return report[1]


def units() -> str:
    """What was chosen last."""
    found: str = recall(CHOSEN_UNITS, UNITS[0])
    return found


def units_choice(help: str = "") -> str:
    """What is graded, ranked and removed on this screen; drawn, and kept for all its parts."""
    return remembered("Units", CHOSEN_UNITS, UNITS, help=help or None)


def share(name: str, words: str) -> Any:
    """How a column of shares is shown, and what they are of."""
    return st.column_config.NumberColumn(name, format="%.0f %%", help=words)


def around(response: str, start: int, end: int) -> str:
    """A unit between brackets, without the blanks around it, with the text before and after.

    >>> around("A superb film.", 1, 8)
    'A ⟦superb⟧ film.'
    """
    unit = response[start:end]
    if unit.strip():
        start, end = end - len(unit.lstrip()), start + len(unit.rstrip())
    before, after = response[max(0, start - CUT) : start], response[end : end + CUT]
    more_before, more_after = "…" if start > CUT else "", "…" if end + CUT < len(response) else ""
    return f"{more_before}{before}⟦{response[start:end]}⟧{after}{more_after}"
