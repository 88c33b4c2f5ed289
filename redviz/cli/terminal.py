"""Text columns for a terminal or a pipe. What a model or a person wrote is never sent to the terminal raw."""

from __future__ import annotations

import math
import sys
import textwrap
from collections.abc import Iterable, Sequence

import typer
from rich.cells import cell_len, set_cell_size

from redviz.text import visible

WIDTH = 96  # columns of a line of prose
WIDEST = 60  # columns of one unit of text
BAR = 8  # columns of the longest bar
VERDICT_COLOURS = {"green": typer.colors.GREEN, "amber": typer.colors.YELLOW, "red": typer.colors.RED}


def has_colour() -> bool:
    """Whether stdout is a terminal that shows colour (``NO_COLOR`` and ``TERM=dumb`` are heeded)."""
    from rich.console import Console

    console = Console(file=sys.stdout)
    return console.color_system is not None and not console.no_color


def shown(text: str) -> str:
    r"""Text that is safe to print: blanks and line breaks as marks, control and direction characters as escapes.

    >>> shown("a\nb\x1b[31m"), shown(" ")
    ('a↵b\\x1b[31m', '·')
    """
    marks = {"\n": "↵", "\t": "→"}
    return visible(text) or "".join(c if c.isprintable() else marks.get(c) or ascii(c)[1:-1] for c in text)


def numbers(values: Iterable[float]) -> list[str]:
    """Signed decimals of one precision, four digits of the largest; what is not known stays blank.

    >>> numbers([1.23456, -0.5]), numbers([0.01234567, 0.0])
    (['+1.235', '-0.500'], ['+0.01235', '+0.00000'])
    """
    given = [float(v) for v in values]
    largest = max((abs(v) for v in given if math.isfinite(v)), default=0.0)
    digits = min(8, max(0, 3 - math.floor(math.log10(largest)))) if largest else 3
    return [f"{v:+.{digits}f}" if math.isfinite(v) else "" for v in given]


def bars(values: Sequence[float]) -> list[str]:
    """A coloured bar for each value, its length its share of the largest: blue above zero, yellow below."""
    largest = max((abs(v) for v in values), default=0.0) or 1.0
    lengths = [round(BAR * abs(v) / largest) for v in values]
    colours = [typer.colors.BLUE if v > 0 else typer.colors.YELLOW for v in values]
    return [
        (typer.style("▇" * n, fg=colour) if n else "") + " " * (BAR - n)
        for n, colour in zip(lengths, colours, strict=True)
    ]


def padded(text: str, width: int, right: bool = False) -> str:
    """Text on exactly ``width`` columns; wide characters take two, what does not fit ends in an ellipsis."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank


def column(head: str, cells: Sequence[str], right: bool = False, widest: int = WIDEST) -> list[str]:
    """Head and cells on one width."""
    width = min(widest, max(map(cell_len, (head, *cells))))
    return [padded(text, width, right) for text in (head, *cells)]


def table(columns: Sequence[Sequence[str]]) -> str:
    """Columns side by side, two blanks apart."""
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns, strict=True))


def wrapped(text: str) -> str:
    """Prose in lines of at most ``WIDTH`` columns."""
    return textwrap.fill(text, WIDTH, break_long_words=False)
