"""What the scores of a data set say about the model: accuracy beside length alone, calibration, disagreement, and whether it splits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import streamlit as st

from redviz.app.parts.kept import once
from redviz.app.session import theme
from redviz.data.results.result_files import ResultFile
from redviz.data.results.result_filters import Where
from redviz.evaluation.statistics.intervals import Estimate
from redviz.evaluation.statistics.pairs import (
    MethodDisagreement,
    PairReport,
    credits_of_rows,
    disagreement,
    pair_report,
    pairs_of_frame,
)
from redviz.evaluation.statistics.splitting import SplitReport, split_report_of_rows
from redviz.view.markdown import plain

BATCH = 1_000  # rows fetched at once
MOST_SPLIT, MOST_COMPARED = 40_000, 6_000  # rows that are read with their scores or credits
WIDE_MATRIX = 560  # pixels
BADGES = {"yes": st.success, "in part": st.info, "no": st.warning, "unclear": st.info}


def summary_panel(file: ResultFile) -> None:
    """Draw the figures over pairs, and how far the methods disagree."""
    with st.spinner("Counting …", show_time=True):
        labels = list(file.choices("label"))
        report: PairReport | None = None
        if file.count(Where(pairs_only=True)):
            report = once("dataset.pairs_report", file.fingerprint, lambda: _report(file))
        compared: MethodDisagreement | None = None
        if len(labels) > 1:
            compared = once("dataset.disagreement", file.fingerprint, lambda: _disagreement(file))
    if report is None:
        st.info("There are no pairs of a chosen and a rejected response, so there is no accuracy to show.")
    else:
        _pairs(report)
    if compared is not None:
        _compared(compared, file.total > MOST_COMPARED)


def _report(found: ResultFile) -> PairReport:
    return pair_report(pairs_of_frame(found.responses(Where(pairs_only=True))))


def _pairs(report: PairReport) -> None:
    from redviz.app.dataset.figures import accuracy_figure, calibration_figure

    # A judge by length alone takes the better of its two rules: what a model must beat.
    by_length, rule = max(
        ((report.longer_wins, "prefers the longer"), (report.shorter_wins, "prefers the shorter")),
        key=lambda option: option[0].value,
    )
    of_each, over = "pairs", "pairs"
    whole = "Share of pairs whose chosen response scores higher; a tie counts half"
    if report.best_of_n:
        of_each, over = "prompts, each with its best of n", "prompts"
        whole = f"Share of prompts whose chosen responses are above all others; a coin reaches {report.chance:.1%}"
    with st.container(horizontal=True):
        _figure("Accuracy", report.accuracy, ".1%", whole)
        if report.best_of_n and report.comparisons:
            _figure("Comparisons won", report.comparisons, ".1%", "Every chosen response against every rejected one")
        _figure("Length only", by_length, ".1%", f"What a judge reaches that {rule} response, without reading it")
        _figure("Mean margin", report.margin, "+.3f", "Chosen minus rejected; of several, the lowest and the highest")
        _figure("Score with length", report.score_with_length, "+.2f", "Spearman's correlation over all responses")
        _figure("Calibration error", report.calibration.error, ".1%", "Expected error of the Bradley-Terry probability")
    left = f"; {report.left_out:,} examples made no pair" if report.left_out else ""
    st.caption(f"{report.count:,} {of_each}{left}. Below each figure its 95 % interval over {over}.")
    beyond = report.beyond_length
    if not beyond.low > 0:
        st.warning(
            f"Accuracy less length alone, pair by pair: {_number(beyond.value, '+.1%')} ({_number(beyond.low, '+.1%')} to "
            f"{_number(beyond.high, '+.1%')}). These pairs do not show that the model reads more than length."
        )
    left_side, right_side = st.columns(2)
    with left_side:
        st.markdown("**Bradley-Terry calibration**")
        st.plotly_chart(
            calibration_figure(report.calibration, theme=theme()), width="stretch", key="redviz.dataset.calibration"
        )
    with right_side:
        if report.by_subset:
            st.markdown("**Accuracy by subset**")
            shown = dict(list(report.by_subset.items())[:40])
            figure = accuracy_figure(shown, chance=report.chance, theme=theme())
            st.plotly_chart(figure, width="stretch", key="redviz.dataset.subsets")


def _figure(name: str, found: Estimate, form: str, words: str) -> None:
    with st.container(width=150, gap=None):
        st.metric(name, _number(found.value, form), help=words)
        st.caption(f"{_number(found.low, form)} to {_number(found.high, form)}")


def _number(value: float, form: str) -> str:
    return "–" if value != value else format(value, form)


def _compared(methods: MethodDisagreement, cut: bool) -> None:
    from redviz.app.dataset.figures import disagreement_figure

    scope = f"the first {MOST_COMPARED:,} rows" if cut else "all responses"
    st.markdown("**Disagreement between methods**")
    st.caption(
        f"1 − Spearman of the credits of a response's tokens, averaged over {scope}: 0 the same order, 1 none, 2 the reverse. "
        f"Mean over pairs of methods: {_number(methods.mean, '.2f')}."
    )
    figure = disagreement_figure(methods, methods.labels, theme=theme())
    st.plotly_chart(figure, width=WIDE_MATRIX, key="redviz.dataset.disagreement.figure")


def _disagreement(found: ResultFile) -> MethodDisagreement:
    return disagreement(credits_of_rows(_rows(found, Where(), ("credits",), MOST_COMPARED)))


def _rows(found: ResultFile, where: Where, columns: tuple[str, ...], most: int) -> Iterator[dict[str, Any]]:
    """Rows in file order, a batch at a time, so that a large file is never held whole."""
    for offset in range(0, most, BATCH):
        batch = found.page(where, offset=offset, limit=min(BATCH, most - offset), columns=columns)
        yield from batch
        if len(batch) < BATCH:
            return


def split_panel(file: ResultFile) -> None:
    """Draw the panel "can this model be split?"."""
    from redviz.app.dataset.figures import prefix_accuracy_figure, variance_figure

    st.caption(
        "A reward model is trained on whole responses, and RED reads it at every token. Where prefix scores are noise and the verdict "
        "comes with the last tokens, a split by prefixes is the sparse reward plus noise. Measured here on the pairs of this file."
    )
    if not file.count(Where(pairs_only=True)):
        st.info("This takes pairs of a chosen and a rejected response, and there are none.")
        return
    with st.spinner("Reading prefix scores …", show_time=True):
        report: SplitReport = once("dataset.split_report", file.fingerprint, lambda: _split(file))
    BADGES[report.verdict](plain(report.sentence))
    with st.expander("How this is decided"):
        st.text(report.rule)
    left, right = st.columns(2)
    with left:
        st.markdown("**Accuracy of prefix scores**")
        st.plotly_chart(prefix_accuracy_figure(report, theme=theme()), width="stretch", key="redviz.dataset.prefix")
    with right:
        st.markdown("**Variance of returns that RED takes away**")
        st.plotly_chart(variance_figure(report, theme=theme()), width="stretch", key="redviz.dataset.variance")
    st.dataframe(_split_table(report), hide_index=True, height="content")
    scope = f" of the first {MOST_SPLIT:,} rows" if file.count(_split_rows(file)) > MOST_SPLIT else ""
    st.caption(
        f"{report.count:,} pairs{scope}, {report.left_out:,} left out. Intervals are 95 % intervals over pairs, of shares of pairs "
        "Wilson's, else bootstrap."
    )


def _split_rows(found: ResultFile) -> Where:
    first = list(found.choices("label"))[:1]  # rows of several labels hold the same prefix scores
    return Where(labels=tuple(first), pairs_only=True)


def _split(found: ResultFile) -> SplitReport:
    where = _split_rows(found)
    return split_report_of_rows(_rows(found, where, ("prefix_scores",), MOST_SPLIT))


def _split_table(report: SplitReport) -> pd.DataFrame:
    rows = [
        *((f"accuracy of P_t at {f:.0%}", e, ".1%") for f, e in zip(report.fractions, report.accuracy, strict=True)),
        ("accuracy of the score", report.score_accuracy, ".1%"),
        *(
            (f"correlation of P_t with R at {f:.0%}", e, "+.2f")
            for f, e in zip(report.fractions, report.correlation, strict=True)
        ),
        ("share of |credit| on the last token", report.last_share, ".1%"),
        ("share on the closing tokens", report.closing_share, ".1%"),
        ("share on both", report.end_share, ".1%"),
        ("variance taken away in the second half, prompt apart", report.late_reduction, ".1%"),
    ]
    return pd.DataFrame(
        {
            "figure": [name for name, _, _ in rows],
            "value": [_number(e.value, form) for _, e, form in rows],
            "95 % interval": [f"{_number(e.low, form)} to {_number(e.high, form)}" for _, e, form in rows],
        }
    )
