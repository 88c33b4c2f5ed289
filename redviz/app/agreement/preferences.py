"""The part of a project that asks for a choice between two maps: which method's map people prefer."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from redviz.app.agreement.people import interval
from redviz.app.agreement.state import Labels, report_of
from redviz.app.session import theme
from redviz.credit.recipes import METHODS
from redviz.evaluation.statistics.bradley_terry import Ranking, bradley_terry
from redviz.view.markdown import plain
from redviz.view.marks import flat


def preferences_part(labels: Labels) -> None:
    """Draw it."""
    from redviz.app.agreement.figures import strengths_figure

    ranking: Ranking = report_of("preferences", "all", {"seed": 0}, lambda: bradley_terry(labels.answers))
    names = {m.label: METHODS[m.label].label if m.label in METHODS else m.label for m in ranking.methods}
    best, last = ranking.methods[0], ranking.methods[-1]
    st.subheader("Which map explains the score better?", anchor=False)
    st.markdown(
        plain(
            f"By the strengths below a person prefers {names[best.label]} to {names[last.label]} with probability "
            f"{ranking.chance(best.label, last.label):.2f}; 0.50 is no preference."
        )
    )
    st.plotly_chart(strengths_figure(ranking, names, theme=theme()), width="stretch", key="redviz.agreement.strengths")
    rows = [
        {
            "method": flat(names[m.label]),
            "log strength": m.strength.value,
            "95 % interval": interval(m.strength),
            "preferred": m.wins,
            "not preferred": m.losses,
            "neither": m.ties,
        }
        for m in ranking.methods
    ]
    config = {"log strength": st.column_config.NumberColumn(format="%+.3f")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=config)
    st.caption(plain(f"{ranking.comparisons:,} choices about {ranking.items:,} items. {ranking.rule}"))
