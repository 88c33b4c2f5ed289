"""A page with one group of panels, for the browser tests: what is drawn is chosen in the query string."""

import sys
from pathlib import Path

import numpy as np
import streamlit as st

sys.path.insert(0, str(Path(__file__).parents[2]))

from redviz.view.curves import Level, Panel, Series, curves  # noqa: E402
from redviz.view.link import share_pin  # noqa: E402
from redviz.view.strip import strips  # noqa: E402
from tests.browser import analyses  # noqa: E402

st.set_page_config(layout="wide")
query = st.query_params
names = {"red": "RED", "abc": "ABC", "ig": "IG", "treg": "T-REG"}
kind, count = query.get("kind", "worked"), int(query.get("n", 160))
made = {
    "worked": lambda: analyses.worked(0.1),
    "hostile": analyses.hostile,
    "arabic": analyses.arabic,
    "long": lambda: analyses.long(count),
}[kind]()


def keep(token: int | None) -> None:
    st.session_state["pin"] = token


def move() -> None:
    wish = st.session_state["wish"]
    keep(None if wish < 0 else int(wish))


st.number_input("Pin token", min_value=-1, value=-1, key="wish", on_change=move)
granularity = st.segmented_control(
    "Granularity", ["token", "word", "sentence"], default=query.get("granularity", "token")
)
strips(
    made,
    names=names,
    granularity=granularity or "token",
    layout=query.get("layout", "lanes"),
    text_size=int(query.get("size", 16)),
    solo=query.get("solo"),
    key="strip",
)
n = len(made.offsets)
panels = [
    Panel(
        "Prefix score",
        [Series("P_t", np.append(made.prefix_scores, made.score), colour=0)],
        [Level("P₀", made.base), Level("score", made.score)],
        x0=-1,
        note="what the model would say if the response ended here",
    ),
    Panel("Cumulative credit", [Series(names[label], np.cumsum(c.values)) for label, c in made.credits.items()]),
    Panel("Return", [Series("G_t", made.score - made.prefix_scores[:-1], colour=0)], step=True),
]
curves(panels, n=n, key="curves")
pin = st.session_state.get("pin")
share_pin(pin, group="main", on_pin=keep, key="door")
st.text(f"server pin: {pin}")
