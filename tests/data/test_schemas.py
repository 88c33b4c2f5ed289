"""Every schema of data sets: the item that a row becomes, the same from JSONL, from Parquet and by its own mapping."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redviz.data.sets.dataset import Candidate, HumanSpan, RowProblem, open_dataset


def user(text):
    return {"role": "user", "content": text}


def bot(text):
    return {"role": "assistant", "content": text}


def opened(*rows, name="a.jsonl", **options):
    return open_dataset("\n".join(json.dumps(row) for row in rows).encode(), name, **options)


QA = {
    "question": "Who?",
    "passages": [["Ann", "Ann\n\nAnn is one.", "She is."], ["Bob", "Bob is two."]],
    "prediction 1": "Ann and 🙂 Bob.",
    "prediction 2": "Ann.",
    "prediction 3": "Bob.",
    "feedback": {
        "errors": [
            {"error type": "Wrong-Grounding", "explanation": "", "start": 10, "end": 13},
            {"error type": "Irrelevant", "explanation": "", "start": 0, "end": 3},
        ]
    },
    "preference": [2, 1, 0],
}
LISTED = {
    "instruction": "Q",
    "completions": [
        {"model": "m", "response": "A", "overall_score": 7.5, "fine-grained_score": 3},
        {"model": "m", "response": "B", "fine-grained_score": 3.5},
        {
            "response": "C",
            "annotations": {"truth": {"Rating": "4"}, "help": {"Rating": "5"}, "tone": {"Rating": "N/A"}},
        },
    ],
}
HH = ("\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: How?", "\n\nAssistant: Well.", "\n\nAssistant: Badly.")
TURNS = (user("Hi."), bot("Hello."), user("How?"))


@pytest.mark.parametrize(
    ("row", "schema", "prompt", "candidates"),
    [
        (
            {"prompt": "Q", "chosen": "A", "rejected": "B", "score_chosen": 8, "score_rejected": "3.5"},
            "preference",
            "Q",
            (Candidate("A", "chosen", 8.0), Candidate("B", "rejected", 3.5)),
        ),
        (  # UltraFeedback, binarized
            {"prompt": "Q", "chosen": [user("Q"), bot("A")], "rejected": [user("Q"), bot("B")], "messages": [user("Q"), bot("A")]},
            "preference",
            (user("Q"),),
            (Candidate("A", "chosen"), Candidate("B", "rejected")),
        ),
        (
            {"prompt": HH[0] + "\n\nAssistant:", "chosen": "Well.", "rejected": "Badly."},
            "preference",
            TURNS,
            (Candidate("Well.", "chosen"), Candidate("Badly.", "rejected")),
        ),
        (
            {"system": "S", "question": "Q", "chosen": "A", "rejected": "B"},
            "preference",
            ({"role": "system", "content": "S"}, user("Q")),
            (Candidate("A", "chosen"), Candidate("B", "rejected")),
        ),
        (  # ShareGPT pairs
            {
                "conversations": [{"from": "human", "value": "Q"}],
                "chosen": {"from": "gpt", "value": "A"},
                "rejected": {"from": "gpt", "value": "B"},
            },
            "preference",
            (user("Q"),),
            (Candidate("A", "chosen"), Candidate("B", "rejected")),
        ),
        (
            {"chosen": HH[0] + HH[1], "rejected": HH[0] + HH[2]},
            "implicit",
            TURNS,
            (Candidate("Well.", "chosen"), Candidate("Badly.", "rejected")),
        ),
        (  # RLHFlow; the two part before the last turn
            {"chosen": [*TURNS, bot("Well.")], "rejected": [*TURNS[:2], user("Why?"), bot("So.")]},
            "implicit",
            TURNS,
            (Candidate("Well.", "chosen"), Candidate("So.", "rejected", prompt=(*TURNS[:2], user("Why?")))),
        ),
        ({"chosen": "AB", "rejected": "AC"}, "implicit", "", (Candidate("AB", "chosen"), Candidate("AC", "rejected"))),
        ({"prompt": "Q", "completion": "A", "label": True}, "unpaired", "Q", (Candidate("A", "chosen"),)),
        ({"prompt": [user("Q")], "completion": [bot("A")], "label": False}, "unpaired", (user("Q"),), (Candidate("A", "rejected"),)),
        ({"prompt": "Q", "completion": "A", "label": "science"}, "completion", "Q", (Candidate("A"),)),
        (
            {"prompt": "Q", "completions": ["One 🙂.", "", "Three."], "labels": [True, True, False]},
            "stepwise",
            "Q",
            (Candidate("One 🙂.\n\nThree.", spans=(HumanSpan(0, 6, "good"), HumanSpan(8, 14, "bad"))),),
        ),
        (LISTED, "ultrafeedback", "Q", (Candidate("A", "m", 7.5), Candidate("B", "m-2", 3.5), Candidate("C", "3", 4.5))),
        (
            {"instruction": "Q", "generations": ["A", "B"], "ratings": [4.0, None], "generation_models": ["x", "y"]},
            "generations",
            "Q",
            (Candidate("A", "x", 4.0), Candidate("B", "y")),
        ),
        (
            {"prompt": "Q", "responses": ["A", "B"], "scores": [1, 0]},
            "responses",
            "Q",
            (Candidate("A", "1", 1.0), Candidate("B", "2", 0.0)),
        ),
        ({"instruction": "Q", "response": "A"}, "instruction", "Q", (Candidate("A"),)),
        ({"messages": [user("Q"), bot("A")]}, "messages", (user("Q"),), (Candidate("A"),)),
        (
            {"system": "S", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
            "sharegpt",
            ({"role": "system", "content": "S"}, user("Q")),
            (Candidate("A"),),
        ),
        (
            QA,
            "qa_feedback",
            "Who?\n\nAnn\nAnn is one. She is.\n\nBob\nBob is two.",
            (
                Candidate("Ann and 🙂 Bob.", "1", 1.0, (HumanSpan(0, 3, "Irrelevant"), HumanSpan(10, 13, "Wrong-Grounding"))),
                Candidate("Ann.", "2", 1.5),
                Candidate("Bob.", "3", 0.5),
            ),
        ),
    ],
)  # fmt: skip
def test_schemas_and_their_mapping_gives_the_same_reading(row, schema, prompt, candidates, tmp_path):
    dataset = opened({**row, "id": "x", "subset": "easy"})
    [item] = dataset.items()
    assert (dataset.detected.schema, item.prompt, item.candidates) == (schema, prompt, candidates)
    assert (item.id, item.subset, item.line, dataset.problems) == ("x", "easy", 1, [])
    again = opened({**row, "id": "x", "subset": "easy"}, mapping=dataset.detected.mapping)
    assert list(again.items()) == [item]
    pq.write_table(pa.Table.from_pylist([{**row, "id": "x", "subset": "easy"}]), tmp_path / "a.parquet")
    parquet = open_dataset(tmp_path / "a.parquet")
    assert list(parquet.items()) == [item]
    assert parquet.detected == dataset.detected


def test_preferences_of_predictions_are_kept_and_spans_are_characters_of_the_right_text():
    [item] = opened(QA).items()
    assert item.preferences == (("2", "1"), ("1", "3"))
    assert [item.candidates[0].response[s.start : s.end] for s in item.candidates[0].spans] == ["Ann", "Bob"]
    outside = {**QA, "feedback": {"errors": [{"error type": "x", "start": 10, "end": 99}]}}
    dataset = opened(QA, outside, {**QA, "preference": [1, 1]}, {**QA, "passages": []})
    assert [item.prompt[:4] for item in dataset.items()] == ["Who?", "Who?"]
    assert dataset.problems == [
        RowProblem(2, "the error span from 10 to 99 is not inside prediction 1"),
        RowProblem(3, "preference has 2 entries, expected 3"),
    ]


def test_turns_of_one_speaker_are_one_message_and_their_text_is_kept():
    text = "Human: Hi. \n\nHuman: There?\n\nAssistant:  Yes.\n\nHe said: Human: no.\n\nHuman: So?\n\nAssistant: Well. "
    [item] = opened({"chosen": text, "rejected": text + "\n\nAssistant: More."}).items()
    assert item.prompt == (user("Hi. \n\nThere?"), bot(" Yes.\n\nHe said: Human: no."), user("So?"))
    assert [candidate.response for candidate in item.candidates] == ["Well. ", "Well. \n\nMore."]
    [plain] = opened({"prompt": "Quote \n\nHuman: x\n\nAssistant:", "response": "A"}).items()
    assert plain.prompt == "Quote \n\nHuman: x\n\nAssistant:"


def test_a_system_text_goes_before_the_prompt_once():
    own = ({"role": "system", "content": "own"}, user("Q"))
    [item] = opened({"system": "S", "prompt": list(own), "response": "A"}).items()
    assert item.prompt == own


SYSTEM = {"role": "system", "content": "S"}


@pytest.mark.parametrize("given", [{}, {"prompt": "Q"}, {"prompt": [SYSTEM, user("Q")], "system": None}])
def test_the_system_text_stays_before_answers_that_repeat_the_prompt(given):
    turns = {"chosen": [user("Q"), bot("A")], "rejected": [user("Q"), bot("B")]}
    [item] = opened({"system": "S", **turns, **given}).items()
    assert item.prompt == (SYSTEM, user("Q"))
    assert [candidate.prompt for candidate in item.candidates] == [None, None]
    own = {side: [{"role": "system", "content": "own"}, *said] for side, said in turns.items()}
    [item] = opened({"system": "S", **own, **given}).items()
    assert item.prompt == ({"role": "system", "content": "own"}, user("Q"))


def test_the_system_text_stays_before_every_listed_response():
    listed = [[user("Q"), bot("A")], "B"]
    for name in ("responses", "generations", "completions"):
        values = [{"response": value} for value in listed] if name == "completions" else listed
        [item] = opened({"system": "S", "prompt": "Q", name: values}).items()
        assert [example.prompt for example in item.examples] == [(SYSTEM, user("Q"))] * 2


def test_chat_in_the_cells_of_a_csv_is_read_as_chat(tmp_path):
    turns = {"chosen": [user("Q, no?"), bot("A")], "rejected": [user("Q, no?"), bot("B")]}
    with (tmp_path / "a.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["prompt", "chosen", "rejected"])
        writer.writeheader()
        writer.writerow({"prompt": json.dumps([SYSTEM, user("Q, no?")])} | {k: json.dumps(v) for k, v in turns.items()})
        writer.writerow({"prompt": "List two.", "chosen": '["a", "b"]', "rejected": "[1"})
    dataset = open_dataset(tmp_path / "a.csv")
    chat, plain = dataset.items()
    assert chat.prompt == (SYSTEM, user("Q, no?"))
    assert [candidate.response for candidate in chat.candidates] == ["A", "B"]
    assert [candidate.response for candidate in plain.candidates] == ['["a", "b"]', "[1"]  # answers that are lists
    assert "chat messages" in dataset.detected.sentence
