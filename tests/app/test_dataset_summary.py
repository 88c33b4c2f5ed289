"""The summary of a result file: whether the model knows more than length, and which rows the figures are of."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.testing.v1 import AppTest

from redviz.app.dataset import summary as dataset_summary
from redviz.data.results.rows import schema

PAIRS = 60


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Draws a panel over a result file whose chosen responses win and are longer as given, ``[pair]``."""
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))

    def opened(panel, wins, longer, others=()):
        rows = []
        for n, (won, long) in enumerate(zip(wins, longer, strict=True)):
            for role, score, length in (
                ("chosen", 1.0, 4 if long else 2),
                ("rejected", 0.0 if won else 2.0, 3),
                *others,
            ):
                rows.append(
                    dict.fromkeys(schema().names)
                    | {"example_id": f"e{n}", "response_id": role, "response": "r", "label": "red", "score": score}
                    | {"prompt": json.dumps([{"role": "user", "content": "p"}]), "tokens": ["t"] * length}
                    | {"token_ids": [1] * length, "offsets": [[0, 1]] * length, "credits": [0.0] * length}
                    | {"prefix_scores": np.linspace(0, score, length + 1).tolist(), "truncated": 0}
                )
        path = tmp_path / "scores.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema()), path)

        def script(panel, path):
            from redviz.app.dataset import summary as dataset_summary
            from redviz.data.results.result_files import open_results

            getattr(dataset_summary, panel)(open_results(path))

        ran = AppTest.from_function(script, args=(panel, path), default_timeout=60).run()
        assert not ran.exception
        return ran

    return opened


def test_a_model_is_held_against_length_pair_by_pair(page):
    longer = np.arange(PAIRS) % 10 < 7
    more = longer | (
        np.arange(PAIRS) % 10 == 7
    )  # right wherever length is, and once more in ten: the intervals overlap
    assert not page("summary_panel", more, longer).warning
    (warned,) = page("summary_panel", longer, longer).warning
    assert "+0.0% (+0.0% to +0.0%)" in warned.value and "more than length" in warned.value


def test_the_panel_says_when_it_read_the_first_rows_only(page, monkeypatch):
    longer = np.ones(PAIRS, bool)
    assert any(f"{PAIRS} pairs, 0 left out" in c.value for c in page("split_panel", longer, longer).caption)
    monkeypatch.setattr(dataset_summary, "MOST_SPLIT", 40)
    assert any("20 pairs of the first 40 rows, 0" in c.value for c in page("split_panel", longer, longer).caption)


def test_of_the_best_of_n_accuracy_is_that_the_chosen_is_above_all_others(page):
    wins, longer = np.arange(PAIRS) % 4 > 0, np.arange(PAIRS) % 2 > 0
    drawn = page("summary_panel", wins, longer, [("rejected-2", 0.5, 5)])
    figures = {metric.label: metric.value for metric in drawn.metric}
    assert (figures["Accuracy"], figures["Comparisons won"]) == ("75.0%", "87.5%")
    assert figures["Length only"] == "50.0%"  # the shortest, where it is shorter: never the longest of all
    assert "a coin reaches 33.3%" in drawn.metric[0].help
    assert any("60 prompts, each with its best of n." in c.value for c in drawn.caption)
    assert "Comparisons won" not in [metric.label for metric in page("summary_panel", wins, longer).metric]
