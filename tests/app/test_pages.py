"""Every other screen as a whole page: what is opened, made, chosen and refused there, and who sees which screen."""

import json
from types import SimpleNamespace

import pytest
from screens import choose, go, metrics, opened, press, settled, strips, words, write
from sqlalchemy import select

import redviz
from redviz.annotation.map_pairs import preferences
from redviz.annotation.maps import put_map
from redviz.annotation.people import add_annotators
from redviz.annotation.projects import create_project, list_projects
from redviz.annotation.tables import Item
from redviz.app.annotate.state import store
from redviz.data.gallery import load_gallery
from redviz.records import Example

PAIR = ["The film is superb, warm and honest.", "The film is dull, and it bored me to the end."]
HOSTILE = "<img src=x onerror=alert(1)> $x$ **bold** ![a](http://nowhere.example/a.png)"
RED = '{"red":{}}'
SCREENS = ("compare", "dataset", "project", "agreement", "model", "learn", "lab", "annotate")


@pytest.fixture(autouse=True)
def home(warm, monkeypatch, tmp_path):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    store.clear()
    yield
    store.clear()


@pytest.fixture(scope="module")
def model():
    return redviz.load_reward_model("embedded:sentiment", device="cpu")


def labels(shown):
    return [button.label for button in shown.button]


def number(text):
    return float(text.replace("−", "-"))


def give(shown, name, content):
    shown.file_uploader[0].upload(name, content)
    return settled(shown.run())


# ---------------------------------------------------------------- Compare


def paste(shown, *responses):
    choose(shown, "Responses from", "Paste")
    write(shown, Prompt="Review the film.", Response_A=responses[0], Response_B=responses[1])
    return press(shown, "Compare them")


def test_a_gallery_item_is_compared_with_the_numbers_of_the_library(model):
    shown = opened("compare", methods=RED)
    item = load_gallery()[0]
    want = redviz.compare(model, item.prompt, [response.text for response in item.responses], ["red"])
    told = metrics(shown)
    for letter, analysis in zip("ABCD", want.analyses, strict=True):
        assert number(told[f"Score {letter}"]) == pytest.approx(analysis.score, abs=1e-3)
    assert number(told["Margin A over B"]) == pytest.approx(want.margin(0, 1), abs=1e-3)
    assert told["P(A preferred)"] == f"{want.probability(0, 1):.1%}"
    assert f"They part at token {want.parts[0].token + 1}:" in words(shown)


def test_equal_and_empty_responses_are_refused_in_one_sentence():
    shown = opened("compare", methods=RED)
    assert "Responses A and B are the same text" in words(paste(shown, PAIR[0], PAIR[0]))
    assert "Response B is empty" in words(paste(shown, PAIR[0], " "))


# ---------------------------------------------------------------- Data set, Agreement


def test_unknown_columns_give_a_form_and_formulas_stay_text():
    shown = opened("dataset", methods=RED)
    give(shown, "odd.csv", f'q,better,worse\nHow?,=1+1,@cmd\n"{HOSTILE}",+2,-3\n'.encode())
    assert "say which one is which" in words(shown) and "Columns: q, better, worse" in words(shown)
    for label, column in (("Prompt", "q"), ("Chosen response", "better"), ("Rejected response", "worse")):
        box = next(box for box in shown.selectbox if box.label == label)
        box.set_value(column)
    press(shown, "Read it so")
    assert "2 pairs of prompt, chosen and rejected" in words(shown)
    cells = {str(cell) for cell in shown.dataframe[-1].value.to_numpy().ravel()}
    assert {"=1+1", "@cmd", "+2", "-3", HOSTILE} <= cells


def test_a_file_is_scored_and_summed_up():
    rows = [{"prompt": "How?", "chosen": f"Superb, take {i}.", "rejected": f"Dull, take {i}."} for i in range(12)]
    shown = opened("dataset", methods=RED)
    give(shown, "few.jsonl", "\n".join([*map(json.dumps, rows), "not json"]).encode())
    assert "13 pairs of prompt, chosen and rejected" in words(shown)
    assert "1 row gives no example and is left out" in words(shown)
    assert "Score 24 responses with RED" in labels(shown)


def test_a_file_of_labels_that_nobody_overlaps_in():
    rows = [{"text": "A superb film.", "label": [[2, 8, 2]], "user": "ada"}, {"text": "Dull.", "label": [[0, 4, -1]]}]
    shown = choose(opened("agreement", methods=RED), "Labels of", "A file of labels")
    give(shown, "labels.jsonl", "\n".join(map(json.dumps, rows)).encode())
    assert "2 responses with" in words(shown) and "No response was judged by two people" in words(shown)


# ---------------------------------------------------------------- projects and people


def project(*texts, people=("Ada",), **options):
    made = create_project(store(), "Reviews", [Example("Write a review.", text) for text in texts], **options)
    return made, add_annotators(store(), made.id, people)


def test_a_project_is_made_from_a_file():
    shown = opened("project")
    rows = [{"prompt": "Review it.", "response": text} for text in ("A superb film.", "=cmd() <b>dull</b> film")]
    give(shown, "reviews.jsonl", "\n".join(map(json.dumps, rows)).encode())
    write(shown, Name="Autumn *reviews*")
    next(field for field in shown.text_area if field.label.startswith("Annotators")).set_value("Ada\n<i>Grace</i>")
    press(shown, "Make the project")
    (made,) = list_projects(store())
    assert (made.name, made.items, made.overlap) == ("Autumn *reviews*", 2, 2)
    assert any("code=" in code.value for code in shown.code)


@pytest.mark.parametrize("part", ["Progress", "Disagreements", "Settings", "Export"])
def test_every_part_of_a_project_draws(part):
    project("A superb film.", "A dull film.")
    choose(opened("project"), "Part of this project", part)


@pytest.mark.parametrize("page", ["", *SCREENS])
def test_a_personal_link_reaches_no_screen_that_shows_credits_and_a_guarded_server_asks(page, monkeypatch):
    monkeypatch.setenv("REDVIZ_LEAD_CODE", "a-lead-code")
    _, (ada,) = project("A fine film.")
    asked = SimpleNamespace(main=opened(code=ada.code), stranger=opened())
    assert "Lead code" in [field.label for field in asked.stranger.text_input] and not strips(asked.stranger)
    assert not strips(asked.main) and len(asked.main.get("bidi_component")) == 1  # the pad
    if page and page != "annotate":
        for shown in (asked.main, asked.stranger):
            with pytest.raises(ValueError, match="Could not find page|registered"):
                shown.switch_page(f"pages/{page}.py")


def test_the_lead_code_opens_the_app_and_a_wrong_one_does_not(monkeypatch):
    monkeypatch.setenv("REDVIZ_LEAD_CODE", "a-lead-code")
    monkeypatch.setattr("redviz.app.access.WRONG_SECONDS", 0.0)
    shown = opened(methods=RED)
    assert "This is not the lead code" in words(press(write(shown, Lead_code="wrong"), "Sign in"))
    press(write(shown, Lead_code="a-lead-code"), "Sign in")
    assert strips(go(shown, "inspect"))


def test_the_better_of_two_unnamed_maps_is_chosen():
    made, (ada,) = project("A superb film.", task="maps")
    with store().reading() as session:
        item_id = session.scalars(select(Item.id).where(Item.project_id == made.id)).one()
    for label, values in (("red", [0.1, 2.0, -0.5, 0.0]), ("abc", [1.0, 0.2, 0.3, 0.1])):
        put_map(store(), item_id, label, label, values)
    shown = opened(code=ada.code)
    assert not {"red", "abc"} & set(words(shown).lower().split())
    assert "You have judged everything" in words(press(shown, "The left one"))
    (answer,) = preferences(store(), made.id)
    assert {answer.label_a, answer.label_b} == {"red", "abc"} and answer.outcome == 1.0


# ---------------------------------------------------------------- Learn and Lab


def test_a_bad_knob_or_scene_of_a_link_is_said_in_one_sentence():
    shown = opened("learn", scene="mix", mix="7", review="film-paper-harbour/b")
    assert "Part of this link could not be followed (mix is '7'; give a number from 0 to 1)" in words(shown)
    assert "There is no scene" in words(opened("learn", scene="<img src=x>"))


def test_the_form_of_the_lab_says_what_is_wrong():
    shown = opened("lab")
    field = next(field for field in shown.text_input if field.label == "β_c of RED")
    field.set_value("0.5, 2")
    settled(shown.run())
    assert "give numbers from 0 to 1" in words(shown) and "Start" not in labels(shown)
    next(field for field in shown.text_input if field.label == "β_c of RED").set_value("0, 0.5, 1")
    assert "4 lines × 2 seeds × 20 steps = 160 steps" in words(settled(shown.run()))
