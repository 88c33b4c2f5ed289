"""The records: what they compute, and what survives JSON and a table."""

import dataclasses
import json

import numpy as np
import pytest
import tiny
from bag import observation

from redviz.analysis import analyze
from redviz.records import Analysis, Credit, Example, Source

P = [0.2, 0.5, -0.1, 0.9, 1.4]


@pytest.fixture(scope="module")
def analysis():
    prompt = [{"role": "user", "content": "Hi 👋"}]
    methods = {"red": {"beta_c": 0.5}, "abc L1": {"method": "abc", "layer": 1, "heads": [0, 2]}, "ig": {"steps": 4}}
    return analyze(tiny.model(), prompt, "A superb <b>film</b> 👍.", methods)


def test_prefix_scores_are_read_before_the_first_token_and_at_every_one():
    seen = observation(P, score=2.0)
    np.testing.assert_array_equal(seen.prefix_scores, np.float32(P))
    assert (seen.score, seen.closing) == (2.0, pytest.approx(0.6))
    assert observation(P).closing == 0


def test_the_residual_is_what_the_credits_leave_over():
    assert Credit(np.float32([1, 0.5]), 2.0, 0.2).residual == pytest.approx(0.3)
    assert Credit(np.float32([1, 0.5]), None, None).residual is None
    assert Credit(np.full(3, 0.1, np.float32), 0.3, 0.0).residual == pytest.approx(0, abs=1e-8)  # summed in float64


def test_records_are_frozen(analysis):
    for record in (analysis, analysis.example, analysis.source, analysis.observation, analysis.credits["red"]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            record.score = 1


def test_an_analysis_reads_like_its_observation(analysis):
    encoding = analysis.observation.encoding
    assert len(analysis.tokens) == len(analysis.token_ids) == len(analysis.offsets) == len(analysis.prefix_scores) - 1
    assert analysis.token_ids == tuple(encoding.ids[encoding.start : encoding.stop])
    assert analysis.base == analysis.prefix_scores[0]
    assert analysis.score == pytest.approx(analysis.prefix_scores[-1] + analysis.closing)
    assert analysis.score == pytest.approx(tiny.own_score(tiny.model(), encoding.ids), abs=1e-5)
    assert analysis.heads == ("LABEL_0",) and analysis.unit == "token" and analysis.error is None


def test_json_holds_everything_but_the_attention(analysis):
    found = json.loads(analysis.to_json())
    assert found == json.loads(json.dumps(analysis.to_dict(), allow_nan=False))
    assert found["prompt"] == [{"role": "user", "content": "Hi 👋"}]
    assert "👍" in analysis.to_json()
    assert np.float32(found["prefix_scores"]).tolist() == analysis.prefix_scores.tolist()
    assert found["score"] == analysis.score and found["closing"] == analysis.closing
    assert [tuple(pair) for pair in found["offsets"]] == list(analysis.offsets)
    assert set(found["credits"]) == {"red", "abc L1", "ig"}
    for label, credit in analysis.credits.items():
        given = found["credits"][label]
        assert np.float32(given["values"]).tolist() == credit.values.tolist()
        assert given["reference"] + sum(given["values"]) + given["residual"] == pytest.approx(given["total"], abs=1e-6)
        assert given["meta"]["method"] == label.split()[0]
    assert found["credits"]["abc L1"]["meta"]["options"]["heads"] == [0, 2]
    assert found["source"]["model"] == analysis.source.model and found["source"]["versions"]["torch"]


def test_a_table_has_a_row_for_every_token(analysis):
    frame = analysis.to_frame()
    assert list(frame.columns) == ["token", "token_id", "start", "end", "prefix_score", "red", "abc L1", "ig"]
    assert len(frame) == len(analysis.tokens)
    np.testing.assert_array_equal(frame["red"], analysis.credits["red"].values)
    np.testing.assert_array_equal(frame["prefix_score"], analysis.prefix_scores[1:])
    assert [analysis.response[a:b] for a, b in zip(frame["start"], frame["end"], strict=True)][0] == frame["token"][0]


def test_a_failed_example_is_empty_and_says_why():
    failed = Analysis(Example("Hi", ""), Source("m"), None, error="The response is empty.")
    assert np.isnan([failed.score, failed.base, failed.closing]).all()
    assert len(failed.prefix_scores) == len(failed.tokens) == len(failed.offsets) == failed.truncated == 0
    found = json.loads(json.dumps(failed.to_dict(), allow_nan=False))
    assert (found["score"], found["error"], found["credits"]) == (None, "The response is empty.", {})
    assert len(failed.to_frame()) == 0
