"""Prompts as chat templates are given them: prefills, tool calls and reasoning; and a word about what a template leaves out."""

import json

import numpy as np
import pytest
import tiny
from templates_of_the_field import (
    ARGUMENTS_AS_ITEMS,
    DEEPSEEK_R1,
    IN_PARTS,
    LLAMA31,
    QWEN3,
    REASONING,
    WITHOUT_SYSTEM,
)

from redviz.analysis import analyze
from redviz.batches import analyze_batch
from redviz.errors import RedvizError
from redviz.messages import with_tools
from redviz.models.kinds.function import reward_function
from redviz.models.reading.encode import encode
from redviz.records import Example

USER = {"role": "user", "content": "Weather?"}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}
CALLS = {"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning_content": "I look."}
TOLD = {"role": "tool", "content": "Sunny", "tool_call_id": "7"}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]


def encoded(template, prompt, response):
    made = tiny.tokenizer("closed")
    made.chat_template = template
    return encode(made, Example(prompt, response), max_length=4096)


def theirs(template, *messages, **options):
    made = tiny.tokenizer("closed")
    made.chat_template = template
    return made.apply_chat_template(list(messages), tokenize=False, **options)


def own_text(encoding):
    return "".join(encoding.pieces[encoding.start : encoding.stop])


# ---------------------------------------------------------------- a prompt that ends in the assistant's turn


def test_a_response_goes_on_in_the_assistants_turn():
    prompt = ({"role": "user", "content": "How was it?"}, {"role": "assistant", "content": "Well, I think"})
    encoding = encoded(tiny.CLOSED, prompt, " it is superb.")
    whole = theirs(tiny.CLOSED, prompt[0], {"role": "assistant", "content": "Well, I think it is superb."})
    assert encoding.rendered == whole and own_text(encoding) == " it is superb."
    assert encoding.offsets[0][0] == 0 and encoding.notices == ()


@pytest.mark.parametrize("name", REASONING)
@pytest.mark.parametrize(
    ("begun", "response"),
    [
        ("Well,", " superb."),
        ("<think>\nLet us", " see.\n</think>\n\nIt is superb."),
        ("<think>\n", "Let us see.\n</think>\n\nIt is superb."),
        ("<think>\nLet us see.\n</think>\n\n", "It is superb."),
        ("<think>\nIt is superb.", "\n</think>\n\nIt is superb."),
    ],
)
def test_a_begun_turn_may_be_taken_apart(name, begun, response):
    encoding = encoded(REASONING[name], (USER, {"role": "assistant", "content": begun}), response)
    assert encoding.rendered == theirs(REASONING[name], USER, {"role": "assistant", "content": begun + response})
    said = "".join(response[a:b] for a, b in encoding.offsets).replace("</think>", " </think> ").split()
    answer = response.split("\n\n")[-1].split()
    assert said == answer if name == "deepseek" else said[-len(answer) :] == answer
    assert ("see." in response) <= ("see." in said or name == "deepseek")


def test_all_ways_to_a_score_read_a_begun_turn_alike():
    model = tiny.model()
    prompt = [USER, {"role": "assistant", "content": "It is"}]
    one = analyze(model, prompt, " sunny.", ["red"])
    (other,) = analyze_batch(model, [{"prompt": prompt, "response": " sunny."}], ["red"])
    text = theirs(tiny.CLOSED, USER, {"role": "assistant", "content": "It is sunny."})
    right = tiny.own_score(model, model.tokenizer(text, add_special_tokens=False).input_ids)
    assert one.score == pytest.approx(right, abs=1e-5) and other.score == pytest.approx(right, abs=1e-5)
    np.testing.assert_allclose(one.credits["red"].values, other.credits["red"].values, atol=1e-6)
    shown = analyze(reward_function(lambda prompt, response: float(len(response))), prompt, " sunny.", ["truncation"])
    assert shown.observation.encoding.rendered == "user: Weather?\nassistant: It is sunny."


# ---------------------------------------------------------------- what messages hold beside their text


def test_everything_is_handed_on_as_it_was_written():
    encoding = encoded(QWEN3, with_tools((USER, CALLS, TOLD), TOOLS), "It is sunny.")
    assert encoding.rendered == theirs(
        QWEN3, USER, CALLS, TOLD, {"role": "assistant", "content": "It is sunny."}, tools=TOOLS
    )
    assert '"city": "Paris"' in encoding.rendered and '"parameters": {}' in encoding.rendered
    assert own_text(encoding) == "It is sunny."
    assert encoding.notices == (
        "The chat template does not show all of the prompt as it stands there; left out or rewritten: "
        "tool_call_id of message 3 (tool).",
    )


def test_reasoning_of_the_turn_that_goes_on_stands_before_the_response():
    prompt = (USER, {"role": "assistant", "content": "", "reasoning_content": "I look."})
    encoding = encoded(QWEN3, prompt, "It is sunny.")
    whole = {"role": "assistant", "reasoning_content": "I look.", "content": "It is sunny."}
    assert encoding.rendered == theirs(QWEN3, USER, whole) and own_text(encoding) == "It is sunny."


@pytest.mark.parametrize(
    ("template", "prompt", "gone"),
    [
        (WITHOUT_SYSTEM, ({"role": "system", "content": "Be brief."}, USER), "the text of message 1 (system)"),
        (WITHOUT_SYSTEM, with_tools("Weather?", TOOLS), "tools"),
        (WITHOUT_SYSTEM, (USER, CALLS, TOLD), "tool_calls of message 2 (assistant), reasoning_content of message 2"),
        (LLAMA31, (USER, CALLS, {**TOLD, "name": "weather"}), "tool_call_id of message 3 (tool), name of message 3"),
        (
            QWEN3,
            (USER, {"role": "assistant", "content": "Sunny.", "reasoning_content": "I look."}, USER),
            "reasoning_content of message 2 (assistant)",
        ),
        (
            DEEPSEEK_R1,
            (USER, {"role": "assistant", "content": "<think>I look.</think>Sunny."}, USER),
            "the text of message 2 (assistant)",
        ),
    ],
)
def test_what_a_template_does_not_show_is_named(template, prompt, gone):
    encoding = encoded(template, prompt, "It is sunny.")
    assert own_text(encoding) == "It is sunny."
    assert f"left out or rewritten: {gone}" in encoding.notices[0] or gone in encoding.notices[0]


def test_a_model_without_a_template_says_what_it_does_not_read():
    encoding = encoded(None, with_tools("Weather?", TOOLS), "It is sunny.")
    assert encoding.rendered == "Weather?It is sunny." and "no chat template" in encoding.notices[0]
    assert "tools of the prompt's messages" in encoding.notices[0]


def test_templates_that_want_it_otherwise_get_it():
    text = [{"role": "user", "content": [{"type": "text", "text": "Weather?"}]}]
    answer = {"role": "assistant", "content": [{"type": "text", "text": "It is sunny."}]}
    encoding = encoded(IN_PARTS, tuple(text), "It is sunny.")
    assert encoding.rendered == theirs(IN_PARTS, *text, answer) and own_text(encoding) == "It is sunny."
    written = {**CALL, "function": {"name": "weather", "arguments": json.dumps({"city": "Paris"})}}
    called = {"role": "assistant", "content": None, "tool_calls": [written]}
    reply = {"role": "assistant", "content": "It is sunny."}
    assert "city=Paris" in encoded(ARGUMENTS_AS_ITEMS, (USER, {**called, "content": ""}), "It is sunny.").rendered
    assert encoded(DEEPSEEK_R1, (USER, called, TOLD), "It is sunny.").rendered == theirs(
        DEEPSEEK_R1, USER, called, TOLD, reply
    )


def test_what_a_template_refuses_is_told():
    two = {"role": "assistant", "content": "", "tool_calls": [CALL, CALL]}
    with pytest.raises(RedvizError, match="one call at once"):
        encoded(LLAMA31, (USER, two, TOLD), "It is sunny.")
