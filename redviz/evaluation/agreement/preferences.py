"""From the items of a data set to analyzed pairs: which response people preferred to which."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from redviz.batches import analyze_batch
from redviz.records import Analysis, Example

if TYPE_CHECKING:
    from redviz.batches import Model
    from redviz.data.sets.items import DataItem


def stated_pair(item: DataItem) -> tuple[Example, Example] | None:
    """The better and the worse response of an item, or None where nothing is preferred.

    One pair per item, so that pairs stay independent: chosen and rejected, else the first preference stated, else the best and the
    worst rating, if they differ.

    >>> from redviz.data.sets.items import Candidate, DataItem
    >>> pair = stated_pair(DataItem("7", "How was it?", (Candidate("Dull.", "1", 2.0), Candidate("Superb.", "2", 5.0))))
    >>> [example.response for example in pair]
    ['Superb.', 'Dull.']
    """
    place = {candidate.role: n for n, candidate in enumerate(item.candidates)}
    examples = item.examples
    for better, worse in (("chosen", "rejected"), *item.preferences):
        if better in place and worse in place:
            return examples[place[better]], examples[place[worse]]
    rated = [(candidate.rating, -n) for n, candidate in enumerate(item.candidates) if candidate.rating is not None]
    if not rated or max(rated)[0] == min(rated)[0]:
        return None
    return examples[-max(rated)[1]], examples[-min(rated)[1]]


def stated_pairs(items: Iterable[DataItem]) -> Iterator[tuple[Example, Example]]:
    """(better, worse) of every item that prefers one."""
    return (pair for item in items if (pair := stated_pair(item)) is not None)


def analyzed_pairs(model: Model, items: Iterable[DataItem]) -> Iterator[tuple[Analysis, Analysis]]:
    """(better, worse) of every item that prefers one, scored in batches without any credits; a side that fails has its ``error``."""
    analyses = analyze_batch(model, (example for pair in stated_pairs(items) for example in pair), [])
    return zip(analyses, analyses, strict=True)
