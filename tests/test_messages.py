"""Messages as they were written: what is kept beside role and content, and that it outlives a file of results."""

import json

import pytest
import tiny

from redviz.analysis import analyze, as_example
from redviz.data.results.archive import load_analysis, save_analysis
from redviz.data.results.from_rows import analyses_of
from redviz.data.results.rows import rows
from redviz.errors import RedvizError
from redviz.messages import as_message, as_prompt, shown_text, with_reasoning, with_tools

CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
TALK = [
    {"role": "user", "content": [{"type": "text", "text": "Weather?"}, {"type": "text", "text": " In Paris."}]},
    {"role": "assistant", "content": None, "tool_calls": [CALL], "reasoning_content": "I look.", "weight": 0},
    {"role": "tool", "content": "Sunny", "tool_call_id": "7", "name": None},
]
KEPT = (
    {"role": "user", "content": "Weather? In Paris."},
    {"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning_content": "I look."},
    {"role": "tool", "content": "Sunny", "tool_call_id": "7"},
)


def test_what_templates_read_is_kept_and_the_rest_left_out():
    assert as_prompt(TALK) == KEPT
    assert as_prompt(KEPT) == KEPT
    assert as_prompt("Hi") == "Hi" and as_message({"role": "user", "content": "", "extra": 1}) == {
        "role": "user",
        "content": "",
    }


def test_a_message_is_a_copy_of_what_was_given():
    given = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "a"}}]}
    kept = as_message(given)
    given["tool_calls"][0]["function"]["name"] = "b"
    assert kept["tool_calls"][0]["function"]["name"] == "a"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("Hi", "needs a role"),
        ({"role": "user"}, "needs a role"),
        ({"role": "user", "content": None}, "needs a role"),
        ({"role": "user", "content": None, "name": "ada"}, "needs a role"),
        ({"role": "user", "content": 7}, "its content is '7'"),
        ({"role": "user", "content": [{"type": "image", "image": "x.png"}]}, "is image, and redviz reads text"),
        ({"role": "user", "content": [7]}, "is int, and redviz reads text"),
        ({"role": "assistant", "content": "", "tool_calls": [{1, 2}]}, "tool_calls of a message is .* no JSON"),
    ],
)
def test_what_is_no_message_is_told(message, said):
    with pytest.raises(RedvizError, match=said):
        as_message(message)


def test_tools_stand_at_the_first_message():
    assert with_tools("Hi", TOOLS) == ({"role": "user", "content": "Hi", "tools": TOOLS},)
    assert with_tools(KEPT, json.dumps(TOOLS)) == ({**KEPT[0], "tools": TOOLS}, *KEPT[1:])
    assert with_tools("Hi", None) == with_tools("Hi", "") == with_tools("Hi", []) == with_tools("Hi", "[]") == "Hi"
    assert as_example({"prompt": "Hi", "response": "Yes.", "tools": TOOLS}).prompt == with_tools("Hi", TOOLS)
    for wrong in ("weather", 7, ["weather"], {"name": "weather"}):
        with pytest.raises(RedvizError, match="give a list of functions"):
            with_tools("Hi", wrong)


def test_reasoning_is_spelled_as_reasoning_models_write_it():
    assert with_reasoning("\nSix sevens. ", "42") == "<think>\nSix sevens.\n</think>\n\n42"
    assert with_reasoning(" ", "42") == "42"


def test_what_messages_hold_outlives_rows_and_archives(tmp_path):
    prompt = with_tools(as_prompt(TALK), TOOLS)
    found = analyze(tiny.model(), prompt, "It is sunny.", ["red"])
    assert next(iter(analyses_of(rows(found)))).prompt == prompt
    save_analysis(found, tmp_path / "one.npz")
    assert load_analysis(next(tmp_path.iterdir())).prompt == prompt
    one = analyze(tiny.model(), with_tools("Hi", TOOLS), "It is sunny.", ["red"])
    assert next(iter(analyses_of(rows(one)))).prompt == with_tools("Hi", TOOLS)


def test_rows_of_plain_messages_are_what_they_were():
    found = analyze(tiny.model(), [{"role": "user", "content": "Hi", "extra": 1}], "Superb.", ["red"])
    assert rows(found)[0]["prompt"] == '[{"role": "user", "content": "Hi"}]'


def test_a_person_is_shown_all_that_a_message_holds():
    assert shown_text(KEPT[0]) == "Weather? In Paris."
    assert shown_text(KEPT[1]).splitlines() == [f"tool_calls: {json.dumps([CALL])}", 'reasoning_content: "I look."']
    found = analyze(tiny.model(), with_tools(as_prompt(TALK), TOOLS), "It is sunny.", ["red"])
    page = found.to_html()
    assert "Weather? In Paris." in page and "tool_call_id" in page and "Paris&quot;" in page
