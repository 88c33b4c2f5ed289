"""The Lab screen in a real Chromium: a small run from its start to its downloads, a killed server, and a public one."""

import csv
import json
import re
import zipfile
from pathlib import Path

import at_rest
import pytest
from serve import free_port, serving, start

from redviz.lab.runs import LabRun, list_lab_runs

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
SLOW = 180_000  # ms
REWARD = "[data-testid=stPlotlyChart] .js-plotly-plot >> nth=0"


def lab(opened, address):
    """The Lab screen of a server, in a page."""
    opened.errors = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.set_default_timeout(SLOW)
    opened.goto(address + "/lab")
    opened.get_by_role("radio", name="Experiments", exact=True).wait_for()
    return opened


def number(opened, label, value):
    """Type into a field, and wait until the page has taken it."""
    field = opened.get_by_label(label, exact=True)
    field.fill(str(value))
    field.press("Enter")


def set_up(opened, steps):
    """Two lines of one seed, small enough for a test."""
    number(opened, "Seeds", 1)
    number(opened, "Steps", steps)
    opened.get_by_text("Requests and finer settings").click()
    number(opened, "Longest response", 6)
    opened.get_by_role("combobox", name=re.compile("Batch")).click()
    opened.get_by_role("option", name="16", exact=True).click()
    opened.get_by_text(f"2 lines × 1 seed × {steps} steps = {2 * steps:,} steps").wait_for()
    opened.get_by_role("button", name="Start", exact=True).click()


def done(opened):
    """How many steps the page says are done."""
    text = opened.get_by_text(re.compile(r"^\d+ of \d+ steps")).first.inner_text()
    return int(text.split()[0])


def grows(opened, beyond):
    """Wait until more steps are done."""
    opened.wait_for_function(
        """beyond => [...document.querySelectorAll('[data-testid=stProgress]')].some(
            e => Number(/(\\d+) of \\d+ steps/.exec(e.innerText)?.[1] ?? -1) > beyond)""",
        arg=beyond,
    )


def state(opened, word):
    opened.get_by_test_id("stMarkdownContainer").get_by_text(word, exact=True).first.wait_for()


def drawn(opened):
    """The lines of the reward figure: name -> its points."""
    opened.wait_for_function(
        "of => document.querySelector(of)?.calcdata?.length", arg=REWARD.split(" >> ")[0]
    )  # Plotly fills it once it has drawn
    lines = "e => e.calcdata.map(c => [c[0].trace.name, c[0].trace.fill, c.map(point => point.y)])"
    return {name: points for name, fill, points in opened.locator(REWARD).evaluate(lines) if fill == "none"}


def download(opened, label):
    return at_rest.taken(opened, opened.get_by_role("button", name=label))


def press(opened, name):
    opened.get_by_role("button", name=name, exact=True).click()


@pytest.mark.slow
def test_a_small_run_is_drawn_compared_and_downloaded_as_it_was(page, address, home, monkeypatch, tmp_path):
    monkeypatch.setenv("REDVIZ_HOME", str(home))  # of the test too, which reads what the server writes
    opened = lab(page(), address)
    set_up(opened, steps=3)
    opened.get_by_text("6 of 6 steps").wait_for()
    state(opened, "done")

    rows = list(csv.DictReader(download(opened, "Curves (CSV)").open()))
    assert [(r["method"], int(r["step"])) for r in rows] == [(m, s) for m in ("sparse", "red") for s in (1, 2, 3)]
    for name, method in (("RED", "red"), ("sparse", "sparse")):
        told = [float(row["reward"]) for row in rows if row["method"] == method]
        assert drawn(opened)[name] == pytest.approx(told)
        run = next(run for run in list_lab_runs() if run.config.method == method)
        assert told == [step.reward for step in run.steps()]
    lines = [json.loads(line) for line in download(opened, "Curves (JSONL)").read_text().splitlines()]
    assert [line["reward"] for line in lines] == [float(row["reward"]) for row in rows]

    texts = [json.loads(line) for line in download(opened, "Texts (JSONL)").read_text().splitlines()]
    assert len(texts) == 2 * 2 * 64 and {text["when"] for text in texts} == {"before", "after"}
    assert all(text["kl"] == pytest.approx(0, abs=1e-4) for text in texts if text["when"] == "before")
    for when in ("before", "after"):  # of the first line
        first = next(text for text in texts if text["when"] == when)
        told = f"{when}: reward {first['score']:+.2f} · KL {first['kl']:.1f} · {first['tokens']} tokens"
        opened.get_by_text(told).first.wait_for()
    with zipfile.ZipFile(download(opened, "Weights (ZIP)")) as file:
        file.extractall(tmp_path)
    tuned_is_another_policy(next(tmp_path.iterdir()), list_lab_runs())

    opened.get_by_role("radio", name="New experiment", exact=True).click()
    opened.get_by_text("the same settings give the same curves").wait_for()
    press(opened, "Show these curves")
    opened.get_by_text("6 of 6 steps").wait_for()
    assert opened.errors == []


@pytest.mark.slow
def test_a_run_grows_outlives_its_page_pauses_stops_and_goes_on(page, address, home, monkeypatch):
    monkeypatch.setenv("REDVIZ_HOME", str(home))
    opened = lab(page(), address)
    set_up(opened, steps=500)
    grows(opened, 1)
    opened.locator(REWARD).wait_for()
    few = len(drawn(opened)["sparse"])
    line = "document.querySelector('.js-plotly-plot').calcdata.find(c => c[0].trace.name == 'sparse')"
    opened.wait_for_function(f"{line}.length > {few}")

    opened.get_by_role("link", name="Inspect").first.click()
    opened.wait_for_selector(".rv .text .u")
    seen = max(len(run.steps()) for run in list_lab_runs() if run.config.steps == 500)
    opened.get_by_role("link", name="Lab").first.click()
    grows(opened, seen)

    press(opened, "Pause")
    state(opened, "paused")
    (paused,) = {sum(len(run.steps()) for run in list_lab_runs() if run.config.steps == 500)}
    opened.get_by_text(re.compile(f"^{paused:,} of ")).first.wait_for()
    press(opened, "Resume")
    grows(opened, paused)
    press(opened, "Stop")
    state(opened, "stopped")
    stopped = done(opened)
    assert paused < stopped == len(download(opened, "Curves (JSONL)").read_text().splitlines())

    opened.get_by_role("radio", name="Experiments", exact=True).click()
    box = opened.locator("[class*='st-key-redviz-lab-list']").filter(has_text="500 steps")
    box.get_by_role("button", name="Open", exact=True).click()
    box.wait_for(state="detached")  # the list has a button of this name too
    press(opened, "Resume")
    grows(opened, stopped)
    opened.get_by_role("radio", name="Experiments", exact=True).click()
    box.get_by_role("button", name="Stop", exact=True).click()
    box.get_by_role("button", name="Delete", exact=True).click()
    box.get_by_role("button", name="Delete for good", exact=True).click()
    box.wait_for(state="detached")
    assert 500 not in {run.config.steps for run in list_lab_runs()} and opened.errors == []


def tuned_is_another_policy(folder: Path, runs: list[LabRun]) -> None:
    """The folder loads, and its weights are those of the kept state, not those of the policy that it began as."""
    import torch

    from redviz.models.kinds.policy import load_policy

    found = load_policy(str(folder), device="cpu").module.state_dict()
    kept = torch.load(next(run for run in runs if run.config.method == "sparse").folder / "checkpoint")["policy"]
    began = load_policy("embedded:writer", device="cpu").module.state_dict()
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    assert not all(torch.equal(found[name], began[name]) for name in began)


@pytest.mark.slow
def test_a_killed_server_leaves_an_interrupted_run_that_goes_on(page, tmp_path, monkeypatch):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path))
    port = free_port()
    server = start(ROOT / "app.py", ROOT, port, REDVIZ_HOME=str(tmp_path))
    try:
        opened = lab(page(), f"http://localhost:{port}")
        set_up(opened, steps=500)
        grows(opened, 11)  # beyond the first checkpoint
    finally:
        server.kill()
        server.wait()
    run = next(run for run in list_lab_runs() if run.steps())
    before = [step.reward for step in run.steps()]
    with serving(ROOT / "app.py", ROOT, REDVIZ_HOME=str(tmp_path)) as address:
        opened = lab(page(), address)
        opened.get_by_role("radio", name="Curves", exact=True).click()
        state(opened, "interrupted")
        assert done(opened) == len(before)
        press(opened, "Resume")
        grows(opened, len(before))
        press(opened, "Stop")
        state(opened, "stopped")
        assert opened.errors == []
    after = [step.reward for step in run.steps()]
    assert len(after) > len(before) and after[: len(before)] == before  # as if never interrupted


@pytest.mark.slow
def test_a_public_server_writes_nothing_bounds_a_run_and_shows_it_to_its_visitor_alone(page, demo_address, demo_home):
    opened = lab(page(), demo_address)
    opened.get_by_text("This is a public demo").wait_for()
    number(opened, "Seeds", 2)
    set_up(opened, steps=4)
    opened.get_by_text("8 of 8 steps").wait_for()
    state(opened, "done")
    assert len(drawn(opened)["RED"]) == 4
    assert len(download(opened, "Curves (JSONL)").read_text().splitlines()) == 8
    assert opened.get_by_role("button", name="Weights (ZIP)").count() == 0
    other = lab(page(), demo_address)
    other.get_by_role("radio", name="Curves", exact=True).click()
    other.get_by_text("No experiment yet").wait_for()
    assert opened.errors == other.errors == [] and list(demo_home.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("width", [420, 1280])
def test_the_form_says_what_is_wrong_and_a_phone_scrolls_down_only(page, address, width):
    opened = lab(page(viewport={"width": width, "height": 900}), address)
    number(opened, "β_c of RED", "0.5, 2")
    opened.get_by_text("give numbers from 0 to 1").wait_for()
    assert opened.get_by_role("button", name="Start", exact=True).count() == 0
    number(opened, "β_c of RED", "0, 0.5, 1")
    opened.get_by_text("4 lines × 2 seeds × 20 steps = 160 steps").wait_for()
    main = "document.querySelector('[data-testid=stMain]')"
    assert opened.evaluate(f"{main}.scrollWidth <= {main}.clientWidth")
    assert opened.errors == []
