"""Opening data sets: every schema, what is said about it, mappings, ids, problems, and reading as a stream."""

import gzip
import hashlib
import json
import subprocess
import sys
from itertools import islice

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redviz.data.sets.dataset import Candidate, RowProblem, open_dataset
from redviz.errors import RedvizError


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
HH = ("\n\nHuman: Hi.\n\nAssistant: Hello.\n\nHuman: How?", "\n\nAssistant: Well.", "\n\nAssistant: Badly.")
TURNS = (user("Hi."), bot("Hello."), user("How?"))


def test_examples_carry_the_prompt_of_their_side_and_ids_that_part_at_the_first_slash():
    row = {"id": "a/b", "chosen": [*TURNS, bot("Well.")], "rejected": [user("Why?"), bot("So.")]}
    [item] = opened(row).items()
    assert [(e.id, e.prompt, e.response) for e in item.examples] == [
        ("a_b/chosen", TURNS, "Well."),
        ("a_b/rejected", (user("Why?"),), "So."),
    ]
    [single] = opened({"prompt": "Q", "response": "A"}).items()
    assert [example.id for example in single.examples] == ["1"]


PAIR = {"prompt": "Q", "chosen": "A", "rejected": "B"}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([PAIR] * 1000, "1,000 pairs of prompt, chosen and rejected (TRL preference)."),
        (
            [{"chosen": [user("Q"), bot("A")], "rejected": [user("Q"), bot("B")]}] * 2,
            "2 pairs of chosen and rejected (TRL preference with an implicit prompt, chat messages); "
            "the prompt is the shared beginning of both.",
        ),
        (
            [{"chosen": HH[0] + HH[1], "rejected": HH[0] + HH[2]}, {"chosen": "\n\nHuman: Hi.\n\nAssistant: A", "rejected": HH[0] + HH[2]}],
            "2 pairs of chosen and rejected (TRL preference with an implicit prompt, Human/Assistant text); "
            "the prompt is all before the last answer, and differs within 1 of the first 2 pairs.",
        ),
        (
            [{"chosen": "A", "rejected": "B"}],
            "1 pair of chosen and rejected (TRL preference with an implicit prompt); there is no prompt, each text is scored by itself.",
        ),
        ([{**PAIR, "chosen_score": 1}], "1 pair of prompt, chosen and rejected (TRL preference); ratings are kept."),
        ([QA], "1 question with passages and several predictions (FineGrainedRLHF); error spans that people marked on prediction 1 "
               "and their preferences are kept."),
    ],
)  # fmt: skip
def test_the_sentence_says_what_was_understood(rows, sentence):
    assert opened(*rows).detected.sentence == sentence


def test_columns_are_mapped_by_name():
    row = {"question": "Q", "better": "A", "worse": "B", "messages": [user("no"), bot("no")], "id": 7}
    dataset = opened(row, row, mapping={"prompt": "question", "chosen": "better", "rejected": "worse"}, limit=1)
    [item] = dataset.items()
    assert (item.id, item.prompt, [c.response for c in item.candidates]) == ("7", "Q", ["A", "B"])
    assert dataset.detected.columns == ("question", "better", "worse", "messages", "id")
    assert dataset.detected.sentence == (
        "2 pairs of prompt, chosen and rejected (TRL preference); prompt is the column 'question', chosen is the column 'better', "
        "rejected is the column 'worse'; limited to the first 1."
    )
    [alone] = opened({"text": "A"}, mapping={"response": "text"}).items()
    assert (alone.prompt, alone.candidates) == ("", (Candidate("A"),))


@pytest.mark.parametrize(
    ("row", "mapping", "prompt", "responses"),
    [
        ({"prompt": "Q", "better": "A", "worse": "B"}, {"chosen": "better", "rejected": "worse"}, "Q", ["A", "B"]),
        ({"question": "Q", "response": "A"}, {"prompt": "question"}, "Q", ["A"]),
        ({"prompt": "no", "question": "Q", "response": "A"}, {"prompt": "question"}, "Q", ["A"]),
        ({"prompt": "no", "q": "Q", "chosen": "A", "rejected": "B"}, {"question": "q"}, "Q", ["A", "B"]),
        ({"prompt": "Q", "chosen": "no", "rejected": "no", "text": "A"}, {"response": "text"}, "Q", ["A"]),
        ({"prompt": "no", "response": "no", "chat": TURNS + (bot("A"),)}, {"messages": "chat"}, TURNS, ["A"]),
        ({"instruction": "Q", "about": "this", "output": "A"}, {"input": "about"}, "Q\n\nthis", ["A"]),
        ({"system": "S", "q": "Q", "response": "A"}, {"prompt": "q"}, ({"role": "system", "content": "S"}, user("Q")), ["A"]),
    ],
)  # fmt: skip
def test_columns_beside_a_mapping_keep_their_meaning_and_what_was_mapped_is_read(row, mapping, prompt, responses):
    dataset = opened(row, mapping=mapping)
    [item] = dataset.items()
    assert (item.prompt, [candidate.response for candidate in item.candidates]) == (prompt, responses)
    assert list(opened(row, mapping=dataset.detected.mapping).items()) == [item]


def test_a_prompt_that_one_row_lacks_is_not_taken_for_none():
    dataset = opened({"prompt": "Q", "text": "A"}, {"text": "B"}, mapping={"response": "text"})
    assert [item.prompt for item in dataset.items()] == ["Q"]
    assert dataset.problems == [RowProblem(2, "prompt is missing")]


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            None,
            r"^a.jsonl has the columns 'q', 'a', which fit no .*; say with a mapping \(--column on the command line\) .*prompt=question",
        ),
        ({"prompt": "x", "response": "a"}, r"^a.jsonl has no column 'x'; it has 'q', 'a'\."),
        ({"promt": "q"}, r"^'promt' is no part of a data set; map one of 'question'"),
        ({"prompt": "q"}, r"^a.jsonl has the columns 'q', 'a', which fit no known schema"),
    ],
)
def test_what_a_mapping_needs_is_said(mapping, message):
    with pytest.raises(RedvizError, match=message):
        opened({"q": "Q", "a": "A"}, mapping=mapping)


def test_a_row_that_does_not_fit_is_listed_with_line_and_reason_and_the_rest_is_read_each_time():
    rows = [
        json.dumps(PAIR),
        "",
        '{"prompt": ',
        json.dumps({**PAIR, "rejected": None}),
        json.dumps({"messages": [user("Q"), bot("A")]}),
    ]
    rows += [json.dumps({**PAIR, "chosen": ""}), json.dumps({**PAIR, "chosen": "a\0b"}), "7", json.dumps(PAIR)]
    dataset = open_dataset("\r\n".join(rows).encode() + b'\n{"prompt": "\xe9"}', "a.jsonl")
    assert dataset.rows == 9
    for _ in range(2):
        assert [item.line for item in dataset.items()] == [1, 9]
        assert [(problem.line, problem.reason) for problem in dataset.problems] == [
            (3, "not JSON: Expecting value (column 13)"),
            (4, "rejected is null"),
            (5, "prompt is missing"),
            (6, "the response chosen is empty"),
            (7, "chosen holds a null character"),
            (8, "a number, expected an object"),
            (10, "not UTF-8 (byte 13 of the line)"),
        ]
        assert dataset.skipped == 7


def test_a_null_here_and_there_does_not_change_the_schema():
    rows = [{**PAIR, "prompt": None}] * 3 + [PAIR] * 4
    dataset = opened(*rows)
    assert dataset.detected.schema == "preference"
    assert [item.line for item in dataset.items()] == [4, 5, 6, 7]


def test_a_row_of_another_schema_does_not_decide_for_all():
    rows = [{"prompt": "Q", "completions": ["A"], "labels": [True]}] + [{"prompt": "Q", "response": "A"}] * 2
    dataset = opened(*rows)
    assert dataset.detected.schema == "response"
    assert [item.line for item in dataset.items()] == [2, 3]
    assert dataset.problems == [RowProblem(1, "response is missing")]


def test_repeated_ids_get_an_ending_and_are_counted():
    ids = ["a", "a-2", "a", "a", None, "5", "a/b", "a_b", "x\u202ey\n", "z" * 500]
    dataset = opened(*({**PAIR, "id": name} for name in ids))
    found = [item.id for item in dataset.items()]
    assert found[:9] == ["a", "a-2", "a-3", "a-4", "5", "5-2", "a_b", "a_b-2", "x y"]
    assert len(found[9]) == 120
    assert dataset.renamed == 4


def test_the_fingerprint_is_that_of_the_content(tmp_path):
    text = json.dumps(PAIR).encode()
    (tmp_path / "b.jsonl").write_bytes(text)
    assert open_dataset(text, "a.jsonl").fingerprint == hashlib.sha256(text).hexdigest()
    assert open_dataset(str(tmp_path / "b.jsonl")).fingerprint == hashlib.sha256(text).hexdigest()


def test_the_formats_give_the_same_items(tmp_path):
    rows = [{"id": f"r{n}", "prompt": f"Q{n}", "chosen": 'A,\n"x" =1+1', "rejected": "B"} for n in range(3)]
    lines = "\n".join(json.dumps(row) for row in rows)
    table = pa.Table.from_pylist(rows)
    table.to_pandas().to_csv(tmp_path / "a.csv", index=False)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=2)
    (tmp_path / "a.jsonl").write_text("\ufeff" + lines.replace("\n", "\r\n"))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines[:100].encode()) + gzip.compress(lines[100:].encode()))
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps({"version": 1, "data": rows}))
    (tmp_path / "c.json").write_text(lines)
    read = [[(i.id, i.prompt, i.candidates) for i in open_dataset(path).items()] for path in sorted(tmp_path.iterdir())]
    assert len(read) == 7
    assert all(items == read[0] for items in read)
    assert read[0][2] == ("r2", "Q2", (Candidate('A,\n"x" =1+1', "chosen"), Candidate("B", "rejected")))
    assert [item.line for item in islice(open_dataset(tmp_path / "a.csv").items(), 2)] == [2, 4]


STREAM = """
import sys
from redviz.data.sets.dataset import open_dataset
dataset = open_dataset(sys.argv[1])
print(dataset.rows, sum(len(c.response) for item in dataset.items() for c in item.candidates))
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "parquet"])
def test_a_large_file_is_read_as_a_stream(ending, tmp_path):
    rows, length = 4_000, 40_000  # 160 MB of responses
    path = tmp_path / f"a.{ending}"
    words = [hashlib.sha256(bytes([n])).hexdigest() * (length // 64) for n in range(16)]
    if ending == "parquet":
        schema = pa.schema({"prompt": pa.string(), "response": pa.string()})
        with pq.ParquetWriter(path, schema, use_dictionary=False) as writer:
            for start in range(0, rows, 500):
                chunk = [{"prompt": str(start + n), "response": words[n % 16]} for n in range(500)]
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
    else:
        with gzip.open(path, "wt", 1) if ending.endswith("gz") else path.open("w") as file:
            file.writelines(json.dumps({"prompt": str(n), "response": words[n % 16]}) + "\n" for n in range(rows))
    result = subprocess.run([sys.executable, "-c", STREAM, str(path)], capture_output=True, text=True, check=True)
    counted, peak = result.stdout.splitlines()
    assert counted == f"{rows} {rows * length}"
    assert int(peak) / 1024 < (200 if ending == "parquet" else 100)  # MB; pyarrow alone takes 90
