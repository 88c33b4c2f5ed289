"""The part "Open a data set": what was understood of it, what is malformed, which column is which, and scoring it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import streamlit as st

from redviz import settings
from redviz.app.dataset.sources import MOST_CHECKED, DatasetSource, Opened, chosen_source, opened
from redviz.app.dataset.texts import texts_panel
from redviz.app.parts.kept import keep, kept, kept_choice, recall
from redviz.app.parts.methods_bar import method_names
from redviz.app.project.state import new_project
from redviz.app.runs.jobs import begin, ray_possible
from redviz.app.session import allowed, confirm_partners, confirmed, spec_of, unconfirmed, view
from redviz.data.sets.items import DataItem
from redviz.evaluation.agreement.preferences import stated_pair
from redviz.models.spec import is_rule
from redviz.records import Prompt
from redviz.view.markdown import plain
from redviz.view.marks import flat

ROLES = {
    "prompt": "Prompt",
    "chosen": "Chosen response",
    "rejected": "Rejected response",
    "response": "Response (where there is one)",
    "label": "Label (true where it is good)",
}
NONE = "—"
MAPPING = "dataset.mapping"
MOST_LISTED = 200  # problems
LONGEST = 400  # characters of a cell


def open_part() -> None:
    """Draw it."""
    source = chosen_source()
    if source is None:
        return
    limit = kept(
        st.number_input,
        "Rows to take at most",
        "dataset.limit",
        None,
        1,
        placeholder="all",
        help="Rows of the file, in its order; a pair is one row.",
        width=220,
    )
    mapping = _mapping(source)
    dataset = opened(source, mapping, None if limit is None else int(limit))
    if dataset.dataset is None:
        _refused(source, dataset, mapping)
        return
    st.success(plain(dataset.dataset.detected.sentence))
    _problems(dataset)
    with st.expander("Columns"):
        _form(source, dataset.columns, dataset.dataset.detected.mapping, bool(mapping))
    st.caption(f"The first {len(dataset.first)} rows" if dataset.items > len(dataset.first) else "All rows")
    st.dataframe(
        _preview(dataset.first), hide_index=True, height=min(320, 38 + 35 * sum(map(_candidates, dataset.first)))
    )
    _score(source, dataset, mapping, None if limit is None else int(limit))
    if st.button("Annotate these responses", icon=":material/edit_note:"):
        new_project()
        st.switch_page("pages/project.py")
    _texts(source, dataset, mapping, None if limit is None else int(limit))


def _refused(source: DatasetSource, dataset: Opened, mapping: Mapping[str, str]) -> None:
    if not dataset.columns:
        st.error(plain(dataset.refusal))
        return
    unknown = not mapping and "fit no known schema" in dataset.refusal
    st.warning("The columns fit no known schema: say which one is which." if unknown else plain(dataset.refusal))
    if not mapping:
        st.text(f"Columns: {', '.join(dataset.columns[:40])}")
    _form(source, dataset.columns, mapping, bool(mapping))


def _problems(dataset: Opened) -> None:
    if not dataset.skipped:
        return
    those = "row gives" if dataset.skipped == 1 else "rows give"
    scope = "" if dataset.whole else f" of the first {MOST_CHECKED:,}"
    st.warning(f"{dataset.skipped:,} {those} no example{scope} and {'is' if dataset.skipped == 1 else 'are'} left out.")
    shown = dataset.problems[:MOST_LISTED]
    table = pd.DataFrame({"line": [p.line for p in shown], "reason": [p.reason for p in shown]})
    st.dataframe(table, hide_index=True, height=min(220, 38 + 35 * len(shown)))


def _mapping(source: DatasetSource) -> dict[str, str]:
    """The mapping that a person chose for this source."""
    chosen_for, mapping = recall(MAPPING, (None, {}))
    return mapping if chosen_for == source.key else {}


def _form(source: DatasetSource, columns: tuple[str, ...], known: Mapping[str, str], mapped: bool) -> None:
    """Which column plays which part. It is kept for this source alone: other files have other columns."""
    with st.form("redviz.dataset.columns"):
        options = [NONE, *columns]
        chosen = {
            part: st.selectbox(
                label,
                options,
                index=options.index(known[part]) if known.get(part) in columns else 0,
                key=f"redviz.widget.column.{part}.{hash(source.key)}",
            )
            for part, label in ROLES.items()
        }
        if st.form_submit_button("Read it so", type="primary"):
            keep(MAPPING, (source.key, {part: column for part, column in chosen.items() if column != NONE}))
            st.rerun()
    if mapped:
        st.button("Forget this mapping", on_click=keep, args=(MAPPING, (None, {})), type="tertiary")


def _candidates(item: DataItem) -> int:
    return len(item.candidates)


def _preview(items: tuple[DataItem, ...]) -> pd.DataFrame:
    rows = [
        {
            "line": item.line,
            "id": item.id,
            "subset": item.subset,
            "role": candidate.role,
            "rating": candidate.rating,
            "prompt": _cell(item.prompt if candidate.prompt is None else candidate.prompt),
            "response": _cell(candidate.response),
        }
        for item in items
        for candidate in item.candidates
    ]
    table = pd.DataFrame(rows)
    return table.drop(
        columns=[name for name in ("subset", "role", "rating") if not any(table[name].notna() & (table[name] != ""))]
    )


def _cell(text: Prompt) -> str:
    whole = text if isinstance(text, str) else " / ".join(turn["content"] for turn in text)
    return flat(whole if len(whole) <= LONGEST else whole[:LONGEST] + "…")


def _score(source: DatasetSource, dataset: Opened, mapping: Mapping[str, str], limit: int | None) -> None:
    spec, wanted = spec_of(view()), view().recipes
    if settings.demo_mode():
        st.info("This is a public demo, which starts no runs; run redviz on your own machine to score data sets.")
        return
    if not allowed(spec.name):
        st.error(f"This server does not offer {plain(spec.name)}; choose a model at the left.")
        return
    if not confirmed(spec.name):
        return
    confirm_partners(wanted)
    count = f"{dataset.responses:,}" if dataset.whole else "all"
    named = ", ".join(method_names(wanted).values())
    places = ("this machine", "Ray")
    help_ray = "The cluster that RAY_ADDRESS names, else a local one; its workers load the model themselves."
    on_ray = (
        ray_possible() and kept_choice("Run on", "dataset.place", list(places), width=180, help=help_ray) == places[1]
    )
    st.button(
        f"Score {count} responses with {plain(named)}",
        type="primary",
        on_click=begin,
        args=(spec, source, mapping, limit, on_ray),
        disabled=not dataset.responses,
    )
    st.caption(f"By {plain(spec.name)}, the model of the sidebar; the methods and their options are those of Inspect.")


def _texts(source: DatasetSource, dataset: Opened, mapping: Mapping[str, str], limit: int | None) -> None:
    """Which text the model was trained on, where there are pairs to say so and weights that were trained."""
    spec = spec_of(view())
    labelled = any(stated_pair(item) for item in dataset.first)
    if (
        labelled
        and not settings.demo_mode()
        and allowed(spec.name)
        and not is_rule(spec.name)
        and spec.name not in unconfirmed()
    ):
        texts_panel(source, dataset, mapping, limit)
