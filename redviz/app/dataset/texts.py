"""Which text was it trained on? The usual texts on the pairs of the data set that is open, as a job of the engine."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from redviz.app.dataset.sources import DatasetSource, Opened
from redviz.app.parts.waiting import result_of
from redviz.app.session import engine, spec_of, update, view
from redviz.app.worker import LONG, Job
from redviz.data.sets.dataset import open_dataset
from redviz.evaluation.agreement.preferences import stated_pairs
from redviz.evaluation.conformance.text_cost import MOST_PAIRS, cost, mean_characters
from redviz.evaluation.statistics.intervals import Estimate
from redviz.models.reading.templates import OWN
from redviz.models.spec import ModelSpec
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from redviz.evaluation.conformance.text_report import TextReport, TriedText
    from redviz.models.kinds.reward_model import RewardModel

TITLE = "Which text was it trained on?"
BYTES = {"float32": 4.0, "8bit": 1.0, "4bit": 0.5}  # of a parameter; of the half precisions 2
BADGES = {"green": st.success, "amber": st.warning}


def texts_panel(source: DatasetSource, dataset: Opened, mapping: Mapping[str, str], limit: int | None) -> None:
    """Draw it: a button with what it costs, then what was found."""
    spec = spec_of(view())
    key = (source.key, sorted(mapping.items()), limit)
    work = _work(source, mapping, limit)
    report: TextReport | None = result_of(
        spec,
        "Trying texts",
        key,
        work,
        priority=LONG,
        subject=(TITLE, repr(key)),
        button=TITLE,
        note=_note(spec, dataset),
    )
    if report is None:
        return
    check = report.check
    st.markdown(f"**{TITLE}**")
    BADGES[check.verdict](plain(f"{check.figure}. {check.remedy}".strip()))
    if report.best is not report.tried[0]:
        take = report.best.template
        st.button(f"Read it as {plain(take)} from now on", on_click=update, kwargs={"template": take})
    st.dataframe(_table(report), hide_index=True, height="content")
    if refused := [f"{text.template}: {text.refused}" for text in report.tried if text.refused]:
        with st.expander(f"Not tried ({len(refused)})"):
            st.text("\n".join(refused))
    st.caption(
        "95 % intervals over pairs; the text in use comes first, and the others are compared with it pair by pair."
    )


def _work(source: DatasetSource, mapping: Mapping[str, str], limit: int | None) -> Any:
    """Nothing of Streamlit is called in it: it runs in the worker's thread."""

    def work(model: RewardModel, job: Job) -> TextReport:
        from redviz.evaluation.conformance.trained_text import trained_text

        job.progress(0, 0)
        # Opened anew: the screen's own data set counts its problems while somebody looks at it.
        items = open_dataset(source.content, source.name, mapping=mapping, limit=limit).items()
        pairs = list(islice(stated_pairs(items), MOST_PAIRS))
        return trained_text(model, pairs, job.progress)

    return work


def _note(spec: ModelSpec, dataset: Opened) -> str:
    """What it costs, guessed from the first rows; the time where the model was loaded already."""
    pairs = list(stated_pairs(dataset.first))
    state = engine().state(spec)
    size = state.bytes / BYTES.get(state.source.dtype, 2.0) if state else float("nan")
    device = state.source.device if state else "cpu"
    found = cost(spec.template or OWN, dataset.items, mean_characters(pairs), size, device)
    return (
        f"Tries the usual texts on labelled pairs, each with an EOS behind the response and without: {found.sentence}. "
        "The model stays as it is; what is better than its text by more than chance is named."
    )


def _table(report: TextReport) -> pd.DataFrame:
    tried = [text for text in report.tried if text.accuracy.count]
    return pd.DataFrame({name: [cell(text) for text in tried] for name, cell in COLUMNS.items()})


def _number(found: Estimate, form: str) -> str:
    """The figure with its interval; blank where there is none."""
    if found.value != found.value:
        return ""
    between = "" if found.low != found.low else f" ({found.low:{form}} to {found.high:{form}})"
    return f"{found.value:{form}}{between}"


def _column(name: str, form: str) -> Any:
    def cell(text: TriedText) -> str:
        return _number(getattr(text, name), form)

    return cell


COLUMNS = {
    "text": lambda text: text.template,
    "pairs": lambda text: text.accuracy.count,
    "told right": _column("accuracy", ".1%"),
    "against the text in use": _column("accuracy_gain", "+.1%"),
    "mean margin": _column("margin", "+.3f"),
    "margin against it": _column("margin_gain", "+.3f"),
}
