"""The Agreement screen in a real Chromium: figures are the library's, jobs run, what is taken away is safe and whole."""

import csv
import io
import json
import re

import at_rest
import pytest

import redviz
from redviz.annotation.map_pairs import add_maps, choose_pair, next_pair, preferences
from redviz.annotation.people import add_annotators
from redviz.annotation.projects import create_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.tables import Item
from redviz.credit.recipes import recipes
from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.evaluation.agreement.against_people import against_people
from redviz.evaluation.agreement.people import among_people
from redviz.evaluation.statistics.bradley_terry import bradley_terry
from redviz.records import Example

pytestmark = pytest.mark.browser

WAIT = 180_000  # ms
PROMPT = "Review the film."
MARKED = {
    "A superb, moving film with a wonderful cast.": {"superb": 2, "moving": 1, "wonderful": 2},
    "Dull, empty and tedious from the first minute.": {"Dull": -2, "empty": -1, "tedious": -2},
    "The plot is thin but the music is superb.": {"thin": -1, "superb": 2},
    "I did not like it at all, it drags.": {"not": -2, "drags": -1},
}
HOSTILE = "<img src=x onerror=alert(1)> =1+1 **bold**"
METHODS = '{"=red":{"method":"red"},"occlusion":{}}'


def annotation(text, by, shift=0):
    words = list(MARKED[text].items())[shift:]
    return Annotation(by, tuple(Mark(text.index(w), text.index(w) + len(w), float(g)) for w, g in words))


def items():
    return [
        LabelledItem(f"r{n}", PROMPT, text, (annotation(text, "ada"), annotation(text, HOSTILE, 1)))
        for n, text in enumerate(MARKED)
    ]


def make_projects(store):
    """An empty one, one of maps with answers, and one of marked spans; the newest stands first on the screen."""
    create_project(store, "Nothing yet", [Example(PROMPT, "Fine.", "r0")])
    maps = create_project(store, "Two maps", [Example(PROMPT, text, text) for text in MARKED], task="maps")
    with store.reading() as session:
        found = [(item.id, len(item.cells)) for item in session.query(Item).filter(Item.project_id == maps.id)]
    for item_id, cells in found:
        add_maps(store, item_id, {"red": [0.5] * cells, "abc": [0.1] * cells}, recipes(["red", "abc"]), {})
    (ada,) = add_annotators(store, maps.id, ["ada"])
    for n in range(len(MARKED)):
        held = next_assignment(store, ada.id).assignment
        pair = next_pair(store, held.id)
        choose_pair(
            store, held.id, pair.left.id, pair.right.id, "left" if (pair.left.label == "red") == (n > 0) else "right"
        )
    create_project(store, "Films", items())
    return bradley_terry(preferences(store, maps.id))


@pytest.fixture(scope="module")
def ranking(store):
    return make_projects(store)


@pytest.fixture
def screen(app, ranking):
    opened = app(f"/?methods={METHODS}")
    opened.get_by_role("link", name="Agreement").first.click()
    opened.get_by_text("Labels of", exact=True).wait_for()
    opened.set_default_timeout(WAIT)
    return opened


def choose(screen, name):
    screen.get_by_role("radio", name=name, exact=True).click()


def pick(screen, label, option):
    screen.get_by_role("combobox", name=re.compile(label)).first.click()
    screen.get_by_role("option", name=re.compile(option)).first.click()


def metric(screen, name):
    return screen.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue").inner_text()


def taken(screen, button):
    return at_rest.taken(screen, screen.get_by_role("button", name=button)).read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_project_s_figures_are_the_library_s_and_can_be_taken_away(screen):
    people = among_people(items())
    screen.get_by_text("4 of 4 items have a label").wait_for()
    screen.get_by_test_id("stMetric").first.wait_for()
    assert metric(screen, "Alpha, all units") == f"{people.alpha['ordinal'].value:.3f}"
    assert metric(screen, "Alpha, marked units") == f"{people.alpha_marked['ordinal'].value:.3f}"
    choose(screen, "Methods and people")
    screen.get_by_role("button", name=re.compile("Compute the credits of 4 responses by =red, Occlusion")).click()
    screen.get_by_role("button", name="Download the leaderboard (CSV)").wait_for()
    choose(screen, "AUROC")
    screen.get_by_text(re.compile("^AUROC: mean over 4 responses")).wait_for()
    screen.get_by_text(re.compile("Larger than chance in AUROC")).wait_for()

    model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    analyses = redviz.analyze_batch(model, [i.example for i in items()], {"=red": {"method": "red"}, "occlusion": {}})
    want = against_people(zip(items(), analyses, strict=True), metric="auroc")
    rows = list(csv.DictReader(io.StringIO(taken(screen, "Download the leaderboard (CSV)"))))
    assert [row["label"] for row in rows[:6]] == ["'=red"] * 6  # a spreadsheet does not run it
    wanted = [row["value"] for row in want.rows()]
    assert [float(row["value"]) if row["value"] else None for row in rows] == pytest.approx(
        wanted, nan_ok=True, abs=1e-5
    )
    choose(screen, "Methods among themselves")
    screen.get_by_text("Where they part most").wait_for()
    told = json.loads(taken(screen, "Download the reports (JSON)"))
    assert told["people"] == json.loads(json.dumps(people.to_dict()))
    assert told["methods"]["metric"] == "auroc" and told["between"]["responses"] == 4
    assert told["sources"]["methods"]["fingerprint"] == model.source.fingerprint
    assert screen.errors == [] and screen.locator("img[src='x']").count() == 0


@pytest.mark.slow
def test_removals_of_an_uploaded_file_s_responses_and_the_next_click_where_nobody_overlaps(screen, tmp_path):
    rows = [
        {"text": item.response, "label": [[m.start, m.end, m.grade] for m in item.annotations[0].marks], "user": "ada"}
        for item in items()
    ]
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    choose(screen, "A file of labels")
    screen.locator("input[type=file]").first.set_input_files(path)
    screen.get_by_text(re.compile("^4 responses with .* by 1 annotator")).wait_for()
    screen.get_by_text("No response was judged by two people").wait_for()
    screen.get_by_role("button", name="Methods and people", exact=True).click()
    screen.get_by_role("button", name=re.compile("Compute the credits of 4")).wait_for()
    choose(screen, "Faithfulness")
    screen.get_by_role("button", name="Remove words in 4 responses").click()
    screen.get_by_text(re.compile("Mean over 4 responses of the change from the score")).wait_for()
    told = json.loads(taken(screen, "Download the reports (JSON)"))
    report = told["faithfulness"]
    assert (report["operator"], report["granularity"], report["responses"]) == ("pad", "word", 4)
    assert [row["label"] for row in report["rows"]] == ["=red", "occlusion"]
    assert screen.errors == []


@pytest.mark.slow
def test_a_project_of_maps_shows_the_ranking_and_an_empty_one_the_way_on(screen, ranking):
    pick(screen, "Project", "Two maps")
    best, last = ranking.methods[0].label, ranking.methods[-1].label
    screen.get_by_text(f"prefers RED to ABC with probability {ranking.chance(best, last):.2f}").wait_for()
    assert (best, last) == ("red", "abc")
    pick(screen, "Project", "Nothing yet")
    screen.get_by_text("Nobody has submitted an item of this project yet").wait_for()
    screen.get_by_role("button", name="Open the project").wait_for()
    assert screen.errors == []
