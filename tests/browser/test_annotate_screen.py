"""Annotating in a real Chromium: what is pressed and dragged is what is exported, and what is called saved is on disk."""

import random
import re
import time
from pathlib import Path

import pytest
from at_rest import QUIET
from playwright.sync_api import expect
from serve import free_port, serving, start
from sqlalchemy import select

from redviz.annotation.interchange import export_rows
from redviz.annotation.judgements import marks_of
from redviz.annotation.maps import put_map
from redviz.annotation.people import add_annotators
from redviz.annotation.projects import create_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.store import open_store
from redviz.annotation.tables import Assignment, Item
from redviz.records import Example

ROOT = Path(__file__).parents[2]
SLOW = 180_000
LEAD = "a-lead-code"
MIXED = "I loved it 😀👨‍👩‍👧 truly.\nهذا فيلم جميل\n\nIt's over-long!"

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Of a server with a lead code, which no other file needs."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def store(home):
    opened = open_store(f"sqlite:///{home}/redviz.db")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def address(home, store):
    with serving(ROOT / "app.py", ROOT, REDVIZ_HOME=str(home), REDVIZ_LEAD_CODE=LEAD) as url:
        yield url


@pytest.fixture
def project(store):
    """A project of some texts with its annotators."""

    def make(*texts, people=("Ada",), **options):
        made = create_project(store, "Reviews", [Example("Write a review.", text) for text in texts], **options)
        return made, add_annotators(store, made.id, people)

    return make


@pytest.fixture
def pad(page):
    """Open a personal link and wait for its pad."""

    def open_link(address, person, **options):
        opened = page(**options)
        opened.set_default_timeout(SLOW)
        opened.goto(f"{address}/?code={person.code}")
        opened.locator(".pad .c").first.wait_for()
        opened.wait_for_function(QUIET)  # what is pressed while the page is still being drawn is lost
        return opened

    return open_link


def stop(server):
    server.kill()
    server.wait()


def saved(opened):
    expect(opened.locator(".pad .state")).to_have_text("Saved", timeout=SLOW)


def submit(opened):
    opened.keyboard.press("Control+Enter")
    expect(opened.get_by_text("You have judged everything").first).to_be_visible(timeout=SLOW)


def spans(store, project):
    return [(row["text"], row["start"], row["end"], row["grade"]) for row in export_rows(store, project.id)]


def at(text, part):
    start = text.index(part)
    return part, start, start + len(part)


def test_an_item_is_judged_with_the_keyboard_alone(address, store, project, pad):
    made, (ada,) = project(MIXED)
    opened = pad(address, ada)
    press = opened.keyboard.press
    expect(opened.locator(".pad .text")).to_be_focused(timeout=SLOW)
    for key in ("Home", "ArrowRight", "5"):  # loved
        press(key)
    for key in ("ArrowRight", "ArrowRight", "Shift+ArrowRight", "2"):  # both faces
        press(key)
    for key in ("End", "3"):  # the exclamation mark, seen and neutral
        press(key)
    for key in ("ArrowLeft", "4", "u"):  # graded and taken back
        press(key)
    for key in ("Shift+ArrowLeft", "1"):  # It's over-long
        press(key)
    saved(opened)
    submit(opened)
    assert spans(store, made) == [
        (*at(MIXED, "loved"), 2.0),
        (*at(MIXED, "😀👨‍👩‍👧"), -1.0),
        (*at(MIXED, "It's over-long"), -2.0),
        (*at(MIXED, "!"), 0.0),
    ]


BUILT_ANEW = """async (code) => {
  const pad = (await import(URL.createObjectURL(new Blob([code], { type: 'text/javascript' })))).default;
  const data = { assignment: 7, person: '1', signature: 's', cells: ['one', 'two', 'three'], gaps: ['', ' ', ' ', ''], entries: [],
    grades: [-1, 0, 1], names: ['against', 'neutral', 'for'], acks: {}, locked: '', saved: 'Saved', keep: false, reasons: [] };
  const build = () => pad({ data, setStateValue: (_, value) => { window.sent = value; },
    parentElement: document.body.appendChild(document.createElement('div')).attachShadow({ mode: 'open' }) });
  window.leave = build();
  window.build = () => { build(); };
}"""


def test_keys_between_two_builds_of_a_pad_are_for_the_second(page):
    """Streamlit builds a component anew at times, in the middle of somebody's typing."""
    opened = page()
    opened.route(
        "http://pad.test/", lambda route: route.fulfill(body="<!doctype html><body></body>", content_type="text/html")
    )
    opened.goto("http://pad.test/")
    opened.evaluate(
        BUILT_ANEW, "\n".join((ROOT / "redviz/view" / name).read_text("utf-8") for name in ("link.js", "pad.js"))
    )
    expect(opened.locator(".pad .text")).to_be_focused()
    opened.keyboard.press("1")
    opened.evaluate("window.leave()")
    for key in ("ArrowRight", "3", "ArrowRight"):
        opened.keyboard.press(key)
    opened.evaluate("window.build()")
    expect(opened.locator(".pad .text")).to_be_focused()
    opened.keyboard.press("2")
    opened.wait_for_function("window.sent?.batches.flatMap((batch) => batch.entries).length >= 2")
    marks = opened.evaluate(
        "window.sent.batches.flatMap((batch) => batch.entries).map((e) => [e.first, e.last, e.grade])"
    )
    assert marks[-2:] == [[1, 1, 1], [2, 2, 0]]


@pytest.mark.slow
def test_an_item_is_judged_by_dragging(address, store, project, pad):
    made, (ada,) = project(MIXED)
    opened = pad(address, ada)

    def drag(first, last, button):
        ends = [
            opened.locator(".pad .c", has_text=re.compile(f"^{text}$")).first.bounding_box() for text in (first, last)
        ]
        (x, y), (to_x, to_y) = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in ends]
        opened.mouse.move(x, y)
        opened.mouse.down()
        opened.mouse.move((x + to_x) / 2, (y + to_y) / 2, steps=4)
        opened.mouse.move(to_x, to_y, steps=4)
        opened.mouse.up()
        opened.locator(".pad button", has_text=button).click()

    drag("loved", "it", "strongly for")
    drag("😀", "truly", "−1")
    drag("فيلم", "هذا", "+1")  # from the left, which is the end of an Arabic line
    drag("It's", "over-long", "strongly against")
    saved(opened)
    opened.locator(".pad button", has_text="Submit").click()
    expect(opened.get_by_text("You have judged everything").first).to_be_visible(timeout=SLOW)
    assert spans(store, made) == [
        (*at(MIXED, "loved it"), 2.0),
        (*at(MIXED, "😀👨‍👩‍👧 truly"), -1.0),
        (*at(MIXED, "هذا فيلم"), 1.0),
        (*at(MIXED, "It's over-long"), -2.0),
    ]


def test_fifty_judgements_typed_quickly_all_arrive(address, store, project, pad):
    text = " ".join(f"w{n}" for n in range(60))
    made, (ada,) = project(text)
    opened = pad(address, ada)
    opened.locator(".pad .text").focus()
    opened.keyboard.press("Home")
    for n in range(50):
        opened.keyboard.press(str(n % 5 + 1))
        opened.keyboard.press("ArrowRight")
        time.sleep(0.03)
    saved(opened)
    submit(opened)
    assert [(text, grade) for text, _, _, grade in spans(store, made)] == [(f"w{n}", n % 5 - 2.0) for n in range(50)]


@pytest.mark.slow
def test_two_people_judge_one_response_at_once(address, store, project, pad):
    made, people = project("one two three four", people=("Ada", "Grace"), overlap=2)
    both = [pad(address, person) for person in people]
    for n, key in enumerate("5544"):
        for opened, grade in zip(both, (key, "1"), strict=True):
            opened.locator(".pad .text").focus()
            opened.keyboard.press("Home" if n == 0 else "ArrowRight")
            opened.keyboard.press(grade)
    for opened in both:
        saved(opened)
        submit(opened)
    grades = {
        name: [row["grade"] for row in export_rows(store, made.id) if row["annotator"] == name]
        for name in ("Ada", "Grace")
    }
    assert grades == {"Ada": [2.0, 2.0, 1.0, 1.0], "Grace": [-2.0] * 4}


def test_two_tabs_of_one_person_keep_both_tabs_marks(address, store, project, pad):
    made, (ada,) = project("one two three")
    first, second = pad(address, ada), pad(address, ada)
    for opened, key in ((first, "Home"), (second, "End")):
        opened.locator(".pad .text").focus()
        opened.keyboard.press(key)
        opened.keyboard.press("5")
        saved(opened)
    submit(second)
    assert [text for text, *_ in spans(store, made)] == ["one", "three"]


def test_the_lead_code_opens_the_app_and_a_wrong_one_does_not(address, page):
    opened = page()
    opened.set_default_timeout(SLOW)
    opened.goto(address)
    field = opened.get_by_label("Lead code")
    field.fill("wrong")
    opened.get_by_role("button", name="Sign in").click()
    opened.get_by_text("This is not the lead code").wait_for()
    field.fill(LEAD)
    opened.get_by_role("button", name="Sign in").click()
    opened.locator(".rv .text .u").first.wait_for()


def marked(opened):
    """What the pad says of saving, and the cells on which it shows the mark +2."""
    return opened.locator(".pad").evaluate(
        "n => [n.querySelector('.state').textContent, [...n.querySelectorAll('.c[data-grade=\"+2\"]')].map((c) => +c.dataset.c)]"
    )


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killing_the_server_loses_nothing_that_was_called_saved(kills, tmp_path, pad):
    store = open_store(f"sqlite:///{tmp_path}/redviz.db")
    text = " ".join(f"w{n}" for n in range(400))
    starts = [text.index(f"w{n}") for n in range(400)]
    made = create_project(store, "Reviews", [Example("Write a review.", text)])
    (ada,) = add_annotators(store, made.id, ["Ada"])
    chance, port = random.Random(kills), free_port()
    server = start(ROOT / "app.py", ROOT, port, REDVIZ_HOME=str(tmp_path))
    try:
        opened = pad(f"http://localhost:{port}", ada)
        assignment = next_assignment(store, ada.id).assignment
        opened.locator(".pad .text").focus()
        opened.keyboard.press("Home")
        ever, sure, called_saved = set(), set(), 0  # cells whose mark was ever on the screen, and those called saved
        for kill in range(kills):
            # Streamlit may still hold its own dialog about the lost connection over the page, and with it the keys
            expect(opened.get_by_role("dialog")).to_have_count(0, timeout=SLOW)
            opened.locator(".pad .text").focus()
            if kill % 2:  # some kills come after marks were called saved, however slow the machine; the others at once
                saved(opened)
                sure = set(marked(opened)[1])
            for _ in range(chance.randrange(1, 12)):  # a page that is being drawn anew may not hear some of them
                opened.keyboard.press("5")
                opened.keyboard.press("ArrowRight")
                time.sleep(chance.uniform(0, 0.1))
            time.sleep(chance.uniform(0, 1.2))
            state, shown = marked(opened)
            stop(server)
            ever |= set(shown)
            kept = {starts.index(mark.start) for mark in marks_of(store, assignment.id)}
            assert sure <= kept <= ever
            if state == "Saved":
                assert kept == set(shown)
                called_saved += 1
            server = start(ROOT / "app.py", ROOT, port, REDVIZ_HOME=str(tmp_path))
        assert len(ever) >= 2 * kills and (sure or called_saved)  # else the moments were no test
        assert f"code={ada.code}" in opened.url  # all that a server started again knows the person by
        saved(opened)  # what was not saved when a server died is sent again, by the same page
        assert [mark.start for mark in marks_of(store, assignment.id)] == [starts[n] for n in sorted(ever)]
    finally:
        stop(server)
        store.close()


@pytest.mark.slow
def test_a_page_that_reaches_a_living_server_no_more_opens_itself_again(address, store, project, pad):
    made, (ada,) = project("A fine film.")
    opened = pad(address, ada)
    opened.evaluate("() => { window.stale = true; WebSocket.prototype.send = () => {}; }")
    opened.locator(".pad .text").focus()
    opened.keyboard.press("Home")
    opened.keyboard.press("5")
    expect(opened.locator(".pad .state")).to_contain_text("Not saved yet", timeout=SLOW)
    assignment = next_assignment(store, ada.id).assignment
    assert marks_of(store, assignment.id) == ()
    opened.wait_for_function("() => !window.stale", timeout=SLOW)
    saved(opened)
    assert [mark.start for mark in marks_of(store, assignment.id)] == [0]


@pytest.mark.slow
def test_a_map_is_revealed_after_submitting_and_never_after_a_skip(address, store, project, pad):
    made, (ada,) = project("A superb film.", "A dull film.", reveal_method="red")
    with store.reading() as session:
        ids = session.scalars(select(Item.id).where(Item.project_id == made.id).order_by(Item.place)).all()
    for item_id in ids:
        put_map(store, item_id, "red", "red", [0.1, 2.0, -0.5, 0.0])
    opened = pad(address, ada)
    expect(opened.locator(".pad .text")).to_be_focused(timeout=SLOW)
    opened.keyboard.press("s")
    opened.keyboard.press("2")
    expect(opened.locator(".pad .text").filter(has_text="dull")).to_be_visible(timeout=SLOW)
    expect(opened.locator(".pad .text")).to_have_count(1, timeout=SLOW)  # the one before is gone
    assert opened.get_by_text("handed in.").count() == 0
    opened.locator(".pad .text").focus()
    opened.keyboard.press("5")
    saved(opened)
    assert opened.locator(".rv").count() == 0
    opened.keyboard.press("Control+Enter")
    opened.get_by_role("button", name="Show how the model sees it").click()
    expect(opened.locator(".rv.map")).to_have_count(2, timeout=SLOW)
    with store.reading() as session:
        rows = session.execute(select(Assignment.state, Assignment.revealed_at).order_by(Assignment.id)).all()
    assert [(state, seen is not None) for state, seen in rows[-2:]] == [("skipped", False), ("submitted", True)]
