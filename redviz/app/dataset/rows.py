"""One row of the results, on its way to Inspect and, for a pair, to Compare."""

from __future__ import annotations

import json
from typing import Any

import streamlit as st

from redviz.app.session import show_example, view
from redviz.data.results.result_files import ResultFile
from redviz.data.results.result_filters import Where
from redviz.errors import RedvizError
from redviz.messages import has_extras
from redviz.records import Example, Prompt
from redviz.settings import project_file
from redviz.view.markdown import plain
from redviz.view.marks import flat

COMPARE = "redviz.compare"
SIDES = ("chosen", "rejected")
LONGEST = 200  # characters of a prompt


def offer_row(file: ResultFile, row: dict[str, Any]) -> None:
    """Draw the whole response of a row and where it can be opened."""
    with st.container(border=True):
        whole = file.row(row["row"])
        if whole["error"]:
            st.error(plain(whole["error"]))
        st.caption(plain(" · ".join(str(v) for v in (whole["example_id"], whole["response_id"], whole["label"]) if v)))
        if prompt := flat(_asked(whole["prompt"])):
            st.caption(plain(f"Prompt: {prompt}"))
        st.text(whole["response"] or "")
        if whole["model"] != view().model:
            st.caption(
                plain(f"Scored by {whole['model']}; Inspect shows it under {view().model}, the model at the left.")
            )
        with st.container(horizontal=True):
            if st.button("Open in Inspect", type="primary"):
                show_example(example_of_row(whole))
                st.switch_page("pages/inspect.py")
            if row["paired"] and _has_compare() and st.button("Open in Compare"):
                if pair := _pair(file, str(row["example_id"])):
                    st.session_state[COMPARE] = pair
                    st.switch_page("pages/compare.py")
                st.info("The other side of this pair is not in this file.")


def _asked(written: str | None) -> str:
    """The beginning of the last turn of a prompt, where it can be read."""
    try:
        prompt = prompt_of_row(written)
    except RedvizError:
        return ""
    last = prompt if isinstance(prompt, str) else prompt[-1]["content"]
    line = " ".join(last[: 2 * LONGEST].split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def example_of_row(row: dict[str, Any]) -> Example:
    """The example of a result row. Its id is left out: it names a row of a data set, not an item of the gallery."""
    return Example(prompt_of_row(row["prompt"]), row["response"] or "")


def prompt_of_row(written: str | None) -> Prompt:
    """A prompt as it was given: one message of the user is its text."""
    try:
        turns = json.loads(written or "[]")
        texts = [{**turn, "role": str(turn["role"]), "content": str(turn["content"])} for turn in turns]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise RedvizError(
            "The prompt of this row is no list of messages; write the file again with redviz score."
        ) from None
    if not texts:
        return ""
    one = len(texts) == 1 and texts[0]["role"] == "user" and not has_extras(texts[0])
    return texts[0]["content"] if one else tuple(texts)


def _pair(found: ResultFile, example: str) -> list[Example] | None:
    rows = found.page(Where(examples=(example,)), limit=200, columns=("prompt", "response"))
    by_side = {row["response_id"]: example_of_row(row) for row in reversed(rows)}
    return [by_side[side] for side in SIDES] if all(side in by_side for side in SIDES) else None


def _has_compare() -> bool:
    try:
        return project_file("pages/compare.py").is_file()
    except RedvizError:
        return False
