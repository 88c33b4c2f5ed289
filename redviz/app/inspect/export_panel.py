"""What a person takes away: a report, tables, a figure, the calls that give this view, and the link that reopens it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from urllib.parse import urlencode

import streamlit as st

from redviz import settings
from redviz.app.session import STORED, card_if_known, view, write_link
from redviz.app.state import ViewState, delete_view, save_view
from redviz.credit.recipes import Recipe
from redviz.data.results.rows import to_csv, to_parquet
from redviz.errors import RedvizError
from redviz.models.spec import is_rule
from redviz.records import Analysis
from redviz.view.png import png_possible, svg_to_png
from redviz.view.report import report
from redviz.view.svg import strips_svg


def export_panel(analysis: Analysis, wanted: Mapping[str, Recipe]) -> None:
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
    left, right = st.columns(2)
    with left:
        st.markdown("**The same in Python**")
        st.code(as_python(view(), analysis, wanted), language="python", wrap_lines=True)
    with right:
        st.markdown("**The same in a terminal**", help="Credits and sums; return curves are drawn in Python")
        st.code(as_cli(view(), analysis, wanted), language="bash", wrap_lines=True)


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


def as_python(state: ViewState, analysis: Analysis, wanted: Mapping[str, Recipe]) -> str:
    """The call that gives this view."""
    prompt = analysis.prompt if isinstance(analysis.prompt, str) else [dict(m) for m in analysis.prompt]
    loaded = f"redviz.load_reward_model({state.model!r}{_loading(state)})"
    rule = is_rule(state.model)
    return (
        "import redviz\n" + ("from redviz.models.rules.rules import load_rule\n" if rule else "") + "\n"
        f"model = {f'load_rule({state.model!r})' if rule else loaded}\n"
        "analysis = redviz.analyze(\n"
        f"    model,\n    prompt={prompt!r},\n    response={analysis.response!r},\n    methods={_methods(wanted)!r},\n)\n"
        f"analysis.to_frame()\n\n"
        f"curves = redviz.return_curves(analysis, {state.rewards!r}, gamma={state.gamma}, lam={state.lam}, "
        f"baseline={state.baseline!r}, constant={state.constant})"
    )


def as_cli(state: ViewState, analysis: Analysis, wanted: Mapping[str, Recipe]) -> str:
    """The command that gives this view."""
    if isinstance(analysis.prompt, str):
        prompt = f"--prompt {shlex.quote(analysis.prompt)}"
    else:
        prompt = f"--messages {shlex.quote(json.dumps([dict(m) for m in analysis.prompt], ensure_ascii=False))}"
    words = [
        f"redviz analyze --model {shlex.quote(state.model)}",
        prompt,
        f"--response {shlex.quote(analysis.response)}",
    ]
    chosen = _methods(wanted)
    words.append(f"--methods {shlex.quote(json.dumps(chosen) if isinstance(chosen, dict) else ','.join(chosen))}")
    for flag in ("device", "dtype", "revision", "head", "read"):
        if (value := getattr(state, flag)) != getattr(ViewState(), flag):
            words.append(f"--{flag} {shlex.quote(value)}")
    if state.granularity != "token":
        words.append(f"--granularity {state.granularity}")
    return " \\\n  ".join(words)


def _loading(state: ViewState) -> str:
    default = ViewState()
    names = ("device", "dtype", "revision", "head", "read")
    return "".join(f", {n}={getattr(state, n)!r}" for n in names if getattr(state, n) != getattr(default, n))


def _methods(wanted: Mapping[str, Recipe]) -> list[str] | dict[str, dict[str, object]]:
    """The shortest form: names, or label -> the options that differ from their defaults."""
    changed = {
        label: ({} if label == r.method else {"method": r.method})
        | {k: v for k, v in r.options.items() if v != r.info.all_options[k].default}
        for label, r in wanted.items()
    }
    return changed if any(changed.values()) else list(changed)
