"""What trying several texts on labelled pairs found, and its row of the conformance card."""

from __future__ import annotations

import math
import shlex
from dataclasses import asdict, dataclass
from typing import Any

from redviz.evaluation.conformance.conformance import Check
from redviz.evaluation.conformance.text_cost import FIRST_PAIRS
from redviz.evaluation.statistics.intervals import Estimate
from redviz.evaluation.statistics.pairs import plain

TITLE = "The text is the one it was trained on"


@dataclass(frozen=True)
class TriedText:
    """What one text gives.

    Attributes
    ----------
    template
        As ``--template`` takes it.
    accuracy, margin
        Share of pairs whose better response scores higher (a tie is one half), and the mean of by how much; over ``accuracy.count``
        pairs.
    accuracy_gain, margin_gain
        The same less what the text in use gives, on the pairs that both have; paired bootstrap intervals.
    better
        Whether its accuracy is higher by more than chance, after Holm's correction for all texts.
    refused
        Why it was not tried, or could not be on any pair.
    """

    template: str
    accuracy: Estimate
    margin: Estimate
    accuracy_gain: Estimate
    margin_gain: Estimate
    better: bool
    refused: str = ""


@dataclass(frozen=True)
class TextReport:
    """The texts that were tried: the one in use first, then the best first, then those that could not be read."""

    in_use: str
    count: int  # pairs
    tried: tuple[TriedText, ...]

    @property
    def best(self) -> TriedText:
        """The text to take: of those that are better than the one in use by more than chance the best, else that, if it reads any."""
        own = self.tried[0]
        better = [text for text in self.tried[1:] if text.better or (text.accuracy.count and not own.accuracy.count)]
        return max(better, key=goodness, default=own)

    @property
    def check(self) -> Check:
        """The report as a row of the conformance card."""
        own, best = self.tried[0], self.best
        others = [text for text in self.tried[1:] if text.accuracy.count]
        read = f"{self.in_use}, the text in use, orders {_share(own)} pairs"
        if not own.accuracy.count:
            read = f"{self.in_use}, the text in use, scores none of {self.count} pairs ({own.refused.rstrip('.')})"
        if best is not own:
            figure = f"{read}; {best.template} orders {_share(best)}"
            figure += f": {_gain(best.accuracy_gain)}, more than chance" if best.better else ""
            remedy = f"Load it with --template {shlex.quote(best.template)}, unless its model card says otherwise."
            return Check("trained_text", TITLE, "amber", figure, remedy)
        if not others:
            why = next((text.refused for text in self.tried[1:] if text.refused), "")
            verdict = "green" if own.accuracy.count else "amber"
            figure = f"{read}; no other text was tried" + (f" ({why.rstrip('.')})" if why else "")
            return Check("trained_text", TITLE, verdict, figure, "")
        second = max(others, key=goodness)
        figure = f"{read}; none of {len(others)} others orders more by more than chance: the best of them, {second.template}, "
        figure += f"{_share(second)}, {_gain(second.accuracy_gain)}"
        return Check("trained_text", TITLE, "green", figure, "")

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON types; nan as null."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def goodness(text: TriedText) -> tuple[int, float, float]:
    """Texts that were tried on more pairs first, then by accuracy and mean margin."""
    if not text.accuracy.count:
        return (-1, 0.0, 0.0)
    return (int(text.accuracy.count > FIRST_PAIRS), text.accuracy.value, text.margin.value)


def _share(text: TriedText) -> str:
    return f"{text.accuracy.value:.1%} of {text.accuracy.count}"


def _gain(gain: Estimate) -> str:
    """The interval is left out where one pair gives none."""
    between = "" if math.isnan(gain.low) else f" ({100 * gain.low:+.1f} to {100 * gain.high:+.1f})"
    return f"{100 * gain.value:+.1f} points{between}"
