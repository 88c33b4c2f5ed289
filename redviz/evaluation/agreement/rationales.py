"""Spans and sets of tokens against human rationales: the metrics of ERASER (DeYoung et al. 2020)."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

Span = tuple[int, int]  # start, end (exclusive)


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
