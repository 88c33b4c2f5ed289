"""The part "Results": the rows of a run or of a result file, sorted and filtered where they lie; one row opens in other screens."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from redviz.app.dataset.downloads import downloads
from redviz.app.dataset.rows import offer_row
from redviz.app.dataset.sources import server_files
from redviz.app.dataset.state import FROM, PARTS, show_part
from redviz.app.dataset.summary import split_panel, summary_panel
from redviz.app.parts.kept import keep, kept, kept_choice, kept_choices, once, recall
from redviz.app.runs.jobs import has_rows, shown_runs
from redviz.app.session import remembered, theme
from redviz.data.results.result_files import Histogram, ResultFile, open_results
from redviz.data.results.result_filters import Where
from redviz.runs.runs import Run, open_run
from redviz.view.markdown import plain
from redviz.view.marks import flat

PANELS = ("Rows", "Summary", "Can this model be split?")
ORDERS = {
    "row": "file order",
    "score": "score",
    "margin": "margin",
    "length": "length",
    "largest": "largest credit",
    "label": "method",
    "example_id": "example",
}
PAGE = 50  # rows
LONGEST = 160  # characters of a response in the table


def results_part() -> None:
    """Draw it."""
    source = _source()
    if source is None:
        st.info("No results yet. Open a data set and score it; result files of REDVIZ_DATA are listed here too.")
        st.button("Open a data set", key="redviz.results.empty", on_click=show_part, args=(PARTS[0],), type="primary")
        return
    file, run = source
    panel = remembered("Show", "dataset.panel", PANELS)
    if panel == PANELS[0]:
        _rows(file, run)
    elif panel == PANELS[1]:
        summary_panel(file)
    else:
        split_panel(file)


def _source() -> tuple[ResultFile, Run | None] | None:
    """The result chosen, of all runs with rows and all Parquet files of the server's folders."""
    runs = {run.id: run for run in shown_runs() if has_rows(run)}
    files = server_files((".parquet",))
    options = [*(("run", run_id) for run_id in runs), *(("file", name) for name in files)]
    if not options:
        return None
    chosen = kept_choice("Results of", FROM, options, format_func=lambda option: _title(option, runs))
    kind, name = chosen
    run = open_run(name) if kind == "run" else None
    path = run.folder / "parts" if run else files[name]
    with st.spinner("Indexing …", show_time=True):
        found: ResultFile = once("dataset.results", (str(path), path.stat().st_mtime_ns), lambda: open_results(path))
    if run:
        state = run.state()
        if state.state != "done":
            st.info(plain(f"This run is not finished: {state.done:,} of {state.total:,} responses are here so far."))
    return found, run


def _title(option: tuple[str, str], runs: dict[str, Run]) -> str:
    kind, name = option
    if kind == "file":
        return name
    manifest = runs[name].manifest
    return f"{manifest.dataset} · {manifest.model} · {', '.join(manifest.methods)} · run {name[:6]}"


def _rows(file: ResultFile, run: Run | None) -> None:
    where = _filters(file)
    count = file.count(where)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        order = kept_choice("Sort by", "dataset.order", list(ORDERS), format_func=ORDERS.__getitem__, width=170)
        pages = max(1, -(-count // PAGE))
        keep("dataset.page", min(int(recall("dataset.page", 1) or 1), pages))
        page = int(kept(st.number_input, f"Page (of {pages:,})", "dataset.page", 1, 1, pages, width=130))
        descending = kept(st.toggle, "Descending", "dataset.descending", False)
    if not count:
        st.info("No row matches these filters.")
        return
    rows = file.page(where, order, bool(descending), (page - 1) * PAGE, PAGE, columns=("response", "error"))
    selected = st.dataframe(
        _table(rows),
        hide_index=True,
        key=f"redviz.dataset.rows.{file.fingerprint}.{hash((where, order, descending, page))}",
        on_select="rerun",
        selection_mode="single-row",
        column_config=_columns(),
        height=min(420, 40 + 35 * len(rows)),
    ).selection.rows
    st.caption(f"{count:,} of {file.total:,} rows, one per response and method. Select one to open it elsewhere.")
    if selected and selected[0] < len(rows):
        offer_row(file, rows[selected[0]])
    _histogram(file, where)
    downloads(file, where, order, bool(descending), count, run)


def _filters(found: ResultFile) -> Where:
    labels, subsets = list(found.choices("label")), list(found.choices("subset"))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = kept(st.text_input, "Text in prompt or response", "dataset.text", "", width=200)
        chosen = kept_choices("Methods", "dataset.labels", labels, placeholder="all", width=180)
        inside = kept_choices("Subsets", "dataset.subsets", subsets, placeholder="all", width=180) if subsets else []
        low = kept(st.number_input, "Score from", "dataset.low", None, placeholder="any", width=110, format="%.3f")
        high = kept(st.number_input, "Score to", "dataset.high", None, placeholder="any", width=110, format="%.3f")
        errors = kept(st.toggle, "Errors only", "dataset.errors", False)
        pairs = kept(st.toggle, "Pairs only", "dataset.pairs", False)
    return Where(str(text or "").strip(), (low, high), tuple(chosen), tuple(inside), (), bool(errors), bool(pairs))


def _table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    table = pd.DataFrame(
        {
            "example": [row["example_id"] for row in rows],
            "role": [row["response_id"] for row in rows],
            "subset": [row["subset"] for row in rows],
            "method": [row["label"] for row in rows],
            "score": [row["score"] for row in rows],
            "margin": [row["margin"] for row in rows],
            "tokens": [row["length"] for row in rows],
            "largest credit": [row["largest"] for row in rows],
            "error": [row["error"] for row in rows],
            "response": [_beginning(row["response"]) for row in rows],
        }
    )
    empty = [name for name in ("subset", "margin", "error") if table[name].isna().all()]
    return table.drop(columns=empty)


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "score": number(format="%.3f"),
        "margin": number(format="%+.3f", help="Score of the chosen response minus that of the rejected one"),
        "largest credit": number(format="%.3f", help="The largest |credit| of a token"),
        "response": st.column_config.TextColumn(width="large"),
    }


def _beginning(text: str | None) -> str:
    line = flat(" ".join((text or "")[: 2 * LONGEST].split()))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _histogram(file: ResultFile, where: Where) -> None:
    from redviz.app.dataset.figures import histogram_figure

    names = ["score", "margin", "length", "largest"]
    column = kept_choice("Histogram of", "dataset.histogram", names, format_func=ORDERS.__getitem__, width=170)
    labels = where.labels or tuple(file.choices("label"))
    if column != "largest" and len(labels) > 1:  # the same for each method: a response counts once
        where = replace(where, labels=labels[:1])
    counted: Histogram = file.histogram(column, 40, where)
    if counted.counts.sum():
        figure = histogram_figure(counted, ORDERS[column], theme=theme())
        st.plotly_chart(figure, width="stretch", key="redviz.dataset.histogram.figure")
    if counted.missing:
        st.caption(f"{counted.missing:,} rows have no {ORDERS[column]}.")
