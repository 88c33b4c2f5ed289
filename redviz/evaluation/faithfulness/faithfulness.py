"""Does the model lose what the credits say it would? One response: units taken out and put back in the order of each credit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.errors import RedvizError
from redviz.evaluation.faithfulness.erasure import FRACTIONS
from redviz.evaluation.faithfulness.infidelity import Infidelity, infidelity
from redviz.evaluation.faithfulness.removal import (
    MEASURES,
    Curves,
    Progress,
    cut_scores,
    decreasing,
    figures,
    grid,
    remove_in_order,
    truncation_fit,
    units_taken,
)
from redviz.evaluation.faithfulness.shuffled import controls
from redviz.records import Analysis, Array, Observation
from redviz.text import GRANULARITIES, Unit, pool

if TYPE_CHECKING:
    from redviz.evaluation.faithfulness.sensitivity import Sensitivity
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel

    Model = RewardModel | FunctionModel

DIRECTIONS = {"raises": 1.0, "lowers": -1.0}  # what the credits are asked for, and the sign of credits and scores
NEAR_ZERO = 0.05  # of the range of scores along the random orders
NOTES = {
    "truncation": "Red is exact on the prefix-truncation curve by construction, and only there; read it beside in-place removal.",
    "removal": "Methods that score altered responses (occlusion, Shapley, LIME) are judged by what they were made from, "
    "where the operator is the same.",
}


@dataclass(frozen=True)
class OrderFigures:
    """One credit asked what raises the score, or what lowers it: figures in the order of its credits and of two controls.

    Each has the figures of :func:`.removal.figures`. To lower is to raise the negated score by the negated credits,
    so what is better stays the same.

    Attributes
    ----------
    own, random, reversed
        By decreasing credit; the mean of seeded random orders; by increasing credit.
    """

    own: Mapping[str, float]
    random: Mapping[str, float]
    reversed: Mapping[str, float]


@dataclass(frozen=True)
class CreditFaithfulness:
    """What removals say of one credit.

    Attributes
    ----------
    curves
        The scores along the order of decreasing credit; ``curves.reversed`` is the opposite order.
    asked
        "raises": ranked by signed credit. "lowers": by negated credit.
    infidelity
        Of the unit credits, on the removals of the random orders: the same removals for every credit.
    truncation_error, truncation_correlation
        On the prefix-truncation curve: root mean square of ``P_0`` plus the credits so far, less ``P_t``, over units; and the
        correlation of unit credits with what each unit adds to it (nan where either does not vary). Red is exact there by construction.
    controls
        "random" and "reversed": infidelity and truncation where the same credits belong to other units
        (:func:`redviz.evaluation.faithfulness.shuffled.controls`).
    sensitivity
        Where it was asked for. It compares a method with itself, so there is no control.
    """

    curves: Curves
    asked: Mapping[str, OrderFigures]
    infidelity: Infidelity
    truncation_error: float
    truncation_correlation: float
    controls: Mapping[str, Mapping[str, float]]
    sensitivity: Sensitivity | None = None


@dataclass(frozen=True)
class Faithfulness:
    """All credits of one response before the model.

    Attributes
    ----------
    operator
        How units are removed, as it was applied: a part of the result. Figures under two operators are not comparable.
    granularity, fractions, seed, random_orders
        As asked for.
    units
        The ``P`` units that were ranked.
    taken, counts
        Units that each fraction is ``[F]``, and the counts at which curves are known ``[K]``, from 0 to P.
    score, nothing_left
        The model's score of the response, and of what is left when every unit is removed (prompt and template stay).
    scale
        ``|score - nothing_left|``, which normalised figures are divided by; nan where it is under 5 % of the range of scores along
        the random orders. Its size alone, so that the better figure stays the better one where the response lowers the score.
    random
        The mean curves of the random orders.
    prefix_scores
        The truncation curve ``[P+1]``: ``P_0`` and the score read at the last token of each unit, what follows cut off.
    credits
        One record per label.
    altered
        How many different altered responses were scored in place.
    """

    operator: str
    granularity: str
    fractions: tuple[float, ...]
    seed: int
    random_orders: int
    units: tuple[Unit, ...]
    taken: Array  # [F] int64
    counts: Array  # [K] int64
    score: float
    nothing_left: float
    scale: float
    random: Curves
    prefix_scores: Array  # [P+1]
    credits: Mapping[str, CreditFaithfulness]
    altered: int

    @property
    def shares(self) -> Array:
        """Of the units, at which curves are known: ``[K]``."""
        return self.counts / len(self.units)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; what is not known is None."""
        return {**plain(self), "shares": plain(self.shares), "measures": dict(MEASURES), "notes": dict(NOTES)}


def faithfulness(
    model: Model,
    analysis: Analysis,
    *,
    operator: str = "pad",
    granularity: str = "word",
    fractions: Sequence[float] = FRACTIONS,
    seed: int = 0,
    random_orders: int = 5,
    sensitivity_samples: int = 0,
    progress: Progress | None = None,
) -> Faithfulness:
    """Remove units in the order of every credit of an analysis, and put them back in it, in place and by cutting the end off.

    Erasure (DeYoung et al. 2020, ERASER) for a reward without bounds, deletion and insertion curves (Petsiuk et al. 2018), infidelity and
    max-sensitivity (Yeh et al. 2019). On the truncation curve ``P_t`` red is exact by construction, and in-place removal favours
    methods that remove: hence both. All altered responses of all credits are scored together, equal ones once; template tokens
    are never removed, and the closing tokens' share is no unit's.

    Parameters
    ----------
    model, analysis
        The model and its analysis of one response, with the credits to judge.
    operator
        How units are removed (:func:`.value_function`): "pad", "mean", "mask" or "delete"; a function of text
        knows "delete" alone.
    granularity
        What is removed at a time: "token", "word" or "sentence".
    fractions
        Of the units, for comprehensiveness and sufficiency (which average over them). Curves are known at these, at their
        complements, at 0 and at 1; areas are taken over the share that was really removed.
    seed
        Of the random orders, of the order of equal credits, and of the moves of max-sensitivity.
    random_orders
        How many the random control is the mean of.
    sensitivity_samples
        Moves for :func:`.max_sensitivity` (10 in the paper); 0 leaves it out, for each costs as much as the
        method.
    progress
        Called with (done, to do) while altered responses, and then moved embeddings, are scored; may raise to cancel.

    Returns
    -------
    Faithfulness
        In the model's units, and normalised.

    Raises
    ------
    RedvizError
        Where the analysis failed, is by another model or has no credits; where the response is one unit; for an unknown operator.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.reward_function(lambda prompt, response: response.count("good") - response.count("bad"))
    >>> analysis = redviz.analyze(model, "?", "a good but bad film", methods=["occlusion", "uniform"])
    >>> found = faithfulness(model, analysis, operator="delete", fractions=(0.2,))
    >>> found.credits["occlusion"].asked["raises"].own["comprehensiveness"], found.credits["occlusion"].infidelity.raw
    (1.0, 0.0)
    """
    from redviz.credit.from_models.coalitions import operator_for, players_of, value_function

    check_asked(granularity, fractions, random_orders)
    observation = _checked(model, analysis)
    players = players_of(observation, granularity)
    if len(players) < 2:
        raise RedvizError(f"The response is one {granularity}, so there is no order to remove in; split it finer.")
    taken = units_taken(fractions, len(players))
    counts = grid(taken, len(players))
    random = np.random.default_rng(seed)
    ties = random.permutation(len(players))
    pooled = {label: pool(credit.own, players) for label, credit in analysis.credits.items()}  # [P] each
    ranked = [decreasing(credits, ties) for credits in pooled.values()]
    drawn = [random.permutation(len(players)) for _ in range(random_orders)]
    value = value_function(model, observation, players, operator)
    removed = remove_in_order(value, np.array([*drawn, *ranked]), counts, progress)
    by_chance = removed.scores[:random_orders]  # [order, 2, K]
    score, nothing = float(by_chance[0, 0, 0]), float(by_chance[0, 0, -1])
    scale = abs(score - nothing)
    scale = scale if scale > NEAR_ZERO * (by_chance.max() - by_chance.min()) else float("nan")
    by_chance_mean = Curves(*by_chance.mean(0))
    prefixes = cut_scores(model, observation, players, granularity, progress)
    steady: Mapping[str, Sensitivity] = {}
    if sensitivity_samples:
        from redviz.evaluation.faithfulness.sensitivity import max_sensitivity

        steady = max_sensitivity(model, analysis, samples=sensitivity_samples, seed=seed, progress=progress)
    inner = (slice(None), slice(None), slice(1, -1))  # removals of some units and not of all
    some = ~removed.kept[:random_orders][inner].reshape(-1, len(players))  # [N, P]
    losses = score - by_chance[inner].reshape(-1)  # [N]
    credits = {}
    for (label, own), order, curves in zip(pooled.items(), ranked, removed.curves[random_orders:], strict=True):
        asked = {}
        for way, sign in DIRECTIONS.items():
            ordered = curves if sign > 0 else curves.reversed
            lines = (ordered, by_chance_mean, ordered.reversed)
            asked[way] = OrderFigures(*(figures(one, counts, taken, scale, sign) for one in lines))
        others = controls(own, order, drawn, some, losses, prefixes)
        credits[label] = CreditFaithfulness(
            curves, asked, infidelity(some, own, losses), *truncation_fit(own, prefixes), others, steady.get(label)
        )
    return Faithfulness(
        operator_for(model, operator), granularity, tuple(fractions), seed, random_orders, players, taken, counts,
        score, nothing, scale, by_chance_mean, prefixes, credits, removed.altered,
    )  # fmt: skip


def plain(value: Any) -> Any:
    """A record as plain JSON types: nan and infinities are None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value


def check_asked(granularity: str, fractions: Sequence[float], random_orders: int) -> None:
    """Refuse what no response could be checked with."""
    if granularity not in GRANULARITIES:
        raise RedvizError(f"Unknown granularity {granularity!r}; use one of {', '.join(GRANULARITIES)}.")
    units_taken(fractions, 1)
    if random_orders < 1:
        raise RedvizError(
            f"random_orders is {random_orders}; give at least 1, for figures mean little without a control."
        )


def _checked(model: Model, analysis: Analysis) -> Observation:
    if analysis.observation is None:
        raise RedvizError("This analysis failed, so there is nothing to check; analyze a response that can be scored.")
    if not analysis.source.reads_as(model.source):
        raise RedvizError(
            f"The analysis is by {analysis.source.model}, and the model is {model.name}; analyze the response with it first."
        )
    if not analysis.credits:
        raise RedvizError("This analysis has no credits to check; analyze the response with at least one method.")
    return analysis.observation
