"""NaN and infinity are no results: refused in one sentence wherever a model's numbers come out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Array, Observation, Source

REMEDIES = {  # by the dtype that the model runs in
    "float16": "float16 ends at 65504; load the model with --dtype bfloat16 or float32",
    "bfloat16": "load the model with --dtype float32, and download or save it again if that does not help",
}
DAMAGED = "its weights may be damaged, or overflowed in training; download the model or save it again"


def finite(source: Source, what: str, numbers: Array) -> Array:
    """The numbers, all of which are such.

    Parameters
    ----------
    source
        The model that gave them.
    what
        Their name in the sentence, such as "the score".

    Raises
    ------
    RedvizError
        Where one is NaN or infinite.

    Examples
    --------
    >>> finite(Source("tiny"), "the score", np.array([0.5])).tolist()
    [0.5]
    """
    if np.isfinite(numbers).all():
        return numbers
    found = "NaN" if np.isnan(numbers).any() else "infinity"
    remedy = REMEDIES.get(source.dtype, DAMAGED)
    raise RedvizError(f"{source.model} gives {found} as {what}, which is no number; {remedy}.")


def all_finite(source: Source, observations: Sequence[Observation], prefixes: bool = True) -> list[Observation]:
    """Observations whose score and, where every prefix was scored, prefix scores are numbers.

    Raises
    ------
    RedvizError
        For the first whose are not.
    """
    for one in observations:
        finite(source, "the score of a response", one.column_scores[one.encoding.read])
        if prefixes:
            finite(source, "the score of a prefix", one.prefix_scores)
    return list(observations)
