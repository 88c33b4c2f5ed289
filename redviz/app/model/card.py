"""The Model screen's parts: the conformance card and the engine."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from redviz.app.parts.sidebar import card_job
from redviz.app.parts.waiting import wait_for
from redviz.app.session import CARD, QUICK, THOROUGH, allowed, confirmed, engine, known_card, offered, own_jobs
from redviz.app.session import ask_again as forget
from redviz.models.rules.rules import RULES
from redviz.models.spec import ModelSpec, is_rule
from redviz.view.markdown import plain

WORDS = {"green": "🟢 passed", "amber": "🟠 caution", "red": "🔴 failed"}


def card(spec: ModelSpec) -> None:
    """The conformance card of the model in the sidebar."""
    st.subheader(f"May {plain(spec.name)} be believed?")
    if not allowed(spec.name):
        st.error("This server does not offer this model; choose one at the left.")
        return
    if not confirmed(spec.name):
        return
    if is_rule(spec.name):
        st.info(
            f"{RULES[spec.name].description} It is a function of text: it has no weights, template or attention to check."
        )
        return
    known = known_card(spec)
    if known is None:
        st.caption(
            "Every check runs on the loaded weights and measures something; nothing is assumed from the model's name."
        )
        wait_for([card_job(spec)])
        return
    rows = [
        {"verdict": WORDS[c.verdict], "check": c.title, "measured": plain(c.figure), "what to do": plain(c.remedy)}
        for c in known.checks
    ]
    frame = pd.DataFrame(rows).set_index("verdict")
    st.table(frame if any(c.remedy for c in known.checks) else frame.drop(columns="what to do"))
    begun = f"redviz.thorough.{hash(spec)}"
    with st.container(horizontal=True):
        st.download_button("Download the card (JSON)", known.to_json(), "redviz-conformance.json", "application/json")
        st.button("Check again", on_click=_again, args=(spec, begun))
        if not known.thorough:
            asks = "What the budget of a check left out is measured too: longer texts, all pairs. It may take many minutes."
            running, begin = bool(st.session_state.get(begun)), st.session_state.__setitem__
            st.button("Check thoroughly", help=asks, disabled=running, on_click=begin, args=(begun, True))
    if st.session_state.get(begun) and not known.thorough:
        wait_for([card_job(spec, thorough=True)])
    source = engine().state(spec)
    if source:
        asked, text = source.source.template, source.source.template_hash or "none"
        st.caption(
            plain(
                f"Fingerprint of the weights {source.source.fingerprint} · template {f'{asked} ' * bool(asked)}{text}"
            )
        )


def _again(spec: ModelSpec, begun: str) -> None:
    st.session_state.pop(begun, None)
    for kept in (QUICK, THOROUGH):
        engine().drop(spec, CARD, kept)
        forget((CARD, spec, kept))


def _unload(spec: ModelSpec) -> None:
    engine().unload(spec)


def engine_panel() -> None:
    """Models in memory, forward passes run, and the last jobs."""
    running = engine()
    st.subheader("Engine")
    left, right = st.columns(2)
    left.metric("Forward passes run", running.runs, help="Sliders and page changes do not raise this number")
    right.metric("Models in memory", len(running.loaded()))
    for state in running.loaded():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"**{plain(state.spec.name)}** · {state.source.dtype} on {state.source.device} · {state.bytes / 2**20:.0f} MiB"
            )
            if offered() is None:  # on a shared server others may be using it
                st.button("Unload", key=f"redviz.unload.{state.spec}", on_click=_unload, args=(state.spec,))
    jobs = (running.worker.jobs() if offered() is None else own_jobs())[-12:]
    if jobs:
        rows = [{"job": j.title, "state": j.state, "what happened": j.error} for j in reversed(jobs)]
        st.dataframe(pd.DataFrame(rows), hide_index=True)
