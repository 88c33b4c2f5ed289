"""Segment credits: one credit for each word or sentence, written back onto its tokens."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Array, Credit, Observation
from redviz.text import GRANULARITIES, units

PLACES = ("even", "end")


def segmented(credit: Credit, observation: Observation, segment: str = "word", place: str = "even") -> Credit:
    """Pool token credits over segments, as segment-level rewards do, and write each sum back onto its segment.

    Parameters
    ----------
    credit
        Any credit that promises a sum.
    observation
        What it was made from: its response and offsets say where words and sentences stand.
    segment
        "token" leaves the credit as it is; "word" and "sentence" are those of :func:`redviz.text.units`.
    place
        "even": the sum in equal parts on the segment's tokens. "end": all of it on its last token.

    Returns
    -------
    Credit
        ``[T]``, with the same total, reference, closing share (which stays on the last token) and ``meta``; the sum changes by no
        more than the last float32 digit. Standard errors of single tokens are dropped: they do not say that of a segment.

    Raises
    ------
    RedvizError
        For an unknown segment or place, and for credits without a sum.

    Examples
    --------
    >>> credit = Credit(np.array([0.5, 0.25, 1.0], np.float32), 1.75, 0.0)
    >>> placed([(0, 2), (2, 3)], credit.own, "even").tolist()
    [0.375, 0.375, 1.0]
    """
    if segment not in GRANULARITIES:
        raise RedvizError(f"segment is {segment!r}; use one of {', '.join(GRANULARITIES)}.")
    if place not in PLACES:
        raise RedvizError(f"place is {place!r}; use one of {', '.join(PLACES)}.")
    if segment == "token" or not len(credit.values):
        return credit
    if credit.residual is None:
        raise RedvizError('These credits promise no sum, so a segment has none either; use segment "token".')
    encoding = observation.encoding
    groups = [(unit.first, unit.last) for unit in units(encoding.example.response, encoding.offsets, segment)]
    values = placed(groups, credit.own, place, credit.closing)
    return replace(credit, values=values, meta={k: v for k, v in credit.meta.items() if k != "stderr"})


def placed(groups: list[tuple[int, int]], own: Array, place: str, closing: float = 0.0) -> Array:
    """Each group's sum on its tokens, the closing share on the last: ``[T]`` float64 -> ``[T]`` float32.

    What rounding to float32 leaves of one group is carried into the next, so that rounding errors do not add up.
    """
    values = np.zeros(len(own), np.float32)
    left = 0.0
    for first, last in groups:
        left += float(own[first:last].sum())
        if place == "even":
            values[first : last - 1] = left / (last - first)
        left -= float(values[first : last - 1].sum(dtype=np.float64))
        values[last - 1] = left + (closing if last == len(own) else 0.0)
        left -= float(values[last - 1])
    return values
