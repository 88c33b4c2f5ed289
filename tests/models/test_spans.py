"""Responses that a chat template takes apart: every letter that the model reads is the letter that a person wrote."""

from functools import cache

import numpy as np
import pytest
import tiny
from hypothesis import example, given, settings
from hypothesis import strategies as st
from templates_of_the_field import REASONING

from redviz.errors import RedvizError
from redviz.models.reading.encode import encode
from redviz.records import Example

THOUGHT = "<think>\n6 times 7 is 42.\n</think>\n\nThe answer is 42."


@cache
def tokenizer(template):
    made = tiny.tokenizer("closed")
    made.chat_template = template
    return made


def encoded(template, response, prompt="6 times 7?"):
    return encode(tokenizer(template), Example(prompt, response), max_length=4096)


def rendered(template, response):
    messages = [{"role": "user", "content": "6 times 7?"}, {"role": "assistant", "content": response}]
    return tokenizer(template).apply_chat_template(messages, tokenize=False)


def own_pieces(encoding):
    return encoding.pieces[encoding.start : encoding.stop]


def covered(encoding):
    return {i for start, end in encoding.offsets for i in range(start, end)}


@pytest.mark.parametrize("name", REASONING)
@pytest.mark.parametrize("response", ["The answer is 42.", THOUGHT, THOUGHT.removeprefix("<think>\n")])
def test_a_thought_is_read_where_the_template_puts_it(name, response):
    encoding = encoded(REASONING[name], response)
    assert encoding.rendered == rendered(REASONING[name], response)
    assert encoding.ids.tolist() == tokenizer(REASONING[name])(encoding.rendered, add_special_tokens=False).input_ids
    answer = set(range(response.index("The answer"), len(response)))
    thought = set(range(response.find("6 times"), response.find("42.\n") + 3)) if "think" in response else set()
    assert covered(encoding) >= (answer if name == "deepseek" else answer | thought)
    assert not (name == "deepseek" and covered(encoding) & thought)


def test_the_thought_that_a_template_drops_gets_no_credit_though_it_says_the_answer():
    answer = "The answer is 42."
    response = f"<think>Is it so? {answer} Yes.</think>{answer}"
    encoding = encoded(REASONING["deepseek"], response)
    assert encoding.offsets[0][0] == response.rindex(answer) and encoding.offsets[-1][1] == len(response)
    assert encoding.notices == ("The chat template drops part of the response.",)


def test_what_the_template_writes_between_thought_and_answer_stands_for_nothing():
    response = "[THINK] so so [/THINK] superb"
    encoding = encoded(REASONING["brackets"], response)
    said = [response[a:b] for a, b in encoding.offsets]
    assert "".join(said) == "so sosuperb" and "<|analysis|>" not in "".join(encoding.pieces[encoding.start :])
    assert "rewrites the marks" in encoding.notices[0]


def test_blanks_that_a_template_leaves_between_thought_and_answer_are_the_responses():
    assert encoded(REASONING["qwen3"], THOUGHT).notices == ()
    encoding = encoded(REASONING["glm"], THOUGHT)
    assert encoding.notices == ("The chat template changes blanks inside the response.",)
    assert "".join(THOUGHT[a:b] for a, b in encoding.offsets) == ("<think>6 times 7 is 42.</think>\nThe answer is 42.")


def test_rewritten_lines_stay_their_own():
    response = "so dull\nso so\nso dull, dull\nso so"
    template = "{% for m in messages %}<|user|>{{ m.content | replace('l', 'L') }}{% endfor %}"
    encoding = encoded(template, response)
    assert "rewrites the response" in encoding.notices[0]
    assert [response[a:b] for a, b in encoding.offsets] == [p.replace("L", "l") for p in own_pieces(encoding)]


@pytest.mark.parametrize(
    ("template", "response", "said"),
    [
        (REASONING["deepseek"], "<think>so so</think>", "drops all of it"),
        (REASONING["deepseek"], "</think>", "drops all of it"),
        (
            "{% for m in messages %}<|user|>{{ m.content[:12] }}{% endfor %}",
            "a superb film, a superb film",
            "0 times",
        ),
        ("{% for m in messages %}<|user|>{{ m.content[-6:] }}{% endfor %}", "superb, superb", "0 times"),
        ("{% for m in messages %}<|user|>{{ m.content | upper }}{% endfor %}", "a superb film", "rewrites most"),
        ("{% for m in messages %}<|user|>{{ m.content | reverse }}{% endfor %}", "a superb film", "0 times"),
        (
            "{% for m in messages %}<|user|>{{ m.content if m.content | length < 40 else m.content[-13:] }}{% endfor %}",
            "a superb film, and again, a superb film, a superb film",
            "stands in it more than once",
        ),
        (
            "{% for m in messages %}<|user|>{% for part in m.content.split('</think>') | reverse %}{{ part }}{% endfor %}{% endfor %}",
            "so so</think>superb",
            "a later part of the response before an earlier",
        ),
        (
            "{% for m in messages %}<|user|>{% for part in m.content.split('</think>') %}{{ part }}{{ part }}{% endfor %}{% endfor %}",
            "so so</think>superb",
            "writes the response 2 times",
        ),
        (
            "{% for m in messages %}<|user|>{{ m.content.split('</think>')[-1] | replace('u', 'uu') }}{% endfor %}",
            "so so</think>superb film",
            "drops part of the response and rewrites the rest",
        ),
    ],
)
def test_what_leaves_open_which_words_are_read_is_refused(template, response, said):
    with pytest.raises(RedvizError, match=said):
        encoded(template, response)


# ---------------------------------------------------------------- any text at all

PIECES = st.sampled_from(["<think>", "</think>", "[THINK]", "[/THINK]", "\n", "\n\n", " ", "a", "ab", "a b", "a a"])


@pytest.mark.parametrize("name", REASONING)
@given(pieces=st.lists(PIECES, min_size=1, max_size=10))
@example(pieces=["<think>", "\n", "a", "\n", "</think>", "\n\n", "a"])
@example(pieces=["a", "</think>", "a", "</think>", " ", "a"])
@settings(max_examples=60)
def test_the_letters_of_the_tokens_are_those_that_the_template_keeps(name, pieces):
    """With letters that are all different, where one comes out says which one it is: a template knows marks and blanks alone."""
    response = "".join(pieces)
    different, number = "", iter(range(0x4E00, 0x9000))
    inside = {i for mark in ("<think>", "</think>", "[THINK]", "[/THINK]") for i in _within(response, mark)}
    letters = [i for i, c in enumerate(response) if not c.isspace() and i not in inside]
    for i, c in enumerate(response):
        different += chr(next(number)) if i in letters else c
    kept = {i for i in letters if different[i] in rendered(REASONING[name], different)}
    try:
        encoding = encoded(REASONING[name], response)
    except RedvizError as error:
        assert not kept and "drops all" in str(error)
        return
    assert covered(encoding) & set(letters) == kept
    for piece, (a, b) in zip(encoding.pieces[encoding.start : encoding.stop], encoding.offsets, strict=True):
        assert response[a:b] in piece
    starts, ends = np.array(encoding.offsets).T
    assert (np.diff(starts) >= 0).all() and (np.diff(ends) >= 0).all() and (starts <= ends).all()


def _within(text, mark):
    at = text.find(mark)
    while at >= 0:
        yield from range(at, at + len(mark))
        at = text.find(mark, at + 1)
