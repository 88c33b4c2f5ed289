"""Cells that need no model: words, punctuation apart, no blanks, no split character."""

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from redviz.annotation.cells import cells_of, signs, token_f1
from redviz.data.labels.labels import Mark
from redviz.errors import RedvizError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don’t stop -- it's well-made!", ["Don’t", "stop", "-", "-", "it's", "well-made", "!"]),
        ("'quoted' x- -y", ["'", "quoted", "'", "x", "-", "-", "y"]),
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("ok 👨‍👩‍👧‍👦🇩🇪!", ["ok", "👨‍👩‍👧‍👦", "🇩🇪", "!"]),
        ("مرحبا بالعالم، كيف؟", ["مرحبا", "بالعالم", "،", "كيف", "؟"]),
        ("हिन्दी है।", ["हिन्दी", "है", "।"]),
        ("这是 ok 吗？", ["这", "是", "ok", "吗", "？"]),
        ("a\r\n\u3000b\x00", ["a", "b", "\x00"]),
        (" \n", []),
        ("", []),
    ],
)
def test_words(text, words):
    assert [text[a:b] for a, b in cells_of(text)] == words


@given(
    st.text(alphabet=st.sampled_from("a b'’-.é\u0301\u200d👩🇩🇪中\r\n\ud800"), max_size=30),
    st.sampled_from(["word", "character"]),
)
def test_cells_hold_every_character_but_blanks_once_and_split_none(text, unit):
    found = cells_of(text, unit)
    whole = {0, *(match.end() for match in regex.finditer(r"\X", text))}
    assert all(a < b and {a, b} <= whole for a, b in found)
    assert all(before[1] <= after[0] for before, after in zip(found, found[1:], strict=False))
    covered = {c for a, b in found for c in range(a, b)}
    assert all(text[c].isspace() for c in set(range(len(text))) - covered)


def test_an_unknown_unit_is_refused():
    with pytest.raises(RedvizError, match="use one of word, character"):
        cells_of("a", "token")


def test_agreement_wants_the_same_sign_on_the_same_cells():
    cells = cells_of("good bad dull")
    gold = signs([Mark(0, 4, 2.0), Mark(5, 8, -1.0)], cells, 13)
    assert gold == [1, -1, 0]
    assert token_f1([(gold, gold)]) == 1.0
    assert token_f1([([1, 1, 0], gold)]) == 0.5
    assert token_f1([([0, 0, 0], gold)]) == 0.0
    assert token_f1([([0, 0, 0], [0, 0, 0])]) == 1.0
