"""Which text was it trained on, on the Data set screen: told before it runs, run as a job, and shown as a table."""

import json

import screens

from redviz.evaluation.conformance.text_report import TextReport, TriedText
from redviz.evaluation.statistics.intervals import Estimate

ROW = {"prompt": "Review the film.", "chosen": "Superb, moving and funny.", "rejected": "Dull, empty and tedious."}


def test_the_texts_are_tried_on_the_pairs_of_the_open_file():
    shown = screens.opened("dataset")
    content = "\n".join(json.dumps(ROW | {"chosen": f"{ROW['chosen']} Take {n}."}) for n in range(4)).encode()
    shown.file_uploader[0].upload("four.jsonl", content)
    screens.settled(shown.run())
    assert "texts on 4 pairs: " in screens.words(shown) and "responses to score" in screens.words(shown)
    found = screens.press(shown, "Which text was it trained on?")
    assert "own, the text in use, orders 100.0% of 4 pairs" in screens.words(found)
    table = next(frame.value for frame in found.dataframe if "told right" in frame.value)
    assert table["text"][0] == "own" and {"qa", "hh+eos", "plain"} <= set(table["text"])
    assert table["told right"][0].startswith("100.0% (") and table["against the text in use"][0] == ""


def test_rows_without_a_preference_ask_nothing():
    shown = screens.opened("dataset")
    shown.file_uploader[0].upload("one.jsonl", json.dumps({"prompt": "Hi.", "response": "Hello."}).encode())
    screens.settled(shown.run())
    assert not any(button.label == "Which text was it trained on?" for button in shown.button)


def test_a_better_text_is_named_and_taken_by_a_press(monkeypatch):
    figures = (Estimate(0.6, 0.4, 0.8, 5), Estimate(1.0, 0.7, 1.0, 5), Estimate(0.4, 0.2, 0.6, 5))
    own = TriedText("own", figures[0], figures[0], figures[2], figures[2], better=False)
    better = TriedText("qa", figures[1], figures[1], figures[2], figures[2], better=True)
    report = TextReport("own", 5, (own, better))
    monkeypatch.setattr("redviz.evaluation.conformance.trained_text.trained_text", lambda *given: report)
    shown = screens.opened("dataset")
    shown.file_uploader[0].upload("five.jsonl", "\n".join([json.dumps(ROW)] * 5).encode())
    found = screens.press(screens.settled(shown.run()), "Which text was it trained on?")
    said = "qa orders 100.0% of 5: +40.0 points (+20.0 to +60.0), more than chance. Load it with --template qa, "
    assert any(said in warning.value.replace("\\", "") for warning in found.warning)
    taken = screens.press(found, "Read it as qa from now on")
    assert taken.session_state["redviz.view"].template == "qa"
