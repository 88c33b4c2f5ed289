"""What a credit method is: its label, paper, cost, needs and promise, and the options it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from redviz.credit.from_records.segments import PLACES
from redviz.errors import RedvizError
from redviz.records import Credit
from redviz.text import GRANULARITIES

FAMILIES = ("outcome", "prefix", "attention", "gradient", "perturbation", "policy")


@dataclass(frozen=True)
class Option:
    """One option of a method: its default, a sentence, and what it may be.

    A default of True or False makes it a switch. ``choices`` are all its values; ``range`` is (low, high) of a real number; with
    neither it is a whole number (within ``bounds``), or a list of whole numbers where ``many`` is set. A default of None means that
    the method decides.
    """

    default: Any
    help: str
    choices: tuple[Any, ...] | None = None
    range: tuple[float, float] | None = None
    many: bool = False
    bounds: tuple[int, int] | None = None

    def check(self, name: str, value: Any) -> Any:
        """The value as plain Python (one whole number of ``many`` becomes a list); RedvizError where it may not be that.

        >>> Option(None, "Heads.", many=True).check("heads", 3)
        [3]
        """
        if value is None and self.default is None:
            return None
        if isinstance(self.default, bool):
            if isinstance(value, bool):
                return value
            raise RedvizError(f"{name} is {short(value)}; use true or false.")
        if self.choices is not None:
            if isinstance(value, str) and value in self.choices:
                return value
            raise RedvizError(f"{name} is {short(value)}; use one of {', '.join(map(str, self.choices))}.")
        if self.range is not None:
            low, high = self.range
            if _real(value) and low <= value <= high:
                return float(value)
            raise RedvizError(f"{name} is {short(value)}; give a number from {low:g} to {high:g}.")
        if self.many:
            listed = [value] if _whole(value) else value
            if isinstance(listed, (list, tuple, range)) and len(listed) and all(map(_whole, listed)):
                return [int(n) for n in listed]
            raise RedvizError(f"{name} is {short(value)}; give whole numbers, such as [0, 2].")
        if _whole(value) and (self.bounds is None or self.bounds[0] <= value <= self.bounds[1]):
            return int(value)
        within = f" from {self.bounds[0]} to {self.bounds[1]}" if self.bounds else ""
        raise RedvizError(f"{name} is {short(value)}; give a whole number{within}.")


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def short(value: Any) -> str:
    """A value as it may stand in a sentence."""
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:60] + "…"


SEGMENTS = {
    "segment": Option(
        "token", "Give one credit to each word or sentence instead of each token.", choices=GRANULARITIES
    ),
    "place": Option("even", "Where a segment's credit stands: evenly on its tokens, or on its last.", choices=PLACES),
}


@dataclass(frozen=True)
class MethodInfo:
    """What a person should know of a method before believing its colours.

    Attributes
    ----------
    label, paper
        A short name for strips, and where it was published.
    cost
        Forward (F) and backward (B) passes of the reward model for one response, the observation and passes over the prompt alone
        included; a tail is a pass over what follows the first change. n and M are options, T the response's tokens, P its units.
        "Both ways" is what a model whose tokens see later ones takes; its tails are whole passes.
    needs
        What its credits are made from. Records: "observation" (the one forward pass that every analysis has), "attention" (rows of
        that pass), "steps" (a process reward model's step scores, of that pass too), "log_probs" (a policy's and a reference's
        forward pass). Models that are called again: "model" (the reward model), "policy", "reference".
    sums_to
        What the credits add up to; "nothing" where the method promises no sum.
    causal
        True where the credit of token t depends on tokens up to t only; False for hindsight methods.
    credit
        The function. Every one is called alike: ``credit(observation, <ingredient>=…, <option>=…)``, an ingredient for each thing
        that it needs beside the observation (:attr:`redviz.credit.recipes.Recipe.ingredients`), and ``progress=`` where one of
        them is a model.
    options
        Its options by name.
    family, formula
        Where the picker lists it (one of ``FAMILIES``), and the credit of token t in symbols.
    shift_invariant
        Whether adding a constant to every score leaves the credits as they are.
    identity
        The identity that the project's tests assert for it.
    black_box
        Whether it works on any function of prompt and response (:func:`redviz.reward_function`).
    steps
        Whether it also works on a process reward model, which says only what it thinks after each step.
    extras
        Options that, when they are not 0, need another ingredient: option -> "log_probs" or "cost".
    """

    label: str
    paper: str
    cost: str
    needs: str
    sums_to: str
    causal: bool
    credit: Callable[..., Credit]
    options: Mapping[str, Option]
    family: str
    formula: str
    shift_invariant: bool
    identity: str
    black_box: bool = False
    steps: bool = False
    extras: Mapping[str, str] = field(default_factory=dict)

    @property
    def all_options(self) -> dict[str, Option]:
        """Its own options, and for credits with a sum those of segment credits."""
        return {**self.options, **(SEGMENTS if self.additive else {})}

    @property
    def additive(self) -> bool:
        """Whether its credits promise a sum."""
        return self.sums_to != "nothing"
