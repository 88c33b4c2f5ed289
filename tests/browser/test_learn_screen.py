"""The Learn screen in a real Chromium: every scene, every knob to both ends, links, the room's layout, and the way to Inspect."""

import re
from functools import partial
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from redviz.app.learn.scenes.table import SCENES
from redviz.app.learn.scenes.texts import UMBRELLA, gallery_example

pytestmark = pytest.mark.browser

SLOW = 180_000  # ms
FIGURE = "[data-testid=stMain] .js-plotly-plot .main-svg"
BOXES = "[data-testid=stAlert], [data-testid=stException]"
IDLE = "document.querySelector('[data-testid=stApp]')?.dataset.testScriptState === 'notRunning'"
DRAWN = "[...document.querySelectorAll('[data-testid=stMain] .js-plotly-plot')].map((g) => JSON.stringify([g.data, g.layout])).join()"
MAIN = "document.querySelector('[data-testid=stMain]')"


@pytest.fixture
def learn(app):
    """Open the Learn screen by a link, in a browser of its own."""

    def open_learn(query="", **options):
        opened = app(f"/learn{query}", strips=False, **options)
        opened.locator(f"{FIGURE}, [data-testid=stException]").first.wait_for()
        return opened

    return open_learn


@pytest.fixture(scope="module")
def walk(chromium, address):
    """One page on which all scenes are walked through."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.set_default_timeout(SLOW)
    opened.errors = []
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    opened.goto(f"{address}/learn")
    settled(opened, scene=next(iter(SCENES)))
    yield opened
    context.close()


def link(opened):
    """The knobs that the address bar holds, and the scene."""
    return {name: values[0] for name, values in parse_qs(urlparse(opened.url).query).items()}


def done(opened, act, nudge=None, **knobs):
    """Act, and again where it was lost: what is touched in the very moment in which it is drawn can be drawn over."""
    for attempt in range(3):
        if attempt and nudge:
            nudge()  # else a slider that stands there already would not move
        act()
        try:
            return settled(opened, timeout=30_000, **knobs)
        except PlaywrightTimeout:
            if any(link(opened).get(name) == value for name, value in knobs.items()):
                break  # it was slow, and not lost
    return settled(opened, **knobs)


def settled(opened, timeout=SLOW, boxes=True, **knobs):
    """Wait until the address bar holds these, nothing runs and a figure is there. Nothing may have gone wrong."""
    wanted = "".join(f" && q.get({name!r}) === {value!r}" for name, value in knobs.items())
    quiet = f"{IDLE} && !document.querySelector('[data-testid=stMain] [data-testid=stProgress]')"
    opened.wait_for_function(
        f"() => {{ const q = new URLSearchParams(location.search); return {quiet}{wanted} && !!document.querySelector({FIGURE!r}); }}",
        timeout=timeout,
    )
    assert not boxes or opened.locator(BOXES).all_inner_texts() == []
    assert opened.errors == []


def widget(opened, scene, knob):
    return opened.locator(f".st-key-redviz-knob-{scene}-{knob}")


def turned(opened, scene, knob, value):
    """Move a knob; the address bar and the figure follow."""
    before, moved = opened.evaluate(DRAWN), widget(opened, scene.id, knob.name)
    nudge = None
    if knob.options:
        act = moved.get_by_role("radio", name=knob.names.get(value, value), exact=True).click
    else:
        press = moved.get_by_role("slider").press
        low = value == knob.low
        act, nudge = partial(press, "Home" if low else "End"), partial(press, "ArrowRight" if low else "ArrowLeft")
    done(opened, act, nudge, **{knob.name: knob.write(value)})
    opened.wait_for_function(f"(before) => {DRAWN} !== before", arg=before)


@pytest.mark.parametrize(
    "name", [name if name == "monte-carlo" else pytest.param(name, marks=pytest.mark.slow) for name in SCENES]
)
def test_a_scene_is_reached_by_next_its_knobs_move_its_figure_and_its_answer_unfolds(name, walk):
    scene, names = SCENES[name], list(SCENES)
    at = names.index(name)
    if at and link(walk)["scene"] == names[at - 1]:
        done(walk, walk.get_by_role("button", name="Next").click, scene=name)
    elif link(walk)["scene"] != name:  # a test of its own, or after one that failed
        walk.goto(walk.url.split("?")[0] + f"?scene={name}")
    settled(walk, scene=name)
    walk.get_by_role("heading", name=scene.title, exact=True).wait_for()
    assert walk.get_by_role("button", name="Next").is_disabled() == (name == names[-1])
    for knob in scene.knobs:
        ends = (knob.options[0], knob.options[-1]) if knob.options else (knob.low, knob.high)
        for value in sorted(ends, key=lambda end, knob=knob: end == knob.default):
            if knob.write(value) != link(walk)[knob.name]:
                turned(walk, scene, knob, value)
    answer = walk.locator(f".st-key-redviz-answer-{name}")
    words = re.split(r"[*$`\\]", scene.answer)[0]
    assert words in answer.locator("p").last.text_content() and not answer.locator("p").last.is_visible()
    answer.locator("summary").click()
    answer.locator("p").last.wait_for()
    assert walk.evaluate(f"{MAIN}.scrollWidth <= {MAIN}.clientWidth")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["exact", "monte-carlo"])
def test_a_phone_scrolls_down_not_sideways(name, learn):
    opened = learn(f"?scene={name}", viewport={"width": 420, "height": 900})
    settled(opened, scene=name)
    assert opened.evaluate(f"{MAIN}.scrollWidth <= {MAIN}.clientWidth")


def test_the_rooms_layout_is_large_and_part_of_the_link_and_the_page_keys_turn_scenes(learn):
    def letters(where):
        return float(opened.evaluate(f"parseFloat(getComputedStyle(document.querySelector({where!r})).fontSize)"))

    text, axis = "[data-testid=stMain] [data-testid=stMarkdownContainer] p", ".js-plotly-plot .yaxislayer-above text"
    opened = learn("?scene=prefix-walk", viewport={"width": 1920, "height": 1080})
    settled(opened, scene="prefix-walk", t="11")
    small = letters(text), letters(axis)
    opened.get_by_role("button", name="Present").click()
    settled(opened, scene="prefix-walk", present="1")
    opened.wait_for_function(f"() => parseFloat(getComputedStyle(document.querySelector({text!r})).fontSize) > 22")
    assert letters(axis) > 1.5 * small[1] and letters(text) > 1.6 * small[0]
    assert not opened.get_by_test_id("stSidebar").is_visible()
    opened.keyboard.press("PageDown")
    settled(opened, scene="telescoping", present="1")
    again = learn("?scene=telescoping&shift=1&present=1", viewport={"width": 1280, "height": 720})
    settled(again, scene="telescoping", shift="1", present="1")
    assert not again.get_by_test_id("stSidebar").is_visible()
    assert again.evaluate(f"{MAIN}.scrollWidth <= {MAIN}.clientWidth")
    again.get_by_role("button", name="End").click()
    again.get_by_test_id("stSidebar").wait_for()
    again.wait_for_function("() => !new URLSearchParams(location.search).has('present')")


@pytest.mark.slow
def test_a_link_reopens_the_scene_with_its_knobs(learn):
    first = learn("?scene=monte-carlo&discount=0.95&difference=shaping")
    settled(first, scene="monte-carlo", discount="0.95", difference="shaping")
    first.get_by_text("the same order").wait_for()
    first.get_by_role("radio", name="P after − P before", exact=True).click()
    settled(first, difference="paper")
    first.get_by_text("the task has changed").wait_for()
    with first.expect_download() as downloaded:
        first.get_by_role("button", name="Handout").click()
    page = downloaded.value.path().read_text("utf-8")
    assert downloaded.value.suggested_filename == "redviz-monte-carlo.html"
    assert "the task has changed" in page and "Plotly.newPlot" in page and "discount=0.95" in page
    first.get_by_role("button", name="Link").click()
    copied = first.get_by_test_id("stCode").inner_text().strip()
    assert urlparse(copied).query and link(first) == {k: v[0] for k, v in parse_qs(urlparse(copied).query).items()}
    second = learn("?" + urlparse(copied).query)
    settled(second, scene="monte-carlo", discount="0.95", difference="paper")
    second.get_by_text("the task has changed").wait_for()
    assert second.get_by_test_id("stSliderThumbValue").inner_text() == "0.95"
    second.get_by_role("combobox", name=re.compile("Scene")).click()
    second.get_by_role("option", name=re.compile("^3 ·")).click()
    settled(second, scene="telescoping", shift="0")
    second.go_back()
    settled(second, scene="monte-carlo", discount="0.95", difference="paper")


@pytest.mark.slow
@pytest.mark.parametrize(
    "query, text, methods",
    [
        ("scene=telescoping&start=zero_base", UMBRELLA.response, ["RED"]),
        pytest.param(
            *("scene=kl&estimator=k3", gallery_example("film-copper-moon/a").response, ["KL"]), marks=pytest.mark.slow
        ),
    ],
)
def test_a_scene_opens_in_inspect_with_what_it_shows(query, text, methods, learn):
    opened = learn("?" + query)
    settled(opened)
    opened.get_by_role("button", name="Open this in Inspect").click()
    opened.wait_for_selector(".rv .text .u")
    opened.wait_for_function("() => !location.pathname.includes('learn')")
    assert "".join(opened.locator(".rv .text .u").all_text_contents()).startswith(text[:20])
    shown = opened.locator(".rv .legend").first.inner_text()
    assert all(method.lower() in shown.lower() for method in methods) and opened.errors == []
