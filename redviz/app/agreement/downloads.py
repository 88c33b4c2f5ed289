"""What can be taken away from the Agreement screen: every report so far as JSON, the leaderboard as CSV."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from redviz.app.agreement.state import Labels, Made, made
from redviz.data.results.rows import without_formulas
from redviz.evaluation.agreement.against_people import MethodsReport
from redviz.evaluation.agreement.agreement import Agreement

NAMES = {
    "people": "people",
    "methods": "methods and people",
    "between": "methods among themselves",
    "faithfulness": "faithfulness",
    "preferences": "preferences",
}


def downloads(labels: Labels) -> None:
    """Draw the buttons, where there is a report."""
    have = made()  # asked for here: a file is made outside of the browser session
    reports = have.reports
    if not reports:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.download_button(
            "Download the reports (JSON)",
            lambda: agreement_json(labels, have),
            "agreement.json",
            "application/json",
            on_click="ignore",
        )
        if "methods" in reports:
            st.download_button(
                "Download the leaderboard (CSV)",
                lambda: leaderboard_csv(reports["methods"]),
                "leaderboard.csv",
                "text/csv",
                on_click="ignore",
            )
    st.caption(
        f"The JSON holds what was looked at so far: {', '.join(NAMES[name] for name in NAMES if name in reports)}."
    )


def agreement_json(labels: Labels, have: Made) -> str:
    """The reports of this session with what they were made of."""
    agreement = Agreement(
        labels.labels.name,
        "maps" if labels.maps else labels.labels.scale,
        labels.labels.sentence,
        len(labels.items),
        have.options,
        have.sources,
        **have.reports,
    )
    return json.dumps(agreement.to_dict(), ensure_ascii=False, allow_nan=False, indent=1)


def leaderboard_csv(report: MethodsReport) -> str:
    """One line per method, baseline or people and figure, no cell of which a spreadsheet would run."""
    return without_formulas(pd.DataFrame(report.rows())).to_csv(index=False)
