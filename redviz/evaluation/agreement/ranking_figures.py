"""One method's credits against one response's labels: ERASER's figures, signed; and rankings that know nothing, to compare with."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from redviz.evaluation.agreement.labelled_units import runs, top_places
from redviz.evaluation.agreement.rationales import iou_f1, token_f1
from redviz.records import Array

FIGURES = ("auprc", "average_precision", "auroc", "token_f1", "iou_f1", "spearman")
FIGURE_NAMES = {
    "auprc": "AUPRC",
    "average_precision": "average precision",
    "auroc": "AUROC",
    "token_f1": "token F1",
    "iou_f1": "IoU F1",
    "spearman": "Spearman",
}
BLIND = ("random order", "last first", "first first", "longest first")


def ranking_figures(
    truth: ArrayLike,
    scores: ArrayLike,
    tie_break: ArrayLike,
    *,
    signed: bool = True,
    own_set: bool = False,
    threshold: float = 0.0,
    places: ArrayLike | None = None,
) -> Array:
    """The figures of ``FIGURES`` for one response, ``[6]``; nan where one is not defined.

    Units graded above ``threshold`` are to be found by high scores, those below ``-threshold`` by low ones; a response that has both
    kinds has the mean of the two. Token F1 and IoU F1 take as many units as are marked, from the top. AUPRC is ERASER's trapezoid,
    which equal scores lift (one score for all units earns ``(1 + prevalence) / 2``); in average precision it earns the prevalence.

    Parameters
    ----------
    truth, scores
        ``[U]``: grades and credits.
    tie_break
        ``[U]``: order among equal scores at the cut, the same for all methods.
    signed
        Whether negative labels are sought by negated scores; False for a ranking that has no sign, such as position: where no label
        is positive, its Spearman is with how far the labels are below 0.
    own_set
        Whether the units taken are those whose score has the label's sign (what a person marked), instead of the top.
    places
        ``[U]``: places of the units in the response, where some were left out; spans are neighbours there.

    Examples
    --------
    >>> found = ranking_figures([1, 0, -1, 0], [2.0, 0.5, -1.0, 0.1], [0, 1, 2, 3])
    >>> dict(zip(FIGURES, found.tolist()))["average_precision"]
    1.0
    """
    grades, given = np.asarray(truth, np.float64), np.asarray(scores, np.float64)  # [U]
    where = np.arange(len(grades)) if places is None else np.asarray(places)  # [U]
    figures = []
    for sign in (1, -1):
        marked = sign * grades > threshold  # [U]
        if marked.any():
            sought = sign * given if signed else given
            top = np.flatnonzero(sought > 0) if own_set else top_places(sought, int(marked.sum()), tie_break)
            figures.append(
                (
                    *precision_recall_areas(marked, sought),
                    auroc(marked, sought),
                    token_f1(set(np.flatnonzero(marked).tolist()), set(top.tolist())),
                    iou_f1(runs(where[marked]), runs(where[top])),
                )
            )
    means = np.mean(figures, axis=0) if figures else np.full(len(FIGURES) - 1, np.nan)
    return np.append(means, spearman(grades if signed or (grades > 0).any() else -grades, given))


def chance_figures(truth: ArrayLike, threshold: float = 0.0) -> dict[str, Array]:
    """What a ranking that knows nothing earns: the usual floor, and the exact mean over all orders of the units, ``[6]`` each.

    The floor of both areas is the share of marked units, ``p = k / n``. It is reached in long responses only: over all orders of n
    units the mean of average precision is ``(H_n + (k - 1) (n - H_n) / (n - 1)) / n`` with ``H_n = 1 + 1/2 + ... + 1/n``, and that of
    the trapezoid lies half way between this and ``p``. IoU F1 has no such formula.

    Source: Bestgen, Exact Expected Average Precision of the Random Baseline (2015).

    Examples
    --------
    >>> found = chance_figures([1, 0])  # average precision is 1 in one order, 1/2 in the other
    >>> found["prevalence"][FIGURES.index("average_precision")], found["chance"][FIGURES.index("average_precision")]
    (np.float64(0.5), np.float64(0.75))
    """
    grades = np.asarray(truth, np.float64)
    n = len(grades)
    counts = [k for sign in (1, -1) if (k := int((sign * grades > threshold).sum()))]
    if not counts:
        return {name: np.full(len(FIGURES), np.nan) for name in ("prevalence", "chance")}
    harmonic = float((1 / np.arange(1, n + 1)).sum())
    share = float(np.mean(counts)) / n
    expected = float(np.mean([(harmonic + (k - 1) * (n - harmonic) / max(1, n - 1)) / n for k in counts]))
    floor = {"auprc": share, "average_precision": share}
    exact = {
        "auprc": (expected + share) / 2,
        "average_precision": expected,
        "auroc": 0.5 if any(k < n for k in counts) else np.nan,
        "token_f1": share,
        "spearman": 0.0 if np.ptp(grades) else np.nan,
    }
    return {
        name: np.array([own.get(figure, np.nan) for figure in FIGURES])
        for name, own in (("prevalence", floor), ("chance", exact))
    }


def blind_rankings(lengths: ArrayLike, random: ArrayLike) -> Mapping[str, Array]:
    """Rankings that have not read the response, ``[U]`` each: a random one, by place and by length.

    Parameters
    ----------
    lengths
        Characters of every unit, blanks not counted.
    random
        A random order.
    """
    size = np.asarray(lengths, np.float64)
    place = np.arange(len(size), dtype=np.float64)
    return dict(zip(BLIND, (np.asarray(random, np.float64), place, -place, size), strict=True))


def precision_recall_areas(marked: ArrayLike, scores: ArrayLike) -> tuple[float, float]:
    """ERASER's trapezoid and average precision from one sort, thirty times faster than scikit-learn's.

    >>> tuple(round(area, 4) for area in precision_recall_areas([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1]))
    (0.7917, 0.8333)
    """
    given = np.asarray(scores, np.float64)
    order = np.argsort(-given, kind="stable")  # [U]
    last = np.flatnonzero(np.append(np.diff(given[order]) != 0, True))  # of every run of equal scores
    hits = np.asarray(marked, bool)[order].cumsum()[last]
    precision, recall = np.append(1.0, hits / (last + 1)), np.append(0.0, hits / hits[-1])
    return float(np.trapezoid(precision, recall)), float(np.diff(recall) @ precision[1:])


def auroc(marked: ArrayLike, scores: ArrayLike) -> float:
    """Probability that a marked unit is above an unmarked one, a tie counting half; nan where all are marked or none is.

    >>> auroc([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.1])
    0.75
    """
    is_marked = np.asarray(marked, bool)
    above, below = int(is_marked.sum()), int((~is_marked).sum())
    if not above or not below:
        return float("nan")
    ranks = rankdata(np.asarray(scores, np.float64))  # [U]
    return float((ranks[is_marked].sum() - above * (above + 1) / 2) / (above * below))


def spearman(one: ArrayLike, two: ArrayLike) -> float:
    """Spearman's rank correlation; nan where either does not vary.

    >>> spearman([0, 1, 2], [0.1, 0.4, 0.3])
    0.5
    """
    ranks = (rankdata(np.asarray(given, np.float64)) for given in (one, two))  # [U] each
    a, b = (own - (len(own) + 1) / 2 for own in ranks)
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b / size) if size else float("nan")


def tied_share(scores: ArrayLike) -> float:
    """Share of units whose score another unit has too.

    >>> tied_share([1.0, 0.0, 0.0, 2.0])
    0.5
    """
    counts = np.unique(np.asarray(scores, np.float64), return_counts=True)[1]
    return float(counts[counts > 1].sum() / counts.sum()) if len(counts) else float("nan")
