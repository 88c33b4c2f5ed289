"""The part "Methods and people": whether methods credit what people marked, and which differences are larger than chance."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import streamlit as st

from redviz.app.agreement.jobs import asked, counted, scored
from redviz.app.agreement.people import interval
from redviz.app.agreement.state import Labels, report_of, share, units
from redviz.app.parts.kept import keep, recall
from redviz.app.parts.methods_bar import method_names
from redviz.app.session import remembered, theme, view
from redviz.evaluation.agreement.against_people import MethodAgreement, MethodsReport, against_people, report_of_table
from redviz.evaluation.agreement.ranking_figures import FIGURE_NAMES, FIGURES
from redviz.evaluation.statistics.paired_differences import Difference
from redviz.view.markdown import plain
from redviz.view.marks import flat

METRIC, THRESHOLD = "agreement.metric", "agreement.threshold"
KINDS = {"method": "method", "people": "human ceiling", "baseline": "baseline"}
ORDER = tuple(KINDS)
NAMED = {FIGURE_NAMES[name]: name for name in ("average_precision", *(n for n in FIGURES if n != "average_precision"))}
MOST_TOLD = 6  # differences in one sentence


def methods_part(labels: Labels) -> None:
    """Draw it."""
    credits = scored(labels)
    if credits is None:
        return
    metric = NAMED[remembered("Figure", METRIC, tuple(NAMED))]
    threshold = _threshold()
    granularity = units()
    key = (labels.key, credits.source, len(credits.pairs), view().recipes, granularity, threshold)
    whole: MethodsReport | None = counted(
        credits,
        "Methods against people",
        repr(key),
        lambda pairs: against_people(pairs, granularity, threshold=threshold),
    )
    if whole is None:
        return
    report: MethodsReport = report_of(
        "methods",
        repr((key, metric)),
        {**asked(credits), "granularity": granularity, "threshold": threshold, "metric": metric},
        lambda: whole if metric == whole.metric else report_of_table(whole.table, metric),
        credits.source,
    )
    _drawn(report)


def _threshold() -> float:
    key = f"redviz.widget.{THRESHOLD}"
    st.session_state[key] = recall(THRESHOLD, 0.0)
    return float(
        st.number_input(
            "Marked: a grade beyond", 0.0, 2.0, step=0.5, key=key, width=180,
            on_change=lambda: keep(THRESHOLD, st.session_state[key]),
            help="A unit is marked where its grade, the mean over people or the settled one, is further from 0 than this.",
        )
    )  # fmt: skip


def _drawn(report: MethodsReport) -> None:
    from redviz.app.agreement.figures import leaderboard_figure

    names = method_names(view().recipes)
    rows = leaderboard(report)
    title = FIGURE_NAMES[report.metric]
    figure = leaderboard_figure(rows, report.metric, f"{title} (higher is better)", names, theme=theme())
    st.plotly_chart(figure, width="stretch", key="redviz.agreement.leaderboard")
    st.caption(
        plain(
            f"{title[0].upper()}{title[1:]}: mean over {report.responses:,} responses with its 95 % bootstrap interval over responses; "
            f"{report.marked:,} of {report.units:,} {report.granularity}s are marked. Filled dots are methods, the diamond and dashed "
            "line the human ceiling (where people overlap), open dots baselines that have not read the response, the dotted line chance."
        )
    )
    for note in report.notes:
        (st.warning if note.startswith("More than half") else st.caption)(plain(note))
    _differences(report, names)
    st.dataframe(
        _table(rows, names, report.metric),
        hide_index=True, placeholder="–",
        column_config={
            name: st.column_config.NumberColumn(format="%.3f") for name in FIGURE_NAMES.values()
        } | {
            "tied": share("tied", f"Share of {report.granularity}s whose credit another one of the response has too")
        },
    )  # fmt: skip
    with st.expander("What each figure is"):
        st.markdown(plain(report.rule))


def leaderboard(report: MethodsReport) -> list[MethodAgreement]:
    """Methods by the report's figure, the best first; then people; then baselines."""

    def place(row: MethodAgreement) -> tuple[int, float]:
        value = row.figures[report.metric].value
        return ORDER.index(row.kind), -value if math.isfinite(value) else math.inf

    return sorted(report.methods, key=place)


def _table(rows: list[MethodAgreement], names: dict[str, str], metric: str) -> pd.DataFrame:
    figures = [metric, *(name for name in FIGURES if name != metric)]
    table = [
        {
            "": flat(names.get(row.label, row.label)),
            "kind": KINDS[row.kind],
            FIGURE_NAMES[metric]: row.figures[metric].value,
            "95 % interval": interval(row.figures[metric]),
            **{FIGURE_NAMES[name]: row.figures[name].value for name in figures[1:]},
            "tied": 100 * row.tied,
            "responses": row.figures[metric].count,
        }
        for row in rows
    ]
    return pd.DataFrame(table)


def _differences(report: MethodsReport, names: dict[str, str]) -> None:
    differences = (*report.differences, *report.over_baselines)
    if len(report.differences) <= MOST_TOLD:
        st.markdown(plain(report.sentence))
    else:
        sure = sum(d.significant for d in report.differences)
        st.markdown(
            plain(
                f"Of the {len(report.differences)} pairs of methods, {sure} differ by more than chance in {FIGURE_NAMES[report.metric]} "
                f"(paired bootstrap over responses, Holm's correction, 5 %). {_weak(report.sentence)}"
            )
        )
    if differences:
        with st.expander("Every difference"):
            st.dataframe(
                pd.DataFrame([_row(d, names) for d in differences]),
                hide_index=True,
                placeholder="–",
                column_config=_columns(),
            )
            st.caption(
                "Paired: over the responses that have both. p is two-sided, from bootstrap draws over responses, after Holm's correction "
                "for all pairs of methods, or for all pairs of a method with a baseline."
            )


def _weak(sentence: str) -> str:
    """The last part of the report's sentence: which methods are not above the baselines."""
    start = sentence.rfind("Not above every baseline")
    return sentence[start:] if start >= 0 else ""


def _row(difference: Difference, names: dict[str, str]) -> dict[str, Any]:
    return {
        "higher": flat(names.get(difference.one, difference.one)),
        "lower": flat(names.get(difference.two, difference.two)),
        "difference": difference.estimate.value,
        "95 % interval": interval(difference.estimate),
        "p": difference.adjusted,
        "larger than chance": difference.significant,
        "responses": difference.estimate.count,
    }


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn(format="%.3f")
    return {"difference": number, "p": st.column_config.NumberColumn(format="%.4f")}
