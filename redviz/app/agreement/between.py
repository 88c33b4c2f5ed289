"""The part "Methods among themselves": how alike they order the units of a response, and where they part."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from redviz.app.agreement.jobs import asked, counted, scored
from redviz.app.agreement.people import inspect_button
from redviz.app.agreement.state import Labels, around, report_of, share, units
from redviz.app.parts.kept import kept_choice
from redviz.app.parts.methods_bar import method_names
from redviz.app.session import remembered, theme, view
from redviz.evaluation.agreement.agreement import ScoredLabels
from redviz.evaluation.agreement.between_methods import BetweenReport, Parting, between_methods
from redviz.view.marks import flat

TOPS = {"5 %": 0.05, "10 %": 0.1, "20 %": 0.2}
EVERY = "every pair"
MOST_SHOWN = 30  # partings


def between_part(labels: Labels) -> None:
    """Draw it."""
    credits = scored(labels)
    if credits is None:
        return
    if len(view().recipes) < 2:
        st.info("One method has nobody to be compared with; add a second one under Methods.")
        return
    granularity = units()
    top = TOPS[remembered("Top units", "agreement.top", ("10 %", "5 %", "20 %"))]
    key = repr((labels.key, credits.source, len(credits.pairs), view().recipes, granularity, top))
    whole: BetweenReport | None = counted(
        credits,
        "Methods among themselves",
        key,
        lambda pairs: between_methods((analysis for _, analysis in pairs), granularity, share=top),
    )
    if whole is None:
        return
    report: BetweenReport = report_of(
        "between", key, {**asked(credits), "granularity": granularity, "share": top}, lambda: whole, credits.source
    )
    _matrices(report)
    _partings(report, credits, labels)


def _matrices(report: BetweenReport) -> None:
    from redviz.app.agreement.figures import matrix_figure

    names = method_names(view().recipes)
    shown = [names.get(label, label) for label in report.labels]
    left, right = st.columns(2)
    with left:
        st.markdown("**Rank correlation**")
        figure = matrix_figure(report.spearman, shown, -1, "Spearman", theme=theme())
        st.plotly_chart(figure, width="stretch", key="redviz.agreement.spearman")
        st.caption(
            f"Spearman's correlation of the credits of a response's {report.granularity}s, mean over {report.responses:,} responses: "
            "1 the same order, 0 none, −1 the reverse."
        )
    with right:
        st.markdown(f"**Overlap of the top {report.share:.0%}**")
        figure = matrix_figure(report.overlap, shown, 0, "overlap", theme=theme())
        st.plotly_chart(figure, width="stretch", key="redviz.agreement.overlap")
        st.caption(
            f"Jaccard index of the {report.granularity}s with the largest absolute credits (at least one per response); two random "
            f"choices would have {report.chance:.2f}."
        )


def _partings(report: BetweenReport, credits: ScoredLabels, labels: Labels) -> None:
    st.markdown("**Where they part most**")
    names = method_names(view().recipes)
    pairs = {f"{names.get(p.one, p.one)} and {names.get(p.two, p.two)}": (p.one, p.two) for p in report.partings}
    chosen = kept_choice("Methods", "agreement.pair", [EVERY, *sorted(pairs)], width=280)
    parted = [p for p in report.partings if chosen == EVERY or (p.one, p.two) == pairs[chosen]][:MOST_SHOWN]
    if not parted:
        st.info("No response has five units or more that two methods order differently.")
        return
    texts = {item.id: item.response for item, _ in credits.pairs}
    rows = [_row(parting, names, texts[parting.id]) for parting in parted]
    number = st.column_config.NumberColumn(format="%+.3f")
    picked = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="–",
        key=f"redviz.agreement.partings.{chosen}",
        on_select="rerun",
        selection_mode="single-row",
        height=min(420, 40 + 35 * len(rows)),
        column_config={
            "first's credit": number,
            "second's credit": number,
            "in the text": st.column_config.TextColumn(width="large"),
            **{
                name: share(name, "In the order of credits of its response")
                for name in ("first's place", "second's place")
            },
        },
    ).selection.rows
    st.caption(
        f"A place is that of the {report.granularity} by credit in its response: 0 % the lowest, 100 % the highest. Select a row to "
        "look at the response."
    )
    if picked and picked[0] < len(parted):
        inspect_button(labels, parted[picked[0]].id)


def _row(parting: Parting, names: dict[str, str], response: str) -> dict[str, object]:
    return {
        "in the text": flat(around(response, parting.start, parting.end)),
        "first": flat(names.get(parting.one, parting.one)),
        "first's place": 100 * parting.rank_one,
        "first's credit": parting.value_one,
        "second": flat(names.get(parting.two, parting.two)),
        "second's place": 100 * parting.rank_two,
        "second's credit": parting.value_two,
        "response": flat(parting.id),
    }
