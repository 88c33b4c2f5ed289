"""A project as files: everything, to be imported again; marks as rows; labels for the Agreement screen and `redviz agree`."""

from __future__ import annotations

import json
from functools import partial

import streamlit as st

from redviz.annotation.interchange import export_project, export_rows, rows_as_csv
from redviz.annotation.labels import labelled_items
from redviz.annotation.projects import ProjectInfo
from redviz.app.annotate.state import store
from redviz.data.labels.label_sets import to_lines
from redviz.data.labels.tool_files import FILES, Exported, tool_file


def export_part(project: ProjectInfo) -> None:
    """Draw it; each file is made when its button is pressed."""
    name = "".join(c if c.isascii() and c.isalnum() else "-" for c in project.name).strip("-").lower() or "project"
    st.markdown("**Judgements**: one row for every mark of every submitted response, offsets in characters.")
    with st.container(horizontal=True):
        st.download_button(
            "CSV", lambda: rows_as_csv(export_rows(store(), project.id)), f"{name}.csv", "text/csv", on_click="ignore"
        )
        st.download_button(
            "JSONL", lambda: _rows(project.id), f"{name}.rows.jsonl", "application/jsonl", on_click="ignore"
        )
    st.markdown(
        "**Labels**: one line for every response with everybody's marks; `redviz agree --dataset` and the Agreement screen read it."
    )
    st.download_button(
        "Labels (JSONL)",
        lambda: "\n".join(to_lines(labelled_items(store(), project.id))),
        f"{name}.labels.jsonl",
        on_click="ignore",
    )
    st.markdown("**For other tools**: the same labels as these tools import them.")
    with st.container(horizontal=True):
        for tool, (label, ending) in FILES.items():
            st.download_button(
                label,
                partial(_for_tool, project.id, tool),
                f"{name}.{tool}{ending}",
                on_click="ignore",
            )
    st.markdown(
        "**Everything**: texts, guidelines, people, every keystroke that was kept, maps and choices; another redviz imports it whole."
    )
    codes = st.toggle("With the secret codes of the links", help="Whoever has the file can then answer in their names.")
    st.download_button(
        "The whole project (JSONL)",
        lambda: "".join(export_project(store(), project.id, codes=codes)),
        f"{name}.redviz.jsonl",
        on_click="ignore",
    )


def _rows(project_id: int) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in export_rows(store(), project_id))


def _for_tool(project_id: int, tool: str) -> str:
    return tool_file(tool, [Exported(item) for item in labelled_items(store(), project_id).items])
