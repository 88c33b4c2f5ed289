"""What the Data set screen opens, shows and gives away, without a browser."""

import json

import numpy as np
import pytest

import redviz
from redviz import settings
from redviz.app.dataset import sources as dataset_sources
from redviz.app.dataset.downloads import pre_annotations
from redviz.app.dataset.figures import accuracy_figure
from redviz.app.dataset.rows import example_of_row, prompt_of_row
from redviz.app.dataset.sources import DatasetSource, server_files
from redviz.data.labels.tool_files import FILES
from redviz.data.results.row_files import write_rows
from redviz.data.results.rows import rows
from redviz.data.sets.dataset import Dataset
from redviz.errors import RedvizError
from redviz.evaluation.statistics.intervals import Estimate

ROW = {"prompt": "How was it?", "chosen": "Superb.", "rejected": "Dull."}


def read(content, name, mapping=None, limit=None):
    return dataset_sources._read(DatasetSource(content, name), mapping or {}, limit)


def test_server_files_stay_inside_the_folders_that_are_offered(tmp_path, monkeypatch):
    inside, outside = tmp_path / "offered", tmp_path / "private"
    (inside / "deep").mkdir(parents=True)
    outside.mkdir()
    for path in (inside / "a.jsonl", inside / "deep" / "b.parquet", inside / ".hidden.jsonl", outside / "c.jsonl"):
        path.write_text("{}")
    (inside / "link.jsonl").symlink_to(outside / "c.jsonl")
    (inside / "folder").symlink_to(outside)
    monkeypatch.setenv("REDVIZ_DATA", f" {inside} , {tmp_path / 'missing'}")
    assert settings.data_folders() == (inside, tmp_path / "missing")
    assert server_files((".jsonl", ".parquet")) == {
        "offered/a.jsonl": inside / "a.jsonl",
        "offered/deep/b.parquet": inside / "deep" / "b.parquet",
    }


def test_malformed_rows_are_counted_and_unknown_columns_are_named_for_the_form():
    lines = [json.dumps(ROW), "not json", json.dumps(ROW)]
    found = read("\n".join(lines).encode(), "pairs.jsonl")
    assert isinstance(found.dataset, Dataset) and (found.items, found.responses, found.skipped) == (2, 4, 1)
    assert [problem.line for problem in found.problems] == [2] and found.whole
    odd = json.dumps({"q": "How?", "better": "=1+1", "worse": "@cmd"}).encode()
    refused = read(odd, "odd.jsonl")
    assert refused.dataset is None and refused.columns == ("q", "better", "worse")
    mapped = read(odd, "odd.jsonl", {"prompt": "q", "chosen": "better", "rejected": "worse"})
    assert [candidate.response for candidate in mapped.first[0].candidates] == ["=1+1", "@cmd"]
    assert read(b"\0\1", "x.parquet").columns == ()


def test_a_long_data_set_is_read_only_so_far_on_opening(monkeypatch):
    monkeypatch.setattr(dataset_sources, "MOST_CHECKED", 3)
    found = read("\n".join([json.dumps(ROW)] * 10).encode(), "pairs.jsonl")
    assert (found.items, found.whole) == (3, False)
    assert read("\n".join([json.dumps(ROW)] * 10).encode(), "pairs.jsonl", limit=2).whole


@pytest.mark.parametrize(
    ("turns", "prompt"),
    [
        ([{"role": "user", "content": "Hi"}], "Hi"),
        ([], ""),
        ([{"role": "system", "content": "Be brief."}], ({"role": "system", "content": "Be brief."},)),
    ],
)
def test_a_row_gives_back_the_prompt_it_was_scored_with(turns, prompt):
    assert prompt_of_row(json.dumps(turns)) == prompt
    assert example_of_row({"prompt": json.dumps(turns), "response": "Yes."}).prompt == prompt


@pytest.mark.parametrize("written", ["{", "3", '["a"]', '[{"role": "user"}]', "[" * 100_000])
def test_a_prompt_that_is_no_list_of_messages_is_refused(written):
    with pytest.raises(RedvizError, match="no list of messages"):
        prompt_of_row(written)


def test_names_from_a_data_set_are_no_markup_in_a_figure():
    figure = accuracy_figure({"<a href='x'>b</a>": Estimate(0.5, np.nan, np.nan, 1)})
    assert "<" not in figure.data[0].y[0] and figure.data[0].error_x["array"] == (0.0,)


@pytest.mark.parametrize("tool", list(FILES))
def test_a_run_gives_pre_annotations_of_one_method(tool, tmp_path):
    model = redviz.reward_function(lambda prompt, response: 2.0 * response.count("superb") - response.count("dull"))
    texts = ["So superb, if a little dull here and there.", "So dull."]
    found = redviz.analyze_batch(
        model, [{"prompt": "How?", "response": text} for text in texts], ["occlusion", "uniform"]
    )
    write_rows(tmp_path / "part.parquet", [rows(one) for one in found])
    made = pre_annotations([tmp_path / "part.parquet"], "occlusion", tool)
    if tool == "doccano":
        assert [json.loads(line)["label"] for line in made.splitlines()] == [[[3, 10, "+1"]], [[3, 8, "-1"]]]
    else:
        assert [row.get("data", row.get("fields"))["text"] for row in json.loads(made)] == texts
