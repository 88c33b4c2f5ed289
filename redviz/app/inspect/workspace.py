"""The strips, the return curves and the pinned token, sharing one pin. One fragment: a knob redraws only these."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import streamlit as st

from redviz.app.inspect.critics import critic_inputs
from redviz.app.inspect.details import details
from redviz.app.inspect.sums import sums
from redviz.app.parts.methods_bar import method_names
from redviz.app.session import bound, update, view, write_link
from redviz.credit.advantages import BASELINES, GROUPED, ReturnCurves, return_curves
from redviz.credit.recipes import Recipe
from redviz.errors import RedvizError
from redviz.models.spec import ModelSpec
from redviz.records import Analysis, Credit
from redviz.text import Unit, pool, units
from redviz.view.curves import Level, Panel, Series, curves
from redviz.view.link import share_pin
from redviz.view.markdown import plain
from redviz.view.marks import flat
from redviz.view.strip import strips

GROUP = "inspect"


@st.fragment
def workspace(analysis: Analysis, spec: ModelSpec, wanted: Mapping[str, Recipe]) -> None:
    """Draw strips, sums, curves and the pinned token of one analysis, and the panel below that follows pin and knobs."""
    state = view()
    names = method_names(wanted)
    labels = [label for label in wanted if label in analysis.credits]
    with st.container(gap=None):
        strips(
            analysis,
            labels=labels,
            names=names,
            granularity=state.granularity,
            layout=state.layout,
            scale=state.scale,
            text_size=state.text_size,
            group=GROUP,
            key="redviz.strips",
        )
        share_pin(state.pin, group=GROUP, on_pin=lambda token: update(pin=token), key="redviz.pin")
    sums(analysis, names)
    made = _knobs(analysis, spec, wanted, labels, names)
    left, right = st.columns([5, 2], gap="large")
    with left:
        curves(
            _panels(analysis, labels, names, made),
            n=len(analysis.tokens),
            group=GROUP,
            unit=analysis.unit,
            key="redviz.curves",
        )
    with right:
        _pinned(analysis, names, made, state.pin)
    write_link()
    st.divider()
    details(analysis, spec, wanted, made)


def _knobs(
    analysis: Analysis, spec: ModelSpec, wanted: Mapping[str, Recipe], labels: list[str], names: Mapping[str, str]
) -> ReturnCurves | None:
    if not labels:
        return None
    shown = _rewards(labels)
    with st.container(horizontal=True, gap="medium"):
        _rewards_picker(labels, names, shown)
        _beta(shown)
        bound(st.slider, "γ discount", "gamma", 0.0, 1.0, step=0.01, width=150)
        bound(
            st.slider,
            "λ of GAE",
            "lam",
            0.0,
            1.0,
            step=0.01,
            width=150,
            help="1: Monte Carlo, A = G − V. 0: one-step TD error.",
            disabled=view().baseline in GROUPED,
        )
        bound(st.selectbox, "Baseline V", "baseline", BASELINES, width=150)
        if view().baseline == "constant":
            bound(st.number_input, "Constant", "constant", step=0.1, width=120)
    state = view()
    more = critic_inputs(analysis, spec, shown, wanted[shown])
    if more is None:
        return None
    baseline = state.baseline
    try:
        made = return_curves(
            analysis,
            shown,
            gamma=state.gamma,
            lam=state.lam,
            baseline=baseline,
            constant=state.constant,
            **more,
        )
    except RedvizError as error:
        st.info(plain(error))
        return None
    for caution in made.cautions:
        st.caption(f"⚠ {caution}")
    return made


def _rewards(labels: list[str]) -> str:
    """The method whose credits are the rewards; the first one while that one is still under way."""
    return view().rewards if view().rewards in labels else labels[0]


def _rewards_picker(labels: list[str], names: Mapping[str, str], shown: str) -> None:
    key = "redviz.widget.rewards"
    st.session_state[key] = shown
    st.selectbox(
        "Token rewards",
        labels,
        format_func=lambda label: names.get(label, label),
        key=key,
        on_change=lambda: update(rewards=st.session_state[key]),
        width=150,
    )


def _beta(label: str) -> None:
    """β_c belongs to RED's credits, so moving it redraws the whole page."""
    recipe = view().recipes[label]
    key = "redviz.widget.beta_c"
    st.session_state[key] = float(recipe.options.get("beta_c", 1.0))

    def take() -> None:
        update(methods=view().with_option(label, "beta_c", st.session_state[key]).methods)
        st.session_state["redviz.redraw"] = True

    mixes = "beta_c" in recipe.options
    st.slider("β_c of RED", 0.0, 1.0, step=0.05, key=key, on_change=take, width=150, disabled=not mixes)
    if st.session_state.pop("redviz.redraw", False):
        st.rerun()


def _panels(analysis: Analysis, labels: list[str], names: Mapping[str, str], made: ReturnCurves | None) -> list[Panel]:
    closes = analysis.observation is not None and analysis.observation.has_end
    panels = [
        _prefix_panel(analysis, closes),
        Panel(
            "Cumulative credit",
            [Series(names.get(label, label), _cumulative(analysis.credits[label], closes)) for label in labels],
            note="what each method has given out so far",
        ),
    ]
    if made is None:
        return panels
    name = names.get(_rewards(labels), _rewards(labels))
    return [
        *panels,
        Panel(
            "Return G_t",
            [Series(name, made.returns)],
            note=f"discounted sum of {name} rewards from each {analysis.unit} on",
        ),
        Panel("Advantage A_t", [Series(name, made.advantages)], note=_against(made)),
    ]


def _against(made: ReturnCurves) -> str:
    """What G_t is compared with, in words and where it is one number with it."""
    baseline = view().baseline
    constant = len(set(made.values.tolist())) == 1
    named = f"{baseline} b = {made.values[0]:+.3g}" if constant and baseline != "zero" else f"baseline {baseline}"
    return f"G_t against the {named}" + ("" if baseline in GROUPED else f", λ = {view().lam:g}")


def _prefix_panel(analysis: Analysis, closes: bool) -> Panel:
    """P_t of the one forward pass, and where they were asked for Q_t of closed prefixes and P_t of truncated texts."""
    length = len(analysis.tokens)
    known = np.isfinite(analysis.prefix_scores[1:]).all()  # P_0 is not, where nothing is read before the first step
    prefix = analysis.prefix_scores
    lines = [Series("P_t", np.append(prefix, analysis.score) if closes else prefix)] if known else []
    for key, name in (("closed_scores", "Q_t closed"), ("prefix_scores", "P_t, text cut")):
        found = next((c.meta[key] for c in analysis.credits.values() if len(c.meta.get(key, ())) == length + 1), None)
        lines += [Series(name, found)] if found else []
    note = f"the score of the response up to each {analysis.unit}"
    if any(line.label == "Q_t closed" for line in lines):
        note += "; Q: closed by the template's own tokens"
    marks = [Level("base P_0", analysis.base), Level("score", analysis.score)]
    return Panel("Prefix score P_t", lines, marks, x0=-1, note=note if lines else "add Truncation to see it")


def _cumulative(credit: Credit, closes: bool) -> np.ndarray:
    return np.cumsum(np.append(credit.own, credit.closing) if closes else credit.own)


def _pinned(analysis: Analysis, names: Mapping[str, str], made: ReturnCurves | None, pin: int | None) -> None:
    length = len(analysis.tokens)
    if pin is None:
        st.markdown(f"**No {analysis.unit} pinned**")
        st.caption(
            f"Click a {analysis.unit} or a curve to pin it here, in the strips and in the curves; arrow keys move the pin."
        )
        return
    if pin >= length:
        st.markdown("**end** · the template's closing tokens")
        st.caption(
            f"P_T {analysis.prefix_scores[-1]:+.4f} → score {analysis.score:+.4f}: they add {analysis.closing:+.4f}."
        )
        return
    groups = units(analysis.response, analysis.offsets, view().granularity)
    at, unit = next((i, u) for i, u in enumerate(groups) if u.first <= pin < u.last)
    of_tokens = analysis.unit == "token"
    st.markdown(f"**{(view().granularity if of_tokens else analysis.unit).capitalize()} {at + 1} of {len(groups)}**")
    st.code(flat(unit.text) or "∅", language=None, wrap_lines=True)
    ids = ", ".join(str(i) for i in analysis.token_ids[unit.first : unit.last])
    before, after = analysis.prefix_scores[unit.first], analysis.prefix_scores[unit.last]
    st.caption(
        (f"id {ids} · " if of_tokens else "")
        + f"characters {unit.start}–{unit.end}"
        + (f"  \nP {before:+.4f} → {after:+.4f}" if np.isfinite(after - before) else "")
        + (f"  \nG_t {made.returns[unit.first]:+.4f} · A_t {made.advantages[unit.first]:+.4f}" if made else "")
    )
    rows = []
    for label, credit in analysis.credits.items():
        pooled = pool(credit.own, groups)  # [U]
        rank = int((np.abs(pooled) > abs(pooled[at])).sum()) + 1
        rows.append({"method": names.get(label, label), "credit": float(pooled[at]), "rank": rank})
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        column_config={
            "credit": st.column_config.NumberColumn(format="%+.4f"),
            "rank": st.column_config.NumberColumn(help=f"1 is the largest credit in absolute value, of {len(groups)}"),
        },
    )
    _layers(analysis, unit)


def _layers(analysis: Analysis, unit: Unit) -> None:
    observation = analysis.observation
    if observation is None or observation.response_row is None:
        return
    start = observation.encoding.start
    by_layer = observation.response_row[:, :, start + unit.first : start + unit.last].sum(2).mean(1)  # [layer]
    st.dataframe(
        pd.DataFrame({"attention by layer": [[None if np.isnan(paid) else paid for paid in by_layer.tolist()]]}),
        hide_index=True,
        column_config={
            "attention by layer": st.column_config.BarChartColumn(
                f"attention by layer, 0 to {len(by_layer) - 1}",
                y_min=0.0,
                help="Head mean of what the last response token pays to this token",
            )
        },
    )
