"""What can be taken away from the results: the run as one Parquet file, and the keys of the filtered rows as CSV."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd
import streamlit as st

from redviz.data.labels.predictions import predicted
from redviz.data.labels.tool_files import FILES, tool_file
from redviz.data.results.from_rows import analyses_of
from redviz.data.results.result_files import MOST_ROWS, ResultFile
from redviz.data.results.result_filters import Where
from redviz.data.results.row_files import read_rows
from redviz.data.results.rows import without_formulas
from redviz.runs.parts import put_together
from redviz.runs.runs import Run
from redviz.view.markdown import plain

MOST_CSV = 100_000  # rows
MOST_BYTES = 500 * 2**20  # of a run that passes through the browser


def downloads(results: ResultFile, where: Where, order: str, descending: bool, count: int, run: Run | None) -> None:
    """Draw the buttons; the files are made when one is pressed."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            f"Download {min(count, MOST_CSV):,} rows without texts (CSV)",
            lambda: keys_csv(results, where, order, descending),
            "rows.csv",
            "text/csv",
            on_click="ignore",
        )
        if run is None or run.state().state != "done":
            return
        if sum(file.stat().st_size for file in results.files) > MOST_BYTES:
            st.caption(plain(f"The parts of this run are in {run.folder}; they are too large for the browser."))
            return
        st.download_button(
            "Download the run (Parquet)", lambda: run_parquet(run), f"run-{run.id}.parquet", on_click="ignore"
        )
        with st.popover("Pre-annotations", help="The words with most of the credit, as marks that people correct."):
            label = st.selectbox("Method", list(run.manifest.methods), key="redviz.dataset.suggested")
            for tool, (named, ending) in FILES.items():
                st.download_button(
                    named,
                    partial(pre_annotations, results.files, label, tool),
                    f"run-{run.id}.{tool}{ending}",
                    on_click="ignore",
                )


def keys_csv(found: ResultFile, where: Where, order: str = "row", descending: bool = False) -> str:
    """The keys of the matching rows in this order, no cell of which a spreadsheet would run; at most ``MOST_CSV``."""
    written = io.StringIO()
    for offset in range(0, MOST_CSV, MOST_ROWS):
        rows = found.page(where, order, descending, offset, MOST_ROWS, columns=())
        if rows or not offset:
            without_formulas(pd.DataFrame(rows)).to_csv(written, index=False, header=not offset)
        if len(rows) < MOST_ROWS:
            break
    return written.getvalue()


def run_parquet(run: Run) -> bytes:
    """All parts as one file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.parquet"
        put_together(run, path)
        return path.read_bytes()


def pre_annotations(files: Sequence[Path], label: str, tool: str) -> str:
    """What a tool imports: each scored response with what the method would mark."""
    rows = (row for file in files for batch in read_rows(file) for row in batch)
    scored = (analysis for analysis in analyses_of(rows) if label in analysis.credits)
    return tool_file(tool, [predicted(analysis, (label,)) for analysis in scored])
