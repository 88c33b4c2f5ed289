"""Metrics of agreement: the worked numbers and the edges."""

import numpy as np
import pytest

from redviz.errors import RedvizError
from redviz.evaluation.agreement.rationales import auprc, average_precision, iou_f1, token_f1
from redviz.evaluation.faithfulness.erasure import comprehensiveness, sufficiency


def test_the_worked_numbers():
    assert comprehensiveness(1.4, [1.2, 0.9, 0.6, 0.1, -0.4]) == pytest.approx(0.92)
    assert sufficiency(1.4, [0.3, 0.5, 0.8, 1.1, 1.3]) == pytest.approx(0.60)
    truth, scores = [1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]
    assert average_precision(truth, scores) == pytest.approx(0.8333, abs=1e-4)
    assert auprc(truth, scores) == pytest.approx(0.7917, abs=1e-4)
    gold, predicted = [(2, 6), (10, 12)], [(3, 6), (11, 15)]
    assert iou_f1(gold, predicted) == pytest.approx(0.5)
    tokens = [[t for a, b in spans for t in range(a, b)] for spans in (gold, predicted)]
    assert token_f1(*tokens) == pytest.approx(8 / 13)


def test_edges():
    assert iou_f1([], []) == token_f1([], []) == 1.0
    assert iou_f1([(0, 1)], []) == token_f1([], [1]) == token_f1([1], [2]) == 0.0
    assert iou_f1([(0, 4)], [(0, 3), (1, 4)]) == 1.0  # both hit one gold span: recall is 1, not 2
    rng = np.random.default_rng(0)
    truth = rng.random(4000) < 0.2
    assert auprc(truth, rng.random(4000)) == pytest.approx(
        0.2, abs=0.03
    )  # a random ranking earns the share of marked tokens
    with pytest.raises(RedvizError, match="No token is marked"):
        auprc([0, 0], [1, 2])
    with pytest.raises(RedvizError, match="one number per token"):
        auprc([0, 1], [1, 2, 3])
