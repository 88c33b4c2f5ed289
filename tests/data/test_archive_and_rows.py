"""Result files: nothing is lost on the way, and a spreadsheet runs nothing."""

import io
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redviz.data.results.archive import load_analysis, save_analysis
from redviz.data.results.rows import rows, to_csv, to_parquet
from redviz.errors import RedvizError
from redviz.records import Analysis, Credit, Encoding, Example, Observation, Source

CHAT = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "ok"}, {"role": "user", "content": "more"})


@pytest.fixture
def analysis():
    encoding = Encoding(
        ids=np.array([9, 4, 5, 6, 1], np.int64),
        start=1,
        stop=4,
        read=4,
        offsets=((0, 1), (1, 4), (4, 5)),
        pieces=("<u>", "=", "مرح", "👍", "<end>"),
        rendered="<u>=مرح👍<end>",
        truncated=2,
        notices=("cut",),
    )
    rng = np.random.default_rng(0)
    observation = Observation(
        encoding, np.array([0.1, 0.2, 0.5, -0.1, 0.9], np.float32), rng.random((2, 3, 5), np.float32), None
    )
    credits = {
        "red": Credit(
            np.array([0.1, 0.3, 0.4], np.float32), 0.9, 0.1, 1.0, {"method": "red", "options": {"beta_c": 1.0}}
        ),
        "free": Credit(np.array([1, 2, 3], np.float32), None, None, meta={"method": "treg", "options": {}}),
    }
    source = Source("m", "rev", "fp", "float32", "cpu", "tpl", ("score",), {"torch": "2"}, "1-0", "last")
    return Analysis(Example(CHAT, "=مرح👍", "item/a"), source, observation, credits)


def test_a_stored_analysis_comes_back_whole(analysis, tmp_path):
    save_analysis(analysis, tmp_path / "a.npz")
    back = load_analysis(tmp_path / "a.npz")
    assert back.to_dict() == analysis.to_dict()
    assert back.example == analysis.example and back.source == analysis.source
    np.testing.assert_array_equal(back.observation.response_row, analysis.observation.response_row)
    assert back.observation.pooling_row is None


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nonsense", b"\x93NUMPY"])
def test_a_broken_file_is_one_sentence(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(RedvizError, match="is not a saved analysis"):
        load_analysis(tmp_path / "a.npz")


def test_a_failed_analysis_is_not_stored_but_gives_a_row_with_its_error(analysis, tmp_path):
    failed = replace(analysis, observation=None, credits={}, error="The response is empty.")
    with pytest.raises(RedvizError):
        save_analysis(failed, tmp_path / "a.npz")
    [row] = rows(failed)
    assert row["error"] == "The response is empty." and row["score"] is None and row["credits"] == []


def test_one_row_per_method_with_its_provenance(analysis):
    red, free = rows(analysis)
    assert (red["example_id"], red["response_id"], red["label"], red["method"]) == ("item", "a", "red", "red")
    assert json.loads(red["prompt"]) == [dict(m) for m in CHAT] and json.loads(red["options"]) == {"beta_c": 1.0}
    assert (red["head"], red["read"]) == ("1-0", "last")
    assert red["reference"] + sum(red["credits"]) + red["residual"] == pytest.approx(red["total"])
    assert free["total"] is None and free["residual"] is None and red["truncated"] == 2
    for name in ("model", "revision", "fingerprint", "dtype", "template_hash", "reading_column", "redviz_version"):
        assert red[name] not in (None, "")
    assert not any("time" in name or "date" in name for name in red)


def test_parquet_keeps_types_and_says_its_schema(analysis):
    table = pq.read_table(io.BytesIO(to_parquet(analysis)))
    assert table.schema.metadata[b"schema_version"] == b"1"
    assert table.column("credits").to_pylist()[0] == pytest.approx([0.1, 0.3, 0.4])
    assert table.column("offsets").to_pylist()[0] == [[0, 1], [1, 4], [4, 5]]


def test_files_concatenate_whatever_is_missing_in_one(analysis):
    failed = replace(analysis, observation=None, credits={}, error="The response is empty.")
    free = replace(analysis, credits={"free": analysis.credits["free"]})
    tables = [pq.read_table(io.BytesIO(to_parquet(a))) for a in (analysis, failed, free)]
    assert all(table.schema.equals(tables[0].schema) for table in tables)
    whole = pa.concat_tables(tables)
    assert whole.column("error").to_pylist() == [None, None, "The response is empty.", None]
    assert set(rows(analysis)[0]) == set(whole.column_names)
    assert whole.schema.field("credits").type == pa.list_(pa.float32())
    assert whole.schema.field("token_ids").type == pa.list_(pa.int64())


def test_csv_has_a_line_per_token_and_no_formula(analysis):
    frame = pd.read_csv(io.StringIO(to_csv(analysis)))
    assert list(frame["token"]) == ["'=", "مرح", "👍"]
    assert list(frame["red"]) == pytest.approx([0.1, 0.3, 0.4])
    assert set(frame["fingerprint"]) == {"fp"} and set(frame["reading_column"]) == {4}
