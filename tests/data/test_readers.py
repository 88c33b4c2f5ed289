"""Pasted and uploaded examples: every schema, every format, and what is said about rows and files that are broken."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from redviz.data.sets.readers import MAX_BYTES, RowProblem, read_examples
from redviz.errors import RedvizError
from redviz.records import Example

USER = {"role": "user", "content": "Q"}
BOT = {"role": "assistant", "content": "A"}
USER2 = {"role": "user", "content": "Q2"}
BOT2 = {"role": "assistant", "content": "A2"}
GOOD = '{"prompt": "Q", "response": "A"}'


def lines(*rows: Any) -> str:
    return "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"prompt": "Q", "response": "A"}, [Example("Q", "A", "1")]),
        ({"prompt": "Q", "response": "A", "id": "x"}, [Example("Q", "A", "x")]),
        ({"prompt": "Q", "response": "A", "id": 0}, [Example("Q", "A", "0")]),
        ({"prompt": "", "completion": "A"}, [Example("", "A", "1")]),
        ({"prompt": [USER, BOT, USER2], "response": "A2"}, [Example((USER, BOT, USER2), "A2", "1")]),
        ({"prompt": [{**USER, "name": "Ann"}], "completion": [BOT]}, [Example(({**USER, "name": "Ann"},), "A", "1")]),
        ({"prompt": [USER], "completion": [BOT, USER2, BOT2]}, [Example((USER, BOT, USER2), "A2", "1")]),
        ({"prompt": "Q", "completion": [BOT, USER2, BOT2]}, [Example((USER, BOT, USER2), "A2", "1")]),
        ({"prompt": "Q", "responses": ["A", "B"]}, [Example("Q", "A", "1-1"), Example("Q", "B", "1-2")]),
        (
            {"prompt": "Q", "chosen": "A", "rejected": "B", "response": None},
            [Example("Q", "A", "1-chosen"), Example("Q", "B", "1-rejected")],
        ),
        (
            {"prompt": "Q", "chosen": [USER, BOT], "rejected": [USER, BOT2]},
            [Example((USER,), "A", "1-chosen"), Example((USER,), "A2", "1-rejected")],
        ),
        ({"messages": [USER, BOT, USER2, BOT2]}, [Example((USER, BOT, USER2), "A2", "1")]),
        ({"messages": [USER, BOT, USER2]}, [Example((USER,), "A", "1")]),
        ({"instruction": "Q", "response": "A"}, [Example("Q", "A", "1")]),
        ({"instruction": "Q", "input": "", "output": "A"}, [Example("Q", "A", "1")]),
        ({"instruction": "Q", "input": "about this", "output": "A"}, [Example("Q\n\nabout this", "A", "1")]),
    ],
)
def test_schemas(row: dict[str, Any], expected: list[Example]) -> None:
    assert read_examples(json.dumps(row), "a.jsonl") == (expected, [])
    assert read_examples(json.dumps([row]), "a.JSON") == (expected, [])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{"prompt": "Q", ', "not JSON: .* \\(column 17\\)"),
        ('{"prompt": "Q"} {"response": "A"}', "not JSON: Extra data"),
        ("[" * 100_000, "nested too deeply"),
        ("9" * 5000, "number too long"),
        ([GOOD], "^a list, expected an object"),
        ("null", "^null, expected an object"),
        ({"prompt": "Q", "response": 3}, "^response is a number, expected text"),
        ({"prompt": ["Q"], "response": "A"}, "^prompt is a list, expected messages"),
        ({"prompt": [], "response": "A"}, "^prompt is a list, expected messages"),
        ({"prompt": [{"role": "user"}], "response": "A"}, "^prompt is a list, expected messages"),
        ({"prompt": "Q", "response": ""}, "^the response is empty"),
        ({"prompt": "Q", "responses": ["A", ""]}, "^the response 2 is empty"),
        ({"prompt": "Q", "responses": []}, "^responses is not a list with something in it"),
        ({"prompt": "Q", "responses": ["A", None]}, "^responses 2 is null, expected text"),
        ({"prompt": "Q", "chosen": "A", "rejected": ["B"]}, "^rejected is a list, expected messages"),
        ({"messages": [USER]}, "^messages has no assistant turn"),
        ({"messages": [USER, {**BOT, "content": None}]}, "^content of message 2 in messages is null"),
        ({"prompt": "Q", "response": "\ud83d"}, "^response holds half a character"),
        ({"prompt": "Q", "answer": "A"}, "^columns 'prompt', 'answer'; expected .*prompt \\+ response"),
        ({"prompt": "Q", "response": None}, "^columns 'prompt', 'response'; expected"),
    ],
)
def test_a_bad_row_is_reported_with_its_line_and_the_others_are_read(row: Any, reason: str) -> None:
    examples, problems = read_examples(lines(GOOD, "", row, GOOD), "a.jsonl")
    assert [example.id for example in examples] == ["1", "4"]
    assert [problem.line for problem in problems] == [3]
    assert re.search(reason, problems[0].reason)


def test_entries_of_a_json_list_are_numbered_from_one() -> None:
    examples, problems = read_examples('[{"prompt": "Q", "response": "A"},\n\n\n7]', "a.json")
    assert [example.id for example in examples] == ["1"]
    assert problems == [RowProblem(2, "a number, expected an object")]


@pytest.mark.parametrize("as_bytes", [True, False])
def test_byte_order_mark_and_windows_line_ends(as_bytes: bool) -> None:
    for text, name in [(f"{GOOD}\r\n\r\n{GOOD}\r\n", "a.jsonl"), ("prompt,response\r\nQ,A\r\n\r\nQ,A\r\n", "a.csv")]:
        content = "\ufeff" + text
        examples, problems = read_examples(content.encode() if as_bytes else content, name)
        assert [(example.prompt, example.response) for example in examples] == [("Q", "A"), ("Q", "A")]
        assert problems == []


def test_line_separators_inside_a_json_string_do_not_end_the_line() -> None:
    response = "a\u2028b\x85c\u000bd"
    row = json.dumps({"prompt": "Q", "response": response}, ensure_ascii=False)
    assert "\u2028" in row
    assert read_examples(row, "a.jsonl") == ([Example("Q", response, "1")], [])


def test_csv_cells_hold_quotes_line_breaks_and_lists_and_keep_their_line_numbers() -> None:
    text = (
        "id,prompt, responses\n"
        'x,"two\nlines","[""A, with comma"", ""B \\""quoted\\""""]"\n'
        "\n"
        "y,Q\n"
        ',Q,"[""C""]"\n'
        ',Q,"A"\n'
    )
    examples, problems = read_examples(text, "a.csv")
    assert examples == [
        Example("two\nlines", "A, with comma", "x-1"),
        Example("two\nlines", 'B "quoted"', "x-2"),
        Example("Q", "C", "6-1"),
    ]
    assert problems == [
        RowProblem(5, "2 cells, but the header has 3"),
        RowProblem(7, "responses is not a list with something in it"),
    ]


def test_csv_of_an_old_mac_and_line_breaks_inside_cells_kept_as_written() -> None:
    assert read_examples("prompt,response\rQ,A\r", "a.csv") == ([Example("Q", "A", "2")], [])
    examples, _ = read_examples('prompt,response\r\nQ,"A\r\nB"\r\n', "a.csv")
    assert examples[0].response == "A\r\nB"


def test_a_csv_cell_may_be_long() -> None:
    examples, _ = read_examples(f"prompt,response\nQ,{'a' * 200_000}\n", "a.csv")
    assert len(examples[0].response) == 200_000


def test_a_text_file_is_one_response_without_its_last_line_end() -> None:
    assert read_examples(b'First, "second".\r\n\r\n\tThird \r\n', "a.txt") == (
        [Example("", 'First, "second".\n\n\tThird ', "1")],
        [],
    )


def test_a_path_is_read_in_the_format_of_the_given_name(tmp_path: Path) -> None:
    stored = tmp_path / "upload"
    stored.write_text(GOOD, encoding="utf-8")
    assert read_examples(stored, "a.jsonl") == ([Example("Q", "A", "1")], [])


@pytest.mark.parametrize(
    ("source", "filename", "message"),
    [
        (
            GOOD,
            "a.parquet",
            r"a.parquet has an ending that is not read here; use one of \.jsonl, \.json, \.csv, \.txt\.",
        ),
        (b'{"prompt": "caf\xe9"}', "a.jsonl", r"a.jsonl is not UTF-8 \(byte 16\); save it in that encoding\."),
        (GOOD.encode("utf-16"), "a.jsonl", r"is not UTF-8 \(byte 1\)"),
        ("prompt: Q\nresponse: A", "a.jsonl", r"a.jsonl, line 1, is not JSON: .*; write one JSON object per line\."),
        (f"{GOOD}\n{GOOD}", "a.json", r"a.json is not JSON: Extra data \(line 2, column 1\); .* name it \.jsonl"),
        (GOOD, "a.json", r"a.json holds an object, expected a list of objects; put it between \[ and \]\."),
        ("[]", "a.json", "a.json holds no rows"),
        ("\n \n", "a.jsonl", "a.jsonl holds no rows"),
        ("", "a.csv", "a.csv holds no rows"),
        ("\n", "a.txt", "a.txt holds no rows"),
        (
            '{"q": "Q", "a": "A"}',
            "a.jsonl",
            r"a.jsonl has the columns 'q', 'a'; expected prompt \+ chosen \+ rejected or ",
        ),
        ("prompt:response\nQ:A\n", "a.csv", "a.csv has the columns 'prompt:response'; expected"),
        ("prompt,prompt,response\nQ,Q,A\n", "a.csv", "names a column twice"),
        ('prompt,response\nQ,A\nQ,"A\nQ,A\n', "a.csv", "a.csv is not CSV near line 4 .*; check the quotes"),
        (b" " * (MAX_BYTES + 1), "a.txt", "a.txt has 50.0 MB, more than the 50 MB"),
        (Path("/nowhere/a.jsonl"), "a.jsonl", r"a.jsonl cannot be opened \(No such file or directory\)"),
        (Path("/"), "a.jsonl", r"a.jsonl cannot be opened \(Is a directory\)"),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 12 else "",
)
def test_a_file_that_cannot_be_read_is_one_sentence_with_a_remedy(
    source: bytes | str | Path, filename: str, message: str
) -> None:
    with pytest.raises(RedvizError, match=message) as caught:
        read_examples(source, filename)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_large_file_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jsonl"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    monkeypatch.delattr(Path, "read_bytes")
    with pytest.raises(RedvizError, match="more than the 50 MB"):
        read_examples(path, "a.jsonl")


def test_hundreds_of_unknown_columns_do_not_fill_the_screen() -> None:
    with pytest.raises(RedvizError, match="'c19' and 480 more; expected"):
        read_examples(json.dumps({f"c{n}": n for n in range(500)}), "a.jsonl")
