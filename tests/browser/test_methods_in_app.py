"""Methods in the app: one is added with its options, and the causal check of a response and of a file."""

import json
import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

SHORT = "film-quiet-street/c"  # one dull bore: few words, so that every method is quick


def view(methods, **more):
    return "/?" + urlencode({"methods": json.dumps({name: {} for name in methods}), "example": SHORT} | more)


def wait_for_bands(opened, count):
    expect(opened.locator(".rv .card")).to_have_count(count)


@pytest.mark.slow
def test_a_method_is_added_from_the_picker_with_its_options(app):
    opened = app(view(["red"]))
    opened.get_by_role("button", name="Add method").click()
    for family in ("Prefix", "Attention", "Gradient", "Perturbation", "Policy", "Outcome"):
        opened.get_by_text(family, exact=True).first.wait_for()
    opened.get_by_role("button", name="Occlusion", exact=True).click()
    wait_for_bands(opened, 2)
    opened.keyboard.press("Escape")
    opened.get_by_role("button", name="Occlusion", exact=True).first.click()
    opened.get_by_text("operator", exact=True).first.wait_for()
    opened.get_by_role("combobox", name=re.compile("operator")).click()
    opened.get_by_role("option", name="pad", exact=True).click()
    opened.get_by_text("by token, pad").wait_for()
    opened.wait_for_function("() => decodeURIComponent(location.search).includes('pad')")


@pytest.mark.slow
def test_the_causal_check_of_a_response_and_of_a_file(app, tmp_path):
    opened = app(view(["red", "uniform"], granularity="word"))
    expect(opened.locator(".js-plotly-plot .subplot")).to_have_count(2)
    opened.get_by_text("On the dotted line the credit").wait_for()
    rows = [
        {"prompt": "Review the film.", "response": f"A {w} film. I {v} it."}
        for w, v in (("superb", "loved"), ("dull", "left"))
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    opened.get_by_role("radio", name="A file of responses").click()
    opened.locator("input[type=file]").set_input_files(file)
    opened.get_by_text("1 rows were left out").wait_for()
    opened.get_by_role("button", name="Check 2 responses").click()
    opened.get_by_text("On the dotted line the credit").wait_for()
    expect(opened.locator(".js-plotly-plot .subplot")).to_have_count(2)
    assert opened.errors == []
