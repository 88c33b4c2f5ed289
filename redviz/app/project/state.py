"""Which project the Project screen shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from redviz.annotation.projects import ProjectInfo
from redviz.app.parts.kept import keep, kept_choice, recall
from redviz.credit.table import METHODS
from redviz.errors import RedvizError
from redviz.view.markdown import plain

PARTS = ("People", "Progress", "Disagreements", "Settings", "Export")
NEW = None
FROM_FILE = "A file"
ALONE = ("observation", "attention", "model")  # what a reward model gives without a policy beside it
CHOSEN, SAID, WARNED = "project.chosen", "project.said", "project.warned"


def chosen_project(projects: Sequence[ProjectInfo]) -> ProjectInfo | None:
    """Draw the choice; ``NEW`` for a new one, which is all there is at first."""
    by_id = {project.id: project for project in projects}
    if said := recall(SAID):
        st.toast(said, icon=":material/check:")  # it outlives the runs that follow at once
        keep(SAID, "")
    if warned := recall(WARNED):
        st.error(plain(warned))
        keep(WARNED, "")
    if not projects:
        return NEW

    def name(project_id: int) -> str:
        project = by_id.get(project_id)
        if project is None:
            return "New project …"
        return f"{project.name}  ({project.items:,} items{', closed' if project.state == 'closed' else ''})"

    chosen = kept_choice("Project", CHOSEN, [*by_id, 0], format_func=name)
    return by_id.get(chosen)


def new_project() -> None:
    """Turn to the making of a project at the next run."""
    keep(CHOSEN, 0)
    keep("project.from", FROM_FILE)


def show_project(project_id: int, said: str = "") -> None:
    """Turn to a project at the next run, with a sentence about what was done."""
    keep(CHOSEN, project_id)
    keep(SAID, said)


def reveal_choice(chosen: str) -> str:
    """Draw the choice of a method whose credits annotators may see after they have handed a response in; "" for none."""
    offered = ["", *(name for name, info in METHODS.items() if info.needs in ALONE)]
    label: str = st.selectbox(
        "Reveal after submitting",
        offered,
        index=offered.index(chosen) if chosen in offered else 0,
        format_func=lambda name: METHODS[name].label if name else "nothing",
        help="Annotators may then look at this method's credits of a response they have handed in. They are computed under People.",
    )
    return label


def warn(sentence: str) -> None:
    """Say at the next run what could not be done."""
    keep(WARNED, sentence)


def told(change: Callable[..., object], *args: Any) -> None:
    """A button's change to the store; where it is refused, the next run says why."""
    try:
        change(*args)
    except RedvizError as error:
        warn(str(error))
