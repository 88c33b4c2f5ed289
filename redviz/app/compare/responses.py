"""Responses to one prompt side by side: scores, strips, where they part, curves, and what earns the margin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from redviz.app.compare.jobs import compared
from redviz.app.compare.pairs import pairs_part
from redviz.app.compare.panels import PARTS_HERE, part_payload, response_panels, sums_line
from redviz.app.compare.pick import check, chosen, names_of, short
from redviz.app.engine import Engine
from redviz.app.parts.calls import compare_calls
from redviz.app.parts.kept import kept_choice
from redviz.app.parts.methods_bar import method_names, methods_bar
from redviz.app.session import card_if_known, confirm_partners, partners_of, view
from redviz.comparison import Comparison
from redviz.credit.from_records.margin import Shares, shared_tokens
from redviz.credit.recipes import Recipe
from redviz.data.results.rows import without_formulas
from redviz.errors import RedvizError
from redviz.models.spec import ModelSpec
from redviz.records import Analysis, Example
from redviz.text import units
from redviz.view.curves import curves
from redviz.view.lanes import shared_limits, strip_of
from redviz.view.markdown import plain
from redviz.view.marks import flat
from redviz.view.report import reports
from redviz.view.strip import strip_component

KINDS = {
    "end": "end: the closing tokens",
    "shared": "the shared beginning",
    "reference": "reference",
    "residual": "residual",
}
SHARE = st.column_config.NumberColumn(format="%+.4f")
LONG, WINDOW = (
    600,
    480,
)  # tokens beyond which a strip scrolls in a window of so many pixels, so that the next is in reach
TALL = 15  # rows of the table before it scrolls


def responses_part(pool: Sequence[Example], spec: ModelSpec, wanted: Mapping[str, Recipe], running: Engine) -> None:
    """Draw it."""
    letters = names_of(pool)
    picked = chosen(pool, letters)
    examples, names = [pool[i] for i in picked], [letters[i] for i in picked]
    check(examples, names)
    if pairs := running.as_pairs(spec):
        pairs_part(examples, names, pairs)
        return
    methods_bar(running.state(spec))
    confirm_partners(wanted)
    comparison = compared(spec, examples, wanted)
    if comparison is None:
        if running.as_pairs(spec):  # its refusal has come meanwhile
            st.rerun()
        return
    told: dict[str, list[str]] = {}
    for name, analysis in zip(names, comparison.analyses, strict=True):
        for notice in analysis.notices:
            told.setdefault(notice, []).append(name)
    for notice, whose in told.items():
        st.warning(plain(f"{', '.join(whose)}: {notice}"))
    first, second = _scores(comparison, names)
    _parting(comparison, names, first, second)
    if comparison.length_remark:
        st.caption(plain(comparison.length_remark))
    labels = [label for label in wanted if label in comparison.analyses[0].credits]
    titles = method_names(wanted)
    _strips(comparison, names, labels, titles)
    rewards = view().rewards if view().rewards in labels else next(iter(labels), "")
    if panels := response_panels(comparison, names, rewards, titles.get(rewards, rewards), view().gamma):
        length = max(len(analysis.tokens) for analysis in comparison.analyses)
        curves(panels, n=length, group="compare.curves", key="redviz.compare.curves")
    st.divider()
    _earned(comparison, names, first, second)
    compare_calls(spec, examples, wanted, partners_of(view()), view().granularity).show()


def _scores(comparison: Comparison, names: Sequence[str]) -> tuple[int, int]:
    """A figure per response, and the margin of the two that a person chooses."""
    with st.container(horizontal=True, gap="large"):
        for name, analysis in zip(names, comparison.analyses, strict=True):
            st.metric(
                f"Score {name}",
                f"{analysis.score:+.3f}",
                f"{len(analysis.tokens)} {analysis.unit}s",
                delta_color="off",
                delta_arrow="off",
                width="content",
            )
    count = range(len(names))
    with st.container(horizontal=True, gap="large", vertical_alignment="bottom"):
        if len(names) > 2:
            first = kept_choice(
                "Margin of", f"compare.first.{len(names)}", list(count), format_func=names.__getitem__, width=150
            )
            others = [i for i in count if i != first]
            second = kept_choice(
                "over", f"compare.second.{len(names)}", others, format_func=names.__getitem__, width=150
            )
        else:
            first, second = 0, 1
        one, two = names[first], names[second]
        st.metric(f"Margin {one} over {two}", f"{comparison.margin(first, second):+.3f}", width="content")
        st.metric(
            f"P({one} preferred)",
            f"{comparison.probability(first, second):.1%}",
            width="content",
            help="Bradley-Terry: the sigmoid of the margin",
        )
    return first, second


def _parting(found: Comparison, names: Sequence[str], first: int, second: int) -> None:
    one, two = found.analyses[first], found.analyses[second]
    shared = shared_tokens(one, two)
    words = " and ".join(
        f"{name} goes on with “{short(_next(analysis, shared), 40)}”"
        if shared < len(analysis.tokens)
        else f"{name} ends"
        for name, analysis in ((names[first], one), (names[second], two))
    )
    st.markdown(plain(f"They part at {one.unit} {shared + 1}: {words}."))


def _next(analysis: Analysis, shared: int) -> str:
    """The word that the parting token begins."""
    at = analysis.offsets[shared][0]
    unit = next(u for u in units(analysis.response, analysis.offsets, "word") if u.last > shared)
    return analysis.response[min(at, max(unit.end - 1, 0)) : unit.end]


def _strips(comparison: Comparison, names: Sequence[str], labels: Sequence[str], titles: Mapping[str, str]) -> None:
    state = view()
    limits = shared_limits(comparison.analyses, labels, state.granularity)
    if state.scale == "one" and limits:
        limits = dict.fromkeys(limits, max(limits.values()))
    whom = names[0] if len(names) > 2 else "the other"
    st.caption(
        plain(f"Each method has one scale for all. What a response shares with {whom} is dimmed, up to {PARTS_HERE}.")
    )
    for index, (name, analysis, part) in enumerate(zip(names, comparison.analyses, comparison.parts, strict=True)):
        st.markdown(f"**{plain(name)}** · {analysis.score:+.3f}")
        strip = strip_of(analysis, labels=labels, names=titles, granularity=state.granularity, limits=limits)
        group = f"compare.{index}"
        payload = part_payload(strip, part.token, layout=state.layout, text_size=state.text_size, group=group)
        with st.container(height=WINDOW if len(analysis.tokens) > LONG else "content", border=False):
            strip_component(key=f"redviz.compare.strip.{index}", data=payload)


def _earned(comparison: Comparison, names: Sequence[str], first: int, second: int) -> None:
    """The spans' shares of the margin, the largest first, and their sum."""
    st.markdown(f"**What earns the margin of {plain(names[first])} over {plain(names[second])}**")
    able = [label for label, credit in comparison.analyses[first].credits.items() if credit.residual is not None]
    if not able:
        st.info("No method here promises a sum yet; add RED above to split the margin.")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        titles = method_names(view().recipes)
        label = kept_choice("By", "compare.by", able, format_func=lambda name: titles.get(name, name), width=160)
    try:
        shares = comparison.shares(first, second, label, view().granularity)
    except RedvizError as error:
        st.info(plain(error))
        return
    rows = shares.largest
    frame = pd.DataFrame(
        {
            "response": ["" if row.response is None else names[row.response] for row in rows],
            view().granularity: [KINDS.get(row.kind, flat(row.text)) for row in rows],
            "share": [row.value for row in rows],
        }
    )
    st.dataframe(
        frame,
        hide_index=True,
        height=35 * min(TALL, len(frame)) + 38,
        column_config={"share": SHARE},
        key="redviz.compare.table",
    )
    st.caption(plain(_sum(shares, names)))
    for remark in shares.remarks:
        st.caption(plain(remark))
    table = without_formulas(comparison.to_frame(view().granularity)).to_csv(index=False)
    with st.container(horizontal=True):
        st.download_button("Shares (CSV)", table, "redviz-compare.csv", "text/csv")
        page = reports(comparison.analyses, granularity=view().granularity, card=card_if_known())
        st.download_button("Report (HTML)", page, "redviz-compare.html", "text/html")


def _sum(shares: Shares, names: Sequence[str]) -> str:
    terms = {f"Σ {names[i]}": shares.total(response=i) for i in (shares.first, shares.second)}
    terms |= {KINDS[kind]: total for kind in ("shared", "reference", "residual") if (total := shares.total(kind))}
    return sums_line(terms, shares.margin)
