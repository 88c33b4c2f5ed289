"""The text as the model reads it: which part is whose, and where the score is read."""

from dataclasses import replace

import pytest
import tiny
import tiny_both_ways
import tiny_steps

from redviz.models.loading.load import load_reward_model, with_template
from redviz.records import Example
from redviz.view.reading import reading_html, reading_parts

SPELLS_READ = [("read", "score read here")]


def parts(model, prompt="Hi.", response="A superb film."):
    return reading_parts(model.encode(Example(prompt, response)))


def test_template_prompt_response_and_where_it_is_read():
    assert parts(tiny.model()) == [
        ("template", "<|user|>"),
        ("prompt", "Hi."),
        ("template", "<|end|>\n<|assistant|>"),
        ("response", "A superb film."),
        ("template", "<|end|>\n"),
        *SPELLS_READ,
    ]
    assert parts(tiny.model(template="none")) == [("prompt", "Hi."), ("response", "A superb film."), *SPELLS_READ]
    assert parts(with_template(tiny.model(template="none"), "plain+eos"))[-3:] == [
        ("response", "A superb film."),
        ("template", "<|end|>"),
        *SPELLS_READ,
    ]


def test_a_score_that_is_read_before_the_last_token():
    model = replace(tiny.model(template="ends", pad="<|end|>"), read="model")
    assert parts(model)[-3:] == [("response", "A superb film."), *SPELLS_READ, ("template", "<|end|>")]


def test_turns_of_a_conversation_are_the_prompt():
    turns = (
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hi."},
        {"role": "user", "content": "A"},
    )
    found = parts(with_template(tiny.model(template="none"), "hh"), turns)
    assert [text for kind, text in found if kind == "prompt"] == ["Hi.", "Hi.", "A"]
    assert "".join(text for kind, text in found if kind == "template") == (
        "\n\nHuman: \n\nAssistant: \n\nHuman: \n\nAssistant: "
    )


@pytest.mark.parametrize("response", ["naïve 🙂🙂 née 👍🏽!", "  two blanks  ", "e\u0301\u0301x"])
def test_characters_of_several_tokens_stand_once(response):
    found = parts(tiny.model(), "🙂", response)
    assert dict(found)["prompt"] == "🙂" and "".join(text for kind, text in found if kind == "response") == response


def test_a_model_that_is_read_at_its_first_token():
    found = parts(tiny_both_ways.model("Bert"))
    assert found[0][0] == "template" and found[1] == SPELLS_READ[0]
    assert "".join(text for kind, text in found if kind == "response") == "A superb film."


def test_the_steps_of_a_process_reward_model(tmp_path):
    tiny_steps.qwen(tmp_path)
    found = parts(load_reward_model(str(tmp_path), device="cpu"), "1 + 1 = ?", "One and one.\n\nIt is 2.")
    assert [text for kind, text in found if kind == "response"] == ["One and one.", "It is 2."]
    assert ("prompt", "1 + 1 = ?") in found and "read" not in dict(found)


def test_nothing_that_a_text_holds_becomes_markup():
    html = reading_html(tiny.model().encode(Example("<b>x</b>", "<img src=x onerror=alert(1)>")))
    assert "<img" not in html and "<b>" not in html and "&lt;img src=x onerror=alert(1)&gt;" in html


def test_what_the_template_writes_between_thought_and_answer_is_the_templates():
    made = replace(tiny.model(), tokenizer=tiny.tokenizer("closed"))
    made.tokenizer.chat_template = tiny.CLOSED.replace(
        "{{ m['content'] }}", "{{ m['content'].split('</think>') | map('trim') | join('</think>#') }}"
    )
    found = parts(made, response="so so </think> superb")
    assert found[3:] == [
        ("response", "so so</think>"),
        ("template", "#"),
        ("response", "superb"),
        ("template", "<|end|>\n"),
        *SPELLS_READ,
    ]
