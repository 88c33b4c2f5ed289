"""A demonstration in a real Chromium: no files, no long texts, nothing kept, and a view that starts again when nobody is there."""

import re

import pytest
from at_rest import QUIET
from playwright.sync_api import expect

from redviz.app.demonstration import NO_FILES
from redviz.data.gallery import load_gallery

pytestmark = pytest.mark.browser

SLOW = 180_000  # ms
IDLE_MINUTES = 3  # of the demonstration of conftest.py
FIRST = load_gallery()[0].responses[0].text
COUNTDOWN = "[data-redviz=idle]"


@pytest.fixture
def address(demo_address):
    return demo_address


@pytest.fixture
def visitor(app):
    """Somebody at the app, and the clock of their browser, which a test can put forward."""

    def come(path="/", strips=True):
        opened = app("/", strips=False)
        opened.clock.install()
        opened.goto(opened.url.rstrip("/") + path)
        if strips:
            opened.wait_for_selector(".rv .text .u")
        return opened

    return come


def text(opened):
    return "".join(opened.locator(".rv .text .u:not(.close)").all_text_contents()).strip()


def checked(opened):
    """The page, once the model's check is through: its end draws the page again."""
    opened.get_by_test_id("stSidebar").get_by_role(
        "link", name=re.compile("all checks passed|read its cautions")
    ).wait_for()
    opened.wait_for_function(QUIET)
    return opened


def choose(opened, name):
    """Click one of a row of buttons when no job is about to draw the page again, which would lose the click."""
    still = f"({QUIET})() && !document.querySelector('[data-testid=stMain] [data-testid=stProgress]')"
    opened.wait_for_function(f"() => {still}")
    button = opened.get_by_role("radio", name=name, exact=True)
    button.click()
    expect(button).to_be_checked(timeout=SLOW)
    opened.wait_for_function(f"() => {still}")


def shows(opened, words):
    """Wait until the strips show a text."""
    opened.locator(
        ".rv .text", has_text=words
    ).first.wait_for()  # the strip of the run before may still stand beside it
    opened.wait_for_function(QUIET)


def go(opened, screen):
    link = opened.get_by_test_id("stSidebarNav").get_by_role("link", name=screen, exact=True)
    link.click()
    opened.wait_for_function(
        "href => location.href.split('?')[0] === new URL(href, location.href).href", arg=link.get_attribute("href")
    )
    opened.wait_for_function(QUIET)


def paste(opened, response, prompt="Review the film."):
    choose(opened, "Paste")
    opened.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
    opened.get_by_role("textbox", name="Response", exact=True).fill(response)
    opened.get_by_role("button", name="Show its tokens").click()


def takes_no_files(opened, times=1):
    expect(opened.get_by_text(NO_FILES)).to_have_count(times, timeout=SLOW)
    opened.wait_for_function(QUIET)
    assert opened.locator("[data-testid=stFileUploader], input[type=file]").count() == 0


@pytest.mark.slow
def test_no_screen_takes_a_file(app):
    opened = checked(app())
    opened.get_by_text("It keeps nothing, takes no files and up to 4,000 characters").wait_for()
    choose(opened, "Upload")
    takes_no_files(opened)
    choose(opened, "Gallery")
    for panel in ("Causal check", "What-if"):
        choose(opened, panel)
        choose(opened, "A file of responses")
        takes_no_files(opened)
    go(opened, "Data set")
    takes_no_files(opened)
    go(opened, "Agreement")
    choose(opened, "A file of labels")
    takes_no_files(opened)
    go(opened, "Project")
    opened.get_by_text("This is a demonstration that keeps nothing").wait_for()
    for screen in ("Compare", "Annotate", "Model", "Learn", "Lab", "Project"):
        go(opened, screen)
        takes_no_files(opened, 0)
    assert opened.errors == []


@pytest.mark.slow
def test_a_text_that_is_too_long_is_refused_and_stays_where_it_was_written(app):
    opened = checked(app())
    refused = opened.get_by_text("this demonstration takes 4,000, so shorten it")
    long = "Superb. " * 501
    paste(opened, long)
    refused.wait_for()
    assert opened.get_by_role("textbox", name="Response", exact=True).input_value() == long
    assert text(opened) == FIRST
    opened.get_by_role("textbox", name="Response", exact=True).fill("Superb.")
    opened.get_by_role("button", name="Show its tokens").click()
    shows(opened, "Superb.")
    expect(refused).to_have_count(0)
    choose(opened, "Edit")
    opened.get_by_role("button", name="Score the edited response").wait_for()
    opened.wait_for_function(QUIET)
    opened.get_by_role("textbox", name="Response", exact=True).fill(long)
    opened.get_by_role("button", name="Score the edited response").click()
    refused.wait_for()
    choose(opened, "Gallery")
    expect(refused).to_have_count(0)
    opened.wait_for_function(QUIET)
    choose(opened, "What-if")
    field = opened.get_by_role("textbox", name="Edit the response")
    field.fill(long)
    field.press("Control+Enter")
    refused.wait_for()
    assert field.input_value() == long
    go(opened, "Compare")
    opened.get_by_role("radio", name="Two models", exact=True).wait_for()  # Inspect has a row with Paste too
    choose(opened, "Paste")
    opened.get_by_role("button", name="Compare them").wait_for()
    opened.wait_for_function(QUIET)
    opened.get_by_role("textbox", name="Response A").fill("Superb.")
    opened.get_by_role("textbox", name="Response B").fill(long)
    opened.get_by_role("button", name="Compare them").click()
    refused.wait_for()
    assert opened.get_by_role("textbox", name="Response B").input_value() == long and opened.errors == []


@pytest.mark.slow
def test_a_view_that_nobody_touches_starts_again_and_others_do_not(visitor, app):
    left, other = checked(visitor()), checked(app())
    for opened, own in ((left, "A dull film."), (other, "A splendid film.")):
        paste(opened, own)
        shows(opened, own)
    left.get_by_role("slider", name="γ discount").press("Home")
    left.get_by_text("the best policy may change").wait_for()
    left.clock.fast_forward((60 * IDLE_MINUTES - 60) * 1000)
    assert left.locator(COUNTDOWN).count() == 0
    left.clock.fast_forward(40_000)
    left.locator(COUNTDOWN, has_text="click anywhere to go on").wait_for()
    left.get_by_role("heading", name="redviz").click()  # any click
    expect(left.locator(COUNTDOWN)).to_have_count(0)
    left.clock.fast_forward((60 * IDLE_MINUTES - 20) * 1000)
    left.locator(COUNTDOWN).wait_for()
    assert text(left).startswith("A dull film.")
    left.clock.fast_forward(25_000)
    shows(left, FIRST[:20])
    left.wait_for_function(QUIET)
    assert left.get_by_role("textbox", name="Response", exact=True).count() == 0
    assert left.get_by_text("the best policy may change").count() == 0
    choose(left, "Recent")
    left.get_by_role("button", name="The Lanterns").or_(left.get_by_role("button", name=FIRST[:12])).first.wait_for()
    assert left.get_by_role("button", name="A dull film.").count() == 0
    choose(left, "Paste")
    assert left.get_by_role("textbox", name="Response", exact=True).input_value() == ""
    choose(other, "word")
    other.wait_for_function(QUIET)
    assert text(other).startswith("A splendid film.") and left.errors == other.errors == []


def test_any_screen_goes_back_to_the_start_and_the_start_stays_as_it_is(visitor):
    opened = visitor("/learn?scene=telescoping&start=zero_base&shift=1", strips=False)
    opened.locator("[data-testid=stMain] .js-plotly-plot .main-svg").first.wait_for()
    opened.clock.fast_forward((60 * IDLE_MINUTES + 1) * 1000)  # a link was opened, and nobody came
    opened.wait_for_selector(".rv .text .u")
    assert text(opened) == FIRST and "learn" not in opened.url and "scene" not in opened.url
    opened.evaluate("window.here = true")
    opened.clock.fast_forward((60 * IDLE_MINUTES + 1) * 1000)  # nothing to put back: no countdown, no new session
    opened.wait_for_function("() => Date.now() - window[Symbol.for('redviz.idle')].last < 1000")  # it has looked since
    assert opened.locator(COUNTDOWN).count() == 0 and opened.evaluate("window.here") is True
