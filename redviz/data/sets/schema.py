"""One way in which data sets hold prompts and responses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from redviz.data.sets.candidates import Answer
from redviz.data.sets.values import Row

PROMPTS = ("prompt", "instruction", "question", "input", "query", "conversations")
AROUND = ("system", "system_prompt", "tools", "history")  # columns that belong to any prompt
MAX_COLUMNS = 2_000


@dataclass(frozen=True)
class Schema:
    """One way in which data sets hold prompts and responses.

    Attributes
    ----------
    label, unit
        What it is called, and what one row of it is (in the plural), for :class:`redviz.data.sets.items.Detected`.
    columns
        The columns it needs, each with the names it may have.
    read
        Gives the answers of a row, called with the row and the names found.
    accepts
        Where the columns alone do not decide.
    extra
        Columns it uses where they are there.
    unfold
        Gives the rows in one row, where it holds several items (a tree).
    """

    name: str
    label: str
    unit: str
    columns: tuple[tuple[str, ...], ...]
    read: Callable[..., list[Answer]]
    accepts: Callable[[Row], bool] = lambda row: True
    extra: tuple[str, ...] = ()
    remark: str = ""
    unfold: Callable[[Row], list[Row]] = lambda row: [row]

    def missing(self, row: Row) -> str | None:
        """The first column that is not there or null, or None; of several names the one that is there."""
        gone = next((names for names in self.columns if _first(row, names) is None), None)
        return None if gone is None else next((name for name in gone if name in row), gone[0])

    def fits(self, row: Any) -> bool:
        return isinstance(row, dict) and self.missing(row) is None and self.accepts(row)

    def found(self, row: Row) -> tuple[str, ...]:
        """The names that the needed columns have in this row."""
        return tuple(name for name in (_first(row, names) for names in self.columns) if name is not None)


def _first(row: Row, names: tuple[str, ...]) -> str | None:
    return next((name for name in names if row.get(name) is not None), None)
