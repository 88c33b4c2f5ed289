"""The part "Faithfulness": whether the model loses what the credits say it would, when units are taken out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from redviz.app.agreement.jobs import faithful, methods_and_responses, responses_limit
from redviz.app.agreement.people import interval
from redviz.app.agreement.state import Labels, report_of, units_choice
from redviz.app.parts.kept import kept_choice
from redviz.app.parts.methods_bar import method_names
from redviz.app.session import engine, remembered, spec_of, theme, view
from redviz.credit.recipes import spelled_out
from redviz.evaluation.faithfulness.faithfulness import NOTES
from redviz.evaluation.faithfulness.faithfulness_report import FaithfulnessReport, MethodFaithfulness
from redviz.evaluation.faithfulness.removal import MEASURES
from redviz.models.families.dpo import PREFIX
from redviz.models.spec import is_rule
from redviz.view.markdown import plain
from redviz.view.marks import flat

OPERATORS = {
    "pad": "turn them into pad tokens",
    "mean": "put the mean embedding there",
    "mask": "hide them from attention",
    "delete": "delete them",
}
MOVES = 10  # the paper's
LIMIT, FIRST_LIMIT = "agreement.faithful", 20
LINES = {"deletion": "Deletion", "insertion": "Insertion"}
WAYS = {"raises the score": "raises", "lowers the score": "lowers"}
TITLES = {
    "comprehensiveness": "Comprehensiveness",
    "sufficiency": "Sufficiency",
    "deletion_area": "Deletion area",
    "insertion_area": "Insertion area",
}
MEANS = {
    "comprehensiveness": "how far the score falls when the most credited units are taken out, mean over the shares",
    "sufficiency": "how far the score falls when only the most credited units stay, mean over the shares",
    "deletion_area": "mean change of the score along the deletion curve",
    "insertion_area": "mean change of the score along the insertion curve",
}
SINGLE = {
    "infidelity": "Mean squared error of the predicted change, on the removals of the random orders, in the model's units squared",
    "infidelity_scaled": "The same after the one factor that serves the credits best: 0 is best",
    "infidelity_share": "The scaled error as a share of what predicting no change would have",
    "truncation_error": "Root mean square of P_0 plus the credits so far less P_t; RED has 0 by construction",
    "truncation_correlation": "Correlation of a unit's credit with what it adds to P_t; RED has 1 by construction",
    "sensitivity": "How far the credits move when the embeddings move a little",
}


def faithfulness_part(labels: Labels) -> None:
    """Draw it."""
    methods_and_responses()
    st.caption(
        "Units are taken out of each response in the order of its credits, the highest first, and the model scores what is left. "
        "A method is only worth as much as it beats random orders of the same response; its reversed order should do worse than random."
    )
    state = engine().state(spec_of(view()))
    text_only = state.text_only if state else is_rule(view().model) or view().model.startswith(PREFIX)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        granularity = units_choice()
        operator = kept_choice(
            "To take units out",
            "agreement.operator",
            ["delete"] if text_only else list(OPERATORS),
            format_func=OPERATORS.__getitem__,
            width=240,
            help="Part of the result: figures under two operators are not comparable.",
        )
        limit = responses_limit(
            labels, LIMIT, FIRST_LIMIT, "Each takes some twenty altered responses per method and per random order."
        )
    steady = kept_choice(
        "Max-sensitivity",
        "agreement.sensitivity",
        ["left out", f"{MOVES} moves"],
        width=240,
        help="How far the credits of gradient methods move when the embeddings move a little; costs ten times the method.",
    )
    moves = MOVES if steady != "left out" else 0
    made = faithful(labels, limit, operator, granularity, moves)
    if made is None:
        return
    found, source = made
    methods = spelled_out(view().recipes)
    asked = {"operator": found.operator, "granularity": granularity, "responses": limit, "seed": found.seed}
    report: FaithfulnessReport = report_of(
        "faithfulness", id(found), {"methods": methods, **asked}, lambda: found, source
    )
    if report.problems:
        many = "1 response gives" if len(report.problems) == 1 else f"{len(report.problems):,} responses give"
        st.warning(plain(f"{many} no figures or not all; the first: {report.problems[0]}"))
    if not report.rows:
        st.info("No response could be checked; choose other units, or more responses.")
        return
    _curves(report)
    _measures(report)
    _singles(report)


def _curves(report: FaithfulnessReport) -> None:
    from redviz.app.agreement.figures import curves_figure

    names = method_names(view().recipes)
    labels = [row.label for row in report.rows]
    chosen = kept_choice(
        "Controls of", "agreement.controls", labels, format_func=lambda label: names.get(label, label), width=240
    )
    for column, (line, title) in zip(st.columns(2), LINES.items(), strict=True):
        with column:
            st.markdown(f"**{title}**")
            figure = curves_figure(report.rows, report.shares, line, chosen, names, theme=theme())
            st.plotly_chart(figure, width="stretch", key=f"redviz.agreement.{line}")
    st.caption(
        plain(
            f"Mean over {report.responses:,} responses of the change from the score of the whole response, in the model's units, "
            f"{report.granularity}s removed by the operator “{report.operator}”. Deletion should fall fast, insertion rise fast. Of "
            f"{names.get(chosen, chosen)} also: 95 % intervals over responses, the mean of {report.random_orders} random orders "
            "(dotted) and the reversed order (dashed)."
        )
    )


def _measures(report: FaithfulnessReport) -> None:
    title = remembered("Measure", "agreement.measure", tuple(TITLES.values()))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        way = WAYS[remembered("Credits are asked what", "agreement.way", tuple(WAYS))]
        normalised = (
            remembered("Units of measurement", "agreement.normalised", ("the model's", "normalised")) == "normalised"
        )
    measure = next(name for name, shown in TITLES.items() if shown == title)
    form = f"{measure}_normalised" if normalised else measure
    names = method_names(view().recipes)
    rows = [_measured(row, way, form, names) for row in report.rows]
    number = st.column_config.NumberColumn(format="%+.3f")
    st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="–",
        column_config={name: number for name in ("by credit", "random", "reversed", "by credit − random")},
    )
    shares = ", ".join(f"{share:.0%}" for share in report.fractions)
    above = (
        "the difference should lie above 0" if MEASURES[measure] == "higher" else "the difference should lie below 0"
    )
    divided = " Divided by |score − score of nothing left|, per response." if normalised else ""
    negated = " Asked what lowers it, credits and scores are negated." if way == "lowers" else ""
    st.caption(
        f"{title}: {MEANS[measure]} {'(' + shares + ' of the units)' if 'area' not in measure else ''}; {MEASURES[measure]} is better, so "
        f"{above}. The difference is paired per response, with its 95 % bootstrap interval over responses.{divided}{negated}"
    )


def _measured(row: MethodFaithfulness, way: str, form: str, names: dict[str, str]) -> dict[str, Any]:
    measures = row.asked[way][form]
    return {
        "method": flat(names.get(row.label, row.label)),
        "by credit": measures.own.value,
        "95 % interval": interval(measures.own),
        "random": measures.random.value,
        "reversed": measures.reversed.value,
        "by credit − random": measures.over_random.value,
        "95 %  interval": interval(measures.over_random),
        "responses": measures.own.count,
    }


def _singles(report: FaithfulnessReport) -> None:
    names = method_names(view().recipes)
    known = [name for name in SINGLE if any(row.single[name].value == row.single[name].value for row in report.rows)]
    with st.expander("Infidelity, the prefix-truncation curve, sensitivity"):
        shown = {name.replace("_", " ").capitalize(): name for name in known}
        chosen = shown[remembered("Figure", "agreement.single", tuple(shown))]
        rows = [_single(row, chosen, names) for row in report.rows]
        number = st.column_config.NumberColumn(format="%.3f")
        columns = {name: number for name in ("of its credits", "random", "reversed")}
        st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="–", column_config=columns)
        st.caption(f"{SINGLE[chosen]}. Random and reversed: the same credits given to other units of the response.")
        for note in dict.fromkeys(row.note for row in report.rows if row.note and chosen == "sensitivity"):
            st.caption(plain(note))
        for note in NOTES.values():
            st.caption(plain(note))


def _single(row: MethodFaithfulness, name: str, names: dict[str, str]) -> dict[str, Any]:
    found = row.single[name]
    others = {order: row.controls[order][name].value for order in row.controls if name in row.controls[order]}
    method = flat(names.get(row.label, row.label))
    return {"method": method, "of its credits": found.value, "95 % interval": interval(found), **others}
