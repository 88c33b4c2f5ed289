"""How far raters agree beyond chance."""

from __future__ import annotations

from typing import Literal

import krippendorff
import numpy as np
from numpy.typing import ArrayLike

from redviz.errors import RedvizError


def krippendorff_alpha(ratings: ArrayLike, level: Literal["nominal", "ordinal", "interval"] = "ordinal") -> float:
    """Krippendorff's alpha: 1 is perfect agreement, 0 is chance; nan where nothing varies.

    Units with fewer than two ratings are dropped. Tokens of one response are not independent: for an interval, resample responses.

    Parameters
    ----------
    ratings
        ``[rater, unit]``, nan where a rater did not rate.
    level
        Of measurement: "nominal", "ordinal" or "interval".

    Examples
    --------
    >>> round(krippendorff_alpha([[1, 1, 0, 0, 1, 0], [1, 0, 0, 0, 1, 1]], "nominal"), 5)
    0.38889
    """
    given = np.asarray(ratings, np.float64)
    if given.ndim != 2 or len(given) < 2:
        raise RedvizError(
            f"ratings has shape {given.shape}; give one row per rater, at least two, and one column per unit."
        )
    counts = np.isfinite(given).sum(0)
    pairable = given[:, counts >= 2]
    values = pairable[np.isfinite(pairable)]
    if len(values) == 0 or (values == values[0]).all():
        return float("nan")
    return float(krippendorff.alpha(reliability_data=given, level_of_measurement=level))
