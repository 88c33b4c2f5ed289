"""CSV as spreadsheets of any country write it, and pointers of Git LFS where a data set was meant."""

import csv
import gzip

import pytest

from redviz.data.results.result_files import open_results
from redviz.data.results.row_files import read_rows
from redviz.data.sets.dataset import Candidate, RowProblem, open_dataset
from redviz.data.sets.readers import read_examples
from redviz.errors import RedvizError

PAIR = {"prompt": 'Name a; b, c|d\t"e"', "chosen": "A,\nB;", "rejected": "C"}


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_the_header_says_what_parts_the_cells(tmp_path, separator, ending):
    with (tmp_path / f"a.{ending}").open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, [*PAIR], delimiter=separator)
        writer.writeheader()
        writer.writerows([PAIR, PAIR])
    dataset = open_dataset(tmp_path / f"a.{ending}")
    first, second = dataset.items()
    assert (first.prompt, first.candidates) == (
        PAIR["prompt"],
        (Candidate("A,\nB;", "chosen"), Candidate("C", "rejected")),
    )
    assert (first.line, second.line, dataset.rows) == (2, 4, 2)
    examples, problems = read_examples((tmp_path / f"a.{ending}").read_bytes(), "a.csv")
    assert ([example.response for example in examples], problems) == (["A,\nB;", "C"] * 2, [])


def test_a_separator_that_excel_names_and_cells_that_do_not_fit():
    dataset = open_dataset(b"sep=|\nprompt|response\nQ, no?|A\nQ|A|B\n", "a.csv")
    assert [(item.line, item.prompt) for item in dataset.items()] == [(3, "Q, no?")]
    assert dataset.problems == [RowProblem(4, "3 cells, but the header has 2")]


def test_names_that_are_known_decide_between_separators():
    [item] = open_dataset(b"prompt;response;a,b,c,d\nQ;A;x\n", "a.csv").items()
    assert (item.prompt, item.candidates) == ("Q", (Candidate("A"),))
    [item] = open_dataset(b"frage;antwort\nQ;A\n", "a.csv", mapping={"prompt": "frage", "response": "antwort"}).items()
    assert (item.prompt, item.candidates) == ("Q", (Candidate("A"),))


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a21" * 10 + "abcd\nsize 134217728\n"


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "json", "parquet", "csv", "tsv", "txt", "zip"])
def test_a_pointer_of_git_lfs_is_named_as_such(tmp_path, ending):
    (tmp_path / f"x.{ending}").write_text(POINTER)
    doors = [lambda path: open_dataset(path), lambda path: open_dataset(path.read_bytes(), path.name)]
    if ending in ("jsonl", "json", "csv", "txt"):
        doors.append(lambda path: read_examples(path, path.name))
    if ending == "parquet":
        doors.append(open_results)
    if ending in ("parquet", "jsonl", "csv"):
        doors.append(lambda path: list(read_rows(path)))
    for door in doors:
        with pytest.raises(RedvizError, match=rf"x\.{ending} is a Git LFS pointer.*git lfs pull"):
            door(tmp_path / f"x.{ending}")


def test_a_text_about_pointers_is_none():
    [item] = open_dataset(f"What is this?\n{POINTER}".encode(), "x.txt").items()
    assert item.candidates[0].response.startswith("What is this?")
    packed = gzip.compress(b'{"prompt": "Q", "response": "A"}')
    assert len(list(open_dataset(packed, "x.jsonl.gz").items())) == 1
