"""One scene of the Learn screen: its words and knobs at the left, what moves at the right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from redviz.app.learn.scenes.figure import enlarged
from redviz.app.learn.scenes.handout import handout
from redviz.app.learn.scenes.scene import JUDGE, Bench, CreditStrip, Drawn, Knob, Scene, Waiting
from redviz.app.learn.state import chosen, link_of, move, open_in_inspect, presenting, values, write_scene
from redviz.app.parts.waiting import wait_for
from redviz.app.session import asked, engine, theme
from redviz.errors import RedvizError
from redviz.models.spec import ModelSpec
from redviz.view.markdown import plain
from redviz.view.strip import strips

# A formula wider than a phone scrolls by itself; the page does not.
FORMULAS = "<style>.katex-display{overflow-x:auto;overflow-y:hidden;padding:2px 0}</style>"
FIGURE = {"displayModeBar": False, "scrollZoom": False}
LARGER = 1.9  # a figure's letters, for a room


@st.fragment
def scene_part() -> None:
    """Draw the chosen scene. A fragment: a knob redraws only this."""
    scene = chosen()
    st.html(FORMULAS)
    words, picture = st.columns([2, 3], gap="large")
    with words:
        st.markdown(scene.text)
        st.latex(scene.formula)
        st.caption(scene.paper)
        st.markdown(f"**Think.** {scene.question}")
        with st.expander("Answer", key=f"redviz.answer.{scene.id}"):
            st.markdown(scene.answer)
    with picture:
        for knob in scene.knobs:
            _widget(scene, knob)
        drawn = _drawn(scene)
        for number, part in enumerate(drawn.parts if drawn else ()):
            _part(scene, part, number)
    with st.container(horizontal=True):
        if st.button("Open this in Inspect", icon=":material/format_ink_highlighter:"):
            open_in_inspect(scene, drawn.inspect if drawn else {})
            st.switch_page("pages/inspect.py")
        with st.popover("Link", icon=":material/link:"):
            st.caption("The address bar holds it too: this scene, its knobs as they stand.")
            st.code(_link(scene), language=None, wrap_lines=True)
        if drawn:
            st.download_button(
                "Handout",
                _handout(scene, drawn),
                f"redviz-{scene.id}.html",
                "text/html",
                icon=":material/print:",
                on_click="ignore",
                help="This scene with its knobs as they stand, on one page to print. It needs no network.",
            )
    write_scene(scene)


def _link(scene: Scene) -> str:
    base = (st.context.url or "").split("?")[0]
    return base + "?" + urlencode(link_of(scene))


def _handout(scene: Scene, drawn: Drawn) -> Callable[[], str]:
    """What writes it once it is asked for: on paper, so in the light theme's colours."""
    running, shown, link = engine(), dict(values(scene)), _link(scene)

    def write() -> str:
        try:
            on_paper = scene.draw(Bench(running), shown)
        except Waiting:  # the engine has forgotten a result meanwhile
            on_paper = drawn
        return handout(scene, shown, on_paper, link)

    return write


def _drawn(scene: Scene) -> Drawn | None:
    """What to show, or None while the engine works (its progress is then on the page)."""
    try:
        return scene.draw(Bench(engine(), theme()), values(scene))
    except Waiting as waiting:
        if engine().state(ModelSpec(JUDGE)) is None:
            st.info("The model is loaded first. That takes some seconds, once on this server.")
        wait_for([(key, asked(key, start)) for key, start in waiting.wanted])
    except RedvizError as error:
        st.error(plain(error))
    return None


def _widget(scene: Scene, knob: Knob) -> None:
    key = f"redviz.knob.{scene.id}.{knob.name}"
    told = f"{key}.told"  # what the knob was last made to show, or showed by itself
    stands, shown = values(scene)[knob.name], st.session_state.get(key)
    if shown is not None and shown != stands and stands == st.session_state.get(told):
        move(scene, knob.name, shown)  # a move whose callback was lost to a run that ended early
        stands = shown
    elif key in st.session_state and shown != stands:  # a link was followed (a knob drawn first has its default)
        st.session_state[key] = stands
    st.session_state[told] = stands

    def take() -> None:
        if st.session_state[key] is not None:
            move(scene, knob.name, st.session_state[key])

    more: dict[str, Any] = {"key": key, "on_change": take, "help": knob.help or None}
    # A default and not the session says how a knob stands at first: what is set in the session is told to the browser once,
    # and a run on the heels of this one clears what was not yet sent. The browser would then show, and report, no choice.
    if knob.options:
        named = {option: knob.names.get(option, option) for option in knob.options}
        st.segmented_control(
            knob.label,
            knob.options,
            default=stands,
            format_func=lambda option: named[option],
            wrap=True,
            required=True,
            **more,
        )
    elif isinstance(knob.default, int):
        st.slider(knob.label, int(knob.low), int(knob.high), int(stands), int(knob.step), **more)
    else:
        st.slider(knob.label, float(knob.low), float(knob.high), float(stands), float(knob.step), **more)


def _part(scene: Scene, part: object, number: int) -> None:
    key = f"redviz.part.{scene.id}.{number}"
    if isinstance(part, str):
        st.markdown(part)
    elif isinstance(part, CreditStrip):
        strips(
            part.analysis,
            labels=part.labels,
            names=part.names,
            granularity=part.granularity,
            scale=part.scale,
            limits=part.limits,
            group=f"learn.{scene.id}.{number}",
            key=key,
        )
    elif isinstance(part, pd.DataFrame):
        st.table(part, hide_index=True, border="horizontal")
    else:
        shown = enlarged(part, LARGER) if presenting() else part
        st.plotly_chart(shown, theme=None, config=FIGURE, key=key)
