"""The causal check: take the most credited span away, and set what each method predicted beside what the model then does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from redviz.engine import ModelSpec
from redviz.evaluation.causal import CausalCheck, causal_checks, most_credited
from redviz.records import Analysis
from redviz.text import Unit, units
from redviz.view.lanes import signed
from redviz.view.markdown import plain
from redviz.view.marks import flat
from redviz.view.screens.waiting import result_of
from redviz.view.session import view
from redviz.worker import Job

if TYPE_CHECKING:
    from redviz.models.reward_model import RewardModel

OPERATORS = {"delete": "delete it", "pad": "turn it into pad tokens", "replace": "put other text in its place"}
SOURCES = ("Most credited by each method", "The pinned one")


def causal_panel(analysis: Analysis, spec: ModelSpec, names: Mapping[str, str]) -> None:
    """Draw it."""
    groups = units(analysis.response, analysis.offsets, view().granularity)
    st.caption(
        f"A colour is a claim: without this {view().granularity} the score would change by its credit. Here the {view().granularity} "
        "is taken away and the model is asked again. Prefix methods promise this only for the end of a response."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        which = st.selectbox("Span", SOURCES, width=280)
        operator = st.selectbox("What happens to it", list(OPERATORS), format_func=lambda o: OPERATORS[o], width=240)
        text = st.text_input("Other text", " thing", width=160) if operator == "replace" else ""
    spans = _spans(analysis, groups, which == SOURCES[1])
    if not spans:
        st.info("Pin a token in the strips first.")
        return
    if operator == "delete" and len(groups) == 1:
        st.info(
            "The response is a single unit, so nothing would remain; split by token or word, or turn it into pad tokens."
        )
        return
    unique = list({u.first: u for u in spans.values()}.values())

    def work(model: RewardModel, job: Job) -> list[CausalCheck]:
        return causal_checks(model, analysis, unique, operator, text)

    key = (analysis.prompt, analysis.response, [(u.first, u.last) for u in unique], operator, text)
    checks = result_of(spec, "Causal check", key, work)
    if checks is not None:
        _table(analysis, names, spans, {c.unit.first: c for c in checks})


def _spans(analysis: Analysis, groups: tuple[Unit, ...], pinned: bool) -> dict[str, Unit]:
    """Label -> the span that is taken away for it."""
    if pinned:
        pin = view().pin
        found = next((u for u in groups if pin is not None and u.first <= pin < u.last), None)
        return dict.fromkeys(analysis.credits, found) if found else {}
    return {label: most_credited(credit, groups) for label, credit in analysis.credits.items()}


def _table(
    analysis: Analysis, names: Mapping[str, str], spans: Mapping[str, Unit], checks: Mapping[int, CausalCheck]
) -> None:
    rows = []
    for label, unit in spans.items():
        check = checks[unit.first]
        predicted = check.predicted(analysis.credits[label])
        rows.append(
            {
                "method": names.get(label, label),
                "span taken away": flat(unit.text),
                "predicted change": predicted,
                "actual change": check.actual,
                "same direction": "yes" if np.sign(predicted) == np.sign(check.actual) else "no",
                "score after": check.after,
            }
        )
    figures = {
        c: st.column_config.NumberColumn(format="%+.4f") for c in ("predicted change", "actual change", "score after")
    }
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=figures)
    largest = max(checks.values(), key=lambda c: abs(c.actual))
    st.caption(
        f"Score as it stands {signed(analysis.score)}; the largest actual change is {signed(largest.actual)}, "
        f"without “{plain(flat(largest.unit.text).strip())}”."
    )
