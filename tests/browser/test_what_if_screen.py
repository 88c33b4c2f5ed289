"""The What-if panel of Inspect in a real Chromium: an edit of one's own, a ready edit, and a file of responses."""

import json

import pytest

pytestmark = pytest.mark.browser


@pytest.fixture
def panel(app):
    """Inspect with the What-if panel open and every ready edit scored."""
    opened = app()
    opened.get_by_text("What-if", exact=True).click()
    opened.get_by_text("Select a row, or change the text above").wait_for()
    return opened


def write(opened, text):
    field = opened.get_by_role("textbox", name="Edit the response")
    field.fill(text)
    field.press("Control+Enter")
    opened.get_by_text("After: Your text").wait_for()


def metric(opened, label):
    """The number of a metric and what stands under it."""
    shown = opened.get_by_test_id("stMetric").filter(has_text=label)
    return shown.get_by_test_id("stMetricValue").inner_text(), shown.get_by_test_id("stMetricDelta").inner_text()


def strip_text(opened, nth):
    """The text of a strip: 0 is Inspect's own, 1 and 2 are those of before and after."""
    strip = opened.locator(".rv:has(.text .u)").nth(nth)
    strip.locator(".text .u").first.wait_for()
    return "".join(strip.locator(".text .u").all_text_contents()).removesuffix("end")


def test_a_text_of_one_s_own_is_scored_and_drawn_beside_the_response(panel):
    before = panel.get_by_role("textbox", name="Edit the response").input_value()
    write(panel, before + " It bored me, it is dull.")
    after, change = metric(panel, "After: Your text")
    score = float(
        panel.get_by_test_id("stMetric").filter(has_text="Before").get_by_test_id("stMetricValue").inner_text()
    )
    assert float(after) < score and float(change) == pytest.approx(float(after) - score, abs=2e-3)
    run, kept = metric(panel, "Tokens run again")
    assert int(run) < 20 < int(kept.split()[0])
    assert strip_text(panel, 1).strip() == before.strip()
    assert strip_text(panel, 2).endswith("dull.")
    assert panel.errors == []


@pytest.mark.slow
def test_a_ready_edit_is_selected_in_the_table_and_can_be_inspected(panel):
    box = panel.get_by_test_id("stDataFrame").locator("canvas").first.bounding_box()
    panel.mouse.click(box["x"] + 15, box["y"] + 52)  # the box of the first row
    panel.get_by_text("Inspect the edited response").wait_for()
    edited = strip_text(panel, 2)
    assert edited != strip_text(panel, 1)
    panel.get_by_role("button", name="Inspect the edited response").click()
    panel.wait_for_function(
        "text => [...document.querySelectorAll('textarea')].some(area => area.value.trim() === text)",
        arg=edited.strip(),
    )


@pytest.mark.slow
def test_a_file_of_responses_gives_averages_and_names_bad_rows(panel, tmp_path):
    rows = [{"prompt": "Review the film.", "response": f"Scene {i} is superb. The jokes drag."} for i in range(12)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), "not json"]) + "\n")
    panel.get_by_text("A file of responses", exact=True).last.click()
    panel.locator("input[type=file]").last.set_input_files(path)
    panel.get_by_role("button", name="Edit up to 100 responses in 13 ways").click()
    panel.get_by_text("The mean change over the responses").wait_for()
    panel.get_by_text("1 row was left out, the first at line 13").wait_for()
    chart = panel.locator(".js-plotly-plot").last
    chart.get_by_text("Flatter the reader first").wait_for()
    assert chart.locator(".bars .point").count() == 13
