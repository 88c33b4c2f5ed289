"""One response under two models: strips of both, and prefix scores after the same characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import streamlit as st

from redviz.app.compare.jobs import compared
from redviz.app.compare.panels import model_panels
from redviz.app.compare.pick import names_of, short
from redviz.app.engine import Engine
from redviz.app.parts.calls import compare_calls
from redviz.app.parts.kept import keep, kept_choice, recall
from redviz.app.parts.methods_bar import method_names, methods_bar
from redviz.app.session import allowed, confirm_partners, confirmed, offered, partners_of, unconfirmed, view
from redviz.credit.from_records.two_models import ModelComparison
from redviz.credit.recipes import Recipe
from redviz.data.results.rows import without_formulas
from redviz.errors import RedvizError
from redviz.models.loading.files import embedded_reward_models
from redviz.models.rules.rules import RULES
from redviz.models.spec import ModelSpec
from redviz.records import Example
from redviz.view.curves import curves
from redviz.view.markdown import plain
from redviz.view.marks import flat
from redviz.view.strip import strips

SECOND = "compare.model2"


def models_part(pool: Sequence[Example], spec: ModelSpec, wanted: Mapping[str, Recipe], running: Engine) -> None:
    """Draw it."""
    names = names_of(pool)
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        told = [f"{name}: {short(example.response, 60)}" for name, example in zip(names, pool, strict=True)]
        at = kept_choice(
            "Response", f"compare.one.{len(pool)}", list(range(len(pool))), format_func=told.__getitem__, width=420
        )
        _second(spec)
    example, other = pool[at], recall(SECOND)
    if not example.response.strip():
        raise RedvizError("This response is empty; choose another, or write at least one word.")
    if not other or other == spec.name:
        st.info(f"Choose a second model to set beside {plain(spec.name)}; its tokenizer and template may differ.")
        return
    if not allowed(other):
        st.error(f"This server does not offer {plain(other)}; choose a second model of its list.")
        return
    if not confirmed(other):
        return
    methods_bar(running.state(spec))
    confirm_partners(wanted)
    second = replace(ModelSpec(other), device=spec.device, dtype=spec.dtype)
    found = [compared(model, [example], wanted) for model in (spec, second)]
    if found[0] is None or found[1] is None:
        return
    both = ModelComparison((found[0].analyses[0], found[1].analyses[0]))
    _draw(both, [spec.name, other], method_names(wanted))
    compare_calls(spec, [example], wanted, partners_of(view()), view().granularity, second).show()


def _second(spec: ModelSpec) -> None:
    """The picker of the second model; what a person chooses here is asked for, not only linked to."""
    free = offered() is None
    listed = [name for name in (*(offered() or embedded_reward_models()), *RULES) if name != spec.name]
    current = recall(SECOND)
    options = [*listed, *([current] if current and free and current not in (*listed, spec.name) else [])]
    key = "redviz.widget.compare.model2"
    st.session_state[key] = current if current in options else None

    def take() -> None:
        name = (st.session_state[key] or "").strip()
        unconfirmed().discard(name)
        keep(SECOND, name)

    st.selectbox(
        "Second model",
        options,
        key=key,
        on_change=take,
        placeholder="Choose, or type a folder or Hub id" if free else "Choose",
        accept_new_options=free,
        width=320,
    )


def _draw(both: ModelComparison, models: Sequence[str], titles: Mapping[str, str]) -> None:
    state = view()
    with st.container(horizontal=True, gap="large"):
        for name, analysis in zip(models, both.analyses, strict=True):
            st.metric(f"Score, {plain(name)}", f"{analysis.score:+.3f}", width="content")
    st.caption(
        "Each model has a unit of score of its own, so there is no margin here and every strip has its own scale."
    )
    for index, (name, analysis) in enumerate(zip(models, both.analyses, strict=True)):
        st.markdown(f"**{plain(name)}** · {len(analysis.tokens)} {analysis.unit}s")
        strips(
            analysis,
            labels=[label for label in titles if label in analysis.credits],
            names=titles,
            granularity=state.granularity,
            layout=state.layout,
            scale=state.scale,
            text_size=state.text_size,
            group=f"compare.model.{index}",
            key=f"redviz.compare.model.{index}",
        )
    if panels := model_panels(both, models):
        curves(panels, n=len(both.analyses[0].tokens), group="compare.models", key="redviz.compare.models")
        st.caption(f"Tokens are those of {plain(models[0])}; both scores are read after the same characters.")
    frame = both.to_frame(state.granularity)
    if frame.empty:
        return
    st.markdown("**Span by span, a the first model and b the second**")
    shown = frame.drop(columns=["start", "end"]).assign(
        text=[flat(t) or k for t, k in zip(frame.text, frame.kind, strict=True)]
    )
    numbers = {name: st.column_config.NumberColumn(format="%+.4f") for name in shown.columns[2:]}
    st.dataframe(
        shown.drop(columns="kind"), hide_index=True, height=38 + 35 * min(12, len(shown)), column_config=numbers
    )
    table = without_formulas(frame).to_csv(index=False)
    st.download_button("Spans (CSV)", table, "redviz-models.csv", "text/csv")
