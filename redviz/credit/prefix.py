"""Prefix differences: RED, first published as R3HF (arXiv 2411.08302)."""

import numpy as np

from redviz.errors import RedvizError
from redviz.records import Credit, Observation

INITIALS = ("prefix", "zero_first", "zero_base")


def red(observation: Observation, *, beta_c: float = 1.0, initial: str = "prefix") -> Credit:
    """Credit of token t: what it adds to the score of the prefix, ``P_t - P_{t-1}`` (equations 6 and 7 of RED).

    Parameters
    ----------
    observation
        One forward pass of the reward model.
    beta_c
        The convex mix with the sparse reward, in [0, 1]: ``beta_c * (P_t - P_{t-1}) + (1 - beta_c) * sparse``.
    initial
        What the first token is compared with. "prefix": the empty response (dynamic initialisation, the paper's choice).
        "zero_first": itself, so its credit is 0. "zero_base": nothing, so the base score is part of its credit.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - beta_c * P_0`` ("zero_first": P_1 in place of P_0; "zero_base": 0). What the template's closing
        tokens add is folded into the last token and named in ``closing``.
    """
    if not 0.0 <= beta_c <= 1.0:
        raise RedvizError(f"beta_c is {beta_c}; it mixes two rewards, so give a number from 0 to 1.")
    if initial not in INITIALS:
        raise RedvizError(f"initial is {initial!r}; use one of {', '.join(INITIALS)}.")
    prefix = observation.prefix_scores.astype(np.float64)  # [T+1]
    steps = np.diff(prefix)  # [T]
    reference = {"prefix": prefix[0], "zero_first": prefix[1], "zero_base": 0.0}[initial]
    steps[0] = prefix[1] - reference
    values = beta_c * steps
    values[-1] += beta_c * observation.closing + (1.0 - beta_c) * observation.score
    return Credit(
        values.astype(np.float32), observation.score, beta_c * float(reference), closing=beta_c * observation.closing
    )
