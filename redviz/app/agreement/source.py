"""Whose labels the Agreement screen is about: those of an annotation project, or of a file."""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from datetime import datetime

import streamlit as st

from redviz.annotation.labels import labelled_items
from redviz.annotation.map_pairs import preferences
from redviz.annotation.projects import ProjectInfo, list_projects
from redviz.app.agreement.state import Labels
from redviz.app.annotate.state import store
from redviz.app.dataset.sources import chosen_source
from redviz.app.parts.kept import keep, kept_choice, once, recall
from redviz.app.project.state import show_project
from redviz.app.session import remembered
from redviz.data.labels.label_sets import KINDS, open_labels
from redviz.data.labels.labels import LabelSet
from redviz.evaluation.agreement.agreement import judged
from redviz.view.markdown import plain

SOURCES = ("An annotation project", "A file of labels")
SOURCE, PROJECT, KIND, READ = "agreement.source", "agreement.project", "agreement.kind", "agreement.read"
TASKS = {"spans": "marked spans", "maps": "preferred maps"}


def chosen_labels() -> Labels | None:
    """Draw the choice; the labels, or None where there is nothing to measure yet (the page then says what to do)."""
    place = remembered("Labels of", SOURCE, SOURCES)
    return _project() if place == SOURCES[0] else _file()


def _project() -> Labels | None:
    projects = {project.id: project for project in list_projects(store())}
    if not projects:
        st.info("There is no annotation project yet. Make one, or open a file in which somebody marked spans.")
        with st.container(horizontal=True):
            if st.button("Make a project", type="primary"):
                st.switch_page("pages/project.py")
            st.button("Open a file of labels", on_click=keep, args=(SOURCE, SOURCES[1]))
        return None
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = projects[
            kept_choice("Project", PROJECT, list(projects), format_func=lambda n: _name(projects[n]), width=420)
        ]
        st.button("Read again", on_click=_read_again, help="Take in what people have submitted meanwhile.")
    key = ("project", chosen.id, recall(READ, 0))
    labels: Labels
    labels, at = once("agreement.labels", key, lambda: (_of_project(chosen), datetime.now()))
    if not labels.items and not labels.answers:
        st.info(
            "Nobody has submitted an item of this project yet. Invite annotators, and read again when they are done."
        )
        if st.button("Open the project", type="primary"):
            show_project(chosen.id)
            st.switch_page("pages/project.py")
        return None
    st.caption(plain(f"{labels.labels.sentence} As of {at:%H:%M:%S}."))
    return labels


def _name(project: ProjectInfo) -> str:
    many = "1 item" if project.items == 1 else f"{project.items:,} items"
    return f"{project.name}  ({many}, {TASKS[project.task]})"


def _read_again() -> None:
    keep(READ, recall(READ, 0) + 1)


def _of_project(project: ProjectInfo) -> Labels:
    if project.task == "maps":
        answers = tuple(preferences(store(), project.id))
        many = "1 choice" if len(answers) == 1 else f"{len(answers):,} choices"
        sentence = f"Annotation project {project.name!r}: {many} between two maps."
        return Labels(LabelSet(project.name, project.scale, (), sentence), (), _key(project, answers), True, answers)
    labels = labelled_items(store(), project.id)
    return Labels(labels, judged(labels.items), _key(project, labels.items))


def _key(project: ProjectInfo, content: object) -> Hashable:
    """By content, for what the worker makes of it is kept for all sessions, and people go on judging."""
    return "project", project.id, hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()


def _file() -> Labels | None:
    source = chosen_source()
    if source is None:
        known = ", ".join(kind.label for kind in KINDS.values())
        st.caption(
            plain(
                f"Here the file holds responses with spans that people marked: {known}. Prompts and responses alone are not enough."
            )
        )
        return None
    kind = kept_choice(
        "Form of the labels", KIND, ["", *KINDS], format_func=lambda name: KINDS[name].label if name else "told by its rows",
        width=280,
    )  # fmt: skip
    key = ("file", source.key, kind)
    with st.spinner("Reading …", show_time=True):
        labels: Labels = once(
            "agreement.labels", key, lambda: _of_set(open_labels(source.content, source.name, kind or None), key)
        )
    if not labels.items:
        st.info(
            plain(
                f"{labels.labels.name} holds responses, but nobody's labels; open a file in which somebody marked spans."
            )
        )
        return None
    st.caption(plain(labels.labels.sentence))
    if labels.labels.problems:
        first = labels.labels.problems[0]
        st.warning(
            plain(
                f"{len(labels.labels.problems):,} rows give no label, the first in line {first.line}: {first.reason}."
            )
        )
    return labels


def _of_set(labels: LabelSet, key: object) -> Labels:
    return Labels(labels, judged(labels.items), repr(key))
