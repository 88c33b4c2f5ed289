"""Every family of methods in the app: policies, closed prefixes, rules, groups, and the causal check."""

import json
import re
from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from redviz.credit.recipes import METHODS
from redviz.data.gallery import load_gallery

pytestmark = pytest.mark.browser

SHORT = "film-quiet-street/c"  # one dull bore: few words, so that every method is quick


def view(methods, **more):
    return "/?" + urlencode({"methods": json.dumps({name: {} for name in methods}), "example": SHORT} | more)


def bands(opened):
    return [card.split("\n")[1] for card in opened.locator(".rv .card").all_inner_texts()]


def wait_for_bands(opened, count):
    expect(opened.locator(".rv .card")).to_have_count(count)


@pytest.mark.slow
def test_methods_of_every_family_side_by_side(app):
    names = ["red", "red_closed", "rollout", "grad_x_input", "occlusion", "shapley", "dpo", "treg", "uniform"]
    opened = app(view(names))
    wait_for_bands(opened, len(names))
    assert bands(opened) == [METHODS[name].label for name in names]
    sums = opened.get_by_test_id("stCaptionContainer").filter(has_text="+ Σ credits").first
    said = sums.inner_text()
    assert "standard error up to" in said and "embedded:writer-dpo against embedded:writer" in said
    assert len(re.findall("promises no sum", said)) == 3
    opened.get_by_text("in our wording").first.wait_for()
    legend = opened.locator("figure", has_text="Prefix score")
    expect(legend).to_contain_text("Qt closed")
    assert opened.errors == []


def test_a_method_is_added_from_the_picker_with_its_options(app):
    opened = app(view(["red"]))
    opened.get_by_role("button", name="Add method").click()
    for family in ("Prefix", "Attention", "Gradient", "Perturbation", "Policy", "Outcome"):
        opened.get_by_text(family, exact=True).first.wait_for()
    opened.get_by_role("button", name="Occlusion", exact=True).click()
    wait_for_bands(opened, 2)
    opened.keyboard.press("Escape")
    opened.get_by_role("button", name="Occlusion", exact=True).first.click()
    opened.get_by_text("operator", exact=True).first.wait_for()
    opened.get_by_role("combobox", name=re.compile("operator")).click()
    opened.get_by_role("option", name="pad", exact=True).click()
    opened.get_by_text("by token, pad").wait_for()
    opened.wait_for_function("() => decodeURIComponent(location.search).includes('pad')")


@pytest.mark.slow
def test_a_method_that_refuses_says_why_and_the_others_stay(app):
    opened = app(view(["red", "deeplift"]))
    opened.get_by_text("use ig").first.wait_for()
    wait_for_bands(opened, 1)
    assert bands(opened) == ["RED"]
    opened.get_by_role("button", name="Remove DeepLIFT").click()
    expect(opened.get_by_text("use ig")).to_have_count(0)
    opened.get_by_role("button", name="Other models").click()
    opened.get_by_role("combobox", name=re.compile("Policy")).wait_for()


@pytest.mark.slow
def test_a_rule_scores_the_item_that_was_written_for_it(app):
    item = next(item for item in load_gallery() if item.rule == "rule:exact-answer")
    opened = app(f"/?example={item.id}/a")
    opened.get_by_role("button", name="Score it by rule:exact-answer").click()
    opened.locator(".rv .card", has_text="Shapley").first.wait_for()
    wait_for_bands(opened, 4)
    assert bands(opened) == ["Sparse", "Truncation", "Occlusion", "Shapley"]
    opened.get_by_text("ever run").first.wait_for()
    assert opened.get_by_test_id("stMetricValue").first.inner_text() == "+1.000"
    expect(opened.locator("figure", has_text="Prefix score")).to_contain_text("text cut")
    opened.get_by_role("button", name="Add method").click()
    expect(opened.get_by_role("button", name="ABC", exact=True)).to_be_disabled()
    expect(opened.get_by_role("button", name="LIME", exact=True)).to_be_enabled()
    opened.keyboard.press("Escape")
    opened.get_by_role("link", name="Model").first.click()
    opened.get_by_text("no weights, template or attention to check").wait_for()
    assert opened.errors == []


@pytest.mark.slow
def test_pasted_code_is_read_and_never_run(app, tmp_path):
    trap = tmp_path / "ran"
    opened = app(
        "/?model=rule:python-static&methods=" + json.dumps({"sparse": {}, "occlusion": {}}) + "&rewards=sparse",
        strips=False,
    )
    opened.get_by_role("radio", name="Paste").click()
    opened.get_by_role("textbox", name="Prompt", exact=True).fill("Write `def touch(n):` that returns n.")
    code = f"import pathlib\npathlib.Path({str(trap)!r}).touch()\ndef touch(n):\n    return n\n"
    opened.get_by_role("textbox", name="Response", exact=True).fill(code)
    opened.get_by_role("button", name="Show its tokens").click()
    opened.locator(".rv .text", has_text="def touch").first.wait_for()
    opened.locator(".rv .card", has_text="Occlusion").first.wait_for()
    assert not trap.exists()


@pytest.mark.slow
def test_a_group_as_baseline(app):
    opened = app(view(["red"], baseline="RLOO"))
    opened.get_by_text("The group: this response and 3 others").wait_for()
    expect(opened.locator("figure", has_text="Advantage")).to_contain_text("RLOO b = ")
    expect(opened.locator("figure", has_text="Advantage")).to_be_visible()
    expect(opened.get_by_role("slider", name="λ of GAE")).to_be_disabled()
    assert opened.errors == []


@pytest.mark.slow
def test_a_critic_as_baseline(app):
    opened = app(view(["sparse"], rewards="sparse", baseline="value model", value_model="embedded:sentiment"))
    expect(opened.locator("figure", has_text="Advantage")).to_contain_text("baseline value model")
    expect(opened.get_by_test_id("stAlert")).to_have_count(0)
    other = app(view(["red"], baseline="value model"))
    other.get_by_text("needs a critic").wait_for()
    expect(other.locator("figure", has_text="Advantage")).to_have_count(0)


@pytest.mark.slow
def test_the_causal_check_of_a_response_and_of_a_file(app, tmp_path):
    opened = app(view(["red", "uniform"], granularity="word"))
    expect(opened.locator(".js-plotly-plot .subplot")).to_have_count(2)
    opened.get_by_text("On the dotted line the credit").wait_for()
    rows = [
        {"prompt": "Review the film.", "response": f"A {w} film. I {v} it."}
        for w, v in (("superb", "loved"), ("dull", "left"))
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\nnot json\n")
    opened.get_by_role("radio", name="A file of responses").click()
    opened.locator("input[type=file]").set_input_files(file)
    opened.get_by_text("1 rows were left out").wait_for()
    opened.get_by_role("button", name="Check 2 responses").click()
    opened.get_by_text("On the dotted line the credit").wait_for()
    expect(opened.locator(".js-plotly-plot .subplot")).to_have_count(2)
    assert opened.errors == []


@pytest.mark.slow
def test_a_link_alone_loads_no_policy(app, tmp_path):
    opened = app(view(["red", "dpo"], policy=str(tmp_path)))
    opened.get_by_text("beside the reward model. Loading it reads its files").wait_for()
    opened.get_by_role("button", name="Other models").click()
    opened.get_by_text("only the link asks for it").wait_for()
    opened.keyboard.press("Escape")
    opened.get_by_role("button", name="Load it").click()
    opened.get_by_text("no config.json").first.wait_for()


@pytest.mark.slow
def test_the_good_part_of_a_link_is_followed(app):
    opened = app(
        "/?methods=" + json.dumps({"red": {}, "shapley": {"players": "wordz"}, "uniform": {}}) + f"&example={SHORT}"
    )
    opened.get_by_text("shapley.players is 'wordz'").wait_for()
    wait_for_bands(opened, 2)
