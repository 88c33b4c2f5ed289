"""Token scores and spans against human rationales: the metrics of ERASER (DeYoung et al. 2020)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import auc, average_precision_score, precision_recall_curve

from redviz.errors import RedvizError

Span = tuple[int, int]  # start, end (exclusive)


def auprc(truth: ArrayLike, scores: ArrayLike) -> float:
    """Area under the precision-recall curve by trapezoids, as ERASER computes it; its floor is the share of marked tokens.

    Parameters
    ----------
    truth, scores
        ``[T]``: 1 at the tokens people marked, and a method's credits.

    Examples
    --------
    >>> round(auprc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]), 4)
    0.7917
    """
    precision, recall, _ = precision_recall_curve(*_checked(truth, scores))
    return float(auc(recall, precision))


def average_precision(truth: ArrayLike, scores: ArrayLike) -> float:
    """The step-wise area, which differs from :func:`auprc`.

    >>> round(average_precision([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]), 4)
    0.8333
    """
    return float(average_precision_score(*_checked(truth, scores)))


def iou_f1(gold: Sequence[Span], predicted: Sequence[Span], threshold: float = 0.5) -> float:
    """F1 of spans, where a predicted span is right if its best overlap (intersection over union) reaches the threshold.

    Recall counts the gold spans that were hit, so that two predictions of one gold span do not lift it above 1.

    >>> iou_f1([(2, 6), (10, 12)], [(3, 6), (11, 15)])
    0.5
    """
    if not gold or not predicted:
        return float(not gold and not predicted)
    overlap = np.array([[_iou(p, g) for g in gold] for p in predicted])  # [predicted, gold]
    precision = float((overlap.max(1) >= threshold).mean())
    recall = float((overlap.max(0) >= threshold).mean())
    return _f1(precision, recall)


def token_f1(gold: Collection[int], predicted: Collection[int]) -> float:
    """F1 of two sets of tokens.

    >>> round(token_f1([2, 3, 4, 5, 10, 11], [3, 4, 5, 11, 12, 13, 14]), 4)
    0.6154
    """
    if not gold or not predicted:
        return float(not gold and not predicted)
    both = len(set(gold) & set(predicted))
    return _f1(both / len(set(predicted)), both / len(set(gold)))


def _iou(one: Span, two: Span) -> float:
    shared = max(0, min(one[1], two[1]) - max(one[0], two[0]))
    return shared / max(1, (one[1] - one[0]) + (two[1] - two[0]) - shared)


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _checked(truth: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    marked, given = np.asarray(truth, np.int64), np.asarray(scores, np.float64)
    if marked.shape != given.shape or marked.ndim != 1:
        raise RedvizError(
            f"truth has shape {marked.shape} and scores {given.shape}; give one number per token in both."
        )
    if not np.isin(marked, (0, 1)).all() or not np.isfinite(given).all():
        raise RedvizError(
            "truth holds something other than 0 and 1, or scores hold nan; for signed labels, score each sign alone."
        )
    if not marked.any():
        raise RedvizError("No token is marked, so there is no precision-recall curve; leave this response out.")
    return marked, given
