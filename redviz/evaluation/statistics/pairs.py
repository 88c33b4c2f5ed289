"""What the scores of chosen and rejected responses say about a reward model, and how far methods disagree about tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from redviz.errors import RedvizError
from redviz.evaluation.statistics.intervals import (
    Estimate,
    Resampling,
    correlation,
    correlation_sums,
    mean,
    resampling,
    share,
)
from redviz.evaluation.statistics.responses import Responses, added_up
from redviz.records import Array

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
SIDE = r"^(chosen|rejected)(?:-\d+)?$"  # of a response's id


@dataclass(frozen=True)
class Pairs:
    """Scores and lengths of ``n`` pairs, or of best-of-n examples by the two responses that decide them.

    Attributes
    ----------
    chosen, rejected
        The lowest score of the chosen responses and the highest of the rejected ones: the chosen are above all others where the
        first is larger.
    left_out
        Examples with a chosen or a rejected response that made no pair: the other side or a score is missing.
    responses
        All responses, where an example has more than two.
    """

    ids: tuple[str, ...]  # n
    chosen: Array  # [n] float64
    rejected: Array  # [n] float64
    chosen_length: Array  # [n] float64, tokens
    rejected_length: Array  # [n] float64, tokens
    subsets: tuple[str, ...]  # n
    left_out: int = 0
    responses: Responses | None = None

    def all_responses(self) -> Responses:
        """Every response, those of plain pairs too."""
        n = np.arange(len(self.ids))
        return self.responses or Responses(
            np.concatenate([n, n]),
            np.repeat([True, False], len(n)),
            np.concatenate([self.chosen, self.rejected]),
            np.concatenate([self.chosen_length, self.rejected_length]),
        )


@dataclass(frozen=True)
class Calibration:
    """Predicted Bradley-Terry probability against the share preferred.

    Every pair reads "chosen wins", so on its own it could only fill one side. Each is therefore counted in both orders: the chosen
    first (predicted ``sigmoid(margin)``, preferred 1) and the rejected first (``sigmoid(-margin)``, preferred 0). The bins mirror each
    other around one half, and a model is calibrated where both lines agree.

    Attributes
    ----------
    error
        Expected calibration error: the mean of ``|predicted - preferred|`` over bins, weighted by their counts. It cannot be
        negative, so chance alone lifts it where pairs are few.
    """

    edges: Array  # [bins + 1]
    predicted: Array  # [bins], nan where a bin is empty
    preferred: Array  # [bins]
    counts: Array  # [bins]; both orders: twice the pairs in all
    error: Estimate


@dataclass(frozen=True)
class PairReport:
    """Figures over pairs, each with its interval (of shares Wilson's, else bootstrap); accuracy counts a tie as half.

    Attributes
    ----------
    longer_wins, shorter_wins
        Accuracy of a judge that prefers the longer (the shorter) response.
    beyond_length
        Accuracy less that of the better of these two judges, pair by pair: above 0 if the model knows more than length.
    best_of_n
        Whether an example has more than two responses. Accuracy is then the share of examples whose chosen responses are above all
        others, and the margin is that of the two that decide it.
    chance
        The accuracy of a coin: one half for pairs, a quarter for the best of four.
    comparisons
        The share of single comparisons, of a chosen with a rejected response, that are won, averaged over examples.
    """

    count: int
    left_out: int
    accuracy: Estimate
    by_subset: Mapping[str, Estimate]
    margin: Estimate
    longer_wins: Estimate
    shorter_wins: Estimate
    beyond_length: Estimate
    score_with_length: Estimate  # Spearman over all responses
    calibration: Calibration
    best_of_n: bool = False
    chance: float = 0.5
    comparisons: Estimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; nan as null."""
        return plain(asdict(self))


@dataclass(frozen=True)
class MethodDisagreement:
    """``1 - Spearman`` of the credits of two methods, averaged over responses: 0 the same order of tokens, 1 none, 2 the reverse."""

    labels: tuple[str, ...]
    matrix: Array  # [label, label]; nan where no response has both or one is constant
    counts: Array  # [label, label] responses
    mean: float  # over responses of the mean over pairs of methods


def pairs_of_frame(frame: pd.DataFrame) -> Pairs:
    """Pairs from result rows: ``response_id`` is ``chosen`` or ``rejected`` (``rejected-2`` is another one); labels count once.

    Parameters
    ----------
    frame
        With ``example_id``, ``response_id``, ``score``, ``length`` or ``tokens``, and ``subset`` if there is one.

    Raises
    ------
    RedvizError
        If a column is missing or there is no pair.
    """
    import pandas as pd

    lengths = "length" if "length" in frame else "tokens"
    if missing := [name for name in ("example_id", "response_id", "score", lengths) if name not in frame]:
        raise RedvizError(
            f"The rows have no column {missing[0]!r}; give example_id, response_id, score and length or tokens."
        )
    once = frame.drop_duplicates(["example_id", "response_id"])
    sides = once["response_id"].astype(str).str.extract(SIDE, expand=False)
    table = once[["example_id", "score"]].assign(
        side=sides,
        length=once[lengths] if lengths == "length" else once[lengths].map(len),
        subset=once.get("subset", ""),
    )[sides.notna().to_numpy()]
    table["score"] = table["score"].astype(np.float64)
    table["known"] = np.isfinite(table["score"].to_numpy())
    by_example = table.groupby("example_id", sort=False)
    kept = (by_example["side"].nunique() == 2) & by_example["known"].all()
    if not kept.any():
        raise RedvizError(
            "There is no pair with both scores; it takes a chosen and a rejected response of the same example."
        )
    ids = kept.index[kept]
    table = table[table["example_id"].isin(ids)]
    # The two that decide: the lowest of the chosen and the highest of the rejected.
    order = table["score"].where(table["side"] == "chosen", -table["score"]).argsort(kind="stable")
    two = table.iloc[order.to_numpy()].drop_duplicates(["example_id", "side"])
    chosen, rejected = (two[two["side"] == side].set_index("example_id").loc[ids] for side in ("chosen", "rejected"))
    every = Responses(
        ids.get_indexer(pd.Index(table["example_id"])),
        (table["side"] == "chosen").to_numpy(),
        table["score"].to_numpy(np.float64),
        table["length"].to_numpy(np.float64),
    )
    return Pairs(
        ids=tuple(ids.astype(str)),
        chosen=chosen["score"].to_numpy(np.float64),
        rejected=rejected["score"].to_numpy(np.float64),
        chosen_length=chosen["length"].to_numpy(np.float64),
        rejected_length=rejected["length"].to_numpy(np.float64),
        subsets=tuple(str(name) if isinstance(name, str) else "" for name in chosen["subset"]),
        left_out=int((~kept).sum()),
        responses=every if len(table) > 2 * len(ids) else None,
    )


def pair_report(pairs: Pairs, seed: int = 0) -> PairReport:
    """Accuracy, margin, calibration and what length alone would do, with 95 % intervals over pairs.

    Examples
    --------
    >>> length = np.array([5.0, 5.0])
    >>> pairs = Pairs(("1", "2"), np.array([2.0, 0.0]), np.array([1.0, 0.5]), length, length, ("", ""))
    >>> pair_report(pairs).accuracy.value
    0.5
    """
    draws = resampling(len(pairs.ids), seed)
    every = pairs.all_responses()
    margin = pairs.chosen - pairs.rejected  # [n]
    longer, shorter = wins(every.margins(every.lengths)), wins(every.margins(-every.lengths))  # [n]
    by_length = max(longer, shorter, key=np.mean)  # [n]
    # Ranks are taken once, over all responses; the draws resample examples with the ranks of theirs.
    from scipy.stats import rankdata  # of the extra evaluation: redviz score counts wins without it

    ranked = correlation_sums(rankdata(every.scores), rankdata(every.lengths))  # [r, 6]
    compared, of = every.comparisons() if pairs.responses else (margin, np.arange(len(margin)))  # [c]
    return PairReport(
        len(margin),
        pairs.left_out,
        share(wins(margin)),
        _by_subset(pairs, margin),
        mean_of(draws, margin),
        share(longer),
        share(shorter),
        mean_of(draws, wins(margin) - by_length),
        draws.estimate(added_up(ranked, every.of), correlation),
        calibration(compared, draws, of),
        best_of_n=pairs.responses is not None,
        chance=every.chance(),
        comparisons=mean_of(draws, added_up(wins(compared), of) / np.bincount(of)),
    )


def wins(margin: Array) -> Array:
    """1 where the first is ahead, 0 where it is behind, one half for a tie: ``[n]`` from ``[n]``."""
    return (np.sign(margin) + 1) / 2


def mean_of(draws: Resampling, values: Array) -> Estimate:
    """The mean of one number per unit, ``[n]``; of ones and zeros see :func:`redviz.evaluation.statistics.intervals.share`."""
    return draws.estimate(np.stack([np.ones(len(values)), values], 1), mean)


def _by_subset(pairs: Pairs, margin: Array) -> dict[str, Estimate]:
    names = np.array(pairs.subsets, dtype=object)  # [n]
    return {name: share(wins(margin[names == name])) for name in dict.fromkeys(pairs.subsets) if name}


def calibration(margin: Array, draws: Resampling | None = None, of: Array | None = None) -> Calibration:
    """Bradley-Terry calibration of margins ``[c]`` (chosen minus rejected), in ten bins; see :class:`Calibration`.

    Where an example has several comparisons, ``of`` says which are whose, so that they are drawn together.
    """
    half = BINS // 2
    sure = 1 / (1 + np.exp(-np.abs(margin)))  # [n]: probability given to the side the model prefers, from one half
    right = wins(margin)  # [n]
    bin_of = np.minimum(
        ((sure - 0.5) * BINS).astype(int), half - 1
    )  # [n]: bins above one half; those below mirror them
    sums = np.zeros((len(margin), half, 3))  # [n, bin, (count, predicted, preferred)]
    sums[np.arange(len(margin)), bin_of] = np.stack([np.ones_like(sure), sure, right], -1)

    def error(flat: Array) -> Array:
        given = flat.reshape(*flat.shape[:-1], half, 3)
        return np.abs(given[..., 1] - given[..., 2]).sum(-1) / given[..., 0].sum(-1)

    flat = sums.reshape(len(margin), -1) if of is None else added_up(sums.reshape(len(margin), -1), of)
    drawn = (draws or resampling(len(flat))).estimate(flat, error)
    counts, predicted, preferred = sums.sum(0).T  # [bin]
    with np.errstate(invalid="ignore"):
        predicted, preferred = predicted / counts, preferred / counts
    return Calibration(
        np.linspace(0, 1, BINS + 1),
        np.concatenate([1 - predicted[::-1], predicted]),
        np.concatenate([1 - preferred[::-1], preferred]),
        np.concatenate([counts[::-1], counts]).astype(np.int64),
        drawn,
    )


def credits_of_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Array]]:
    """Credits by label for every response of some result rows (``frame.to_dict("records")`` of a frame), in order of appearance."""
    found: dict[tuple[Any, Any], dict[str, Array]] = defaultdict(dict)
    for row in rows:
        if row["label"] is not None and row["credits"] is not None and len(row["credits"]):
            found[row["example_id"], row["response_id"]][row["label"]] = np.asarray(row["credits"], np.float64)
    return list(found.values())


def disagreement(responses: Iterable[Mapping[str, ArrayLike]]) -> MethodDisagreement:
    """How far methods disagree: ``1 - Spearman`` of token credits per response, averaged over responses.

    Parameters
    ----------
    responses
        For each response, label -> credits ``[T]``. Constant credits (``uniform``) have no order and are left out.

    Examples
    --------
    >>> round(disagreement([{"red": [1.0, 2.0, 3.0], "abc": [3.0, 2.0, 1.0]}]).mean, 6)
    2.0
    """
    sums: dict[tuple[str, str], list[float]] = defaultdict(list)
    labels: dict[str, None] = {}
    means = []
    for credits in responses:
        labels |= dict.fromkeys(credits)
        own = []
        ranks = {label: _unit_ranks(values) for label, values in credits.items()}
        for one, two in combinations(credits, 2):
            a, b = ranks[one], ranks[two]
            if a is not None and b is not None and len(a) == len(b):
                own.append(1 - float(a @ b))
                sums[one, two].append(own[-1])
        if own:
            means.append(float(np.mean(own)))
    names = tuple(labels)
    matrix = np.full((len(names), len(names)), np.nan)
    counts = np.zeros(matrix.shape, np.int64)
    for i, j in combinations(range(len(names)), 2):
        both = sums.get((names[i], names[j]), []) + sums.get((names[j], names[i]), [])
        counts[i, j] = counts[j, i] = len(both)
        matrix[i, j] = matrix[j, i] = np.mean(both) if both else np.nan
    np.fill_diagonal(matrix, 0.0)
    return MethodDisagreement(names, matrix, counts, float(np.mean(means)) if means else float("nan"))


def _unit_ranks(values: ArrayLike) -> Array | None:
    """Ranks as a vector of length one around their mean, so that a product of two is Spearman's; None where they are constant."""
    given = np.asarray(values, np.float64)
    if not np.isfinite(given).all():
        return None
    from scipy.stats import rankdata

    centred = rankdata(given) - (len(given) + 1) / 2  # [T]
    size = float(np.linalg.norm(centred))
    return centred / size if size else None


def plain(value: Any) -> Any:
    """Arrays as lists, nan as None: what JSON can say."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(inner) for inner in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value
