"""The app as a person meets it: open, pick, hover, pin, export, copy a link, paste hostile text."""

import re
from pathlib import Path

import pytest
import tiny
from playwright.sync_api import expect
from serve import serving

from redviz.data.gallery import load_gallery

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SLOW = 180_000  # ms: the first use of the model imports torch, on a machine that may be busy
HOSTILE = "<script>alert(1)</script>\n\tمرحبا بالعالم 👨‍👩‍👧 fine.\n\n<img src=x onerror=alert(2)> a\u200bb  end & <b>bold</b>"


def strip_text(opened):
    return "".join(opened.locator(".rv .text .u:not(.close)").all_text_contents())


def shows(opened, text):
    """Wait until the strips show a text."""
    opened.locator(".rv .text", has_text=text).wait_for()


def settled(opened):
    """Wait until the last method's band is there: it moves the lines below it."""
    opened.locator(".rv .card", has_text="IG").first.wait_for()


def paste(opened, response, prompt="Write a short review of the film."):
    opened.get_by_role("radio", name="Paste").click()
    opened.get_by_role("textbox", name="Prompt", exact=True).fill(prompt)
    opened.get_by_role("textbox", name="Response", exact=True).fill(response)
    opened.get_by_role("button", name="Show its tokens").click()


def test_the_first_strips_appear_without_any_choice(app):
    opened = app()
    first = load_gallery()[0].responses[0].text
    assert strip_text(opened).strip() == first
    assert [card.split("\n")[1] for card in opened.locator(".rv .card").all_inner_texts()] == ["RED", "ABC", "IG"]
    opened.locator("figure svg").nth(3).wait_for()
    assert opened.errors == []


def test_hover_and_pin_reach_strips_curves_and_panel(app):
    opened = app()
    cell = opened.locator(".rv .text .u").nth(5)
    cell.hover()
    assert opened.locator(".tip tr").count() == 3
    cell.click()
    assert opened.locator(".rv .u.pin").count() == 1
    assert opened.locator("figure line.pin:not([display=none])").count() == 4
    opened.get_by_text("Token 6 of 71", exact=True).wait_for()
    opened.wait_for_function("() => location.search.includes('pin=5')")
    opened.get_by_role("link", name="Model").first.click()
    opened.get_by_text("Forward passes run").wait_for()
    opened.get_by_role("link", name="Inspect").first.click()
    opened.get_by_text("Token 6 of 71", exact=True).wait_for()
    opened.wait_for_function("() => location.search.includes('pin=5')")
    assert opened.locator(".rv .u.pin").count() == 1
    settled(opened)
    opened.locator(".rv .text .u").nth(5).click()
    opened.get_by_text("No token pinned", exact=True).wait_for()
    opened.wait_for_function("() => !location.search.includes('pin=')")
    assert app().get_by_text("No token pinned", exact=True).count() == 1
    assert opened.errors == []


@pytest.mark.slow
def test_the_report_opens_offline_and_runs_nothing(app, chromium, tmp_path):
    opened = app()
    paste(opened, HOSTILE)
    shows(opened, "<script>")
    settled(opened)
    seen = strip_text(opened)
    assert all(mark in seen for mark in ("↵", "→", "·", "∅", "👨‍👩‍👧", "مرحبا")) and opened.errors == []
    opened.get_by_role("radio", name="Export and link").click()
    with opened.expect_download() as download:
        opened.get_by_role("button", name="Report (HTML)").first.click()
    file = tmp_path / "report.html"
    download.value.save_as(file)
    offline = chromium.new_context(offline=True)
    report = offline.new_page()
    problems = []
    report.on("dialog", lambda dialog: (problems.append("a dialog opened"), dialog.dismiss()))
    report.on("request", lambda request: problems.append(request.url) if not request.url.startswith("file:") else None)
    report.goto(file.as_uri())
    shown = report.locator("body").inner_text()
    offline.close()
    assert "<script>alert(1)</script>" in shown and "embedded:sentiment" in shown
    assert problems == []


@pytest.mark.slow
def test_a_link_to_pasted_text_reopens_it_after_another_page(app):
    opened = app()
    text = "A quiet film, superb in its way, and then a tedious last act."
    paste(opened, text)
    shows(opened, "superb in its way")
    settled(opened)
    opened.locator(".rv .text .u").nth(3).click()
    opened.wait_for_function("() => location.search.includes('pin=3')")
    opened.get_by_role("radio", name="Export and link").click()
    opened.get_by_role("button", name="Copy link").click()
    link = opened.locator("code", has_text="view=").inner_text()
    opened.get_by_role("link", name="Model").first.click()
    opened.get_by_text("Forward passes run").wait_for()
    again = app("/?" + link.partition("?")[2])
    assert strip_text(again) == text
    again.get_by_text(re.compile("^Token 4 of")).wait_for()
    assert again.locator(".rv .u.pin").count() == 1


@pytest.mark.slow
def test_four_thousand_tokens(app):
    opened = app()
    paste(opened, "The film is superb and dull in turns. " * 500)
    opened.locator(".rv .text .u").nth(4000).wait_for()
    opened.get_by_text("was trained on lengths up to").wait_for()
    last = opened.locator(".rv .text .u:not(.close)").last
    last.scroll_into_view_if_needed()
    last.click()
    assert opened.locator(".rv .u.pin").count() == 1
    assert opened.errors == []


def test_a_bad_model_is_refused_in_one_sentence(app, tmp_path):
    (tiny.save(tmp_path) / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    opened = app(f"/?model={tmp_path}", strips=False)
    opened.get_by_role("button", name="Load this model").click()  # a link alone loads nothing
    opened.get_by_text("pickled weights").first.wait_for()
    assert "Traceback" not in opened.locator("body").inner_text()


@pytest.mark.parametrize("path", [pytest.param("/model", marks=pytest.mark.slow), "/dataset"])
def test_a_page_opened_first_on_a_fresh_server_has_its_sidebar(page, tmp_path, path):
    with serving(ROOT / "app.py", ROOT, REDVIZ_HOME=str(tmp_path)) as url:
        opened = page()
        opened.set_default_timeout(SLOW)
        opened.goto(url + path)
        opened.get_by_text("Which tokens of a response earn its reward").wait_for()
        expect(opened.get_by_role("link", name="Inspect")).to_have_count(1, timeout=SLOW)
        expect(opened.get_by_role("link", name="app", exact=True)).to_have_count(0)
        assert path in opened.url
