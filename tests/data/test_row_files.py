"""Result rows in files: every format gives back what was written, and what is no result file is refused in one sentence."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny

import redviz
from redviz.data.results import row_files
from redviz.data.results.from_rows import analyses_of
from redviz.data.results.row_files import check_can_write, provenance_of, read_rows, write_rows
from redviz.data.results.rows import rows as rows_of
from redviz.data.results.rows import schema
from redviz.errors import RedvizError
from redviz.view.report import reports

TEXTS = ["A superb film.", "=HYPERLINK('x')", "'=kept", "''@kept", "-1 dull\r\n\tmess", "🎬 日本 \u2028 \x00 end", "+1"]
METHODS = ["red", "abc", "uniform"]


@pytest.fixture(scope="module")
def analyses():
    given = [{"id": f"{n}/chosen", "prompt": "Say =1+1.", "response": text} for n, text in enumerate(TEXTS)]
    return list(redviz.analyze_batch(tiny.model(), [*given, {"id": "8", "prompt": "p", "response": ""}], METHODS))


@pytest.fixture(scope="module")
def rows(analyses):
    return [
        row
        for n, a in enumerate(analyses)
        for row in rows_of(a, dict(zip(METHODS, METHODS, strict=True)), "=sub" if n % 2 else "")
    ]


def read(path):
    return [row for batch in read_rows(path) for row in batch]


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_every_format_gives_back_every_row_through_every_other(tmp_path, monkeypatch, rows, ending):
    monkeypatch.setattr(row_files, "AT_ONCE", 4)
    monkeypatch.setattr(row_files, "GROUP", 5)
    assert len(rows) == 3 * len(TEXTS) + 1
    want = pa.Table.from_pylist(rows, schema=schema()).to_pylist()
    one, two = tmp_path / f"one{ending}", tmp_path / "two.parquet"
    assert write_rows(one, [rows[:2], rows[2:]]) == len(rows)
    assert read(one) == want
    write_rows(two, read_rows(one))
    assert read(two) == want
    assert not list(tmp_path.glob(".*")), "no temporary file is left"


def test_a_spreadsheet_runs_no_cell(tmp_path, rows):
    write_rows(tmp_path / "out.csv", [rows])
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        cells = [(name, cell) for row in csv.DictReader(file) for name, cell in row.items()]
    runs = [(n, c) for n, c in cells if c.startswith(("=", "+", "-", "@", "\t", "\r")) and not is_number(c)]
    assert runs == []
    assert ("response", "'=HYPERLINK('x')") in cells and ("subset", "'=sub") in cells


def is_number(cell: str) -> bool:
    try:
        return float(cell) is not None
    except ValueError:
        return False


def test_provenance_goes_from_parquet_to_parquet(tmp_path, rows):
    write_rows(tmp_path / "a.parquet", [rows], {"redviz": '{"count": 7}'})
    assert provenance_of(tmp_path / "a.parquet") == {"redviz": '{"count": 7}', "schema_version": "1"}
    write_rows(tmp_path / "b.parquet", read_rows(tmp_path / "a.parquet"), provenance_of(tmp_path / "a.parquet"))
    assert provenance_of(tmp_path / "b.parquet") == provenance_of(tmp_path / "a.parquet")
    assert provenance_of(tmp_path / "none.csv") == {}


def test_a_failure_while_writing_leaves_the_old_file(tmp_path, rows):
    path = tmp_path / "out.jsonl"
    path.write_text("old")

    def breaks():
        yield rows
        raise RedvizError("stop")

    with pytest.raises(RedvizError, match="stop"):
        write_rows(path, breaks())
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


BAD = {
    "a.txt": (b"x", "has an ending that result rows are not kept in"),
    "gone.parquet": (None, "cannot be read"),
    "junk.parquet": (b"PAR1 no", "holds no result rows"),
    "junk.jsonl": (b'{"response": "a", "label": "b", "credits": []}\n{"resp', "line 2, is not JSON"),
    "deep.jsonl": (b'{"response": ' + b"[" * 100_000, "line 1, is not JSON"),
    "other.jsonl": (b'{"prompt": "a"}', "lacks the columns 'response', 'label', 'credits'"),
    "list.jsonl": (b"[1, 2]", "lacks the columns"),
    "types.jsonl": (b'{"response": 1, "label": "b", "credits": {"a": 2}}', "lines 1 to 1: not result rows"),
    "utf.jsonl": (b'{"response": "\xff"}', "is not UTF-8"),
    "other.csv": (b"a,b\n1,2\n", "lacks the columns"),
    "cell.csv": (b"response,label,credits\nx,red,oops\n", "near line 2, is no result row"),
    "quote.csv": (b'response,label,credits\n"x,red,[]\n', "is no result row"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_result_file_is_refused_in_one_sentence(tmp_path, name):
    content, said = BAD[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RedvizError, match=said) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_parquet_with_other_types_is_refused(tmp_path):
    nested = pa.table({"response": [[{"a": 1}]], "label": ["red"], "credits": [[{"b": [1]}]]})
    pq.write_table(nested, tmp_path / "nested.parquet")
    with pytest.raises(RedvizError, match="holds no result rows"):
        read(tmp_path / "nested.parquet")


def test_an_output_that_would_fail_after_hours_is_refused_at_once(tmp_path):
    for path, said in ((tmp_path / "a.xlsx", "ending"), (tmp_path / "no" / "a.csv", "folder is not there")):
        with pytest.raises(RedvizError, match=said):
            check_can_write(path)
    check_can_write(tmp_path / "a.csv")


# ---------------------------------------------------------------- rows to analyses


def test_rows_give_the_analyses_back(rows, analyses):
    found = list(analyses_of(rows))
    assert len(found) == len(analyses)
    for got, want in zip(found, analyses, strict=True):
        for name in ("score", "base", "closing"):
            np.testing.assert_allclose(getattr(got, name), getattr(want, name), rtol=1e-6, atol=1e-7)
        for name in ("error", "response", "tokens", "token_ids", "offsets", "truncated", "unit", "prompt"):
            assert getattr(got, name) == getattr(want, name), name
        assert (got.example.id, got.source.model, list(got.credits)) == (
            want.example.id,
            want.source.model,
            list(want.credits),
        )
        np.testing.assert_array_equal(got.prefix_scores, want.prefix_scores)
        for label, credit in want.credits.items():
            again = got.credits[label]
            np.testing.assert_array_equal(again.values, credit.values)
            np.testing.assert_allclose(again.own, credit.own, atol=1e-7)
            assert (again.total, again.reference, again.closing) == (credit.total, credit.reference, credit.closing)
            assert again.meta["options"] == json.loads(json.dumps(credit.meta["options"]))
    assert sum(a.error is not None for a in found) == 1
    assert reports(found).count("<article") == len(found)


def test_a_function_of_text_comes_back_too():
    model = redviz.reward_function(lambda prompt, response: float(len(response)))
    [want] = redviz.analyze_batch(model, [{"prompt": "p", "response": "two words"}], ["occlusion"])
    [got] = analyses_of(rows_of(want))
    assert got.observation is not None and got.observation.black_box and got.score == want.score == 9.0
    np.testing.assert_array_equal(got.prefix_scores, want.prefix_scores)


def test_the_same_response_twice_is_two_analyses(rows):
    assert [a.response for a in analyses_of(rows[:3] + rows[:3])] == [TEXTS[0], TEXTS[0]]


def test_offsets_outside_a_response_that_was_changed_on_the_way_are_refused(rows):
    changed = [rows[0] | {"response": rows[0]["response"][:-3]}]
    with pytest.raises(RedvizError, match="cannot be drawn \\(tokens outside its response"):
        list(analyses_of(changed))


@pytest.mark.parametrize("column", ["tokens", "offsets", "prefix_scores", "credits", "token_ids"])
def test_lists_that_do_not_fit_each_other_are_refused(rows, column):
    broken = [rows[0] | {column: rows[0][column][:-1]}]
    with pytest.raises(RedvizError, match="cannot be drawn"):
        list(analyses_of(broken))
