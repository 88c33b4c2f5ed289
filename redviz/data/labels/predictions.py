"""Credits as marks that people correct: the words that carry most of a response's credit, with its sign."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from redviz.data.labels.labels import LabelledItem, Mark
from redviz.data.labels.tool_files import Exported, Prediction
from redviz.errors import RedvizError
from redviz.records import Analysis
from redviz.text import units

SHARE = 0.2  # of the words


def predicted(analysis: Analysis, labels: tuple[str, ...] = (), share: float = SHARE) -> Exported:
    """What methods would mark in a response: the share of its words with the largest credits, +1 or -1 by their sign.

    Parameters
    ----------
    analysis
        A response with credits.
    labels
        Which of its methods, by their labels; all without any.
    share
        Of the words that have a credit, at least one of them; words side by side of one sign are one mark.

    Raises
    ------
    RedvizError
        Where it has no such credit, or the share is not above 0 and at most 1.
    """
    if not 0 < share <= 1:
        raise RedvizError(f"The share is {share:g}; give one above 0 and at most 1.")
    if missing := [label for label in labels if label not in analysis.credits]:
        have = ", ".join(analysis.credits) or "none"
        raise RedvizError(f"{analysis.example.id or 'A response'} has no credits {missing[0]!r}; it has {have}.")
    guesses = []
    for label in labels or tuple(analysis.credits):
        found = list(_marks(analysis, label, share))
        by = f"redviz {label}" + (f", {analysis.source.model}" if analysis.source.model else "")
        guesses.append(Prediction(by, tuple(mark for mark, _ in found), tuple(strength for _, strength in found)))
    item = LabelledItem(analysis.example.id, analysis.prompt, analysis.response)
    return Exported(item, tuple(guesses))


def _marks(analysis: Analysis, label: str, share: float) -> Iterator[tuple[Mark, float]]:
    assert analysis.observation is not None
    credit = np.asarray(analysis.credits[label].values, np.float64)  # [T]
    words = units(analysis.response, analysis.observation.encoding.offsets, "word")
    sums = np.array([np.nansum(credit[word.first : word.last]) for word in words])  # [W]
    sums[[not word.text.strip() for word in words]] = 0.0
    known = int(np.count_nonzero(sums))
    if not known:
        return
    least = np.sort(abs(sums))[-max(1, math.floor(share * known + 1e-9))]
    most, last = abs(sums).max(), None
    for word, value in zip(words, sums, strict=True):
        kept = value != 0 and abs(value) >= least
        blank = len(word.text) - len(word.text.lstrip()), len(word.text) - len(word.text.rstrip())
        if kept and last is not None and np.sign(value) == last[0].grade:
            last = (Mark(last[0].start, word.end - blank[1], last[0].grade), max(last[1], abs(value) / most))
        else:
            if last is not None:
                yield last
            start, end = word.start + blank[0], word.end - blank[1]
            last = (Mark(start, end, float(np.sign(value))), abs(value) / most) if kept else None
    if last is not None:
        yield last
