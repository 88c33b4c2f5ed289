"""Below the curves: the causal check, attention maps, what the model read, the token table, and what can be taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from redviz.app.inspect.causal_panel import causal_panel
from redviz.app.inspect.export_panel import export_panel
from redviz.app.inspect.objectives_panel import objectives_panel
from redviz.app.inspect.what_if_panel import what_if_panel
from redviz.app.parts.methods_bar import MOST, method_names
from redviz.app.parts.waiting import result_of
from redviz.app.session import engine, remembered, theme, update, view
from redviz.app.worker import Job
from redviz.credit.advantages import ReturnCurves
from redviz.credit.from_records.abc import layers_that_attend
from redviz.credit.recipes import Recipe
from redviz.data.results.rows import without_formulas
from redviz.models.spec import ModelSpec, ModelState
from redviz.records import Analysis, Array
from redviz.text import pool, units
from redviz.view.marks import flat

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

PANELS = ("Causal check", "What-if", "Attention map", "What the model read", "Token table", "Export and link")
OBJECTIVES = "Objectives"  # where the model has several
SUMMED = dict.fromkeys(("token_rewards", "dpo"), "The score is the sum over the response's tokens.")
LARGEST_ROWS = 150_000  # layers x heads x tokens
LARGEST_MAP = 400  # tokens; beyond it a map has more cells than a screen has pixels


def details(analysis: Analysis, spec: ModelSpec, wanted: Mapping[str, Recipe], made: ReturnCurves | None) -> None:
    """Draw the chosen panel; the others cost nothing."""
    panel = remembered("Look closer", "panel", (*PANELS, OBJECTIVES) if analysis.head_scores else PANELS)
    if panel == "Causal check":
        causal_panel(analysis, spec, method_names(wanted), wanted)
    elif panel == "What-if":
        what_if_panel(analysis, spec, method_names(wanted), wanted)
    elif panel == "Attention map":
        _attention(analysis, spec, engine().state(spec))
    elif panel == "What the model read":
        _read(analysis)
    elif panel == "Token table":
        token_table(analysis, method_names(wanted), made)
    elif panel == "Export and link":
        export_panel(analysis, spec, wanted)
    elif panel == OBJECTIVES:
        objectives_panel(analysis)


def _attention(analysis: Analysis, spec: ModelSpec, state: ModelState | None) -> None:
    observation = analysis.observation
    if observation is None or observation.response_row is None:
        st.info("This model shows no attention weights of one token that reads its score.")
        return
    from redviz.app.inspect.figures import attention_matrix_figure, attention_rows_figure

    if observation.response_row.shape[0] * observation.response_row.shape[1] * len(analysis.tokens) > LARGEST_ROWS:
        groups = units(analysis.response, analysis.offsets, "sentence")
        st.caption(
            "This model and response have too many cells for one picture by token, so each column is a sentence."
        )
    else:
        groups = units(analysis.response, analysis.offsets, view().granularity)
    own = observation.response_row[:, :, observation.encoding.start : observation.encoding.stop]  # [layer, head, T]
    rows = np.add.reduceat(own, [u.first for u in groups], axis=2)  # [layer, head, U]
    pinned = view().pin
    pin = next((i for i, u in enumerate(groups) if pinned is not None and u.first <= pinned < u.last), None)
    st.caption(
        "What the last response token looks at, by layer and head: the row that attention-based credit (ABC) is made of. "
        "Attention to the prompt is left out."
    )
    texts = [u.text for u in groups]
    st.plotly_chart(
        attention_rows_figure(rows, texts, pin=pin, theme=theme()), width="stretch", key="redviz.attention.rows"
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        those = layers_that_attend(rows)
        layer = st.selectbox("Layer", those, index=len(those) - 1)
        head = st.selectbox("Head", range(rows.shape[1]))
        full = st.toggle("Full map of this head", help="Every token's attention, computed on demand")
        if st.button("Use this layer and head in ABC"):
            _use_in_abc(layer, head)
            st.rerun()  # the strips are drawn from outside of this fragment
    if not full:
        return
    if len(analysis.tokens) > LARGEST_MAP:
        st.info(
            f"The full map is drawn for responses of up to {LARGEST_MAP} tokens; this one has {len(analysis.tokens)}."
        )
        return
    matrix = result_of(
        spec, "Attention map", (analysis.prompt, analysis.response, layer, head), _matrix_work(analysis, layer, head)
    )
    if matrix is not None:
        start, stop = observation.encoding.start, observation.encoding.stop
        figure = attention_matrix_figure(matrix[:, start:stop], list(analysis.tokens), theme=theme())
        st.plotly_chart(figure, width="stretch", key="redviz.attention.matrix")


def _matrix_work(analysis: Analysis, layer: int, head: int) -> Callable[[RewardModel, Job], Array]:
    def work(model: RewardModel, job: Job) -> Array:
        from redviz.models.running.observe import attention_matrix

        assert analysis.observation is not None
        return attention_matrix(model, analysis.observation.encoding, layer, head)

    return work


def _use_in_abc(layer: int, head: int) -> None:
    label = f"ABC L{layer} H{head}"
    if len(view().methods) < MOST:
        update(methods={**view().methods, label: {"method": "abc", "layer": layer, "heads": [head]}})


def _read(analysis: Analysis) -> None:
    observation = analysis.observation
    assert observation is not None
    encoding = observation.encoding
    place = SUMMED.get(analysis.source.family, f"The score is read at column {encoding.read}.")
    st.caption(
        f"A mark follows each of the {encoding.stop - encoding.start} steps, and the score of a step is read there."
        if analysis.unit == "step"
        else f"{len(encoding.ids)} tokens: {encoding.start} before the response, {encoding.stop - encoding.start} of the response, "
        f"{len(encoding.ids) - encoding.stop} after it. {place}"
    )
    st.text(encoding.rendered)
    before, own, after = encoding.start, encoding.stop - encoding.start, len(encoding.ids) - encoding.stop
    part = ["prompt and template"] * before + ["response"] * own + ["template"] * after
    frame = pd.DataFrame(
        {
            "column": range(len(encoding.ids)),
            "part": part,
            "id": encoding.ids,
            "text": [flat(piece) for piece in encoding.pieces],
            "score up to here": observation.column_scores,
            "read": ["◀ the score is read here" if i == encoding.read else "" for i in range(len(encoding.ids))],
        }
    )
    st.dataframe(
        frame, hide_index=True, column_config={"score up to here": st.column_config.NumberColumn(format="%+.4f")}
    )


def token_table(analysis: Analysis, names: Mapping[str, str], made: ReturnCurves | None) -> None:
    """One sortable row per token, word or sentence; the strips' alternative for screen readers."""
    groups = units(analysis.response, analysis.offsets, view().granularity)
    columns: dict[str, object] = {
        "#": range(1, len(groups) + 1),
        "text": [flat(u.text) for u in groups],
        "P after": [float(analysis.prefix_scores[u.last]) for u in groups],
    }
    for label, credit in analysis.credits.items():
        pooled = pool(credit.own, groups)
        order = np.argsort(-np.abs(pooled), kind="stable")
        rank = np.empty(len(pooled), np.int64)
        rank[order] = np.arange(1, len(pooled) + 1)
        name = names.get(label, label)
        columns |= {name: pooled, f"{name} rank": rank}
    if made is not None:
        columns |= {"G_t": [made.returns[u.first] for u in groups], "A_t": [made.advantages[u.first] for u in groups]}
    frame = pd.DataFrame(columns)
    numbers = {
        c: st.column_config.NumberColumn(format="%+.4f")
        for c in frame.columns
        if c not in ("#", "text") and "rank" not in c
    }
    st.dataframe(frame, hide_index=True, column_config=numbers, height=420)
    st.caption(
        f"One row per {view().granularity}; the closing tokens' share is left out. G and A are those at the row's first token."
    )
    st.download_button(
        "Download this table (CSV)", without_formulas(frame).to_csv(index=False), "tokens.csv", "text/csv"
    )
