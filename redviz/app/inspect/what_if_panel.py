"""What-if: edit the response, or try every ready edit, and see scores, strips and curves of before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import TYPE_CHECKING

import pandas as pd
import streamlit as st

from redviz.analysis import with_credits
from redviz.app.demonstration import file_uploader, too_long
from redviz.app.parts.waiting import result_of
from redviz.app.session import engine, remembered, show_example, theme, view
from redviz.app.worker import LONG, Job
from redviz.credit.recipes import Recipe, recipes
from redviz.data.results.rows import without_formulas
from redviz.data.sets.dataset import open_dataset
from redviz.errors import RedvizError
from redviz.evaluation.edits.edit_effects import EditEffects, edit_effects
from redviz.evaluation.edits.edits import WhatIf, is_split, what_if
from redviz.evaluation.edits.text_edits import READY_EDITS, Edit, rewrite
from redviz.models.kinds.function import FunctionModel
from redviz.models.spec import ModelSpec
from redviz.records import Analysis, Example
from redviz.view.curves import Level, Panel, Series, curves
from redviz.view.lanes import shared_limits
from redviz.view.markdown import plain
from redviz.view.marks import flat
from redviz.view.strip import strips

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

SCOPES = ("This response", "A file of responses")
RESPONSE_JOB, FILE_JOB = "Scoring edits", "Edits of a file"
ENDINGS = ["jsonl", "json", "csv", "parquet", "gz", "txt"]
CHANGE = st.column_config.NumberColumn(format="%+.4f")
SHARE = st.column_config.NumberColumn(format="percent")


def what_if_panel(analysis: Analysis, spec: ModelSpec, names: Mapping[str, str], wanted: Mapping[str, Recipe]) -> None:
    """Draw it."""
    st.caption(
        "Does the score follow what is said, or how it is dressed up? Each ready edit leaves the content as it is, or adds none: "
        "what it earns can be had by a policy for nothing."
    )
    if remembered("Over", "whatif.scope", SCOPES) == SCOPES[0]:
        _one(analysis, spec, names, wanted)
    else:
        _file(spec)


# ---------------------------------------------------------------- one response


def _one(analysis: Analysis, spec: ModelSpec, names: Mapping[str, str], wanted: Mapping[str, Recipe]) -> None:
    label, red = _red(wanted)
    text = st.text_area(
        "Edit the response",
        analysis.response,
        height=140,
        key=f"redviz.whatif.text.{hash((analysis.prompt, analysis.response))}",
        help="Scored when you leave the field or press Ctrl+Enter",
    )
    if too_long(analysis.prompt, text):
        return
    ready = _scored(analysis, spec, label, red, list(READY_EDITS.values()), "ready edits")
    own = _scored(analysis, spec, label, red, [rewrite(text)], text) if text != analysis.response else []
    if ready is None or own is None:
        return
    # Another text is another table, so that a row selected before does not hide what was just written.
    picked = _table([*own, *ready], str(hash((spec, analysis.prompt, analysis.response, text))))
    if shown := picked or next(iter(own), None):
        _before_and_after(shown, label, names)
    else:
        st.caption("Select a row, or change the text above, to see the strips and curves of before and after.")


def _red(wanted: Mapping[str, Recipe]) -> tuple[str, Recipe]:
    """RED as the person set it, else as it comes: its credits show at which token an edit earns its change."""
    chosen = next(((label, recipe) for label, recipe in wanted.items() if recipe.method == "red"), None)
    return chosen or ("red", recipes(["red"])["red"])


def _scored(
    analysis: Analysis, spec: ModelSpec, label: str, red: Recipe, edits: Sequence[Edit], what: str
) -> list[WhatIf] | None:
    def work(model: RewardModel | FunctionModel, job: Job) -> list[WhatIf]:
        assert analysis.observation is not None
        own = {label: red} if is_split(model, analysis.observation, red) else {}
        before = with_credits(model, analysis.observation, own)
        return [_light(one) for one in what_if(model, before, edits, progress=job.progress)]

    key = (analysis.prompt, analysis.response, label, red, what)
    found: list[WhatIf] | None = result_of(spec, RESPONSE_JOB, key, work)
    return found


def _light(one: WhatIf) -> WhatIf:
    """Without attention rows: they are most of its bytes, and nothing here draws them."""

    def bare(analysis: Analysis) -> Analysis:
        if analysis.observation is None:
            return analysis
        return replace(analysis, observation=replace(analysis.observation, response_row=None, pooling_row=None))

    return replace(one, before=bare(one.before), after=bare(one.after))


def _table(found: Sequence[WhatIf], key: str) -> WhatIf | None:
    """Every edit with the change it brings, the largest rise first; the one that a person selects."""
    ordered = sorted(found, key=lambda one: (one.after.observation is None, not one.changes, -one.change))
    frame = pd.DataFrame(
        {
            "edit": [one.edit.title for one in ordered],
            "change": [one.change if one.changes else None for one in ordered],
            "score": [one.after.score for one in ordered],
            "tokens": [len(one.after.tokens) for one in ordered],
            "what it looks for": [_remark(one) for one in ordered],
        }
    )
    event = st.dataframe(
        frame,
        hide_index=True,
        height=35 * len(frame) + 38,
        column_config={"change": CHANGE, "score": CHANGE},
        on_select="rerun",
        selection_mode="single-row",
        key=f"redviz.whatif.table.{key}",
    )
    rows = event.selection.rows
    return ordered[rows[0]] if rows and rows[0] < len(ordered) else None


def _remark(one: WhatIf) -> str:
    if one.error:
        return flat(one.error)
    return one.edit.looks_for if one.changes else "This changes nothing here."


def _before_and_after(one: WhatIf, label: str, names: Mapping[str, str]) -> None:
    if one.error:
        st.warning(plain(one.error))
    if one.after.observation is None:
        return
    with st.container(horizontal=True, gap="large", vertical_alignment="top"):
        st.metric("Before", f"{one.before.score:+.3f}", width="content")
        st.metric(f"After: {one.edit.title}", f"{one.after.score:+.3f}", f"{one.change:+.3f}", width="content")
        if not one.after.observation.black_box:
            st.metric(
                "Tokens run again",
                len(one.after.observation.encoding.ids) - one.kept,
                f"{one.kept} kept",
                delta_color="off",
                delta_arrow="off",
                width="content",
                help="Everything before the first changed token is taken from the response as it was",
            )
        if st.button("Inspect the edited response"):
            show_example(Example(one.before.prompt, one.text))
            st.rerun()
    shared = [name for name in one.before.credits if name in one.after.credits]
    if not shared:  # a function of text has no prefix scores, and so no RED
        st.text(one.text)
        return
    limits = shared_limits([one.before, one.after], shared, view().granularity)
    for title, analysis in (("before", one.before), ("after", one.after)):
        st.caption(f"{names.get(label, 'RED')}, {title}")
        strips(
            analysis,
            labels=shared,
            names=names,
            granularity=view().granularity,
            layout="stacked",
            limits=limits,
            text_size=view().text_size,
            group=f"whatif.{title}",
            key=f"redviz.whatif.strips.{title}",
        )
    _curves(one)


def _curves(one: WhatIf) -> None:
    """Both prefix scores on one axis of tokens: they part at the first changed one."""
    lines = [
        Series("before", one.before.prefix_scores, colour=7, dashed=True),
        Series("after", one.after.prefix_scores, colour=0),
    ]
    marks = [Level("score before", one.before.score), Level("score after", one.after.score)]
    note = f"the score of the response up to each token; the tokens part at token {one.first_token + 1}"
    curves(
        [Panel("Prefix score P_t", lines, marks, x0=-1, note=note)],
        n=max(len(one.before.tokens), len(one.after.tokens)),
        group="whatif.curves",
        key="redviz.whatif.curves",
    )


# ---------------------------------------------------------------- a file of responses


def _file(spec: ModelSpec) -> None:
    file = file_uploader(
        "Prompts and responses", type=ENDINGS, key="redviz.whatif.file",
        help="prompt/response, prompt/chosen/rejected, messages; one per row",
    )  # fmt: skip
    if file is None:
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        limit = int(st.number_input("Responses at most", 1, 100_000, 100, width=180))
    content, name, key = file.getvalue(), file.name, repr((file.file_id, limit))
    if engine().kept(spec, FILE_JOB, repr(key)) is None:
        try:
            st.caption(plain(open_dataset(content, name).detected.sentence))
        except RedvizError as error:
            st.error(plain(error))
            return

    def work(model: RewardModel | FunctionModel, job: Job) -> tuple[EditEffects, list[str]]:
        dataset = open_dataset(content, name)
        examples = list(islice(chain.from_iterable(item.examples for item in dataset.items()), limit))
        left_out = [f"line {problem.line}: {problem.reason}" for problem in dataset.problems]
        if not examples:
            raise RedvizError("No row of this file has a prompt and a response; check its columns.")
        return edit_effects(model, examples, progress=job.progress, total=len(examples)), left_out

    button = f"Edit up to {limit} responses in {len(READY_EDITS)} ways"
    edited: tuple[EditEffects, list[str]] | None = result_of(spec, FILE_JOB, key, work, priority=LONG, button=button)
    if edited is not None:
        _effects(*edited)


def _effects(effects: EditEffects, left_out: Sequence[str]) -> None:
    from redviz.app.inspect.edit_figures import edit_effects_figure

    if left_out:
        st.warning(
            plain(
                f"{len(left_out)} row{'s were' if len(left_out) > 1 else ' was'} left out, the first at {left_out[0]}."
            )
        )
    if effects.problems:
        st.warning(plain(f"{len(effects.problems)} responses were not edited; the first: {effects.problems[0]}"))
    if not effects.changes:
        return
    st.plotly_chart(edit_effects_figure(effects.rows, theme=theme()), width="stretch", key="redviz.whatif.effects")
    st.caption(
        "The mean change over the responses that an edit changes, with a 95 % bootstrap interval over responses."
    )
    rows = sorted(effects.rows, key=lambda row: (not row.responses, -row.mean))
    frame = pd.DataFrame(
        {
            "edit": [row.title for row in rows],
            "mean change": [row.mean for row in rows],
            "95 % interval": [f"{row.low:+.3f} to {row.high:+.3f}" if row.responses > 1 else "" for row in rows],
            "rises": [row.rises for row in rows],
            "responses": [row.responses for row in rows],
            "unchanged": [row.unchanged for row in rows],
            "failed": [row.failed for row in rows],
            "what it looks for": [row.looks_for for row in rows],
        }
    )
    st.dataframe(
        frame, hide_index=True, height=35 * len(frame) + 38, column_config={"mean change": CHANGE, "rises": SHARE}
    )
    wide = _per_response(effects)
    st.caption("The change that each edit brings to each response")
    config = {title: CHANGE for title in wide.columns[1:]}
    st.dataframe(wide, hide_index=True, height=280, column_config=config)
    st.download_button("Download these (CSV)", without_formulas(wide).to_csv(index=False), "edits.csv", "text/csv")


def _per_response(effects: EditEffects) -> pd.DataFrame:
    """A row per response, in file order, a column per edit."""
    titles = {row.name: row.title for row in effects.rows}
    rows: dict[str, dict[str, str | float | None]] = {}
    for change in effects.changes:
        row = rows.setdefault(change.response, {"response": change.response, "score": change.before})
        row[titles[change.edit]] = change.change if change.changes else None
    return pd.DataFrame(list(rows.values()))
