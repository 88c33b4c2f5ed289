"""Cells, words and sentences: whole characters as people see them, every token in exactly one unit, sums kept."""

import numpy as np
import pytest
import regex
import tiny
from hypothesis import example, given
from hypothesis import strategies as st

from redviz.errors import RedvizError
from redviz.text import GRANULARITIES, align, cells, pool, units, visible

TOKENIZER = tiny.tokenizer("none")
MIXED = st.text(st.sampled_from("ab Z.!?,\n\t'’-12éё漢字。」مرحبا👍🏽👩‍👧🇩🇪\u200b\u200d\u0301"), max_size=30)


def by_bytes(text, cuts):
    """Offsets as byte-level tokenizers give them: a token that holds part of a character spans all of it."""
    owner = [i for i, c in enumerate(text) for _ in c.encode()]  # the character of every byte
    edges = sorted({0, len(owner), *(cut % (len(owner) + 1) for cut in cuts)})
    return [(owner[a], owner[b - 1] + 1) for a, b in zip(edges, edges[1:], strict=False)]


responses = st.one_of(MIXED, st.text(max_size=30))
cuts = st.lists(st.integers(0, 200), max_size=20)


def texts(response, offsets, granularity="token"):
    return [unit.text for unit in units(response, offsets, granularity)]


def one_each(response):
    """A token for every character, blanks leading as byte-level BPE has them."""
    return [match.span() for match in regex.finditer(r" *\S|\s", response)]


# ---------------------------------------------------------------- for any text


@given(responses, cuts, st.sampled_from(GRANULARITIES))
@example("👩‍👩‍👧‍👦!", [3, 5, 9], "token")
@example("e\u0301\u200b \u200d", [1, 2, 3], "word")
def test_units_tile_the_tokens_and_the_text(response, cuts, granularity):
    offsets = by_bytes(response, cuts)
    found = units(response, offsets, granularity)
    assert [u.first for u in found] == [0, *(u.last for u in found[:-1])][: len(found)]
    assert (found[-1].last if found else 0) == len(offsets)
    assert all(u.first < u.last and u.text == response[u.start : u.end] for u in found)
    assert "".join(u.text for u in found) == response
    values = np.arange(len(offsets), dtype=np.float32) ** 1.5
    pooled = pool(values, found)
    assert pooled.dtype == np.float64 and len(pooled) == len(found)
    np.testing.assert_allclose(pooled.sum(), values.sum(dtype=np.float64))


@given(responses, cuts)
def test_no_cell_ends_inside_a_character(response, cuts):
    ends = {match.end() for match in regex.finditer(r"\X", response)}
    assert {cell.end for cell in cells(response, by_bytes(response, cuts))} <= ends


@given(responses, cuts)
def test_cells_are_the_smallest(response, cuts):
    offsets = by_bytes(response, cuts)
    ends = {match.end() for match in regex.finditer(r"\X", response)}
    for cell in cells(response, offsets):
        for t in range(cell.first, cell.last - 1):  # no clean cut between two characters inside
            assert offsets[t][1] > offsets[t + 1][0] or offsets[t][1] not in ends


@given(responses, st.sampled_from(["word", "sentence"]))
def test_coarser_units_are_made_of_cells(response, granularity):
    offsets = one_each(response)
    assert {u.end for u in units(response, offsets, granularity)} <= {c.end for c in cells(response, offsets)}


@given(responses)
def test_a_real_tokenizers_offsets(response):
    offsets = TOKENIZER(response, return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
    assert "".join(cell.text for cell in cells(response, offsets)) == response


# ---------------------------------------------------------------- cells by hand


@pytest.mark.parametrize(
    ("response", "cut", "wanted"),
    [
        ("a👍b", [1, 2, 3, 4, 5], ["a", "👍", "b"]),  # an emoji of four byte tokens
        ("👍🏽.", [4, 8], ["👍🏽", "."]),  # a skin tone belongs to its hand
        ("👩‍👧 x", [4, 7, 11], ["👩‍👧", " x"]),  # a family joined by zero-width joiners
        ("🇩🇪🇫🇷", [4, 8, 12], ["🇩🇪", "🇫🇷"]),
        ("e\u0301a", [1, 3], ["e\u0301", "a"]),  # an accent that is a character of its own
        ("مَر", [2, 4], ["مَ", "ر"]),
        ("漢字", [1, 2, 3, 4, 5], ["漢", "字"]),
        ("漢字", [3], ["漢", "字"]),
        ("a\r\nb", [1, 2, 3], ["a", "\r\n", "b"]),
        ("क्षि", [3, 6, 9], ["क्षि"]),
    ],
)
def test_cells_hold_whole_characters(response, cut, wanted):
    assert texts(response, by_bytes(response, cut)) == wanted


def test_a_token_without_characters_is_a_cell_of_its_own():
    found = cells("ab", [(0, 1), (1, 1), (1, 2)])
    assert [(u.text, u.first, u.last) for u in found] == [("a", 0, 1), ("", 1, 2), ("b", 2, 3)]
    assert cells("ab", [(0, 0), (0, 2)])[0].text == ""
    assert cells("", []) == units("", [], "word") == ()


def test_two_characters_in_one_token_stay_together():
    assert texts("漢字x", [(0, 2), (2, 3)]) == ["漢字", "x"]
    assert texts("ab👍", [(0, 3), (2, 3), (2, 3)]) == ["ab👍"]  # "ab" with the emoji's first byte


# ---------------------------------------------------------------- words and sentences


@pytest.mark.parametrize(
    ("response", "wanted"),
    [
        ("A superb film.", ["A", " superb", " film", "."]),
        ("It's well-made, isn’t it?", ["It's", " well-made", ",", " isn’t", " it", "?"]),
        ("one  two", ["one", "  two"]),
        ("one\ttwo", ["one\t", "two"]),
        ("one\n\ntwo", ["one", "\n", "\n", "two"]),
        ("x = 10;", ["x", " =", " 10", ";"]),
        ("«très bien»", ["«", "très", " bien", "»"]),
        ("مرحبا بك", ["مرحبا", " بك"]),
        ("wow 👍👍!", ["wow", " 👍👍!"]),
    ],
)
def test_words(response, wanted):
    assert texts(response, one_each(response), "word") == wanted


@pytest.mark.parametrize(
    ("response", "wanted"),
    [
        ("It drags. But not much!", ["It drags.", " But not much!"]),
        ('He said "No." Then left.', ['He said "No."', " Then left."]),
        ("Really?! Yes... maybe… ok", ["Really?!", " Yes...", " maybe…", " ok"]),
        ("A 3.5 star film", ["A 3.5 star film"]),
        ("one\ntwo\n\nthree", ["one\n", "two\n\n", "three"]),
        ("好看。真的！？「是。」对", ["好看。", "真的！？", "「是。」", "对"]),
        ("no end", ["no end"]),
    ],
)
def test_sentences(response, wanted):
    assert texts(response, one_each(response), "sentence") == wanted


def test_sentences_of_word_tokens_with_leading_blanks():
    response = "It drags. But why?"
    offsets = [(0, 2), (2, 8), (8, 9), (9, 13), (13, 17), (17, 18)]
    found = units(response, offsets, "sentence")
    assert [(u.text, u.first, u.last) for u in found] == [("It drags.", 0, 3), (" But why?", 3, 6)]
    np.testing.assert_allclose(pool(np.array([1, 2, 3, 4, 5, 6.0]), found), [6, 15])


def test_an_unknown_granularity_names_the_known_ones():
    with pytest.raises(RedvizError, match="token, word, sentence"):
        units("a", [(0, 1)], "paragraph")


# ---------------------------------------------------------------- marks and alignment


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("\n", "↵"),
        ("\t", "→"),
        (" ", "·"),
        ("\n\n ", "↵↵·"),
        ("\u200b", "∅"),
        ("\u200d\u2060", "∅∅"),
        ("", "∅"),
        ("\xa0", "·"),
    ]
    + [("a", ""), (" a", ""), ("👩‍👧", ""), ("\u200bx", "")],
)
def test_what_would_not_show_gets_a_mark(text, mark):
    assert visible(text) == mark


@given(st.text(max_size=20), st.text(max_size=20))
def test_alignment_runs_forward_inside_the_target(source, target):
    boundary = align(source, target)
    assert len(boundary) == len(source) + 1
    assert (np.diff(boundary) >= 0).all()
    assert boundary.min() >= 0 and boundary.max() <= len(target)


@given(st.text(max_size=20))
def test_a_text_is_aligned_with_itself(text):
    assert align(text, text).tolist() == list(range(len(text) + 1))


def test_alignment_by_hand():
    assert align("quite dull", "dull").tolist() == [0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]
    assert align("dull", "quite dull")[[1, 4]].tolist() == [7, 10]
