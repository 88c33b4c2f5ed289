"""Responses side by side: what they share is computed once and cancels, and the spans' shares sum to the margin."""

import json
import math
import re
from dataclasses import replace

import bag
import numpy as np
import pytest
import tiny
import torch
from close import summed
from hypothesis import given, settings
from hypothesis import strategies as st

import redviz
from redviz.analysis import analyze
from redviz.comparison import Comparison, compare, compare_models, observe_together
from redviz.credit.from_records.margin import shared_tokens, spans_after
from redviz.credit.from_records.prefix import red
from redviz.credit.from_records.two_models import ModelComparison
from redviz.errors import RedvizError
from redviz.models.kinds.function import reward_function
from redviz.models.running import shared_prompt
from redviz.records import Analysis, Source

PROMPT = "Write a short review of the film you saw last night, please."
PAIR = ["The lead is superb, funny and moving.", "The lead is dull, and I did not like it 👍."]
UNUSUAL = "Its cinematography is glorious 👍, but the screenplay bored me."  # other tokens under another tokenizer
FAST = {
    "red": {},
    "abc": {},
    "uniform": {},
    "half": {"method": "red", "beta_c": 0.5},
    "zero": {"method": "red", "initial": "zero_first"},
    "words": {"method": "red", "segment": "word"},
}


@pytest.fixture(scope="module")
def model():
    return tiny.model()


@pytest.fixture(scope="module")
def pair(model):
    return compare(model, PROMPT, PAIR, FAST)


def made(*prefixes, closings=None):
    """A comparison of responses with these prefix scores; the tokens of each are its own."""
    analyses = []
    for number, prefix in enumerate(prefixes):
        observation = bag.observation(prefix, None if closings is None else closings[number])
        ids = observation.encoding.ids.copy()
        ids[2 : 1 + len(prefix)] = 10 + number
        observation = replace(observation, encoding=replace(observation.encoding, ids=ids))
        credits = {"red": red(observation)}
        analyses.append(Analysis(observation.encoding.example, Source("bag"), observation, credits))
    return Comparison(tuple(analyses))


# ---------------------------------------------------------------- what is computed


@pytest.mark.parametrize("architecture", ["Llama", "Mistral"])
def test_each_is_what_analyze_gives(architecture):
    model = tiny.model(architecture)
    responses = [*PAIR, "Superb", "The lead is superb"]
    found = compare(model, PROMPT, responses, ["red", "abc", "uniform"])
    for one, response in zip(found.analyses, responses, strict=True):
        alone = analyze(model, PROMPT, response, ["red", "abc", "uniform"])
        assert one.example == alone.example and one.tokens == alone.tokens and list(one.credits) == list(alone.credits)
        assert one.score == pytest.approx(alone.score, abs=1e-4)
        for label, credit in alone.credits.items():
            np.testing.assert_allclose(one.credits[label].values, credit.values, rtol=0, atol=1e-4)


def test_the_prompt_runs_once(model):
    before = model.forwards
    compare(model, PROMPT, [*PAIR, "Superb"], ["red", "abc", "sparse"])
    assert model.forwards == before + 2


def test_where_memory_runs_out_the_passes_are_smaller(model, monkeypatch):
    encodings = [model.encode(redviz.Example(PROMPT, response)) for response in PAIR]
    wanted = observe_together(model, encodings)

    def full(*_):
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(shared_prompt, "observe_responses", full)
    for one, two in zip(observe_together(model, encodings), wanted, strict=True):
        np.testing.assert_allclose(one.column_scores, two.column_scores, rtol=0, atol=1e-4)


def test_progress_is_of_the_whole(model):
    told = []
    compare(model, PROMPT, PAIR, {"red": {}, "ig": {"steps": 4}}, progress=lambda *done: told.append(done))
    assert told == sorted(told) and {total for _, total in told} == {4000}
    assert told[0][0] >= 1000 and told[-1] == (4000, 4000)  # red of the first is done by then


# ---------------------------------------------------------------- where they part


def test_where_they_part(model):
    responses = ["The lead is superb", "The lead is dull", "A film", "The lead is superb, funny"]
    found = compare(model, PROMPT, responses, ["red"])
    tokens = [analysis.tokens for analysis in found.analyses]
    first, second, third, last = found.parts
    assert (first.token, first.character, third.token, third.character) == (0, 0, 0, 0)
    assert tokens[1][: second.token] == tokens[0][: second.token] and tokens[1][second.token] != tokens[0][second.token]
    assert responses[1][second.character :].strip().startswith("d")
    assert last.token == len(tokens[0]) and responses[3][last.character :] == ", funny"
    ended = compare(model, PROMPT, [responses[3], responses[0]], ["red"]).parts[1]
    assert (ended.token, ended.character) == (len(tokens[0]), len(responses[0]))


def test_characters_may_part_in_the_middle(model):
    """Two emoji of four tokens each part in the third or fourth; the share of the whole character begins there."""
    found = compare(model, PROMPT, ["A film 👍 .", "A film 👎 ."], ["red"])
    part = found.parts[1]
    assert found.analyses[1].offsets[part.token - 1][0] == 7  # the token before belongs to the same character
    texts = [row.text for row in found.shares(0, 1).rows if row.kind == "span"]
    assert texts[0] == "👍" and "👎" in texts
    assert sum(row.value for row in found.shares(0, 1).rows) == pytest.approx(found.margin(0, 1), abs=1e-5)


def test_a_straddling_first_token_parts_at_once_and_the_references_differ():
    model = tiny.model("Llama", "none")
    found = compare(model, "A film that is sup", [" superb film", "erb film"], ["red", "abc"])
    assert found.parts[1].token == 0
    assert found.analyses[0].base != pytest.approx(found.analyses[1].base, abs=1e-3)
    shares = found.shares(0, 1)
    (row,) = (row for row in shares.rows if row.kind == "reference")
    assert row.value == pytest.approx(found.analyses[0].base - found.analyses[1].base)
    assert "compares the two responses with different references" in shares.remarks[0]
    assert shares.total() == pytest.approx(found.margin(0, 1), abs=1e-5)
    assert not found.shares(0, 1, "abc").remarks  # compares with nothing


def test_curves_lie_on_one_another_where_the_responses_are_the_same(pair):
    shared = pair.parts[1].token
    assert shared > 2
    one, two = (a.prefix_scores for a in pair.analyses)
    np.testing.assert_array_equal(one[: shared + 1], two[: shared + 1])
    assert one[shared + 1] != two[shared + 1]
    for x, analysis in zip(pair.positions, pair.analyses, strict=True):
        assert x.tolist() == list(range(len(analysis.tokens) + 1))


# ---------------------------------------------------------------- margins


def test_margin_and_probability():
    found = made([0.0, 1.0], [0.0, -0.5], [0.0, 900.0])
    assert found.margin(0, 1) == 1.5 and found.margin(1, 0) == -1.5 and found.margin(1, 1) == 0
    assert found.probability(0, 1) == pytest.approx(1 / (1 + math.exp(-1.5)))
    assert found.probability(0, 1) + found.probability(1, 0) == pytest.approx(1)
    assert (found.probability(0, 2), found.probability(2, 0), found.probability(1, 1)) == (0.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("scores", "lengths", "said"),
    [
        ((2, 1), (12, 5), "The longer response wins (12 and 5 tokens): .* the same way."),
        ((1, 2), (12, 5), "The shorter response wins (12 and 5 tokens): .* the other way round."),
        ((1, 2), (12, 11), ""),
        ((1, 1), (12, 5), "The lengths differ much (12 and 5 tokens)"),
        ((1, 1), (12, 12), ""),
        ((3, 2, 1), (12, 11, 10), "The longer response always wins (12, 11 and 10 tokens)"),
        ((1, 2, 3), (12, 11, 10), "The shorter response always wins"),
        ((1, 3, 2), (12, 11, 10), ""),
        ((1, 3, 2), (12, 11, 4), "The lengths differ much (12, 11 and 4 tokens)"),
    ],
)
def test_the_length_remark(scores, lengths, said):
    found = made(*([0.0] * length + [float(score)] for score, length in zip(scores, lengths, strict=True)))
    if said:
        assert re.match(re.escape(said).replace(r"\.\*", ".*"), found.length_remark)
    else:
        assert found.length_remark == ""


# ---------------------------------------------------------------- shares


WORDS = [
    " film",
    " superb",
    ", dull",
    " moving",
    " I did not",
    " like it",
    ".",
    "\n\n",
    " 👍",
    " quiet",
    "sup",
    " é",
    "x",
]
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=9).map("".join)


@settings(max_examples=40)
@given(
    beginning=st.sampled_from(["", "The lead", "A superb, moving film."]),
    one=TEXT,
    two=TEXT,
    granularity=st.sampled_from(["token", "word", "sentence"]),
    template=st.sampled_from(["closed", "none"]),
)
def test_shares_sum_to_the_margin(beginning, one, two, granularity, template):
    if one == two:
        return
    found = compare(tiny.model("Llama", template), PROMPT, [beginning + one, beginning + two], FAST)
    for label in FAST:
        for i, j in ((0, 1), (1, 0)):
            shares = found.shares(i, j, label, granularity)
            assert shares.margin == pytest.approx(found.margin(i, j), abs=1e-12)
            assert shares.total() == pytest.approx(found.margin(i, j), abs=1e-5)
            assert sum(shares.total(response=k) for k in (0, 1)) + shares.total(
                "shared", "reference", "residual"
            ) == pytest.approx(found.margin(i, j), abs=1e-5)
    kinds = {row.kind for row in found.shares(0, 1, "red", granularity).rows}
    straddles = shared_tokens(*found.analyses) == 0 and found.analyses[0].base != found.analyses[1].base
    assert kinds <= {"span", "end", "reference"} and ("reference" not in kinds or straddles)


@pytest.mark.parametrize("granularity", ["token", "word", "sentence"])
def test_spans_are_the_text_after_the_parting_point(pair, granularity):
    for j, sign in ((0, 1), (1, -1)):
        analysis = pair.analyses[j]
        part = pair.parts[j]
        shares = pair.shares(0, 1, "red", granularity)
        spans = [row for row in shares.rows if row.kind == "span" and row.response == j]
        assert "".join(row.text for row in spans) == analysis.response[part.character :]
        assert all(row.text == analysis.response[row.start : row.end] for row in spans)
        after = analysis.credits["red"].own[part.token :]
        assert sum(row.value for row in spans) == pytest.approx(sign * after.sum(), abs=summed(after))
        (end,) = (row for row in shares.rows if row.kind == "end" and row.response == j)
        assert end.value == pytest.approx(sign * analysis.closing, abs=1e-6)
    if granularity == "sentence":
        assert [row.kind for row in shares.rows] == ["span", "end"] * 2
    turned = pair.shares(1, 0, "red", granularity)
    assert sorted(row.value for row in turned.rows) == pytest.approx(sorted(-row.value for row in shares.rows))


def test_closed_form():
    """Three tokens against two, nothing shared: every step of the prefix scores is a share."""
    found = made([1.0, 3.0, 2.5, 4.0], [1.0, 0.5, 2.0], closings=[5.0, 1.75])
    rows = found.shares(0, 1, "red", "token").rows
    assert [(row.kind, row.response, row.value) for row in rows] == [
        ("span", 0, 2.0),
        ("span", 0, -0.5),
        ("span", 0, 1.5),
        ("end", 0, 1.0),
        ("span", 1, 0.5),
        ("span", 1, -1.5),
        ("end", 1, 0.25),
    ]
    assert found.margin(0, 1) == 3.25 == sum(row.value for row in rows)
    assert [row.value for row in found.shares(0, 1, "red", "token").largest][:2] == [2.0, 1.5]


def test_red_cancels_what_is_shared_and_hindsight_does_not(pair):
    shared = pair.parts[1].token
    one, two = pair.analyses
    np.testing.assert_array_equal(one.credits["red"].values[:shared], two.credits["red"].values[:shared])
    assert pair.shares(0, 1, "red").remarks == ()
    abc = pair.shares(0, 1, "abc")
    (row,) = (row for row in abc.rows if row.kind == "shared")
    assert row.text == PAIR[0][: pair.parts[1].character] == "The lead is "[: pair.parts[1].character]
    before = [analysis.credits["abc"].own[:shared].sum() for analysis in pair.analyses]
    assert row.value == pytest.approx(before[0] - before[1]) and abs(row.value) > 1e-3
    assert abc.remarks == (
        "abc credits the shared beginning differently in the two responses; the difference is a row of its own.",
    )


def test_gradients_have_references_and_residuals_of_their_own(model):
    found = compare(model, PROMPT, PAIR, {"ig": {"steps": 3}})
    shares = found.shares(0, 1, "ig")
    credits = [analysis.credits["ig"] for analysis in found.analyses]
    by_kind = {row.kind: row.value for row in shares.rows if row.response is None}
    assert by_kind["reference"] == pytest.approx(credits[0].reference - credits[1].reference)
    assert by_kind["residual"] == pytest.approx(credits[0].residual - credits[1].residual)
    assert abs(by_kind["residual"]) > 1e-3  # three steps are too few
    assert shares.total() == pytest.approx(found.margin(0, 1), abs=1e-5)


def test_credits_that_explain_something_else_say_so(pair):
    doubled = tuple(
        replace(a, credits={"mine": replace(a.credits["uniform"], total=2 * a.score, values=2 * a.credits["uniform"].values)})
        for a in pair.analyses
    )  # fmt: skip
    shares = Comparison(doubled).shares(0, 1, "mine")
    assert shares.margin == pytest.approx(2 * pair.margin(0, 1))
    assert shares.total() == pytest.approx(shares.margin, abs=1e-5)
    assert "mine does not explain the score" in shares.remarks[-1]


def test_a_unit_in_which_they_part_is_cut_there(model):
    analysis = analyze(model, PROMPT, "A superbly quiet film", ["red"])
    whole = spans_after(analysis, 0, "word")
    inside = next(unit for unit in whole if unit.last - unit.first > 1)
    cut = spans_after(analysis, inside.first + 1, "word")[0]
    assert (cut.first, cut.last, cut.end) == (inside.first + 1, inside.last, inside.end)
    assert cut.text == analysis.response[analysis.offsets[cut.first][0] : cut.end]


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("responses", "said"),
    [
        (["A film."], "There is 1 response to compare; give two to 6"),
        ([], "There are 0 responses"),
        ([str(n) for n in range(7)], "There are 7 responses"),
        (["A film.", "", "x"], "Response 2 is empty"),
        (["A", "B", "A"], "Responses 1 and 3 are the same text"),
        (["A", 3], "Response 2 is int, not text"),
        ("A film.", "responses is str; give a list"),
        (None, "responses is NoneType"),
    ],
)
def test_bad_responses_are_one_sentence(model, responses, said):
    before = model.forwards
    with pytest.raises(RedvizError, match=said):
        compare(model, PROMPT, responses, ["red"])
    assert model.forwards == before


def test_shares_that_cannot_be(model):
    found = compare(model, PROMPT, PAIR, ["red", "abc", "grad_x_input"])
    for asked, said in [
        ((0, 2), "no response 2; they are counted from 0 to 1"),
        ((-1, 0), "no response -1"),
        ((1, 1), "no margin over itself"),
        ((0, 1, "ig"), "no credits 'ig' here; use one of red, abc, grad_x_input"),
        ((0, 1, "grad_x_input"), "promises no sum, so its credits are no shares of a margin; use red, abc"),
        ((0, 1, "red", "letter"), "no granularity 'letter'"),
    ]:
        with pytest.raises(RedvizError, match=said):
            found.shares(*asked)
    assert {shares.label for shares in found.all_shares()} == {"red", "abc"}


# ---------------------------------------------------------------- functions of text, and what comes out


def test_a_function_of_text_is_compared_by_its_words():
    model = reward_function(lambda prompt, response: float(response.count("good") - len(response) / 100))
    found = compare(model, "Hi", ["a good film", "a good, good film", "a film"], ["sparse", "truncation"])
    assert found.parts[1].token == 1 and found.parts[1].character == 1
    shares = found.shares(0, 1, "truncation")
    assert "shared" not in {row.kind for row in shares.rows}  # a prefix is a prefix to a function, too
    assert shares.total() == pytest.approx(found.margin(0, 1), abs=1e-5)
    assert json.loads(json.dumps(found.to_dict()))["margins"][0][2] == pytest.approx(found.margin(0, 2))


def test_everything_is_plain_json_and_a_frame(model):
    responses = [*PAIR, "Superb"]
    found = compare(model, PROMPT, responses, ["red", "abc", "grad_x_input"])
    told = json.loads(json.dumps(found.to_dict()))
    assert [a["response"] for a in told["analyses"]] == responses
    assert told["margins"][1][2] == pytest.approx(found.margin(1, 2))
    assert told["probabilities"][2][0] == pytest.approx(found.probability(2, 0))
    assert told["parts"][1] == {"token": found.parts[1].token, "character": found.parts[1].character}
    assert told["length_remark"] == found.length_remark != ""
    frame = found.to_frame()
    sums = frame.groupby(["label", "first", "second"])["value"].sum()
    assert set(sums.index) == {(label, 0, j) for label in ("red", "abc") for j in (1, 2)}
    for (_, i, j), value in sums.items():
        assert value == pytest.approx(found.margin(i, j), abs=1e-5)
    assert [row["text"] for shares in told["shares"] for row in shares["rows"]] == frame["text"].tolist()
    assert found.to_frame("token").shape[0] > frame.shape[0]


# ---------------------------------------------------------------- two models


@pytest.fixture(scope="module")
def two(model, sentiment):
    return compare_models(model, sentiment, PROMPT, UNUSUAL, ["red", "abc"])


def test_two_models_are_matched_by_characters(two):
    one, other = two.analyses
    assert one.source.model != other.source.model and one.tokens != other.tokens
    alone = analyze(tiny.model(), PROMPT, UNUSUAL, ["red", "abc"])
    np.testing.assert_array_equal(one.credits["red"].values, alone.credits["red"].values)
    ours, theirs = two.prefix_scores
    np.testing.assert_array_equal(ours, one.prefix_scores)
    assert theirs.shape == ours.shape == two.characters.shape
    for t, character in enumerate(two.characters.tolist()):
        read = sum(end <= character for _, end in other.offsets) if t else 0
        assert theirs[t] == other.prefix_scores[read]


@pytest.mark.parametrize("granularity", ["token", "word", "sentence"])
def test_spans_of_two_models_tile_the_response_and_keep_both_sums(two, granularity):
    spans = two.spans(granularity)
    assert "".join(span.text for span in spans) == UNUSUAL
    assert spans[-1].kind == "end" and {span.kind for span in spans[:-1]} == {"span"}
    for at, analysis in enumerate(two.analyses):
        assert spans[-1].prefix_scores[at] == analysis.score
        assert spans[-2].prefix_scores[at] == analysis.prefix_scores[-1]
        for label, credit in analysis.credits.items():
            found = sum(span.credits[label][at] for span in spans)
            assert found == pytest.approx(credit.values.sum(dtype=np.float64), abs=summed(credit.values))
        steps = np.diff([analysis.base, *(span.prefix_scores[at] for span in spans)])
        assert [span.credits["red"][at] for span in spans] == pytest.approx(steps.tolist(), abs=1e-5)
    assert len(two.spans("sentence")) < len(two.spans("word")) <= len(two.spans("token"))


def test_where_one_model_s_context_cut_the_response_the_rest_is_one_span(model):
    short = replace(model, max_length=40)
    response = "A superb film. " * 8
    found = compare_models(model, short, "Hi", response, ["red"])
    assert found.analyses[1].truncated
    rest = found.spans()[-2]
    assert rest.start == found.analyses[1].offsets[-1][1] and rest.end == len(response)
    assert rest.credits["red"][1] == 0 and rest.prefix_scores[1] == found.analyses[1].prefix_scores[-1]
    assert found.prefix_scores[1][-1] == found.analyses[1].prefix_scores[-1]


def test_two_models_as_json_and_a_frame(two):
    told = json.loads(json.dumps(two.to_dict()))
    assert len(told["spans"]) == len(two.spans()) and told["characters"] == two.characters.tolist()
    frame = two.to_frame()
    assert frame["red b"].sum() == pytest.approx(two.analyses[1].credits["red"].values.sum(), abs=1e-5)
    rule = reward_function(lambda prompt, response: float(len(response)), name="length")
    mixed = compare_models(tiny.model(), rule, PROMPT, PAIR[0], ["sparse"])
    assert json.loads(json.dumps(mixed.to_dict()))["prefix_scores"][1][1] is None  # known only at its ends
    assert isinstance(mixed, ModelComparison)
