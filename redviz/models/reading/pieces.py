"""A response in pieces: the marks that a chat template may take it apart at, blanks, and what stands between them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import jinja2

MARKS = ("<think>", "</think>")
LINE = re.compile(r"\S(?:[^\n]*\S)?")


Units = list[tuple[object, int]]
"""What marks, blanks and lines are compared as, each with where it starts."""


@dataclass(frozen=True)
class Piece:
    """A mark, a run of blanks, or what stands on one line between them, and where it starts in the response."""

    kind: str  # "mark", "blank" or "line"
    text: str
    start: int


def pieces_of(response: str, marks: Sequence[str]) -> list[Piece]:
    """The response, tiled."""
    pieces: list[Piece] = []

    def add(kind: str, start: int, end: int) -> None:
        if end > start:
            pieces.append(Piece(kind, response[start:end], start))

    reached = 0
    edges = [found.span() for found in re.finditer("|".join(map(re.escape, marks)), response)]
    for start, end in (*edges, (len(response), len(response))):
        for line in LINE.finditer(response, reached, start):
            add("blank", reached, line.start())
            add("line", *line.span())
            reached = line.end()
        add("blank", reached, start)
        add("mark", start, end)
        reached = end
    return pieces


@lru_cache(maxsize=16)
def marks_of(template: str) -> tuple[str, ...]:
    """What a template may take a response apart at: the marks of thoughts, and every word that it spells itself; longest first."""
    try:
        spelled = [value[1:-1].strip() for _, kind, value in jinja2.Environment().lex(template) if kind == "string"]
    except jinja2.TemplateError:
        spelled = []
    words = {*MARKS, *(word for word in spelled if len(word) > 1 and "\\" not in word and "\n" not in word)}
    return tuple(sorted(words, key=lambda word: (-len(word), word)))


def blanks_of(pieces: Sequence[Piece]) -> str:
    """The text of pieces that are blanks alone, else nothing."""
    return "".join(piece.text for piece in pieces) if all(piece.kind == "blank" for piece in pieces) else ""


def units_of_pieces(pieces: Sequence[Piece]) -> Units:
    """Marks as wholes, blanks one by one, and lines as what nothing is equal to; each with where it starts."""
    found: Units = []
    for piece in pieces:
        if piece.kind == "blank":
            found += [(blank, piece.start + i) for i, blank in enumerate(piece.text)]
        else:
            found.append((piece.text if piece.kind == "mark" else object(), piece.start))
    return found


def units_of_text(text: str, at: int, pieces: Sequence[Piece]) -> Units:
    """The template's own text in units of the pieces' marks and of single characters."""
    marks = sorted({piece.text for piece in pieces if piece.kind == "mark"}, key=len, reverse=True)
    pattern = "|".join([*map(re.escape, marks), "(?s:.)"])
    return [(found[0], at + found.start()) for found in re.finditer(pattern, text)]
