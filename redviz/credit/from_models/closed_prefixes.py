"""Prefix differences between closed prefixes: RED, read where the head was trained to be read."""

from __future__ import annotations

import numpy as np

from redviz.credit.from_records.prefix import strided
from redviz.errors import RedvizError
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.closed import Progress, closed_scores, closing_ids
from redviz.records import Credit, Observation


def red_closed(
    observation: Observation,
    model: RewardModel,
    *,
    beta_c: float = 1.0,
    stride: int = 1,
    progress: Progress | None = None,
) -> Credit:
    """Credit of token t: what it adds to the score of the response so far, closed as a finished one, ``Q_t - Q_{t-1}``.

    ``Q_t = R(prompt, y_<=t + closing tokens)`` keeps the model on texts of the form it was trained on, which the open prefixes of
    RED (arXiv 2411.08302) do not; the closing itself is redviz's.

    Parameters
    ----------
    model, observation
        A reward model and its forward pass over the example.
    beta_c
        The convex mix with the sparse reward, in [0, 1]: ``beta_c * (Q_t - Q_{t-1}) + (1 - beta_c) * sparse``.
    stride
        As in :func:`redviz.credit.from_records.prefix.red`, for models that look both ways, whose prefixes are closed in any case.
    progress
        Called with (prefixes done, T + 1) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - beta_c * Q_0``. ``meta["closed_scores"]`` is ``Q_0 .. Q_T`` (``Q_T`` is the score) and
        ``meta["closing_tokens"]`` their number; where it is 0 the template writes nothing before the score is read, the prefixes
        are the open ones, and the credits are those of ``red``.

    Raises
    ------
    RedvizError
        Where beta_c is outside [0, 1], or the model's prefixes cannot share one pass (:func:`redviz.models.running.closed.closed_scores`).
    """
    if not 0.0 <= beta_c <= 1.0:
        raise RedvizError(f"beta_c is {beta_c}; it mixes two rewards, so give a number from 0 to 1.")
    encoding = observation.encoding
    count = len(encoding.ids) - encoding.stop if model.both_ways else len(closing_ids(encoding))
    if count and not model.both_ways:
        scores = closed_scores(model, observation.encoding, progress=progress).astype(np.float64)  # [T+1]
        scores[-1] = observation.score  # the same number, as the other methods know it: else bfloat16 breaks the sum
    else:
        scores = observation.prefix_scores.astype(np.float64)  # [T+1]
    scores = strided(scores, observation, stride)
    unread = observation.score - scores[-1]  # 0, but for a response whose end the model's own pooling skips
    values = beta_c * np.diff(scores)  # [T]
    values[-1] += beta_c * unread + (1.0 - beta_c) * observation.score
    meta = {"closed_scores": [float(q) for q in scores], "closing_tokens": count}
    if stride > 1:
        meta["stride"] = stride
    return Credit(
        values.astype(np.float32),
        observation.score,
        beta_c * float(scores[0]),
        closing=beta_c * float(unread),
        meta=meta,
    )
