"""What Compare draws before the browser, and the page itself with a pair that another page handed over."""

import shlex
import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import redviz
from redviz.app.compare.panels import PARTS_HERE, part_payload, response_panels
from redviz.records import Example
from redviz.view.lanes import strip_of, strip_payload

PAGE = Path(__file__).parents[2] / "pages" / "compare.py"
PROMPT = "Write a short review of the film."
PAIR = ["The film is superb and honest.", "The film is dull, and it bored me to the end."]


@pytest.fixture(scope="module")
def found(sentiment):
    return redviz.compare(sentiment, PROMPT, PAIR, ["red"])


def test_the_shared_units_are_dimmed_and_nothing_else_changes(found):
    strip = strip_of(found.analyses[0], granularity="token")
    shared = found.parts[0].token
    plain, marked = strip_payload(strip), part_payload(strip, shared)
    assert marked["units"][:shared] == [["", text, ""] for text in strip.texts[:shared]]
    assert marked["units"][shared:] == plain["units"][shared:]
    assert marked["gaps"] == {str(shared): PARTS_HERE} and marked["sig"] != plain["sig"]
    assert marked["lanes"] == plain["lanes"]
    assert part_payload(strip, 0) == plain


def test_the_curves_lie_on_one_another_up_to_the_parting_token(found):
    prefix, returns = response_panels(found, ["A", "B"], "red", "RED", 1.0)
    shared = found.parts[0].token
    one, two = (np.asarray(series.values) for series in prefix.series)
    assert (one[: shared + 1] == two[: shared + 1]).all() and one[shared + 1] != two[shared + 1]
    assert [len(series.values) for series in returns.series] == [len(a.tokens) for a in found.analyses]


def page(examples):
    opened = AppTest.from_file(str(PAGE), default_timeout=60)
    opened.session_state["redviz.compare"] = examples
    opened.session_state["redviz.through"] = True  # as app.py says
    return opened


def run_until(opened, words):
    for _ in range(120):
        opened.run()
        assert not opened.exception
        if any(words in block.value.replace("\\", "") for block in [*opened.markdown, *opened.error, *opened.info]):
            return opened
        time.sleep(0.25)
    raise AssertionError([block.value for block in [*opened.markdown, *opened.error, *opened.info]])


def test_a_pair_from_another_page_is_shown_with_its_roles_and_its_calls_give_it_again(found):
    pair = [Example(PROMPT, text, f"7/{role}") for text, role in zip(PAIR, ("chosen", "rejected"), strict=True)]
    opened = run_until(page(pair), "What earns the margin of A · chosen over B · rejected")
    values = {metric.label: metric.value for metric in opened.metric}
    assert values["Margin A · chosen over B · rejected"] == f"{found.margin(0, 1):+.3f}"
    python, terminal = (block.value for block in opened.code)
    told: dict = {}
    exec(python, told)
    assert told["compared"].margin(0, 1) == pytest.approx(found.margin(0, 1), abs=1e-5)
    words = shlex.split(terminal.replace("\\\n", " "))
    assert words[:2] == ["redviz", "compare"] and [w for w in words if w.startswith("--response=")] == [
        f"--response={text}" for text in PAIR
    ]


def test_responses_to_different_prompts_are_refused():
    run_until(page([Example("One?", "Yes."), Example("Two?", "No.")]), "answer different prompts")
