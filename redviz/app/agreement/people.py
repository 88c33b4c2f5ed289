"""The part "People": how far those who marked the same responses agree."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from redviz.app.agreement.state import PART, PARTS, Labels, report_of, share, units_choice
from redviz.app.parts.kept import keep
from redviz.app.session import remembered, show_example
from redviz.evaluation.agreement.agreement import judged_twice
from redviz.evaluation.agreement.people import PeopleReport, among_people
from redviz.evaluation.statistics.coincidences import LEVELS
from redviz.evaluation.statistics.intervals import Estimate
from redviz.view.markdown import plain
from redviz.view.marks import flat

HELP = {
    "nominal": "two grades are equal or they are not",
    "ordinal": "grades have an order; two neighbours are apart by how many judgements lie between them",
    "interval": "the distance of two grades is the square of their difference",
}
RULE = (
    "Krippendorff's alpha is 1 − observed over expected disagreement: 1 is full agreement, 0 what chance would give, below 0 is worse. "
    "A unit has the grade that most of its characters hold; who submitted a response has graded its unmarked units 0, who did not is "
    "missing there. “Marked” leaves out the units that everybody graded 0, on which agreement is cheap. Token F1 compares the sets of "
    "units that two people graded other than 0, the sign being part of it. Intervals are 95 % bootstrap intervals over responses."
)
NUMBER = "%.3f"


def people_part(labels: Labels) -> None:
    """Draw it."""
    if not judged_twice(labels.items):
        st.info(
            "No response was judged by two people, so there is no agreement among people to measure (and no human ceiling for "
            "methods). Methods can still be set against these labels."
        )
        st.button("Methods and people", on_click=keep, args=(PART, PARTS[1]), type="primary")
        return
    with st.container(horizontal=True, gap="medium"):
        granularity = units_choice("Here a token is a character as people see it.")
        level = remembered(
            "Level of measurement", "agreement.level", ("ordinal", *(n for n in LEVELS if n != "ordinal"))
        )
    report: PeopleReport = report_of(
        "people",
        (level, granularity),
        {"level": level, "granularity": granularity, "seed": 0},
        lambda: among_people(labels.items, level, granularity),
    )
    _head(report)
    _persons(report)
    _responses(report, labels)
    st.caption(f"{RULE} {level.capitalize()}: {HELP[level]}.")


def _head(report: PeopleReport) -> None:
    with st.container(horizontal=True):
        for name, estimate, words in (
            ("Alpha, all units", report.alpha[report.level], f"Over all {report.units:,} {report.granularity}s"),
            (
                "Alpha, marked units",
                report.alpha_marked[report.level],
                f"Over the {report.marked_units:,} {report.granularity}s that at least one person graded other than 0",
            ),
            ("Token F1", report.token_f1, "Mean over responses of the mean over pairs of people"),
        ):
            with st.container(width=190, gap=None):
                st.metric(name, number(estimate.value), help=words)
                st.caption(interval(estimate))
    st.markdown(plain(report.sentence))
    alone = "" if not report.left_out else f"; {report.left_out:,} judged by one person only are left out"
    st.caption(plain(f"{report.responses:,} responses judged by two people or more{alone}."))
    for note in report.notes:
        st.warning(plain(note))
    with st.expander("Alpha at every level of measurement"):
        rows = [
            {"level": name, "all units": e.value, "95 % interval": interval(e), "marked units": m.value, "95 %  interval": interval(m)}
            for (name, e), m in zip(report.alpha.items(), report.alpha_marked.values(), strict=True)
        ]  # fmt: skip
        _table(rows, ("all units", "marked units"))


def _persons(report: PeopleReport) -> None:
    st.markdown("**Each person against everybody else**")
    rows = [
        {
            "person": flat(person.name),
            "responses": person.responses,
            "marked": 100 * person.marked_share,
            "alpha": person.alpha.value,
            "95 % interval": interval(person.alpha),
            "alpha without": person.alpha_without.value,
            "token F1": person.token_f1.value,
        }
        for person in report.people
    ]
    _table(
        rows,
        ("alpha", "alpha without", "token F1"),
        marked=share("marked", "Share of units graded other than 0"),
        **{
            "alpha without": st.column_config.NumberColumn(
                format=NUMBER,
                help="Everybody's alpha if this person had not taken part: higher than alpha is a warning",
            )
        },
    )
    if len(report.people) > 2:
        with st.expander("Every two people"):
            pairs = [
                {
                    "one": flat(pair.one),
                    "two": flat(pair.two),
                    "token F1": pair.token_f1.value,
                    "95 % interval": interval(pair.token_f1),
                    "responses": pair.token_f1.count,
                    "both marked nothing": pair.both_unmarked,
                }
                for pair in report.pairs
            ]
            _table(pairs, ("token F1",))


def _responses(report: PeopleReport, labels: Labels) -> None:
    st.markdown("**Each response**")
    texts = {item.id: item.response for item in labels.items}
    items = sorted(report.items, key=lambda item: (item.token_f1 if item.token_f1 == item.token_f1 else 2, item.alpha))
    rows = [
        {
            "response": flat(item.id),
            "text": flat(texts[item.id][:160]),
            "people": item.people,
            "units": item.units,
            "marked": item.marked,
            "alpha": item.alpha,
            "token F1": item.token_f1,
        }
        for item in items
    ]
    chosen = st.dataframe(
        pd.DataFrame(rows),
        hide_index=True,
        placeholder="–",
        height=min(320, 40 + 35 * len(rows)),
        key="redviz.agreement.items",
        on_select="rerun",
        selection_mode="single-row",
        column_config={name: st.column_config.NumberColumn(format=NUMBER) for name in ("alpha", "token F1")},
    ).selection.rows
    st.caption("Least agreement first; select one to look at it. Alpha of one response is rough: it has few units.")
    if chosen and chosen[0] < len(items):
        inspect_button(labels, items[chosen[0]].id)


def inspect_button(labels: Labels, item_id: str) -> None:
    """Offer a response to the Inspect screen."""
    if st.button("Open in Inspect", type="primary", key="redviz.agreement.inspect"):
        show_example(next(item.example for item in labels.items if item.id == item_id))
        st.switch_page("pages/inspect.py")


def _table(rows: list[dict[str, Any]], numbers: tuple[str, ...], **config: Any) -> None:
    shown = {name: st.column_config.NumberColumn(format=NUMBER) for name in numbers} | config
    st.dataframe(pd.DataFrame(rows), hide_index=True, placeholder="–", column_config=shown)


def number(value: float) -> str:
    """Three decimals, or a dash where it is not defined."""
    return f"{value:.3f}" if value == value else "–"


def interval(found: Estimate) -> str:
    """The bounds, or nothing where there are none."""
    return f"{found.low:.3f} to {found.high:.3f}" if found.low == found.low else ""
