"""What pandas and datasets write into the cells of a CSV is read as what it was, or refused; never scored as its spelling."""

import json

import numpy as np
import pandas as pd
import pytest

from redviz.data.sets.dataset import open_dataset
from redviz.data.sets.spelling import spelled
from redviz.data.sets.values import BadValue
from redviz.errors import RedvizError

CHAT = [{"role": "user", "content": "Name a 'colour',\nit's \"easy\"."}, {"role": "assistant", "content": "Red."}]


@pytest.mark.parametrize("kind", [list, lambda chat: np.array(chat, dtype=object), json.dumps])
def test_messages_in_the_cells_of_a_csv(tmp_path, kind):
    row = {"prompt": CHAT[:1], "chosen": CHAT, "rejected": [{"role": "assistant", "content": None, "reasoning": "Hm."}]}
    pd.DataFrame([{name: kind(value) for name, value in row.items()}]).to_csv(tmp_path / "a.csv", index=False)
    [item] = open_dataset(tmp_path / "a.csv").items()
    assert item.prompt == (CHAT[0],)
    assert [candidate.response for candidate in item.candidates] == ["Red.", "<think>\nHm.\n</think>\n\n"]


@pytest.mark.parametrize("kind", [list, lambda texts: np.array(texts, dtype=object)])
def test_lists_of_chosen_and_rejected_in_the_cells_of_a_csv(tmp_path, kind):
    table = pd.DataFrame([{"prompt": "Q", "chosen": kind(["A", "it's A"]), "rejected": kind(["B"])}])
    table.to_csv(tmp_path / "a.csv", index=False)
    [item] = open_dataset(tmp_path / "a.csv").items()
    assert [(c.role, c.response) for c in item.candidates] == [
        ("chosen", "A"),
        ("chosen-2", "it's A"),
        ("rejected", "B"),
    ]
    assert item.preferences == (("chosen", "rejected"), ("chosen-2", "rejected"))


@pytest.mark.parametrize("spell", [str, json.dumps])
def test_objects_in_the_cells_of_a_csv(spell):
    row = {
        "input": {"messages": CHAT[:1]},
        "preferred_output": CHAT[1],
        "non_preferred_output": {"from": "gpt", "value": "B"},
    }
    table = pd.DataFrame([{name: spell(value) for name, value in row.items()}])
    [item] = open_dataset(table.to_csv().encode(), "a.csv").items()
    assert (item.prompt, [candidate.response for candidate in item.candidates]) == ((CHAT[0],), ["Red.", "B"])


@pytest.mark.parametrize("spell", [str, json.dumps])
@pytest.mark.parametrize(
    ("row", "read"),
    [
        (
            {"question": {"full_text": "Q"}, "answer_0": "A", "answer_1": "B", "score_0": 1, "score_1": 0},
            [("chosen", "A", 1), ("rejected", "B", 0)],
        ),
        ({"prompt": "Q", "answers": [{"answer": "A", "rank": 2}, {"answer": "B", "rank": 1}]}, [("1", "A", -2), ("2", "B", -1)]),
        (
            {"instruction": "Q", "responses": [{"model": "a", "response": "A"}], "annotations": [{"model": "a", "rating": "4"}]},
            [("a", "A", 4)],
        ),
        (
            {"info": {"post": "Q"}, "summaries": [{"text": "A"}, {"text": "B"}], "choice": 0},
            [("chosen", "A", None), ("rejected", "B", None)],
        ),
        (
            {"message_tree_id": "t", "prompt": {"role": "prompter", "text": "Q", "replies": [{"text": "A", "rank": 0}]}},
            [("1", "A", 0)],
        ),
    ],
)  # fmt: skip
def test_nested_columns_of_published_sets_in_the_cells_of_a_csv(row, read, spell):
    table = pd.DataFrame(
        [{name: spell(value) if isinstance(value, list | dict) else value for name, value in row.items()}]
    )
    [item] = open_dataset(table.to_csv(index=False).encode(), "a.csv").items()
    assert item.prompt in ("Q", ({"role": "user", "content": "Q"},))
    assert [(c.role, c.response, c.rating) for c in item.candidates] == read


@pytest.mark.parametrize(("a", "b"), [("['a', 'b']", "['a']"), (json.dumps(CHAT[1]), str(CHAT[1])), ("(1, 2)", "{1}")])
def test_an_answer_that_is_a_value_is_text_in_jsonl(a, b):
    row = {"prompt": "Print it.", "chosen": a, "rejected": b}
    [item] = open_dataset(json.dumps(row).encode(), "a.jsonl").items()
    assert [candidate.response for candidate in item.candidates] == [a, b]


def test_messages_that_nothing_reads_are_refused():
    cut = "[{'role': 'assistant', 'content': 'Red"
    with pytest.raises(
        RedvizError, match="chosen begins as a list of messages does, and is none that JSON or Python reads"
    ):
        open_dataset(pd.DataFrame([{"prompt": "Q", "chosen": cut, "rejected": cut}]).to_csv().encode(), "a.csv")


@pytest.mark.parametrize("text", ["[1", "['a'", "array(", "[nan]", "[" * 5000, "[f(1)]", "[a for a in 'b']", "{"])
def test_what_is_no_value_is_not_run(text):
    assert isinstance(spelled(text), BadValue)


def test_numpy_prints_no_commas():
    assert spelled(str(np.array(["a", "b c"], dtype=object))) == ["a", "b c"]
    assert spelled(repr(np.array([{"a": None}, {"a": [True]}], dtype=object))) == [{"a": None}, {"a": [True]}]
    assert spelled("[-1 2]") == [-1, 2]


def test_a_sequence_of_objects_as_datasets_keeps_it(tmp_path):
    def columns(rows):
        return {name: [row[name] for row in rows] for name in rows[0]}

    pair = {
        "prompt": columns(CHAT[:1]),
        "chosen": columns(CHAT),
        "rejected": columns([CHAT[0], {**CHAT[1], "content": "B"}]),
    }
    pd.DataFrame([pair]).to_parquet(tmp_path / "a.parquet")
    pd.DataFrame([pair]).to_csv(tmp_path / "a.csv")
    for name in ("a.parquet", "a.csv"):
        [item] = open_dataset(tmp_path / name).items()
        assert (item.prompt, [candidate.response for candidate in item.candidates]) == ((CHAT[0],), ["Red.", "B"])
    answers = {"answer": ["A", "B"], "rank": [1, 2]}
    [item] = open_dataset(json.dumps({"prompt": "Q", "answers": answers}).encode(), "a.jsonl").items()
    assert [(candidate.response, candidate.rating) for candidate in item.candidates] == [("A", -1), ("B", -2)]
