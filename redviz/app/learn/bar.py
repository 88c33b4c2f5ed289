"""Going from scene to scene: the list of all of them, the one before and the one after."""

from __future__ import annotations

import streamlit as st

from redviz.app.learn.scenes.table import SCENES
from redviz.app.learn.state import choose, chosen, present, presenting

# Everything of Streamlit is measured in rem; what a room does not need gives its place to the scene.
LARGE = """<style>
html:root { font-size: clamp(18px, 1.45vw, 40px) !important; }
[data-testid="stSidebar"], [data-testid="stHeader"] { display: none !important; }
.katex-display { font-size: 0.85em; }
.stMainBlockContainer { padding: 1rem 1.5rem 2rem !important; }
</style>"""


def scenes_bar() -> None:
    """Draw it, with the title of the scene."""
    names, scene = list(SCENES), chosen()
    at = names.index(scene.id)
    key = "redviz.widget.scene"
    st.session_state[key] = scene.id
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Scene",
            names,
            key=key,
            format_func=lambda name: f"{names.index(name) + 1} · {SCENES[name].title}",
            on_change=lambda: choose(st.session_state[key]),
            width="stretch" if presenting() else 420,
        )
        _step("Before", ":material/arrow_back:", names[at - 1] if at else None, "PageUp")
        _step("Next", ":material/arrow_forward:", names[at + 1] if at + 1 < len(names) else None, "PageDown")
        _large()
    st.subheader(scene.title)


def _step(label: str, icon: str, to: str | None, page_key: str) -> None:
    st.button(
        label,
        icon=icon,
        disabled=to is None,
        on_click=choose,
        args=(to,),
        key=f"redviz.scene.{label}",
        shortcut=page_key if presenting() else None,  # what a presenter's remote sends
    )


def _large() -> None:
    # No toggle: while one has the focus, Streamlit does not hear the page keys.
    st.button(
        "End" if presenting() else "Present",
        icon=":material/close_fullscreen:" if presenting() else ":material/present_to_all:",
        on_click=present,
        args=(not presenting(),),
        key="redviz.scene.Present",
        help="Large letters, no sidebar; Page Up and Page Down turn the scenes.",
    )
    if presenting():
        st.html(LARGE)
