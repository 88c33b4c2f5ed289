"""Can this model be split? Whether prefix scores mean anything before the response is over, measured on preference pairs.

An outcome reward model is trained to judge whole responses; RED reads it at every token. Where the scores of prefixes are noise and
the verdict comes with the last tokens, RED is the sparse reward plus noise ("Reward Models Are Secretly Value Functions",
arXiv 2604.22981; "From Outcomes to Processes", arXiv 2506.12446).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.evaluation.statistics.intervals import (
    Estimate,
    Resampling,
    correlation,
    correlation_sums,
    mean,
    resampling,
    share,
    variance,
)
from redviz.evaluation.statistics.pairs import plain, wins
from redviz.records import Analysis, Array

FRACTIONS = (0.25, 0.5, 0.75, 1.0)
POSITIONS = 10
FEWEST_PAIRS = 20
MOSTLY_END, HARDLY_END = 0.8, 0.5  # shares of |credit|

RULE = (
    f"It takes {FEWEST_PAIRS} pairs and scores that prefer the chosen response above chance (the 95 % interval lies above one half). "
    "Then yes: the prefix scores at 50 % of the response prefer it above chance too, RED lowers the variance of the returns in the "
    "second half (interval above 0; against R or R - P_0, whichever varies less, as a baseline takes off what the prompt alone "
    f"explains), and less than {HARDLY_END:.0%} of |credit| is on the last and closing tokens. "
    f"No: {MOSTLY_END:.0%} or more of |credit| is there, or neither 50 % nor 75 % is above chance, or RED raises that variance. "
    "Else: in part."
)

Side = tuple[Array, float]  # prefix scores P_0 .. P_T [T+1], and the score R


@dataclass(frozen=True)
class SplitReport:
    """What the panel "can this model be split?" shows; every figure has its interval over pairs.

    Attributes
    ----------
    left_out
        Pairs with a side that could not be scored or has no prefix scores.
    accuracy
        Share of pairs whose chosen response is ahead by its prefix score ``P_t`` at 25, 50, 75 and 100 % of the response,
        ``t = floor(share * T)``; a tie counts half.
    score_accuracy
        The same by the score R, closing tokens included.
    correlation
        Pearson's, of ``P_t`` with R over all responses, at the same places.
    last_share, closing_share, end_share
        Share of a response's ``|RED credit|`` that is on its last token, on the template's closing tokens, and on both.
    variance_reduction
        ``1 - Var(R - P_{t-1}) / Var(R)`` over responses, by tenth of the response: how much less the return that is left at token t
        varies than the whole return that a sparse reward gives every token. Below 0, RED makes it vary more. All of it holds what the
        prompt explains: responses of easy and of hard prompts vary by P_0 too.
    late_reduction
        The same over the second half, without what the prompt explains: against ``Var(R - P_0)``, which a sparse reward has whose
        baseline is the score of the prompt (as GRPO's and RLOO's are of the prompt), or ``Var(R)`` where P_0 is noise and adds to it.
    verdict
        "yes", "in part", "no" or "unclear".
    sentence, rule
        The verdict in words, and how it was reached.
    """

    count: int
    left_out: int
    accuracy: tuple[Estimate, ...]
    score_accuracy: Estimate
    correlation: tuple[Estimate, ...]
    last_share: Estimate
    closing_share: Estimate
    end_share: Estimate
    variance_reduction: tuple[Estimate, ...]
    late_reduction: Estimate
    verdict: str
    sentence: str
    rule: str = RULE
    fractions: tuple[float, ...] = FRACTIONS

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; nan as null."""
        found: dict[str, Any] = plain(asdict(self))
        return found


@dataclass(frozen=True)
class _SideFigures:
    """What one response adds; everything else about it is let go."""

    score: float
    at: Array  # [fraction]: P_t
    last: float  # share of |credit|
    closing: float
    left: Array  # [position + 1, 7]: count, R, its square, R - P_0, its square, means of R - P_{t-1} and of its square; last: 2nd half


def split_report(pairs: Iterable[tuple[Analysis, Analysis]], seed: int = 0) -> SplitReport:
    """Measure on preference pairs whether a model's prefix scores can be trusted before the response is over.

    Parameters
    ----------
    pairs
        (chosen, rejected), analyzed with any methods or none: only scores and prefix scores are read. May be a stream: of each
        response a few numbers are kept.

    Raises
    ------
    RedvizError
        If no pair has prefix scores on both sides (a function of text has none).

    Examples
    --------
    >>> import redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> texts = ("A superb, moving film.", "A dull, empty film.")
    >>> both = [redviz.analyze(model, "Review the film.", text, methods=["red"]) for text in texts]
    >>> split_report([(both[0], both[1])]).verdict
    'unclear'
    """
    return split_report_of_sides(((_side(chosen), _side(rejected)) for chosen, rejected in pairs), seed)


def split_report_of_rows(rows: Iterable[Mapping[str, Any]], seed: int = 0) -> SplitReport:
    """The same from result rows (``example_id``, ``response_id``, ``score``, ``prefix_scores``); several labels count once."""
    return split_report_of_sides(_sides_of_rows(rows), seed)


def split_report_of_sides(pairs: Iterable[tuple[Side, Side]], seed: int = 0) -> SplitReport:
    """The same from (prefix scores ``[T+1]``, score) of the chosen and the rejected response of every pair."""
    chosen: list[_SideFigures] = []
    rejected: list[_SideFigures] = []
    left_out = 0
    for one, two in pairs:
        first, second = _figures(*one), _figures(*two)
        if first is None or second is None:
            left_out += 1
        else:
            chosen.append(first)
            rejected.append(second)
    if not chosen:
        raise RedvizError(
            "There is no pair with prefix scores on both sides; it takes a chosen and a rejected response each, and a model that "
            "scores at every token (a rule does not)."
        )
    draws = resampling(len(chosen), seed)
    sides = (chosen, rejected)
    at = np.array([[side.at for side in own] for own in sides])  # [side, pair, fraction]
    score = np.array([[side.score for side in own] for own in sides])  # [side, pair]
    last = np.array([[side.last for side in own] for own in sides])  # [side, pair], nan where there is no credit at all
    closing = np.array([[side.closing for side in own] for own in sides])  # [side, pair]
    left = np.array([[side.left for side in own] for own in sides]).sum(0)  # [pair, position + 1, 7]
    accuracy = tuple(share(wins(at[0, :, f] - at[1, :, f])) for f in range(len(FRACTIONS)))
    score_accuracy = share(wins(score[0] - score[1]))
    end_share = _mean_share(draws, last + closing)
    late_reduction = _reduction(draws, left[:, POSITIONS], beyond_prompt=True)
    verdict, sentence = _verdict(len(chosen), accuracy, score_accuracy, end_share, late_reduction)
    return SplitReport(
        len(chosen),
        left_out,
        accuracy,
        score_accuracy,
        tuple(draws.estimate(correlation_sums(at[:, :, f].T, score.T), correlation) for f in range(len(FRACTIONS))),
        _mean_share(draws, last),
        _mean_share(draws, closing),
        end_share,
        tuple(_reduction(draws, left[:, p]) for p in range(POSITIONS)),
        late_reduction,
        verdict,
        sentence,
    )


def _side(analysis: Analysis) -> Side:
    return analysis.prefix_scores, analysis.score


def _sides_of_rows(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[Side, Side]]:
    waiting: dict[str, dict[str, Side]] = {}
    done: set[str] = set()
    for row in rows:
        example, role = row["example_id"], row["response_id"]
        if role not in ("chosen", "rejected") or example in done:
            continue
        score = math.nan if row["score"] is None else row["score"]
        found = [
            math.nan if p is None else p for p in (row["prefix_scores"] if row["prefix_scores"] is not None else ())
        ]
        both = waiting.setdefault(example, {})
        both[role] = np.array(found, np.float64), score
        if len(both) == 2:
            done.add(example)
            del waiting[example]
            yield both["chosen"], both["rejected"]


def _figures(prefix_scores: Array, score: float) -> _SideFigures | None:
    prefix = np.asarray(prefix_scores, np.float64)  # [T+1]
    length = len(prefix) - 1
    if length < 1 or not np.isfinite(prefix).all() or not math.isfinite(score):
        return None
    steps = np.abs(np.diff(prefix))  # [T]
    closing = abs(score - prefix[-1])
    size = steps.sum() + closing
    return _SideFigures(
        score,
        prefix[[math.floor(share * length) for share in FRACTIONS]],
        steps[-1] / size if size else math.nan,
        closing / size if size else math.nan,
        _left_by_position(score - prefix[:-1], score),
    )


def _left_by_position(left: Array, score: float) -> Array:
    """Moments of the return left before each token (``[T]``), averaged within each tenth so that every response weighs the same."""
    length = len(left)
    place = np.arange(length) * POSITIONS // length  # [T]
    groups = [place == p for p in range(POSITIONS)] + [place >= POSITIONS // 2]
    whole = (1.0, score, score**2, left[0], left[0] ** 2)
    rows = [(*whole, left[g].mean(), (left[g] ** 2).mean()) if g.any() else (0.0,) * 7 for g in groups]
    return np.array(rows)  # [position + 1, 7]


def _mean_share(draws: Resampling, shares: Array) -> Estimate:
    known = np.isfinite(shares)  # [side, pair]
    return draws.estimate(np.stack([known.sum(0), np.where(known, shares, 0).sum(0)], 1), mean)


def _reduction(draws: Resampling, sums: Array, beyond_prompt: bool = False) -> Estimate:
    """``1 - Var(R - P_{t-1}) / Var(R)``, or over the smaller of ``Var(R - P_0)`` and ``Var(R)``, from moments ``[pair, 7]``."""

    def statistic(given: Array) -> Array:
        count, score, scores, apart, aparts, left, lefts = np.moveaxis(given, -1, 0)  # short responses miss some tenths
        whole = variance(count, score, scores)
        if beyond_prompt:
            whole = np.minimum(whole, variance(count, apart, aparts))
        return np.where(whole > 0, 1 - variance(count, left, lefts) / whole, np.nan)

    return draws.estimate(sums, statistic, int((sums[:, 0] > 0).sum()))


def _verdict(
    count: int, accuracy: Sequence[Estimate], score_accuracy: Estimate, end_share: Estimate, late_reduction: Estimate
) -> tuple[str, str]:
    half, three_quarters = accuracy[1], accuracy[2]
    if count < FEWEST_PAIRS:
        return "unclear", f"Unclear: {count} pairs are too few to tell; give at least {FEWEST_PAIRS}."
    if not score_accuracy.low > 0.5:
        return "unclear", (
            f"Unclear: the scores of whole responses do not prefer the chosen ones above chance ({_range(score_accuracy)}), "
            "so there is no verdict to split."
        )
    if end_share.value >= MOSTLY_END:
        return "no", (
            f"No: {end_share.value:.0%} of |credit| is on the last and closing tokens, so RED is the sparse reward plus noise."
        )
    if not (half.low > 0.5 or three_quarters.low > 0.5):
        return "no", (
            f"No: prefix scores do not tell the chosen response above chance, neither at 50 % ({_range(half)}) nor at 75 % "
            f"of it ({_range(three_quarters)})."
        )
    if late_reduction.high < 0:
        return "no", (
            f"No: RED raises the variance of the returns in the second half of a response by {-late_reduction.value:.0%} "
            "(beside what the prompt alone explains)."
        )
    weak: list[tuple[bool, str]] = [
        (half.low > 0.5, f"at half of a response its prefix scores are not above chance ({_range(half)})"),
        (
            late_reduction.low > 0,
            "in the second half the variance of the returns is not surely lower "
            f"({_range(late_reduction, 'reduction')})",
        ),
        (end_share.value < HARDLY_END, f"{end_share.value:.0%} of |credit| is on the last and closing tokens"),
    ]
    if doubts := [words for holds, words in weak if not holds]:
        return "in part", f"In part: {'; '.join(doubts)}."
    return "yes", (
        f"Yes: at half of a response the prefix scores already prefer the chosen one ({_range(half)}), {end_share.value:.0%} of "
        f"|credit| is on the last and closing tokens, and RED takes {late_reduction.value:.0%} off the variance of the returns in "
        "the second half, beside what the prompt alone explains."
    )


def _range(given: Estimate, name: str = "accuracy") -> str:
    return f"{name} {given.value:.0%}, 95 % interval {given.low:.0%} to {given.high:.0%}"
