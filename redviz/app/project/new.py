"""A new annotation project: from a file of responses or of existing labels, the gallery, or an exported project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from redviz.annotation.interchange import import_project
from redviz.annotation.projects import QUESTIONS, create_project
from redviz.app.annotate.state import store
from redviz.app.dataset.sources import DatasetSource, chosen_source
from redviz.app.demonstration import file_uploader
from redviz.app.parts.kept import once
from redviz.app.project.state import FROM_FILE, reveal_choice, show_project
from redviz.app.session import gallery, remembered
from redviz.data.labels.label_sets import open_labels
from redviz.data.labels.labels import LabelledItem, LabelSet
from redviz.data.sets.dataset import open_dataset
from redviz.errors import RedvizError
from redviz.records import Example
from redviz.view.markdown import plain

FROM = (FROM_FILE, "The gallery", "An exported project")
TASKS = {"spans": "Mark spans", "maps": "Choose between two maps"}
SCALES = {"graded": "graded, −2 to +2", "binary": "against, neutral, for"}
UNITS = {"word": "words", "character": "characters"}
MOST_ITEMS = 20_000
GUIDELINES = """\
Mark the words that carry your judgement, not whole sentences.

* **+2, +1** they make the response better
* **−1, −2** they make it worse
* leave everything else unmarked
"""


@dataclass(frozen=True)
class ProjectContents:
    """What a project can be made of."""

    items: tuple[LabelledItem | Example, ...]
    scale: str
    sentence: str
    labelled: bool
    gold: int = 0


def new_part() -> None:
    """Draw it."""
    st.subheader("A new annotation project", anchor=False)
    place = remembered("Items from", "project.from", FROM)
    if place == FROM[2]:
        _exported()
        return
    items = _gallery() if place == FROM[1] else _file()
    if items is not None and not items.items:
        st.info("There is no response in it to judge; choose another file.")
    elif items is not None:
        if len(items.items) == MOST_ITEMS:
            st.caption(f"The first {MOST_ITEMS:,} responses are taken.")
        _form(items)


def _gallery() -> ProjectContents:
    examples = [
        Example(item.prompt, response.text, f"{item.id}-{response.id}")
        for item in gallery()
        for response in item.responses
    ]
    return ProjectContents(tuple(examples), "graded", f"{len(examples)} responses that ship with redviz.", False)


def _file() -> ProjectContents | None:
    source = chosen_source()
    if source is None:
        st.caption(
            "A data set of responses, or token labels that exist already: doccano, Label Studio, Argilla, Prodigy, spaCy, "
            "FineGrainedRLHF feedback, movie rationales, SST trees."
        )
        return None
    with st.spinner("Reading …"):
        found: ProjectContents = once("project.read", source.key, lambda: _read(source))
    st.success(plain(found.sentence))
    return found


def _read(source: DatasetSource) -> ProjectContents:
    try:
        labels = open_labels(source.content, source.name)
    except RedvizError as no_labels:
        try:
            return _responses(source)
        except RedvizError as no_responses:
            raise RedvizError(f"{no_responses} As labels: {no_labels}") from None
    if not any(item.annotations or item.gold is not None for item in labels.items):
        return ProjectContents(tuple(labels.items), labels.scale, labels.sentence, False)
    return ProjectContents(
        tuple(labels.items[:MOST_ITEMS]), labels.scale, _told(labels), True, _gold(labels.items[:MOST_ITEMS])
    )


def _gold(items: Sequence[LabelledItem]) -> int:
    return sum(item.gold is not None for item in items)


def _told(labels: LabelSet) -> str:
    left = (
        f" {len(labels.problems)} rows were left out, the first in line {labels.problems[0].line}: {labels.problems[0].reason}"
        if labels.problems
        else ""
    )
    return labels.sentence + left


def _responses(source: DatasetSource) -> ProjectContents:
    dataset = open_dataset(source.content, source.name, limit=MOST_ITEMS)
    given = [one for item in dataset.items() for one in item.examples]
    examples = [Example(one.prompt, one.response, one.id.replace("/", "-")) for one in given if one.response.strip()]
    blank = len(given) - len(examples)
    skipped = f" {dataset.skipped} rows were left out." if dataset.skipped else ""
    skipped += f" {blank} blank responses were left out." if blank else ""
    return ProjectContents(
        tuple(examples[:MOST_ITEMS]),
        "graded",
        f"{dataset.detected.sentence} {len(examples)} responses.{skipped}",
        False,
    )


def _form(items: ProjectContents) -> None:
    task = st.segmented_control(
        "Task", list(TASKS), default="spans", format_func=TASKS.__getitem__, key="redviz.project.task", required=True
    )
    with st.form("redviz.project.new", border=True):
        name = st.text_input("Name", placeholder="Film reviews, autumn")
        question = st.text_input("Question", value=QUESTIONS[task], key=f"redviz.project.question.{task}")
        one, two, three, four = st.columns(4)
        scale = one.selectbox(
            "Scale",
            list(SCALES),
            index=list(SCALES).index(items.scale),
            format_func=SCALES.__getitem__,
            disabled=task == "maps" or items.labelled,
        )
        unit = two.selectbox("Cells", list(UNITS), format_func=UNITS.__getitem__, help="What an arrow key steps over.")
        overlap = three.number_input("People per item", 1, 100, 2, help="How many judge each response.")
        most = four.number_input("Items at most", 1, len(items.items), min(len(items.items), 200))
        guidelines = st.text_area("Guidelines (Markdown)", value=GUIDELINES if task == "spans" else "", height=180)
        names = st.text_area("Annotators, one name a line", placeholder="Ada\nGrace", height=90)
        take = (
            st.toggle("Take over the existing labels, as work of the people who gave them", value=True)
            if items.labelled
            else False
        )
        asked, wanted = _qualification(items.gold) if task == "spans" else (0, 0.0)
        reveal = reveal_choice("") if task == "spans" else ""
        if st.form_submit_button("Make the project", type="primary"):
            project = create_project(
                store(),
                name,
                items.items[: int(most)],
                task=task,
                question=question,
                scale=scale,
                unit=unit,
                overlap=int(overlap),
                guidelines=guidelines,
                qualification_items=asked,
                qualification_agreement=wanted,
                reveal_method=reveal,
                source=items.sentence,
                with_annotations=take,
                annotators=list(dict.fromkeys(line.strip() for line in names.splitlines() if line.strip())),
            )
            show_project(project.id, f"{plain(project.name)} is ready; send each annotator their link.")
            st.rerun()


def _qualification(gold: int) -> tuple[int, float]:
    if not gold:
        st.caption(
            "Gold items, which everybody is asked first, come from files with settled labels, or are chosen under Disagreements."
        )
        return 0, 0.0
    one, two = st.columns(2)
    asked = one.number_input(f"Gold items asked first (of {gold})", 0, gold, 0)
    wanted = two.number_input("Token F1 with gold that is wanted", 0.0, 1.0, 0.5, 0.05)
    return int(asked), float(wanted)


def _exported() -> None:
    file = file_uploader("A project exported by redviz", type=["jsonl"], key="redviz.project.file")
    if file is not None and st.button("Make the project", type="primary"):
        number = import_project(store(), file.getvalue().decode("utf-8", "replace").splitlines())
        show_project(number, "The project is here with everything that was in its file; its links are new.")
        st.rerun()
