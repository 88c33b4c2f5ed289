"""What a person takes away: a report, tables, a figure, the calls that give this view, and the link that reopens it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlencode

import streamlit as st

from redviz import settings
from redviz.app.inspect.critics import siblings
from redviz.app.parts.calls import analyze_calls
from redviz.app.session import STORED, card_if_known, partners_of, view, write_link
from redviz.app.state import delete_view, save_view
from redviz.credit.advantages import GROUPED
from redviz.credit.recipes import Recipe
from redviz.data.results.rows import to_csv, to_parquet
from redviz.errors import RedvizError
from redviz.models.spec import ModelSpec
from redviz.records import Analysis
from redviz.view.png import png_possible, svg_to_png
from redviz.view.report import report
from redviz.view.svg import strips_svg


def export_panel(analysis: Analysis, spec: ModelSpec, wanted: Mapping[str, Recipe]) -> None:
    """Draw it."""
    _link()
    st.markdown("**Files**")
    granularity = view().granularity
    with st.container(horizontal=True):
        st.download_button(
            "Report (HTML)",
            report(analysis, granularity=granularity, card=card_if_known()),
            "redviz-report.html",
            "text/html",
            type="primary",
        )
        st.download_button("Tokens (CSV)", to_csv(analysis), "redviz-tokens.csv", "text/csv")
        st.download_button("Everything (JSON)", _json(analysis), "redviz-analysis.json", "application/json")
        st.download_button("Rows (Parquet)", to_parquet(analysis), "redviz-rows.parquet", "application/octet-stream")
        st.download_button(
            "Figure (SVG)", strips_svg(analysis, granularity=granularity), "redviz-strips.svg", "image/svg+xml"
        )
    _png(strips_svg(analysis, granularity=granularity))
    others = [example.response for example in siblings(analysis.example, spec)] if view().baseline in GROUPED else []
    made = analyze_calls(spec, analysis.example, wanted, partners_of(view()), view(), others)
    made.show(help="Credits and sums; return curves are drawn in Python")


def _png(svg: str) -> None:
    """Chrome takes seconds to draw it, so it is made when it is asked for."""
    if not png_possible():
        return
    with st.container(horizontal=True):
        if st.button("Draw the figure as PNG"):
            try:
                made = svg_to_png(svg)
            except RedvizError as error:
                st.error(str(error))
                return
            st.download_button("Figure (PNG)", made, "redviz-strips.png", "image/png", type="primary")


def _link() -> None:
    st.markdown("**Link to this view**")
    own = not view().example
    stored = st.session_state.get(STORED)
    if own and not stored:
        if settings.demo_mode():
            st.caption("This public server stores no text, so your own text has no link; download the report instead.")
            return
        st.caption(
            "Your own text is not in the address bar. Copying a link stores it on this server, under an id nobody can guess."
        )
        if st.button("Copy link"):
            try:
                st.session_state[STORED] = save_view(view())
            except (OSError, RedvizError) as error:
                st.error(f"The view could not be stored: {error}")
                return
            write_link()
            st.rerun()
        return
    base = (st.context.url or "").split("?")[0]
    query = urlencode(st.query_params.to_dict())
    st.code(f"{base}?{query}" if query else base, language=None, wrap_lines=True)
    if stored and not settings.demo_mode() and st.button("Delete the stored text", help="The link then stops working"):
        delete_view(stored)
        st.session_state[STORED] = None
        st.rerun()


def _json(analysis: Analysis) -> str:
    record = analysis.to_dict() | {"conformance": card_if_known()}
    return json.dumps(record, ensure_ascii=False, indent=1)
