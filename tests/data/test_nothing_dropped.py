"""What a row holds and a template could show is read, or the sentence or the row's problem names it; no verdict is guessed."""

import json
import re

import pytest

from redviz.data.sets.dataset import open_dataset
from redviz.data.sets.readers import read_examples
from redviz.errors import RedvizError


def user(text):
    return {"role": "user", "content": text}


def bot(text, **beside):
    return {"role": "assistant", "content": text, **beside}


def opened(*rows):
    return open_dataset("\n".join(json.dumps(row) for row in rows).encode(), "a.jsonl")


PAIR = {"prompt": "Q", "chosen": "A", "rejected": "B"}
CALL = [{"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris"}}}]
TOOLS = [{"type": "function", "function": {"name": "weather"}}]


def test_columns_that_are_not_read_are_named():
    assert opened({**PAIR, "context": "About Q.", "messages": [], "documents": ["x"]}).detected.sentence == (
        "1 pair of prompt, chosen and rejected (TRL preference); not read: 'context', 'documents'."
    )
    about = {"instruction": "Q", "context": "About Q.", "chosen": "A", "rejected": "B"}
    assert "not read" not in opened(about).detected.sentence
    assert next(opened(about).items()).prompt == "Q\n\nAbout Q."


@pytest.mark.parametrize(
    ("beside", "reason"),
    [
        ({"chosen": [bot(None, tool_calls=CALL)]}, "the response in chosen makes tool_calls, and redviz scores text"),
        (
            {"chosen": [bot("Wait.", tool_calls=CALL)]},
            "the response in chosen makes tool_calls, and redviz scores text",
        ),
        ({"prompt": [{"role": "user", "content": [{"type": "image_url"}]}]}, "message 1 in prompt: .* is image_url"),
        (
            {"prompt": [{"role": "user", "content": [{"type": "image", "text": "A dog.", "image": "a.png"}]}]},
            "message 1 in prompt: .* is image",
        ),
        ({"prompt": [{**user("Q"), "images": ["a.png"]}]}, "message 1 in prompt has images, and redviz reads text"),
        ({"prompt": [user(None)]}, "content of message 1 in prompt is null, expected text"),
        ({"prompt": [{**user("Q"), "name": "a\0b"}]}, "name of message 1 in prompt holds a null character"),
        ({"tools": "weather"}, "tools is not a list with something in it"),
        ({"history": [["Hi", None]]}, "a turn of history is null, expected text"),
    ],
)
def test_what_is_no_text_is_the_problem_of_its_row(beside, reason):
    dataset = opened(PAIR, {**PAIR, **beside})
    assert [item.line for item in dataset.items()] == [1]
    [problem] = dataset.problems
    assert problem.line == 2
    assert re.search(reason, problem.reason), problem.reason


def test_functions_stand_at_the_first_message_whatever_repeats_the_prompt():
    for given in ({"prompt": "Q"}, {"prompt": [user("Q")]}, {}):
        sides = {"chosen": [user("Q"), bot("A")], "rejected": [user("Q"), bot("B")]}
        [item] = opened({**given, **sides, "tools": json.dumps(TOOLS)}).items()
        assert [example.prompt for example in item.examples] == [({**user("Q"), "tools": TOOLS},)] * 2
        [item] = opened({**given, **sides, "tools": TOOLS, "system": "S"}).items()
        system = {"role": "system", "content": "S", "tools": TOOLS}
        assert [example.prompt for example in item.examples] == [(system, user("Q"))] * 2


def test_a_chat_that_ends_in_an_answer_itself_is_the_prompt_before_it():
    [item] = opened({"messages": [user("Q"), bot("A")], "chosen": "A", "rejected": [bot("B")]}).items()
    assert [example.prompt for example in item.examples] == [(user("Q"),)] * 2
    [item] = opened({"messages": [user("Q"), bot("So")], "chosen": "A", "rejected": "B"}).items()
    assert item.prompt == (user("Q"), bot("So"))


def test_a_response_to_a_chat_and_one_beside_it():
    chat = [user("Q"), bot("So")]
    [item] = opened({"messages": chat[:1], "response": "A"}).items()
    assert (item.prompt, item.candidates[0].response) == ((user("Q"),), "A")
    [item] = opened({"messages": chat, "response": "So"}).items()
    assert (item.prompt, item.candidates[0].response) == ((user("Q"),), "So")
    dataset = opened({"messages": chat, "response": "A"})  # the chat has a response of its own
    assert (dataset.detected.schema, next(dataset.items()).candidates[0].response) == ("messages", "So")


def test_a_chat_in_a_column_of_any_name_is_named_where_it_is_not_read():
    row = {"chosen": "A", "rejected": "B", "stuff": [user("Q")], "written": json.dumps([user("Q")]), "tags": ["x"]}
    assert opened(row).detected.sentence.endswith("; not read: 'stuff', 'written'.")
    [item] = opened({"chosen": "A", "rejected": "B", "context": "", "messages": []}).items()
    assert item.prompt == ""


def test_the_parts_of_a_content_are_joined_as_they_stand():
    parts = [{"type": "text", "text": "Name "}, {"type": "text", "text": "one.", "image": None}]
    [item] = opened({"messages": [{"role": "user", "content": parts}, bot([{"type": "text", "text": "Red."}])]}).items()
    assert (item.prompt, item.candidates[0].response) == ((user("Name one."),), "Red.")


TWO = {"prompt": "Q", "response_0": "A", "response_1": "B"}
LETTERS = {"prompt": "Q", "response_a": "A", "response_b": "B"}
ONE_TWO = {"prompt": "Q", "output_1": "A", "output_2": "B"}


@pytest.mark.parametrize(
    ("row", "chosen"),
    [
        ({**TWO, "better_response_id": "1"}, "B"),
        ({**TWO, "better_response_id": -1}, "which does not say whether response_0 or response_1 is better"),
        ({**TWO, "better_response_id": 2}, "does not say"),
        ({**TWO, "preference": "response_0"}, "A"),
        ({**LETTERS, "label": 0}, "label is 0, which does not say whether response_a or response_b is better"),
        ({**LETTERS, "winner": "y", "model_a": "x", "model_b": "y"}, "B"),
        ({**LETTERS, "winner": "z", "model_a": "x", "model_b": "y"}, "winner is 'z', which does not say"),
        ({**LETTERS, "chosen": "A"}, "A"),
        ({**LETTERS, "verdict": "[[B]]"}, "B"),
        ({**LETTERS, "verdict": "[[A>>B]]"}, "A"),
        ({**LETTERS, "verdict": "Model B"}, "B"),
        ({**LETTERS, "verdict": "tie (bothbad)"}, None),
        ({**LETTERS, "verdict": "Neither"}, None),
        ({**LETTERS, "winner": "x", "model_a": "x", "model_b": "x"}, "winner is 'x', which does not say"),
        ({**TWO, "preference": "Response 0"}, "A"),
        ({**LETTERS, "preference": True}, "preference is true or false, expected which answer is better"),
        ({**LETTERS, "preference": "tie"}, None),
        ({**LETTERS, "output_1": "C", "output_2": "D", "preference": "tie"}, "there are more than two answers"),
        ({**ONE_TWO, "preference": 0}, "preference is 0, which does not say"),
        ({**ONE_TWO, "preference": 1.0}, "A"),
        ({**ONE_TWO, "preference": 1.5}, None),
        ({**LETTERS, "preference": 1.5}, "preference is 1.5, which does not say"),
        ({**ONE_TWO, "preference_strength": "-2"}, "A"),
        ({**ONE_TWO, "preference_strength": "nan"}, "does not say"),
        ({**ONE_TWO, "preference_strength": -100}, "preference_strength is -100, which does not say"),  # neither can be judged
        ({**ONE_TWO, "score_1": 1, "score_2": 3}, "B"),
        ({**ONE_TWO, "score_1": 1, "score_2": "N/A"}, "score_2 is no number"),
        ({**TWO, "score_0": None, "score_1": 1.0}, "one of the two answers has no score beside score_1"),
        ({"history": "Q", "human_ref_A": "A", "human_ref_B": "B", "labels": 2}, "labels is '2', expected 1 for A or 0 for B"),
    ],
)  # fmt: skip
def test_a_verdict_means_what_its_names_say_or_nothing(row, chosen):
    examples, problems = read_examples(json.dumps(row), "a.jsonl")
    if problems:
        assert chosen in problems[0].reason
        assert examples == []
        return
    roles = {example.id.partition("-")[2]: example.response for example in examples}
    if chosen is None:
        assert roles == {"1": "A", "2": "B"}
        assert {c.rating for c in next(open_dataset(json.dumps(row).encode(), "a.jsonl").items()).candidates} == {0.5}
    else:
        assert roles == {"chosen": chosen, "rejected": "AB".replace(chosen, "")}


def test_a_verdict_that_is_null_is_named_and_costs_its_row_alone():
    dataset = opened({**LETTERS, "winner": "model_a"}, {**LETTERS, "winner": None})
    assert len(list(dataset.items())) == 1
    assert [(problem.line, problem.reason) for problem in dataset.problems] == [(2, "winner is null")]
    verdict = {**TWO, "better_response_id": 1}
    dataset = opened(verdict, verdict, {**verdict, "response_0": None})
    assert len(list(dataset.items())) == 2
    assert dataset.problems[0].reason == "there is no other answer beside response_1"


@pytest.mark.parametrize("label", [False, "False", "false"])
@pytest.mark.parametrize(
    "row",
    [
        {"instruction": "Q", "output": "A", "kto_tag": None},
        {"question": "Q", "completion": "A", "label": None},
        {"messages": [user("Q"), bot("A")], "label": None},
    ],
)
def test_a_label_stands_beside_a_question_of_any_name(row, label):
    [item] = opened({name: label if value is None else value for name, value in row.items()}).items()
    assert (item.prompt in ("Q", (user("Q"),)), [(c.role, c.response) for c in item.candidates]) == (
        True,
        [("rejected", "A")],
    )


def test_a_pair_of_whole_chats_beside_turns_of_another_form():
    chats = {"chosen": [user("Q"), bot("A")], "rejected": [user("Q"), bot("B")]}
    dataset = opened({"conversation": [{"input": "Q", "output": "A"}], **chats})
    [item] = dataset.items()
    assert (item.prompt, [candidate.response for candidate in item.candidates]) == ((user("Q"),), ["A", "B"])
    assert dataset.detected.sentence.endswith("; not read: 'conversation'.")
    assert "not read: 'functions'" in opened({**chats, "functions": [{"name": "f"}]}).detected.sentence


def test_a_passage_is_no_question():
    with pytest.raises(RedvizError, match="fit no known schema"):
        opened({"context": "A passage.", "question": "Q", "response": "A"})


def test_a_sign_that_is_none_costs_its_row_alone():
    good = [user("Q Step 1: A"), bot("+")]
    dataset = opened({"messages": good}, {"messages": good}, {"messages": [*good, user("B"), bot("maybe")]})
    assert [item.candidates[0].response for item in dataset.items()] == ["Step 1: A"] * 2
    assert dataset.problems[0].reason == "the sign 'maybe' in messages is neither + nor -"


def test_a_mapping_names_another_verdict():
    row = {**TWO, "better_response_id": 1, "safer_response_id": 0}
    dataset = open_dataset(json.dumps(row).encode(), "a.jsonl", mapping={"better_response_id": "safer_response_id"})
    assert [candidate.response for candidate in next(dataset.items()).candidates] == ["A", "B"]


def test_every_question_of_a_tree_counts_against_the_limit():
    leaf = {"role": "assistant", "text": "A", "rank": 0, "replies": []}
    tree = {"message_id": "t", "role": "prompter", "text": "Q", "replies": [leaf]}
    leaf["replies"] = [{"message_id": "u", "role": "prompter", "text": "R", "replies": [{**leaf, "text": "B"}]}]
    row = json.dumps({"message_tree_id": "t", "prompt": tree}).encode()
    assert [item.id for item in open_dataset(row, "a.jsonl").items()] == ["t", "u"]
    assert [item.id for item in open_dataset(row, "a.jsonl", limit=1).items()] == ["t"]
    examples, problems = read_examples(row, "a.jsonl")
    assert ([example.response for example in examples], problems) == (["A", "B"], [])
