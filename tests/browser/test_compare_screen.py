"""The Compare screen in a real Chromium: a pasted pair and two models."""

import re

import pytest
import tiny
from playwright.sync_api import expect

import redviz
from redviz.data.gallery import load_gallery

pytestmark = pytest.mark.browser
WAIT = 180_000  # ms: the first use of the model imports torch, on a machine that may be busy
PROMPT = "Write a short review of the film."
PAIR = ["The film is superb, <b>warm</b> and honest.", "The film is dull, and it bored me to the end."]


@pytest.fixture(scope="module")
def model():
    return redviz.load_reward_model("embedded:sentiment", device="cpu")


@pytest.fixture
def screen(app):
    opened = app(viewport={"width": 1280, "height": 1600})
    opened.get_by_role("link", name="Compare").first.click()
    opened.get_by_text("They part at").wait_for()
    return opened


def metric(opened, label):
    return opened.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")


def number(text):
    return float(re.sub("[−-]", "-", text))


def paste(opened, responses):
    opened.get_by_text("Paste", exact=True).click()
    opened.get_by_role("textbox", name="Prompt", exact=True).fill(PROMPT)
    for letter, text in zip("ABCDEF", responses, strict=False):
        field = opened.get_by_role("textbox", name=f"Response {letter}", exact=True)
        if not field.count():
            opened.get_by_role("button", name="Add another").click()
        field.fill(text)
        field.blur()
    opened.get_by_role("button", name="Compare them").click()


def test_a_pasted_pair_parts_where_compare_says_and_outlives_its_page(screen, model):
    paste(screen, PAIR)
    found = redviz.compare(model, PROMPT, PAIR, ["red"])
    screen.get_by_text(f"They part at token {found.parts[0].token + 1}:").wait_for()
    assert number(metric(screen, "Margin A over B").inner_text()) == pytest.approx(found.margin(0, 1), abs=1e-3)
    strip = screen.locator(".rv .text").first
    expect(strip).to_contain_text("┃", timeout=WAIT)
    assert "<b>warm</b>" in strip.inner_text()
    dimmed = "".join(strip.locator(".u i").all_text_contents())
    assert dimmed.startswith("The film is")
    screen.get_by_role("link", name="Model").first.click()
    screen.get_by_text("Forward passes run").wait_for()
    screen.get_by_role("link", name="Compare").first.click()
    screen.get_by_text(f"They part at token {found.parts[0].token + 1}:").wait_for()
    assert screen.get_by_role("textbox", name="Response B", exact=True).input_value() == PAIR[1]
    assert screen.errors == []


@pytest.mark.slow
def test_one_response_under_two_models(screen, tmp_path, model):
    tiny.save(tmp_path)
    screen.get_by_text("Two models", exact=True).click()
    screen.get_by_text("Choose a second model").wait_for()
    field = screen.get_by_role("combobox", name=re.compile("Second model"))
    field.fill(str(tmp_path))
    field.press("Enter")
    screen.get_by_text("Span by span").wait_for()
    item = load_gallery()[0]
    other = redviz.load_reward_model(str(tmp_path), device="cpu")
    for name, one in (("embedded", model), (str(tmp_path), other)):
        score = redviz.analyze(one, item.prompt, item.responses[0].text, ["red"]).score
        assert number(metric(screen, f"Score, {name}").inner_text()) == pytest.approx(score, abs=1e-3)
    expect(screen.locator(".rv .text")).to_have_count(2, timeout=WAIT)
    expect(screen.locator("code", has_text=re.compile("--model2"))).to_be_visible(timeout=WAIT)
    assert screen.errors == []
