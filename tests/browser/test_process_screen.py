"""A process reward model in the app: its steps are drawn as steps, and what cannot be had is refused in a sentence."""

import json
import re
from urllib.parse import urlencode

import pytest
import tiny_steps
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.mark.slow
def test_steps_are_drawn_as_steps(app, tmp_path):
    tiny_steps.qwen(tmp_path)
    methods = json.dumps({name: {} for name in ("process", "red", "abc")})
    query = {"model": str(tmp_path), "methods": methods, "example": "math-rolls/b", "head": "product"}
    opened = app("/?" + urlencode(query), strips=False)
    opened.get_by_role("button", name="Load this model").click()
    expect(opened.get_by_test_id("stMetric").filter(has_text="Steps")).to_contain_text("2")
    expect(opened.locator(".rv .card")).to_have_count(2)
    assert [card.split("\n")[1] for card in opened.locator(".rv .card").all_inner_texts()] == ["Own scores", "RED"]
    expect(opened.locator(".rv .text .u")).to_have_count(2)
    opened.get_by_text(re.compile("abc looks inside a model, and this one is read after each step")).first.wait_for()
    opened.get_by_text(re.compile("The score is the product of the step scores")).first.wait_for()
    opened.locator(".rv .text .u").nth(1).hover()
    opened.get_by_text("step 2 of 2").first.wait_for()
    opened.locator(".rv .text .u").nth(1).click()
    opened.get_by_text("Step 2 of 2", exact=True).wait_for()
    expect(opened.locator(".rv svg text", has_text=re.compile("^step$")).first).to_be_visible()
    assert opened.errors == []
