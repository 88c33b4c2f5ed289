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

    def opened(panel, wins, longer):
        rows = []
        for n, (won, long) in enumerate(zip(wins, longer, strict=True)):
            for role, score, length in (("chosen", 1.0, 4 if long else 2), ("rejected", 0.0 if won else 2.0, 3)):
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
