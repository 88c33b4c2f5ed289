"""Text that cannot be seen gets a mark, and nothing a token holds can turn the page round."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from redviz.view.marks import flat, pieces
from tests.browser import analyses


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        (" film", (" film",)),
        ("\n", ("", "↵", "\n")),
        ("\n\n", ("", "↵", "\n", "↵", "\n")),
        ("so\nit", ("so", "↵", "\nit")),
        ("\t", ("", "→", "\t")),
        ("   ", ("", "···", "\u200b")),
        ("", ("", "∅", "")),
        ("\u200b", ("", "∅", "")),
        ("\u0301", ("◌\u0301",)),
        ("a\u202eb", ("a", "∅", "b")),
        ("\x07", ("", "␇", "")),
    ],
)
def test_marks(text, drawn):
    assert pieces(text) == drawn


@given(some.text())
def test_every_text_shows_something_and_never_turns_the_page(text):
    parts = pieces(text)
    assert len(parts) % 2 == 1
    shown = "".join(parts)
    assert shown.strip(" \n\t\u200b\u200c")
    assert not set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069") & set(shown)
    shown.encode()  # no lone surrogates: the page and the wire are UTF-8
    assert "\n" not in flat(text)


@given(some.text(alphabet=some.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_text_that_can_be_seen_stays_as_it_is(text):
    assert "".join(pieces(text)).replace("\u200c", "") == text.replace("\u200c", "")


def test_every_hostile_piece_shows_something():
    assert all(flat(piece).strip() for piece in analyses.HOSTILE)
