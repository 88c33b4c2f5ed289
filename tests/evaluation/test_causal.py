"""The causal check: what is predicted, what is taken away, and what the model then says."""

import numpy as np
import pytest
import tiny

import redviz
from redviz.errors import RedvizError
from redviz.evaluation.faithfulness.causal import CausalCheck, causal_checks
from redviz.evaluation.faithfulness.causal_agreement import top_units
from redviz.records import Credit, Example
from redviz.text import Unit, units

PROMPT = "Review the film."
RESPONSE = "A superb, moving film. But the last act is dull."


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return redviz.load_reward_model(str(tiny.save(tmp_path_factory.mktemp("causal"), "Llama")), device="cpu")


@pytest.fixture(scope="module")
def analysis(model):
    return redviz.analyze(model, PROMPT, RESPONSE, ["red", "abc"])


def own_score(model, text):
    return float(model.own_scores([model.encode(Example(PROMPT, text)).ids])[0])


def test_delete_is_the_model_on_the_text_without_the_span(model, analysis):
    words = units(RESPONSE, analysis.offsets, "word")
    for word, check in zip(words, causal_checks(model, analysis, words), strict=True):
        assert check.edited == RESPONSE[: word.start] + RESPONSE[word.end :]
        assert check.actual == pytest.approx(own_score(model, check.edited) - analysis.score, abs=1e-4)


def test_replace_puts_the_text_in_its_place(model, analysis):
    word = units(RESPONSE, analysis.offsets, "word")[1]
    [check] = causal_checks(model, analysis, [word], "replace", " dull")
    assert check.edited == "A dull, moving film. But the last act is dull."
    assert check.after == pytest.approx(own_score(model, check.edited), abs=1e-4)


def test_pad_keeps_every_position(model, analysis):
    word = units(RESPONSE, analysis.offsets, "word")[1]
    [check] = causal_checks(model, analysis, [word], "pad")
    encoding = analysis.observation.encoding
    ids = encoding.ids.copy()
    ids[encoding.start + word.first : encoding.start + word.last] = model.tokenizer.pad_token_id
    assert check.after == pytest.approx(float(model.own_scores([ids])[0]), abs=1e-4)


def test_red_predicts_exactly_what_truncating_the_end_does_up_to_the_closing(model, analysis):
    words = units(RESPONSE, analysis.offsets, "word")
    last = words[-1]
    [check] = causal_checks(model, analysis, [last])
    red = analysis.credits["red"]
    expected = float(analysis.prefix_scores[last.first] - analysis.prefix_scores[last.last])
    assert check.predicted(red) == pytest.approx(expected, abs=1e-5)
    closing = analysis.closing
    closing_without = check.after - float(analysis.prefix_scores[last.first])
    assert check.actual == pytest.approx(expected + closing_without - closing, abs=1e-4)


def test_the_closing_share_is_no_token_s_own():
    credit = Credit(np.array([0.5, -1.0, 0.25 + 8.0], np.float32), None, None, closing=8.0)
    one, two, three = (Unit("x", k, k + 1, k, k + 1) for k in range(3))
    assert top_units(credit, [one, two, three], 1) == [two]
    assert top_units(credit, [one], 1) == [one]  # a span that is not the last has no closing share to lose
    assert [CausalCheck(u, "delete", 0, 0, "").predicted(credit) for u in (one, two, three)] == [-0.5, 1.0, -0.25]


def test_what_cannot_be_done_is_said(model, analysis):
    whole = units(RESPONSE, analysis.offsets, "sentence")
    with pytest.raises(RedvizError, match="no operator"):
        causal_checks(model, analysis, whole[:1], "erase")
    single = redviz.analyze(model, PROMPT, "Dull.", ["red"])
    with pytest.raises(RedvizError, match="Nothing would remain"):
        causal_checks(model, single, units("Dull.", single.offsets, "sentence"))


def test_pad_at_the_end_of_a_text_that_nothing_follows_moves_where_the_model_reads(tmp_path):
    open_model = redviz.load_reward_model(str(tiny.save(tmp_path, "Llama", "open")), device="cpu")
    analysis = redviz.analyze(open_model, PROMPT, RESPONSE, ["red"])
    last = units(RESPONSE, analysis.offsets, "word")[-1]
    [check] = causal_checks(open_model, analysis, [last], "pad")
    encoding = analysis.observation.encoding
    ids = encoding.ids.copy()
    ids[encoding.start + last.first : encoding.start + last.last] = open_model.tokenizer.pad_token_id
    assert check.after == pytest.approx(float(open_model.own_scores([ids])[0]), abs=1e-4)
    occlusion = redviz.analyze(
        open_model, PROMPT, RESPONSE, {"o": {"method": "occlusion", "operator": "pad", "players": "word"}}
    )
    assert check.predicted(occlusion.credits["o"]) == pytest.approx(check.actual, abs=1e-4)
