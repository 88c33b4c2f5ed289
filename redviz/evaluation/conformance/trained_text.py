"""Which text was a model trained on? The usual texts tried on labelled pairs, against the one that is in use."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.evaluation.conformance.checks_of_pairs import encoded, parameters_read, scores
from redviz.evaluation.conformance.text_cost import (
    FIRST_PAIRS,
    KEPT,
    MOST_PAIRS,
    Cost,
    Pair,
    candidates,
    cost,
    mean_characters,
    readings_of_pairs,
)
from redviz.evaluation.conformance.text_report import TextReport, TriedText, goodness
from redviz.evaluation.statistics.intervals import Estimate, resampling, share
from redviz.evaluation.statistics.paired_differences import Difference, paired_differences
from redviz.evaluation.statistics.pairs import mean_of, wins
from redviz.models.loading.load import with_template
from redviz.models.reading.templates import OWN
from redviz.models.running.budgets import Progress
from redviz.records import Array, Encoding


def trained_text(model: Any, pairs: Sequence[Pair], progress: Progress | None = None) -> TextReport:
    """Try the usual texts on labelled pairs, each with and without an EOS behind the response, and compare each with the one in use.

    Of more than 20 pairs all texts are tried on the first 20, and the five that do best, and the one in use, on the others.

    Parameters
    ----------
    model
        From :func:`redviz.load_reward_model`; what it reads now is the text in use.
    pairs
        The better and the worse response of each; the first 200 are taken.
    progress
        Called with (responses scored, responses in all) between passes; may raise to cancel.

    Raises
    ------
    RedvizError
        Where there are no pairs.
    """
    pairs = pairs[:MOST_PAIRS]
    if not pairs:
        raise RedvizError("There are no pairs of a better and a worse response; give a data set of preferences.")
    readings, refused = _readings(model, pairs)
    first = min(FIRST_PAIRS, len(pairs))
    margins = np.full((len(pairs), len(readings)), np.nan)  # [pair, text]
    done, total = 0, 2 * readings_of_pairs(len(readings), len(pairs))

    def tell() -> None:
        if progress is not None:
            progress(done, total)

    def measure(places: Sequence[int], rows: slice) -> None:
        nonlocal done
        for place in places:
            margins[rows, place], why = _margins(readings[place].model, pairs[rows], tell)
            readings[place].why = readings[place].why or why
            done += 2 * len(pairs[rows])

    measure(range(len(readings)), slice(0, first))
    order = sorted(range(1, len(readings)), key=lambda place: _rank(margins[:first, place]), reverse=True)
    if first < len(pairs):
        measure([0, *order[:KEPT]], slice(first, len(pairs)))
    tell()
    return _report(readings, margins, refused)


def cost_on(model: Any, pairs: Sequence[Pair]) -> Cost:
    """The same of a loaded model on pairs that are at hand."""
    characters = mean_characters(pairs)
    return cost(model.source.template or OWN, len(pairs), characters, parameters_read(model), model.device)


@dataclass
class _Reading:
    """A text that the model reads, and why it has no scores."""

    template: str
    model: Any
    why: str = ""


def _readings(model: Any, pairs: Sequence[Pair]) -> tuple[list[_Reading], dict[str, str]]:
    """The model in every text that is another text on these pairs, the one in use first; and why a text was refused."""
    in_use = model.source.template or OWN
    readings, refused = [_Reading(in_use, model)], {}
    seen = {_signature(model, pairs)}
    for template in candidates(in_use)[1:]:
        try:
            reading = _Reading(template, with_template(model, template))
        except RedvizError as error:
            refused[template] = str(error)
            continue
        if (signature := _signature(reading.model, pairs)) not in seen:
            seen.add(signature)
            readings.append(reading)
    return readings, refused


def _signature(model: Any, pairs: Sequence[Pair]) -> tuple[Any, ...]:
    """What tells two texts apart: the ids of the first pairs."""
    found, _ = encoded(model, [example for pair in pairs[:4] for example in pair])
    return tuple(e and (e.rendered, e.ids.tobytes()) for e in found)


def _margins(model: Any, pairs: Sequence[Pair], beat: Callable[[], None]) -> tuple[Array, str]:
    """Better less worse of every pair, ``[pair]``; nan where a side has no score, and why the first has none."""
    given, refused = encoded(model, [example for pair in pairs for example in pair])
    found, failed = scores(model, [_both(given, n) for n in range(len(given))], beat)
    return found[::2] - found[1::2], refused or failed


def _both(encodings: Sequence[Encoding | None], n: int) -> Encoding | None:
    """One side of a pair, where the other is there too."""
    return encodings[n] if encodings[n ^ 1] is not None else None


def _report(readings: Sequence[_Reading], margins: Array, refused: dict[str, str]) -> TextReport:
    templates = [reading.template for reading in readings]
    own = templates[0]
    known = np.isfinite(margins)
    right = np.where(known, wins(np.where(known, margins, 0)), np.nan)  # [pair, text]
    against = [(template, own) for template in templates[1:]]
    better = {d.one for d in paired_differences(right, templates, chosen=against) if _is_gain(d)} - {own}
    tried = []
    for place, template in enumerate(templates):
        rows = known[:, place]
        shared = rows & known[:, 0]
        tried.append(
            TriedText(
                template,
                share(right[rows, place]),
                mean_of(resampling(int(rows.sum())), margins[rows, place]) if rows.any() else _nothing(),
                _mean(right[shared, place] - right[shared, 0]) if place else _nothing(),
                _mean(margins[shared, place] - margins[shared, 0]) if place else _nothing(),
                template in better,
                "" if rows.any() else readings[place].why,
            )
        )
    ordered = sorted(tried[1:], key=goodness, reverse=True)
    nothing = _nothing()
    left = [TriedText(t, nothing, nothing, nothing, nothing, False, reason) for t, reason in refused.items()]
    return TextReport(own, len(margins), (tried[0], *ordered, *left))


def _is_gain(difference: Difference) -> bool:
    return difference.significant and difference.estimate.value > 0


def _mean(values: Array) -> Estimate:
    return mean_of(resampling(len(values)), values) if len(values) else _nothing()


def _nothing() -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, 0)


def _rank(margins: Array) -> tuple[float, float]:
    """Accuracy, then mean margin; what has no scores comes last."""
    known = margins[np.isfinite(margins)]
    return (float(wins(known).mean()), float(known.mean())) if len(known) else (-1.0, 0.0)
