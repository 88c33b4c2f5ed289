"""The cells of a response that a person can point at when no model has cut it into tokens."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import itemgetter

import numpy as np
import regex

from redviz.annotation.tables import UNITS
from redviz.data.labels.labels import Mark, graded
from redviz.errors import RedvizError
from redviz.text import UNSPACED

WORD = regex.compile(r"[\p{L}\p{M}\p{N}_\u200c\u200d]")
JOINERS = "'’-"
Cells = tuple[tuple[int, int], ...]


def cells_of(response: str, unit: str = "word") -> Cells:
    """The cells of a response as characters ``[start, end)``: words, each punctuation mark apart, no blanks; or whole characters.

    What a person sees as one character (a grapheme cluster) is never split. A word holds its apostrophes and hyphens. Scripts
    that write words without blanks between them (Chinese, Japanese, Thai ...) get a cell per character.

    >>> [("It's fine, 10€!")[a:b] for a, b in cells_of("It's fine, 10€!")]
    ["It's", 'fine', ',', '10', '€', '!']
    """
    if unit not in UNITS:
        raise RedvizError(f"Unknown unit {unit!r}; use one of {', '.join(UNITS)}.")
    characters = [match.span() for match in regex.finditer(r"\X", response) if not match.group().isspace()]
    if unit == "character":
        return tuple(characters)
    cells: list[tuple[int, int]] = []
    joins = False  # whether the next character may continue the last cell
    for place, (start, end) in enumerate(characters):
        text = response[start:end]
        follows = bool(cells) and cells[-1][1] == start
        if WORD.match(text) and not UNSPACED.match(text):
            if joins and follows:
                cells[-1] = (cells[-1][0], end)
            else:
                cells.append((start, end))
            joins = True
            continue
        after = characters[place + 1] if place + 1 < len(characters) else (-1, -1)
        inside = joins and follows and text in JOINERS and after[0] == end and WORD.match(response[after[0] : after[1]])
        if inside:
            cells[-1] = (cells[-1][0], end)
        else:
            cells.append((start, end))
        joins = bool(inside)
    return tuple(cells)


def on_cells(cells: Sequence[Sequence[int]], start: int, end: int) -> bool:
    """Whether the characters ``[start, end)`` begin with a cell and end with it or a later one; cells come in order.

    >>> on_cells([(0, 4), (5, 9)], 0, 9), on_cells([(0, 4), (5, 9)], 1, 9)
    (True, False)
    """
    first, last = (bisect_left(cells, at, key=itemgetter(side)) for side, at in enumerate((start, end)))
    return first <= last < len(cells) and (cells[first][0], cells[last][1]) == (start, end)


def signs(marks: Sequence[Mark], cells: Cells, length: int) -> list[int]:
    """For every cell -1, 0 or +1: the sign of the sum of its characters' grades."""
    grades = graded(marks, length)
    return [int(np.sign(grades[start:end].sum())) for start, end in cells]


def token_f1(pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> float:
    """F1 of marked cells, pooled over items of ``(given, settled)`` signs; a cell agrees where both mark it with one sign.

    1.0 where nobody marked anything.

    >>> token_f1([([1, 1, 0], [1, 0, 0])])
    0.6666666666666666
    """
    both = sum(a == b != 0 for given, settled in pairs for a, b in zip(given, settled, strict=True))
    marked = sum(sign != 0 for pair in pairs for signs_of_one in pair for sign in signs_of_one)
    return 2 * both / marked if marked else 1.0
