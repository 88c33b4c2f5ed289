"""Inspect's panel "Objectives": every objective of a model that has several, side by side and never added up."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from redviz.app.parts.methods_bar import MOST
from redviz.app.session import theme, update, view
from redviz.records import Analysis
from redviz.view.marks import flat

FIRST = 5  # that are drawn before somebody chooses


def objectives_panel(analysis: Analysis) -> None:
    """Prefix scores of the chosen objectives in one figure, and what the response gains in each in a table."""
    from redviz.app.inspect.figures import objectives_figure

    curves = analysis.head_scores  # [T+1] each
    gained = {name: float(curve[-1] - curve[0]) for name, curve in curves.items()}
    most = sorted(gained, key=lambda name: -abs(gained[name]))[:FIRST]
    chosen = st.multiselect(
        "Objectives", list(curves), [name for name in curves if name in most], key="redviz.objectives", format_func=flat
    )
    if chosen:
        figure = objectives_figure({name: curves[name] for name in chosen}, analysis.tokens, theme=theme())
        st.plotly_chart(figure, width="stretch", key="redviz.objectives.curves")
    st.caption(
        "The score of each objective after every token, each in its own unit. The model's own score mixes them; here nothing is added up."
    )
    observation = analysis.observation
    assert observation is not None
    rows = [
        {
            "objective": flat(name),
            "score": observation.of_label(k).score,
            "empty response": float(curve[0]),
            "gained by the response": gained[name],
        }
        for k, (name, curve) in enumerate(curves.items())
    ]
    number = st.column_config.NumberColumn(format="%+.3f")
    columns = {name: number for name in ("score", "empty response", "gained by the response")}
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns)
    room = MOST - len(view().methods)
    new = [name for name in chosen if _label(name) not in view().methods][: max(0, room)]
    if st.button(
        "Add these to the strip",
        disabled=not new,
        help="As RED of one objective each" if new else "They are there, or the strip is full: take a method off above",
    ):
        _add(list(curves), new)
        st.rerun()  # the strips are drawn from outside of this fragment


def _label(name: str) -> str:
    return f"RED {name}"


def _add(names: list[str], chosen: list[str]) -> None:
    more = {_label(name): {"method": "red", "objective": names.index(name)} for name in chosen}
    update(methods={**view().methods, **more})
