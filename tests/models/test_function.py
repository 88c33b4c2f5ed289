"""A function as a reward model: its tokens tile the text, it is called as rarely as promised, and its mistakes are named."""

import functools
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from redviz.errors import RedvizError
from redviz.models.kinds.function import SPLITS, reward_function, split_text
from redviz.records import Analysis, Example
from redviz.text import units

MESSAGES = ({"role": "user", "content": "Six times seven?"}, {"role": "user", "content": "Please."})


class Recorder:
    """Scores a response by its length and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, prompt, response):
        self.asked.append((prompt, response))
        return len(response)


# ---------------------------------------------------------------- tokens


@pytest.mark.parametrize(
    ("split", "text", "tokens"),
    [
        ("word", "It is\n 42. ", ["It", " is", "\n 42. "]),
        ("word", "  lead", ["  lead"]),
        ("word", " \n", [" \n"]),
        ("line", "def f():\n    return 1\n", ["def f():\n", "    return 1\n"]),
        ("line", "one\n\n\ttwo\n \n", ["one\n\n", "\ttwo\n \n"]),
        ("line", "\n \none\ntwo", ["\n \none\n", "two"]),
        ("line", "a\r\nb", ["a\r\n", "b"]),
        ("line", "\n\n", ["\n\n"]),
        ("character", "e\u0301👨\u200d👩\u200d👧 x", ["e\u0301", "👨\u200d👩\u200d👧", " ", "x"]),
    ],
)
def test_a_text_falls_into(split, text, tokens):
    assert [text[a:b] for a, b in split_text(text, split)] == tokens


@given(st.text(alphabet=st.sampled_from("ab \t\n\r.\u3000é"), min_size=1), st.sampled_from(SPLITS))
def test_tokens_tile_the_whole_response(text, split):
    spans = split_text(text, split)
    assert [a for a, _ in spans] == [0, *(b for _, b in spans[:-1])]
    assert spans[-1][1] == len(text)
    assert all(a < b for a, b in spans)


def test_a_long_run_of_blanks_takes_no_time():
    assert split_text("a" + " " * 300_000, "word") == ((0, 300_001),)


def test_lines_are_sentences_and_words_are_words_for_the_methods_that_group():
    code = "def f(x):\n    if x:\n        return 1\n"
    lines = reward_function(len_of, split="line").encode(Example("", code))
    assert [u.text for u in units(code, lines.offsets, "sentence")] == code.splitlines(keepends=True)
    text = "One two. Three"
    words = reward_function(len_of).encode(Example("", text))
    assert [u.text for u in units(text, words.offsets, "word")] == ["One", " two.", " Three"]
    assert [u.text for u in units(text, words.offsets, "sentence")] == ["One two.", " Three"]


def len_of(prompt, response):
    return len(response)


@pytest.mark.parametrize("prompt", ["Six times seven?", "", MESSAGES])
def test_the_encoding_is_one_piece_of_prompt_and_the_tokens(prompt):
    example = Example(prompt, "It is 42", "x/a")
    encoding = reward_function(len_of).encode(example)
    assert encoding.pieces == ("(prompt)", "It", " is", " 42")
    assert (encoding.start, encoding.stop, encoding.read) == (1, 4, 3)
    assert encoding.ids.dtype == np.int64 and encoding.ids.tolist() == [0, 1, 2, 3]
    assert encoding.offsets == ((0, 2), (2, 5), (5, 8))
    assert encoding.rendered.endswith("It is 42") and encoding.example is example
    assert all(m["content"] in encoding.rendered for m in prompt if not isinstance(prompt, str))
    assert not isinstance(prompt, str) or encoding.rendered == prompt + "It is 42"


@pytest.mark.parametrize(
    ("response", "reason"),
    [("", "The response is empty; give"), ("half \ud83d", r"half of a surrogate pair \(U\+D83D\)")],
)
def test_what_cannot_be_scored_is_refused_as_by_other_models(response, reason):
    with pytest.raises(RedvizError, match=reason):
        reward_function(len_of).encode(Example("Hello", response))


# ---------------------------------------------------------------- scores


def test_an_observation_is_two_calls_and_knows_no_prefix_scores_between():
    asked = Recorder()
    model = reward_function(asked)
    observation = model.observe(model.encode(Example(MESSAGES, "It is 42")))
    assert sorted(asked.asked, key=lambda pair: len(pair[1])) == [(MESSAGES, ""), (MESSAGES, "It is 42")]
    assert model.forwards == 2
    np.testing.assert_array_equal(observation.prefix_scores, np.float32([0, np.nan, np.nan, 8]))
    assert observation.column_scores.dtype == np.float32
    assert observation.black_box and observation.response_row is None and observation.pooling_row is None
    assert (observation.score, observation.closing, observation.has_end) == (8.0, 0.0, False)
    analysis = Analysis(observation.encoding.example, model.source, observation)
    assert (analysis.base, analysis.score, analysis.tokens) == (0.0, 8.0, ("It", " is", " 42"))


def test_a_response_of_one_token_has_all_its_prefix_scores():
    model = reward_function(lambda prompt, response: 3 if response else -1)
    assert model.observe(model.encode(Example("", "Yes"))).prefix_scores.tolist() == [-1.0, 3.0]


def test_a_function_that_refuses_the_empty_response_has_no_base():
    model = reward_function(lambda prompt, response: 1 / len(response), name="inverse")
    observation = model.observe(model.encode(Example("", "two words")))
    np.testing.assert_array_equal(observation.prefix_scores, np.float32([np.nan, np.nan, 1 / 9]))
    (notice,) = observation.encoding.notices
    assert notice.startswith("There is no score of the empty response: inverse raised ZeroDivisionError")


def test_equal_texts_are_asked_for_once_per_call_and_scores_keep_their_order():
    asked = Recorder()
    model = reward_function(asked)
    scores = model.score_texts("p", ["ccc", "a", "ccc", "", "a"])
    assert scores.dtype == np.float32 and scores.tolist() == [3, 1, 3, 0, 1]
    assert [text for _, text in asked.asked] == ["ccc", "a", ""]
    assert model.forwards == 3
    model.score_texts("p", ["a"])  # another call asks again: the function may have changed
    assert model.forwards == 4
    assert model.score_texts("p", []).shape == (0,)


@pytest.mark.parametrize(
    ("value", "score"),
    [
        (True, 1.0),
        (False, 0.0),
        (np.bool_(True), 1.0),
        (np.float64(0.5), 0.5),
        (np.int8(-128), -128.0),
        (np.float16(2), 2.0),
        (7, 7.0),
        (Fraction(1, 4), 0.25),
    ],
)
def test_numbers_and_bools_are_scores(value, score):
    assert reward_function(lambda prompt, response: value).score_texts("", ["x"]).tolist() == [score]


class Unshowable:
    def __repr__(self):
        raise ValueError


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None"),
        ("0.5", "'0.5'"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (1e39, r"1e\+39"),  # no float32
        (1j, "1j"),
        (np.ones(2), r"array\(\[1., 1.\]\)"),
        pytest.param(10**5000, "a int that cannot be shown", id="too long to write"),
        (Unshowable(), "a Unshowable that cannot be shown"),
    ],
)
def test_what_is_no_finite_number_is_one_sentence(value, shown):
    model = reward_function(lambda prompt, response: value, name="my rule")
    with pytest.raises(
        RedvizError, match=rf"^my rule returned {shown} for the response 'It is 42'; make it return a finite"
    ):
        model.score_texts("", ["It is 42"])


@pytest.mark.parametrize("error", [KeyError("no such\nkey"), RecursionError("no such key"), SystemExit("no such key")])
def test_an_exception_inside_is_one_sentence(error):
    def broken(prompt, response):
        raise error

    with pytest.raises(RedvizError) as caught:
        reward_function(broken).score_texts("", ["x" * 1000])
    message = str(caught.value)
    assert message.startswith(f"broken raised {type(error).__name__} (") and "\n" not in message and len(message) < 250
    assert caught.value.__cause__ is error


def test_a_sentence_of_redviz_passes_as_it_is_and_an_interrupt_goes_through():
    def refuses(prompt, response):
        raise (KeyboardInterrupt if response else RedvizError("Give a prompt."))

    with pytest.raises(RedvizError, match=r"^Give a prompt\.$"):
        reward_function(refuses).score_texts("", [""])
    with pytest.raises(KeyboardInterrupt):
        reward_function(refuses).score_texts("", ["x"])


# ---------------------------------------------------------------- the model


def test_names_and_settings():
    model = reward_function(len_of)
    assert (model.name, model.split, model.device, model.forwards) == ("len_of", "word", "cpu", 0)
    assert model.source.model == "len_of" and model.source.device == "cpu" and model.source.template_hash == ""
    assert model.max_length >= 10**9
    assert reward_function(functools.partial(len_of)).name == "partial"
    assert reward_function(Recorder(), name="length").source.model == "length"
    with pytest.raises(RedvizError, match="split is 'sentence'; use one of word, line, character"):
        reward_function(len_of, split="sentence")
    with pytest.raises(RedvizError, match="'len_of' is no function; give one that is called as"):
        reward_function("len_of")


def threshold(least, default=0.0):
    def above(prompt, response, otherwise=default):
        return 1.0 if len(response) > least else otherwise

    return above


def test_the_fingerprint_is_stable_and_tells_functions_apart():
    assert reward_function(threshold(3)).source.fingerprint == reward_function(threshold(3)).source.fingerprint
    prints = [
        reward_function(f, split=split).source.fingerprint
        for f, split in [
            (threshold(3), "word"),
            (threshold(4), "word"),
            (threshold(3, 0.5), "word"),
            (threshold(3), "line"),
            (len_of, "word"),
        ]
    ]
    assert len(set(prints)) == len(prints) and all(len(p) == 16 for p in prints)


def test_functions_need_no_torch():
    code = (
        "import sys, redviz.models.kinds.function; from redviz.models.rules.rules import load_rule; "
        "load_rule('rule:summary'); print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"
