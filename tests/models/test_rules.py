"""The rules that ship: what earns what, to the hundredth, and that no text stops them or is run."""

import concurrent.futures
import time

import numpy as np
import pytest

from redviz.data.gallery import load_gallery
from redviz.errors import RedvizError
from redviz.models.rules.rules import RULES, load_rule
from redviz.models.rules.rules_of_code import python_static
from redviz.models.rules.rules_of_text import MOST, dialogue, exact_answer, summary
from redviz.records import Example

SUM = "6 times 7? (answer: 42)"


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


# ---------------------------------------------------------------- by name


def test_rules_are_loaded_by_name():
    assert list(RULES) == ["rule:exact-answer", "rule:python-static", "rule:summary", "rule:dialogue"]
    for name, rule in RULES.items():
        model = load_rule(name)
        assert (model.name, model.source.model, model.function, model.split) == (name, name, rule.function, rule.split)
        assert rule.name == name and rule.title and rule.description.endswith(".")
    assert len({load_rule(name).source.fingerprint for name in RULES}) == len(RULES)
    with pytest.raises(
        RedvizError, match="no rule 'rule:taste'; use one of rule:exact-answer, rule:python-static, rule:su"
    ):
        load_rule("rule:taste")


def test_code_is_read_by_the_line_and_a_lost_line_costs_what_it_earned():
    model = load_rule("rule:python-static")
    response = "def mean(numbers):\n    if not numbers: return 0\n    return sum(numbers)\n"
    encoding = model.encode(Example("Write mean(numbers); mind the empty list.", response))
    lines = [response[a:b] for a, b in encoding.offsets]
    without = ["".join(lines[:i] + lines[i + 1 :]) for i in range(len(lines))]
    scores = model.score_texts(encoding.example.prompt, [response, *without])
    np.testing.assert_allclose(scores[0] - scores[1:], [1.0, 0.2, 0.15], atol=1e-6)


# ---------------------------------------------------------------- exact answer


@pytest.mark.parametrize(
    ("response", "points"),
    [
        ("Answer: 42", 1.0),
        ("ANSWER:42.", 1.0),
        ("**Answer:** 42", 1.0),
        ("so #### 42", 1.0),
        (r"so \boxed{42}", 1.0),
        (r"Answer: \boxed{42} of 50", 1.0),
        ("Answer:\n\n42 apples\n7 pears", 1.0),
        ("Answer: 6 × 7 = 42.00", 1.0),
        ("Answer: 41. No: answer: 42", 1.0),
        ("Answer: 42. No: answer: 41", 0.1),
        ("Answer: 4", 0.1),
        ("Answer: -42", 0.1),
        ("Answer: 420", 0.1),
        ("Answer: 42 or 43", 0.1),
        ("Answer: forty-two", 0.0),
        ("Answer: x42", 0.0),
        (r"It is 42, \boxed{none}", 0.0),
        ("It is 42", 0.0),
        ("", 0.0),
    ],
)
def test_exact_answer(response, points):
    assert exact_answer(SUM, response) == points
    assert exact_answer((user("Hello"), assistant("Hi"), user(SUM)), response) == points


@pytest.mark.parametrize(
    ("stated", "response", "points"),
    [
        ("1,200", "Answer: 1200.0", 1.0),
        ("1200", "Answer: 1,200", 1.0),
        ("1200", "Answer: 1,20", 0.1),
        ("-0.5", "Answer: −0.50", 1.0),
        ("0.3", "Answer: 0.30000000000000000001", 0.1),
    ],
)
def test_numbers_are_compared_by_value(stated, response, points):
    assert exact_answer(f"(Answer: {stated})", response) == points


def test_the_reference_answer_comes_from_the_prompt_or_the_gallery_or_is_asked_for():
    (rolls,) = [item for item in load_gallery() if item.id == "math-rolls"]
    assert exact_answer(rolls.prompt, "Answer: 16") == 1.0
    assert exact_answer((user(rolls.prompt + "\n"),), "Answer: 16") == 1.0
    assert exact_answer(f"{rolls.prompt} (answer: 17)", "Answer: 16") == 0.1
    for prompt in ("6 times 7?", "", (), (assistant(SUM),), "(answer: forty-two)"):
        with pytest.raises(RedvizError, match=r'not known; end the prompt with it, as in "\(answer: 42\)"'):
            exact_answer(prompt, "Answer: 42")


# ---------------------------------------------------------------- summary

# key facts: 12, Ostervik, Monday, lantern (twice); 20 words, so 6 by default
TEXT = "The lantern of Ostervik broke on Monday. It had 12 panes of glass. Now they repair the lantern with care."


@pytest.mark.parametrize(
    ("response", "points"),
    [
        ("Ostervik's lanterns: 12 panes, Monday", 1.0),
        ("OSTERVIK LANTERN", 0.5),
        ("Ostervik lantern, 12 Monday, broke again", 1.0),
        ("Ostervik lantern, 12 Monday, broke again and again", 0.96),
        ("Ostervik lantern, Monday 13", 0.55),
        ("Ostervik lantern, Monday 13 14 15 16", 0.13),
        ("Something broke", 0.0),
        (TEXT + TEXT + TEXT, 0.5),
        ("", 0.0),
        (" \n", 0.0),
    ],
)
def test_summary(response, points):
    assert summary(TEXT, response) == points
    assert summary((user("Summarise.\n\n" + TEXT),), response) == points


def test_the_budget_stands_outside_the_text():
    nine = "one two three four five six seven eight nine"
    assert summary("Use 7 words.\n\n" + TEXT, nine) == -0.04
    assert (
        summary((user("Read:\n\n" + TEXT), assistant("Read."), user("Use 7 words, not 9. I mean 8 words.")), nine)
        == -0.02
    )
    assert summary("Summarise.\n\n" + TEXT + " Use 90 words.", nine) < 0.0  # 23 words: still 6


def test_a_text_without_facts_earns_nothing():
    assert summary("nothing here", "nothing") == 0.0
    assert summary("", "nothing") == 0.0


# ---------------------------------------------------------------- dialogue

TALK = (
    {"role": "system", "content": "Be brief on Sunday."},
    user("A table for four people and two dogs on Friday at 7 pm?"),
    assistant("Friday is full; Saturday at 8:30 pm is free at our 9 tables."),
    user("Good, but we are 5 people."),
)  # slots: saturday, 8:30, people 5, dogs 2


@pytest.mark.parametrize(
    ("response", "points"),
    [
        ("Saturday, 8:30 pm, five people, two dogs.", 1.0),
        ("See you on saturday at 20:30, 5 of you with 2 dogs!", 1.0),
        ("Saturday, 8:30 pm, four people, two dogs.", 0.85),
        ("Saturday, 7 pm, four people, two dogs.", 0.7),
        ("Friday, 7 pm, four people, three dogs.", 0.4),
        ("Saturday, 8:30 pm, five people, two dogs", 0.8),
        ("Saturday? 8:30 pm? Five people, two dogs.", 0.8),
        ("Saturday? 8:30 pm, five people, two dogs.", 1.0),
        ("Saturday, 8:30 pm, five people, two dogs." + " And so on." * 20, 0.8),
        ("Hello" + " hello" * 60, 0.0),
        ("", 0.0),
        (" \n", 0.0),
    ],
)
def test_dialogue(response, points):
    assert dialogue(TALK, response) == points


@pytest.mark.parametrize(
    ("named", "said", "kept"),
    [
        ("at noon", "12 pm", True),
        ("at 7.15 p.m.", "7:15", True),
        ("at 10 am", "10", False),
        ("on 3rd of May", "May 3", True),
        ("on May 3", "June 3", False),
        ("for eleven", "11", True),
        ("I may come", "No", True),  # no slot
    ],
)
def test_how_slots_are_compared(named, said, kept):
    assert dialogue(f"Come {named}, please.", f"Fine, {said}.") == (1.0 if kept else 0.4)


# ---------------------------------------------------------------- any text

HOSTILE = {
    "nested brackets": "(" * 100_000,
    "nested minus": "x = " + "-" * 19_000 + "1",
    "nested not": "def f(x): return " + "not " * 4_500 + "x",
    "long chain": "def f(x): return x" + ".a" * 9_000,
    "long sum": "def f(x): return x" + "+1" * 9_000,
    "nested lists": "def f(x): return " + "[" * 150 + "]" * 150,
    "elif": "def f(x):\n if x: return 1\n" + " elif x: return 1\n" * 1_000,
    "indentation": "".join(" " * i + "if x:\n" for i in range(190)),
    "huge number": "def f(x): return " + "9" * 15_000,
    "power": "def f(x): return 9**9**9**9",
    "null byte": "def f(x):\0 return 1",
    "half a character": "def f(x): return '\ud83d'",
    "fences": "```" * 7_000,
    "fence and blanks": "```" + " " * 19_000,
    "fences and blanks": ("```" + " " * 10) * 1_500,
    "blanks": " " * 1_000_000,
    "line breaks": "\n" * 1_000_000,
    "digits": "Answer: " + "9" * 1_000_000,
    "digit groups": "Answer: 1" + ",000" * 4_000,
    "decimals": "Answer: 0." + "3" * 19_000,
    "boxes": "\\boxed{" * 100_000,
    "quotes": '. "“(' * 100_000,
    "hyphens": "a-" * 500_000,
    "times": "7:" * 500_000,
    "months": "3 of May " * 100_000,
    "amounts": "two " * 200_000,
    "words": "Word " * 200_000,
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_no_text_stops_a_rule(name, text):
    rule = RULES[name].function
    began = time.perf_counter()
    for prompt, response in ((SUM, text), ((user(text), user(text + SUM)), text[:MOST])):
        assert -1.2 < rule(prompt, response) <= 1.0
    assert time.perf_counter() - began < 2


def test_deep_code_is_refused_in_a_thread_as_well():
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        scores = list(pool.map(lambda text: python_static("", text), HOSTILE.values()))
    assert set(scores) <= {0.0, 0.65, 0.7, 0.85, 1.0}
