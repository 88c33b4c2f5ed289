"""The causal check: take credited spans away, and set what each method predicted beside what the model then does."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from redviz.app.demonstration import file_uploader, too_long
from redviz.app.parts.waiting import result_of, with_partners
from redviz.app.session import engine, partners_of, remembered, theme, view
from redviz.app.worker import LONG, Job
from redviz.credit.recipes import Recipe, spelled_out
from redviz.data.results.rows import without_formulas
from redviz.data.sets.readers import read_examples
from redviz.errors import RedvizError
from redviz.evaluation.faithfulness.causal import OPERATORS
from redviz.evaluation.faithfulness.causal_agreement import CausalPoint, causal_agreement, causal_over, causal_points
from redviz.models.spec import ModelSpec
from redviz.records import Analysis
from redviz.text import units
from redviz.view.markdown import plain
from redviz.view.marks import flat

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

WORDS = {"delete": "delete it", "pad": "turn it into pad tokens", "replace": "put other text in its place"}
SCOPES = ("This response", "A file of responses")
MOST_SHOWN = 2000  # points of one scatter plot
FILE_JOB = "Causal check of a file"
FILE = "redviz.causal.uploaded"


def causal_panel(analysis: Analysis, spec: ModelSpec, names: Mapping[str, str], wanted: Mapping[str, Recipe]) -> None:
    """Draw it."""
    unit = view().granularity
    st.caption(
        f"A colour is a claim: without this {unit} the score would change by its credit. Here the most credited {unit}s of every "
        "method are taken away, one at a time, and the model is asked again. Prefix methods promise this only for the end of a "
        "response, and hindsight methods split a score rather than predict a change: compare them, do not grade them."
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        scope = remembered("Over", "causal.scope", SCOPES)
        state = engine().state(spec)
        possible = [o for o in OPERATORS if not (state and state.text_only and o == "pad")]
        operator = st.selectbox("What happens to a span", possible, format_func=WORDS.__getitem__, width=240)
        top = int(st.number_input("Spans per method", 1, 30, 8, width=140))
        text = st.text_input("Other text", " thing", width=160) if operator == "replace" else ""
    if scope == SCOPES[0]:
        _one(analysis, spec, names, operator, top, text)
    elif operator == "replace":
        st.info("Over a file, spans are deleted or turned into pad tokens; choose one of these.")
    else:
        _file(spec, names, wanted, operator, top)


def _one(analysis: Analysis, spec: ModelSpec, names: Mapping[str, str], operator: str, top: int, text: str) -> None:
    granularity = view().granularity
    groups = units(analysis.response, analysis.offsets, granularity)
    if operator == "delete" and len(groups) == 1:
        st.info(
            "The response is a single unit, so nothing would remain; split by token or word, or turn it into pad tokens."
        )
        return
    if not analysis.credits:
        st.info("No method has credits yet.")
        return
    if too_long(analysis.prompt, analysis.response, text):
        return

    def work(model: RewardModel, job: Job) -> list[CausalPoint]:
        return causal_points(model, analysis, top=top, operator=operator, granularity=granularity, replacement=text)

    claims = [(label, credit.values.tobytes()) for label, credit in analysis.credits.items()]
    key = (analysis.prompt, analysis.response, claims, granularity, operator, top, text)
    points = result_of(spec, "Causal check", hash(repr(key)), work)
    if points is not None:
        _shown(points, names, _same_change({label: c.meta for label, c in analysis.credits.items()}, operator))


def _same_change(metas: Mapping[str, Mapping[str, Any]], operator: str) -> set[str]:
    """Labels of occlusions that make the very change that is checked: theirs is no prediction."""
    wanted = (view().granularity, operator)
    found = set()
    for label, meta in metas.items():
        options = {**meta, **meta.get("options", {})}
        if options.get("method") == "occlusion" and (options.get("players"), options.get("operator")) == wanted:
            found.add(label)
    return found


def _file(spec: ModelSpec, names: Mapping[str, str], wanted: Mapping[str, Recipe], operator: str, top: int) -> None:
    file = file_uploader(
        "Prompts and responses", type=["jsonl", "json", "csv", "txt"], key="redviz.causal.file",
        help="prompt/response, prompt/chosen/rejected, messages; one per row",
    )  # fmt: skip
    if file is not None:
        st.session_state[FILE] = (file.name, file.getvalue())
    if FILE not in st.session_state:
        return
    name, content = st.session_state[FILE]  # kept, so that a page change does not lose it
    if file is None:
        st.caption(plain(f"{name}, uploaded before"))
    try:
        examples, problems = read_examples(content, name)
    except RedvizError as error:
        st.error(plain(error))
        return
    if problems:
        st.warning(
            plain(f"{len(problems)} rows were left out, the first at line {problems[0].line}: {problems[0].reason}.")
        )
    if not examples:
        st.error("No row of this file has a prompt and a response; check its columns.")
        return
    limit = int(st.number_input(f"Responses, of {len(examples)}", 1, len(examples), min(100, len(examples)), width=180))
    recipes = spelled_out(wanted)
    granularity, partners = view().granularity, partners_of(view())
    key = (hashlib.sha256(content).hexdigest(), limit, recipes, operator, top, granularity, sorted(partners.items()))

    def work(model: RewardModel, job: Job, **beside: Any) -> tuple[list[CausalPoint], list[str]]:
        return causal_over(
            model,
            examples[:limit],
            recipes,
            top=top,
            operator=operator,
            granularity=granularity,
            progress=job.progress,
            total=limit,
            **beside,
        )

    checked: tuple[list[CausalPoint], list[str]] | None = result_of(
        spec, FILE_JOB, repr(key), with_partners(partners, work), priority=LONG, button=f"Check {limit} responses"
    )
    if checked is None:
        return
    points, failed = checked
    if failed:
        st.warning(plain(f"{len(failed)} responses were not checked in full; the first: {failed[0]}"))
    if points:
        _shown(points, names, _same_change(recipes, operator))


def _shown(points: Sequence[CausalPoint], names: Mapping[str, str], same_change: set[str]) -> None:
    """One line per method, one small chart per method, and every span."""
    from redviz.app.inspect.figures import causal_scatter_figure

    rows = [
        {
            "method": names.get(a.label, a.label),
            "spans": a.spans,
            "correlation": a.pearson,
            "95 % interval": "" if a.interval is None else f"{a.interval[0]:+.2f} to {a.interval[1]:+.2f}",
            "rank correlation": a.spearman,
            "same sign": a.same_sign,
            "note": "makes the very change that is checked" if a.label in same_change else "",
        }
        for a in causal_agreement(points)
    ]
    frame = pd.DataFrame(rows)
    if not any(frame["95 % interval"]):
        frame = frame.drop(columns="95 % interval")
    if not any(frame["note"]):
        frame = frame.drop(columns="note")
    number = st.column_config.NumberColumn(format="%+.2f")
    share = st.column_config.NumberColumn(
        format="%.2f", help="Of the spans where neither change is 0; blank for a method that predicts one sign only"
    )
    st.dataframe(
        frame, hide_index=True, column_config={"correlation": number, "rank correlation": number, "same sign": share}
    )
    shown: dict[str, list[tuple[float, float, str]]] = {}
    for point in points[:MOST_SHOWN]:
        shown.setdefault(names.get(point.label, point.label), []).append((point.predicted, point.actual, point.span))
    st.plotly_chart(causal_scatter_figure(shown, theme=theme()), width="stretch", key="redviz.causal.scatter")
    st.caption(
        "Each dot is a span: across, the change its credit predicts; up, the change the model shows. On the dotted line the credit "
        f"was right. Every method is asked about the spans of all methods shown, {view().granularity}s here."
    )
    table = pd.DataFrame(
        {
            "response": [p.example for p in points],
            "method": [names.get(p.label, p.label) for p in points],
            "span": [flat(p.span) for p in points],
            "predicted change": [p.predicted for p in points],
            "actual change": [p.actual for p in points],
        }
    )
    if len(set(table["response"])) == 1:
        table = table.drop(columns="response")
    change = st.column_config.NumberColumn(format="%+.4f")
    st.dataframe(
        table, hide_index=True, height=280, column_config={"predicted change": change, "actual change": change}
    )
    st.download_button("Download these (CSV)", without_formulas(table).to_csv(index=False), "causal.csv", "text/csv")
