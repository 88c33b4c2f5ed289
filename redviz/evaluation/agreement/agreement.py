"""Human labels and a model's credits of the same responses: scored once, then read by every report; and all reports as one record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from redviz import __version__
from redviz.batches import WINDOW, analyze_as_ready
from redviz.credit.ingredients import Partners, check_partners
from redviz.credit.recipes import Recipe
from redviz.data.labels.labels import LabelledItem
from redviz.evaluation.agreement.against_people import MethodsReport
from redviz.evaluation.agreement.between_methods import BetweenReport
from redviz.evaluation.agreement.people import PeopleReport
from redviz.evaluation.faithfulness.faithfulness_report import FaithfulnessReport
from redviz.evaluation.faithfulness.removal import Progress
from redviz.evaluation.statistics.bradley_terry import Ranking
from redviz.records import Analysis, Source

if TYPE_CHECKING:
    from redviz.batches import Model


@dataclass(frozen=True)
class ScoredLabels:
    """Labelled responses with their credits, in the order of the items; what no report reads (attention) is not kept.

    Attributes
    ----------
    problems
        A sentence for each response that could not be scored, or not by all methods.
    """

    source: Source
    pairs: tuple[tuple[LabelledItem, Analysis], ...]
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """Every report about one set of labels, with what they were made of; None where a report was not asked for or not to be had.

    Attributes
    ----------
    name, scale, sentence
        The set of labels and how it was understood.
    responses
        That somebody judged.
    options
        As asked for: granularity, methods, seed and the others.
    sources
        The model and those beside it by their role; where reports are of several models, by the report.
    notes
        Why a report is not there, and what went wrong on the way.
    """

    name: str
    scale: str
    sentence: str
    responses: int
    options: Mapping[str, Any]
    sources: Mapping[str, Source] = field(default_factory=dict)
    people: PeopleReport | None = None
    methods: MethodsReport | None = None
    between: BetweenReport | None = None
    faithfulness: FaithfulnessReport | None = None
    preferences: Ranking | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, each report as its own ``to_dict`` gives it."""
        reports = ("people", "methods", "between", "faithfulness", "preferences")
        given = {name: getattr(self, name) for name in reports}
        return {
            "redviz": __version__,
            "labels": {
                "name": self.name,
                "scale": self.scale,
                "sentence": self.sentence,
                "responses": self.responses,
            },
            "options": dict(self.options),
            "sources": {role: asdict(source) for role, source in self.sources.items()},
            **{name: None if report is None else report.to_dict() for name, report in given.items()},
            "notes": list(self.notes),
        }


def judged(items: Sequence[LabelledItem]) -> tuple[LabelledItem, ...]:
    """Those that somebody submitted a judgement of, or that are settled."""
    return tuple(item for item in items if item.annotations or item.gold is not None)


def judged_twice(items: Sequence[LabelledItem]) -> int:
    """How many were judged by two people or more, which is what agreement among people is measured on."""
    return sum(len({given.annotator for given in item.annotations}) > 1 for item in items)


def score_labelled(
    model: Model,
    items: Sequence[LabelledItem],
    wanted: Mapping[str, Recipe],
    *,
    progress: Progress | None = None,
    **partners: Any,
) -> ScoredLabels:
    """The credits of every labelled response.

    Parameters
    ----------
    wanted, partners
        Label to recipe, and ``policy``, ``reference`` or ``cost_model``, as :func:`redviz.analyze_batch` takes them.
    progress
        Called with (responses done, responses) between micro-batches; may raise to cancel.

    Raises
    ------
    RedvizError
        Where a method's partner is missing. A response that fails is counted, with its reason.

    Examples
    --------
    >>> import redviz
    >>> from redviz.credit.recipes import recipes
    >>> model = redviz.reward_function(lambda prompt, response: response.count("good"))
    >>> scored = score_labelled(model, [LabelledItem("1", "?", "a good film", gold=())], recipes(["occlusion"]))
    >>> [round(float(v), 6) for v in scored.pairs[0][1].credits["occlusion"].values]
    [0.0, 1.0, 0.0]
    """
    beside = Partners(**partners)
    check_partners(wanted, beside)
    tell = progress or _nobody
    by_item: dict[int, Analysis] = {}
    for first in range(0, len(items), WINDOW):
        window = [item.example for item in items[first : first + WINDOW]]
        ready = analyze_as_ready(model, window, wanted, beside, beat=lambda: tell(len(by_item), len(items)))
        for place, analysis in ready:
            by_item[first + place] = _without_attention(analysis)
    tell(len(items), len(items))
    analyses = [by_item[n] for n in range(len(items))]
    problems = tuple(f"{item.id}: {a.error}" for item, a in zip(items, analyses, strict=True) if a.error)
    return ScoredLabels(model.source, tuple(zip(items, analyses, strict=True)), problems)


def _without_attention(analysis: Analysis) -> Analysis:
    if analysis.observation is None:
        return analysis
    return replace(analysis, observation=replace(analysis.observation, response_row=None, pooling_row=None))


def _nobody(done: int, total: int) -> None:
    """Nobody listens."""
