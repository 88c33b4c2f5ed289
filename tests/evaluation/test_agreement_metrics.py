"""Metrics of agreement: the worked numbers and the edges."""

import pytest

from redviz.evaluation.agreement.rationales import iou_f1, token_f1
from redviz.evaluation.faithfulness.erasure import comprehensiveness, sufficiency


def test_the_worked_numbers():
    assert comprehensiveness(1.4, [1.2, 0.9, 0.6, 0.1, -0.4]) == pytest.approx(0.92)
    assert sufficiency(1.4, [0.3, 0.5, 0.8, 1.1, 1.3]) == pytest.approx(0.60)
    gold, predicted = [(2, 6), (10, 12)], [(3, 6), (11, 15)]
    assert iou_f1(gold, predicted) == pytest.approx(0.5)
    tokens = [[t for a, b in spans for t in range(a, b)] for spans in (gold, predicted)]
    assert token_f1(*tokens) == pytest.approx(8 / 13)


def test_edges():
    assert iou_f1([], []) == token_f1([], []) == 1.0
    assert iou_f1([(0, 1)], []) == token_f1([], [1]) == token_f1([1], [2]) == 0.0
    assert iou_f1([(0, 4)], [(0, 3), (1, 4)]) == 1.0  # both hit one gold span: recall is 1, not 2
