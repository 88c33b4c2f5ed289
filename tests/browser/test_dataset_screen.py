"""The Data set screen in a real Chromium: open, score, read the results, cancel and resume a run."""

import json
import re

import pytest

pytestmark = pytest.mark.browser

WAIT = 180_000  # ms
GOOD, BAD = "Superb, moving and wonderful.", "Dull, empty and tedious."
HOSTILE = "<img src=x onerror=alert(1)> $x$ **bold** ![a](http://nowhere.example/a.png)"


@pytest.fixture
def screen(app):
    """The Data set screen, with RED alone as method: what is tested here is the way of a run."""
    opened = app("/?methods=%7B%22red%22%3A%7B%7D%7D")
    opened.get_by_role("link", name="Data set").first.click()
    opened.get_by_text("Open a data set", exact=True).wait_for()
    opened.set_default_timeout(WAIT)
    return opened


def pairs(count, start=0):
    return [
        json.dumps(
            {"prompt": HOSTILE, "chosen": f"{GOOD} Take {i}.", "rejected": f"{BAD} Take {i}.", "subset": f"s{i % 2}"}
        )
        for i in range(start, start + count)
    ]


def give(screen, path, content):
    path.write_bytes(content)
    screen.locator("input[type=file]").first.set_input_files(path)


def part(screen, name):
    screen.get_by_role("radio", name=name, exact=True).click()


def run_of(screen, name):
    """The box of the run of a file."""
    return screen.get_by_test_id("stVerticalBlock").filter(has_text=name).last


def test_a_small_file_is_understood_scored_summed_up_and_opened_in_inspect(screen, tmp_path):
    give(screen, tmp_path / "few.jsonl", "\n".join([*pairs(12), "not json"]).encode())
    screen.get_by_text("13 pairs of prompt, chosen and rejected").wait_for()
    screen.get_by_text("1 row gives no example and is left out").wait_for()
    screen.get_by_role("button", name="Score 24 responses with RED").click()
    screen.get_by_text("24 of 24 responses").wait_for()
    run_of(screen, "few.jsonl").get_by_role("button", name="Open results").click()
    screen.get_by_text("24 of 24 rows").wait_for()

    part(screen, "Summary")
    accuracy = screen.get_by_test_id("stMetric").filter(has_text="Accuracy")
    assert accuracy.get_by_test_id("stMetricValue").inner_text() == "100.0%"
    screen.get_by_test_id("stMetric").filter(has_text="Length only").wait_for()
    part(screen, "Can this model be split?")
    screen.get_by_text("Unclear: 12 pairs are too few").wait_for()

    part(screen, "Rows")
    screen.get_by_text("24 of 24 rows").wait_for()
    box = screen.get_by_test_id("stDataFrame").locator("canvas").first.bounding_box()
    screen.mouse.click(box["x"] + 15, box["y"] + 52)  # the box of the first row
    screen.get_by_role("button", name="Open in Inspect").click()
    screen.wait_for_selector(".rv .text .u")  # behind the model's own check
    assert "wonderful" in "".join(screen.locator(".rv .text .u").all_text_contents())
    assert screen.errors == []
    screen.get_by_role("link", name="Data set").first.click()
    screen.get_by_text("24 of 24 rows").wait_for()  # nothing is lost on a change of page
    assert screen.locator("img[src='x'], img[src*='nowhere']").count() == 0


@pytest.mark.slow
def test_a_run_is_cancelled_and_resumed(screen, tmp_path):
    give(screen, tmp_path / "many.jsonl", "\n".join(pairs(1500, 100)).encode())
    screen.get_by_role("button", name="Score 3,000 responses with RED").click()
    run = run_of(screen, "many.jsonl")
    run.get_by_text(re.compile("left$")).wait_for()  # it runs, and says for how long
    run.get_by_role("button", name="Cancel").click()
    run.get_by_text("cancelled", exact=True).wait_for()
    run.get_by_role("button", name="Resume", exact=True).click()
    run.get_by_text("done", exact=True).wait_for(timeout=2 * WAIT)
    run.get_by_text("3,000 of 3,000 responses").wait_for()
    run.get_by_role("button", name="Delete", exact=True).click()
    screen.get_by_text("Delete this run with its 3,000 scored responses for good?").wait_for()
    screen.get_by_role("button", name="Delete for good").click()
    screen.get_by_text("many.jsonl", exact=True).wait_for(state="detached")
    part(screen, "Runs")
    assert screen.get_by_text("many.jsonl", exact=True).count() == 0
    assert screen.errors == []
