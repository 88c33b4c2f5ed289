"""The lead's work in a real Chromium: a project made from a file, people invited, a label settled."""

import json
import re
import time

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from redviz.annotation.labels import labelled_items
from redviz.annotation.projects import create_project, list_projects
from redviz.annotation.tables import Gold
from redviz.data.labels.labels import Annotation, LabelledItem, Mark

SLOW = 180_000

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_from_a_file_of_responses_to_a_judgement(address, store, page, tmp_path):
    file = tmp_path / "reviews.jsonl"
    rows = [{"prompt": "Review it.", "response": text} for text in ("A superb film.", "=cmd() <b>dull</b> film")]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    opened = page()
    opened.set_default_timeout(SLOW)
    opened.goto(f"{address}/project")
    opened.locator("input[type=file]").set_input_files(file)
    opened.get_by_role("textbox", name="Name", exact=True).fill("Autumn *reviews*")
    opened.get_by_label("Annotators, one name a line").fill("Ada\n<i>Grace</i>")
    opened.get_by_role("button", name="Make the project").click()
    opened.get_by_text("is ready").wait_for()
    expect(opened.get_by_text("<i>Grace</i>").first).to_be_visible()
    link = re.search(r"http://\S+code=\S+", opened.locator("code", has_text="code=").first.inner_text()).group()
    annotator = page()
    annotator.set_default_timeout(SLOW)
    annotator.goto(link)
    annotator.locator(".pad .c").first.wait_for()
    annotator.locator(".pad .text").focus()
    for key in ("Home", "ArrowRight", "5", "Control+Enter"):
        annotator.keyboard.press(key)
    expect(annotator.locator(".pad .text").filter(has_text="dull")).to_be_visible(timeout=SLOW)
    expect(annotator.locator(".pad .text")).to_have_count(1, timeout=SLOW)  # the one before is gone
    opened.get_by_role("radio", name="Progress").click()
    opened.get_by_text("Items done").wait_for()
    project = list_projects(store)[0]
    assert (project.name, project.items, project.overlap) == ("Autumn *reviews*", 2, 2)
    (said,) = [item for item in labelled_items(store, project.id).items if item.annotations]
    assert said.annotations == (Annotation("Ada", (Mark(2, 8, 2.0),)),)


def settled(store):
    with store.reading() as session:
        return session.scalars(select(Gold.marks)).all()


@pytest.mark.slow
def test_a_settled_label_is_what_the_lead_submitted_and_is_settled_once(address, store, page):
    marks = (Mark(0, 6, 1.0, "Fluency"),)  # of a kind
    item = LabelledItem("a", "Review it.", "Superb and long", (Annotation("Ada", marks), Annotation("Bob", marks)))
    create_project(store, "Adjudicated", [item], overlap=2)
    opened = page()
    opened.set_default_timeout(SLOW)
    opened.clock.install()
    opened.goto(f"{address}/project")
    opened.get_by_role("radio", name="Disagreements").click()
    opened.locator(".pad .c").first.wait_for()
    opened.locator(".pad .text").focus()
    for key in ("End", "1", "Control+Enter"):
        opened.keyboard.press(key)
    until = time.monotonic() + SLOW / 1000
    while not settled(store) and time.monotonic() < until:
        time.sleep(0.2)
    opened.clock.fast_forward(5000)  # longer than the pad waits before it sends again
    opened.get_by_role("radio", name="Progress").click()
    opened.get_by_text("Items done").wait_for()
    (marks,) = settled(store)
    assert sorted(marks) == [[0, 6, 1.0, "Fluency"], [11, 15, -2.0, ""]]
