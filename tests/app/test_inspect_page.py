"""Inspect as a whole page: where the response comes from, what moves without the model, and what is refused."""

import json
import re

import pytest
import tiny_steps
from screens import bands, choose, figures, go, metrics, opened, panels, pick, press, settled, strips, words, write

from redviz.app.session import engine
from redviz.credit.recipes import METHODS
from redviz.data.gallery import load_gallery

SHORT = "film-quiet-street/c"  # one dull bore: few words, so that every method is quick
HOSTILE = "<img src=x onerror=alert(1)> $x$ ![a](http://nowhere.example/a.png) superb"


@pytest.fixture(autouse=True)
def home(warm, monkeypatch, tmp_path):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))


def view(*methods, **more):
    return {"methods": json.dumps({name: {} for name in methods}), "example": SHORT} | more


def text(shown, nth=0):
    """The response of a strip, the pieces of a unit of several lines put together."""
    return "".join(unit if isinstance(unit, str) else "".join(unit) for unit in strips(shown)[nth]["units"])


def paste(shown, response, prompt="Write a short review of the film."):
    choose(shown, "Response from", "Paste")
    return press(write(shown, Prompt=prompt, Response=response), "Show its tokens")


def test_another_response_of_the_gallery():
    shown = choose(opened(methods='{"red":{}}'), "Response", "B")
    assert text(shown).strip() == load_gallery()[0].responses[1].text


def test_gamma_moves_the_curves_without_another_model_run():
    shown = opened(**view("red"))
    ran, before = engine().runs, panels(shown)["Return G_t"]["series"]
    next(slider for slider in shown.slider if slider.label == "γ discount").set_value(0.9)
    settled(shown.run())
    assert "the best policy may change" in words(shown)
    assert panels(shown)["Return G_t"]["series"] != before and engine().runs == ran


def test_the_chosen_source_stays_when_it_is_clicked_again():
    shown = choose(opened(**view("red")), "Response from", "Paste")
    choose(shown, "Response from", None)
    (row,) = [row for row in shown.button_group if row.label == "Response from"]
    assert row.formatted_values == ["Paste"] and "Show its tokens" in [button.label for button in shown.button]


@pytest.mark.parametrize("response", ["   ", ""])
def test_an_empty_response_is_refused_in_one_sentence(response):
    shown = paste(opened(**view("red")), response)
    assert "The response is empty" in "".join(error.value for error in shown.error)


def test_methods_of_every_family_side_by_side():
    names = ["red", "red_closed", "rollout", "grad_x_input", "occlusion", "shapley", "dpo", "treg", "uniform"]
    shown = opened(**view(*names))
    assert bands(shown) == [METHODS[name].label for name in names]
    (sums,) = [caption.value for caption in shown.caption if "+ Σ credits" in caption.value]
    assert "standard error up to" in sums and len(re.findall("promises no sum", sums)) == 3
    assert "embedded:writer-dpo against embedded:writer" in sums.replace("\\", "")
    assert "in our wording" in words(shown)
    assert "Q_t closed" in [series["label"] for series in panels(shown)["Prefix score P_t"]["series"]]


def test_a_method_is_added_from_the_picker_with_its_options():
    shown = opened(**view("red"))
    assert {"Prefix", "Attention", "Gradient", "Perturbation", "Policy", "Outcome"} <= set(words(shown).splitlines())
    press(shown, "Occlusion")
    assert bands(shown) == ["RED", "Occlusion"]
    pick(shown, "operator", "pad")
    assert json.loads(shown.query_params["methods"])["occlusion"] == {"operator": "pad"}


def test_a_method_that_refuses_says_why_and_the_others_stay():
    shown = opened(**view("red", "deeplift"))
    assert "use ig" in words(shown) and bands(shown) == ["RED"]
    press(shown, "Remove DeepLIFT")
    assert "use ig" not in words(shown)


def test_a_rule_scores_the_item_that_was_written_for_it():
    item = next(item for item in load_gallery() if item.rule == "rule:exact-answer")
    shown = press(opened(example=f"{item.id}/a"), "Score it by rule:exact-answer")
    assert bands(shown) == ["Sparse", "Truncation", "Occlusion", "Shapley"]
    assert "ever run" in words(shown) and metrics(shown)["Score"] == "+1.000"
    offered = {
        button.label: not button.disabled for button in shown.button if (button.key or "").startswith("redviz.add.")
    }
    assert offered["LIME"] and not offered["ABC"]
    assert "no weights, template or attention to check" in words(go(shown, "model"))


def test_pasted_code_is_read_and_never_run(tmp_path):
    trap = tmp_path / "ran"
    shown = opened(model="rule:python-static", methods='{"sparse": {}, "occlusion": {}}', rewards="sparse")
    code = f"import pathlib\npathlib.Path({str(trap)!r}).touch()\ndef touch(n):\n    return n\n"
    paste(shown, code, "Write `def touch(n):` that returns n.")
    assert bands(shown) == ["Sparse", "Occlusion"] and "touch" in text(shown) and not trap.exists()


def test_a_group_as_baseline():
    shown = opened(**view("red", baseline="RLOO"))
    assert "The group: this response and 3 others" in words(shown)
    assert "RLOO b = " in json.dumps(panels(shown)["Advantage A_t"])
    assert next(slider for slider in shown.slider if slider.label == "λ of GAE").disabled


def test_a_critic_as_baseline():
    shown = opened(**view("sparse", rewards="sparse", baseline="value model", value_model="embedded:sentiment"))
    assert "baseline value model" in json.dumps(panels(shown)["Advantage A_t"]) and not shown.error
    other = opened(**view("red", baseline="value model"))
    assert "needs a critic" in words(other) and "Advantage A_t" not in panels(other)


def test_the_causal_check_of_a_response_and_the_offer_for_a_file():
    shown = opened(**view("red", "uniform", granularity="word"))
    assert len(figures(shown)) == 1 and "On the dotted line the credit" in words(shown)
    rows = [
        {"prompt": "Review the film.", "response": f"A {w} film. I {v} it."}
        for w, v in (("superb", "loved"), ("dull", "left"))
    ]
    choose(shown, "Over", "A file of responses")
    (field,) = shown.file_uploader
    field.upload("rows.jsonl", ("\n".join(map(json.dumps, rows)) + "\nnot json\n").encode())
    settled(shown.run())
    assert "1 rows were left out" in words(shown) and "Check 2 responses" in [button.label for button in shown.button]


def test_a_link_alone_loads_no_model_and_no_policy(tmp_path):
    named = opened(model=str(tmp_path))
    assert "The link asks for the model" in words(named) and not strips(named)
    assert "no config.json" in words(press(named, "Load this model"))
    shown = opened(**view("red", "dpo", policy=str(tmp_path)))
    assert "beside the reward model. Loading it reads its files" in words(shown)
    assert "no config.json" in words(press(shown, "Load it"))


def test_the_good_part_of_a_link_is_followed():
    methods = json.dumps({"red": {}, "shapley": {"players": "wordz"}, "uniform": {}})
    shown = opened(methods=methods, example=SHORT)
    assert "shapley.players is 'wordz'" in words(shown) and bands(shown) == ["RED", "Uniform"]


def test_steps_are_drawn_as_steps(tmp_path):
    tiny_steps.qwen(tmp_path)
    query = {"model": str(tmp_path), "example": "math-rolls/b"}
    shown = opened(**query, methods='{"process": {}, "red": {}, "abc": {}}', head="product")
    press(shown, "Load this model")
    assert metrics(shown)["Steps"] == "2" and bands(shown) == ["Own scores", "RED"]
    assert strips(shown)[0]["noun"] == "step" and strips(shown)[0]["count"] == 2
    assert "abc looks inside a model, and this one is read after each step" in words(shown)
    assert "The score is the product of the step scores" in words(shown)
    last = press(opened(**query, methods='{"process": {}, "red": {}}', head="last"), "Load this model")
    assert "there is no P_0; use initial zero_first or zero_base" in words(last) and len(bands(last)) == 1


def what_if():
    shown = choose(opened(**view("red")), "Look closer", "What-if")
    assert "Select a row, or change the text above" in words(shown)
    return shown


def test_a_text_of_one_s_own_is_shown_as_it_stands():
    shown = what_if()
    settled(write(shown, Edit_the_response=HOSTILE).run())
    assert text(shown, 1).strip() == next(r.text for r in load_gallery()[0].responses if SHORT.endswith(r.id))
    assert text(shown, 2) == HOSTILE and "After: Your text" in metrics(shown)


def test_a_ready_edit_is_selected_in_the_table_and_can_be_inspected():
    shown = what_if()
    (table,) = shown.dataframe
    shown.session_state[table.key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    settled(shown.run())
    edited = text(shown, 2)
    assert edited != text(shown, 1)
    assert text(press(shown, "Inspect the edited response")).strip() == edited.strip()


@pytest.mark.parametrize("panel", ["Attention map", "What the model read", "Token table", "Export and link"])
def test_every_panel_draws(panel):
    shown = choose(opened(**view("red"), pin="3"), "Look closer", panel)
    assert f"Token 4 of {strips(shown)[0]['count']}" in words(shown)
    settled(shown.run())
