"""The records of a data set: an item is a prompt with its candidate responses and what people said about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from redviz.records import Example, Prompt


@dataclass(frozen=True)
class HumanSpan:
    """Characters ``[start, end)`` of a response that a person marked, and as what."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Candidate:
    """One response of an item.

    Attributes
    ----------
    role
        ``chosen``, ``rejected`` or a short name (``1``, ``2``, a model's); empty where the item has one response without a verdict.
    rating
        What people or a judge gave it, on the scale of its data set; None where they gave none.
    prompt
        Its own prompt, only where it differs from the item's.
    """

    response: str
    role: str = ""
    rating: float | None = None
    spans: tuple[HumanSpan, ...] = ()
    prompt: Prompt | None = None


@dataclass(frozen=True)
class DataItem:
    """One row of a data set.

    Attributes
    ----------
    id
        Unique within the data set, without ``/``.
    subset
        The part of the data set that the row names, if it names one.
    line
        Its line in the file (its place, from 1, in a list or a Parquet file).
    preferences
        Pairs of roles (better, worse) that people stated one by one; ``chosen`` and ``rejected`` state theirs by their names.
    problem
        Why none of its texts can be read, where the row is kept all the same; then it has one candidate without a text.
    """

    id: str
    prompt: Prompt
    candidates: tuple[Candidate, ...]
    subset: str = ""
    line: int = 0
    preferences: tuple[tuple[str, str], ...] = ()
    problem: str = ""

    @property
    def examples(self) -> list[Example]:
        """One example per candidate, its id ``item/role`` (the item's own where there is no role).

        >>> item = DataItem("7", "How was it?", (Candidate("Superb.", "chosen"), Candidate("Dull.", "rejected")))
        >>> [example.id for example in item.examples]
        ['7/chosen', '7/rejected']
        """
        return [
            Example(
                self.prompt if candidate.prompt is None else candidate.prompt,
                candidate.response,
                f"{self.id}/{candidate.role}" if candidate.role else self.id,
            )
            for candidate in self.candidates
        ]


@dataclass(frozen=True)
class Detected:
    """How the rows of a data set were understood.

    Attributes
    ----------
    schema
        The short name of the schema (``schemas.SCHEMAS``).
    sentence
        The same in words for a person.
    columns
        The columns of the file, as they are named there.
    mapping
        Which column plays which part; handed to ``open_dataset`` it gives the same reading.
    """

    schema: str
    sentence: str
    columns: tuple[str, ...]
    mapping: Mapping[str, str]


@dataclass(frozen=True)
class RowProblem:
    """A row that gave nothing: its line in the file (its place, from 1, in a list) and the reason."""

    line: int
    reason: str
