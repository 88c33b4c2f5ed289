"""Cells, words and sentences: groups of response tokens that a person can point at; and how a duration reads."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import regex

from redviz.errors import RedvizError
from redviz.records import Array

SENTENCE_END = re.compile(r"(?:[.!?…]+[\"'”’)\]]*|[。！？]+[」』）]*)\s*$|\n\s*$")
JOINERS = "'’-"
UNSPACED = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
)  # no blanks between words
ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff\u200e\u200f\u00ad"
GRANULARITIES = ("token", "word", "sentence")


@dataclass(frozen=True)
class Unit:
    """A run of whole characters of the response and the tokens that cover it.

    Attributes
    ----------
    text
        The characters, as they stand in the response.
    start, end
        Character offsets into the response.
    first, last
        Token indices, ``last`` exclusive.
    """

    text: str
    start: int
    end: int
    first: int
    last: int


def cells(response: str, offsets: Sequence[tuple[int, int]]) -> tuple[Unit, ...]:
    """Group tokens into the smallest runs that cover whole characters as people see them (an emoji may be a dozen tokens).

    A token that begins inside a character (a Unicode grapheme cluster) joins the cell of the token before; a token that
    covers no character is a cell of its own with an empty text.
    """
    whole = {match.end() for match in regex.finditer(r"\X", response)}
    groups: list[list[int]] = []  # [start, end, first, last]
    for t, (start, end) in enumerate(offsets):
        if groups and groups[-1][1] > groups[-1][0] and (start < groups[-1][1] or groups[-1][1] not in whole):
            groups[-1][1] = max(groups[-1][1], end)
            groups[-1][3] = t + 1
        else:
            groups.append([start, end, t, t + 1])
    return tuple(Unit(response[a:b], a, b, first, last) for a, b, first, last in groups)


def units(response: str, offsets: Sequence[tuple[int, int]], granularity: str = "token") -> tuple[Unit, ...]:
    """The units of a response at one granularity: "token" (cells), "word" or "sentence"."""
    if granularity not in GRANULARITIES:
        raise RedvizError(f"Unknown granularity {granularity!r}; use one of {', '.join(GRANULARITIES)}.")
    found = cells(response, offsets)
    if granularity == "token" or not found:
        return found
    starts_new = _starts_word if granularity == "word" else _starts_sentence
    merged = [found[0]]
    for cell in found[1:]:
        if starts_new(merged[-1].text, cell.text):
            merged.append(cell)
        else:
            merged[-1] = Unit(merged[-1].text + cell.text, merged[-1].start, cell.end, merged[-1].first, cell.last)
    return tuple(merged)


def _starts_word(before: str, text: str) -> bool:
    if not before or not text:
        return False
    left, right = before[-1], text[0]
    if left.isspace() or right.isspace():
        return not text.isspace() or "\n" in text or "\n" in before
    if left in JOINERS or right in JOINERS:
        return not (before.lstrip()[:1].isalnum() and (right in JOINERS or right.isalnum()))
    return left.isalnum() != right.isalnum()


def _starts_sentence(before: str, text: str) -> bool:
    return (
        bool(SENTENCE_END.search(before))
        and bool(text.strip())
        and text[0] not in "。！？」』）"  # closes the sentence before it
        and (text[0].isspace() or before[-1] in " \n\t。！？」』）")
    )


def pool(values: Array, groups: Sequence[Unit]) -> Array:
    """Sum token values over units: ``[T] -> [len(groups)]`` float64."""
    return np.array([values[u.first : u.last].sum(dtype=np.float64) for u in groups], dtype=np.float64)


def visible(text: str) -> str:
    """The mark for text that would not show: line breaks, tabs, blanks, zero-width characters; "" for anything that shows."""
    if text and any(c not in ZERO_WIDTH and not c.isspace() for c in text):
        return ""
    marks = {"\n": "↵", "\t": "→"}
    return "".join(marks.get(c, "∅" if c in ZERO_WIDTH else "·") for c in text) or "∅"


def align(source: str, target: str) -> Array:
    """For every character boundary of ``source`` (len + 1 of them), the matching boundary of ``target``.

    Characters that only one side has take the nearest boundary before them. Used where a chat template rewrites a response.
    """
    boundary = np.zeros(len(source) + 1, dtype=np.int64)
    for _, i1, i2, j1, j2 in difflib.SequenceMatcher(None, source, target, autojunk=False).get_opcodes():
        for i in range(i1, i2 + 1):
            boundary[i] = min(j1 + (i - i1), j2) if i < i2 else j2
    return boundary


def duration(seconds: float) -> str:
    """Seconds as a person reads them.

    >>> duration(42.4), duration(3723)
    ('42 s', '1 h 02 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60:02d} min"
