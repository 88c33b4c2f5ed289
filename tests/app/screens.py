"""The app without a browser: ``app.py`` run by Streamlit's AppTest, and what it drew."""

import json
from pathlib import Path
from typing import Any

from streamlit.testing.v1 import AppTest

APP = Path(__file__).parents[2] / "app.py"
PATIENCE = 600  # seconds: the first use of a model imports torch, on a machine that may be busy
SAID = ("markdown", "caption", "text", "info", "warning", "error", "success", "title", "header", "subheader", "toast")


def opened(page: str = "", **query: str) -> AppTest:
    """A screen ("compare"; "" is Inspect) as a link opens it, once all that it asked for is done."""
    shown = AppTest.from_file(str(APP), default_timeout=PATIENCE)
    shown.query_params.update(query)
    settled(shown.run())
    if not page:
        return shown
    shown.query_params.update(query)  # Inspect has written its own
    return go(shown, page)


def go(shown: AppTest, page: str) -> AppTest:
    """Turn to another screen of the same session."""
    return settled(shown.switch_page(f"pages/{page}.py").run())


def settled(shown: AppTest) -> AppTest:
    """Wait for the jobs of this session and draw their results; nothing may have gone wrong on the way."""
    drawn: list[
        Any
    ] = []  # the jobs that had ended when the page was drawn last: a bar that is still there shows none of them
    while True:
        assert [error.value for error in shown.exception] == []
        jobs = list(shown.session_state["redviz.jobs"].values() if "redviz.jobs" in shown.session_state else ())
        running = [job for job in jobs if not job.finished.is_set()]
        if not running and (jobs == drawn or not shown.get("progress")):
            return shown
        drawn = [] if running else jobs
        for job in running:
            assert job.finished.wait(PATIENCE), f"{job.title} does not end"
        shown.run()


def press(shown: AppTest, label: str) -> AppTest:
    """Press the first button with this label."""
    next(button for button in shown.button if button.label == label).click()
    return settled(shown.run())


def choose(shown: AppTest, label: str, option: str | None) -> AppTest:
    """Press one of a row of buttons by its words; None presses the chosen one again."""
    row = next(row for row in shown.button_group if row.label == label)
    row.set_value(option)
    return settled(shown.run())


def pick(shown: AppTest, label: str, option: str) -> AppTest:
    """Choose from a list by what it shows."""
    box = next(box for box in shown.selectbox if box.label == label)
    box.select_index(box.options.index(option))
    return settled(shown.run())


def write(shown: AppTest, **fields: str) -> AppTest:
    """Fill text fields by their labels ("Response_A" is Response A), without leaving them for more than their last one."""
    for name, text in fields.items():
        label = name.replace("_", " ")
        next(field for field in (*shown.text_area, *shown.text_input) if field.label == label).set_value(text)
    return shown


def words(shown: AppTest) -> str:
    """All that the page says, with what Markdown needs to show it as it is taken out."""
    said = [str(element.value) for kind in SAID for element in shown.get(kind)]
    return "\n".join(said).replace("\\", "").replace("\u2060", "")


def metrics(shown: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in shown.metric}


def strips(shown: AppTest) -> list[dict[str, Any]]:
    """What the strips of the page draw."""
    return _drawn(shown, "redviz.strip")


def panels(shown: AppTest) -> dict[str, dict[str, Any]]:
    """The curves of the page, by the first words of their title."""
    return {panel["title"]: panel for curves in _drawn(shown, "redviz.curves") for panel in curves["panels"]}


def bands(shown: AppTest, nth: int = 0) -> list[str]:
    """The methods of a strip, top to bottom."""
    return [lane["name"] for lane in strips(shown)[nth]["lanes"]]


def figures(shown: AppTest) -> list[dict[str, Any]]:
    """The Plotly figures of the page."""
    return [json.loads(chart.proto.spec) for chart in shown.get("plotly_chart")]


def _drawn(shown: AppTest, component: str) -> list[dict[str, Any]]:
    found = [element.proto for element in shown.get("bidi_component")]
    return [json.loads(proto.json) for proto in found if proto.component_name == component]
