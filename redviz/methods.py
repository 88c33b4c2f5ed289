"""The table of credit methods: what each is, costs, needs and promises. One plain dict, read by the library, the app and the CLI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from redviz.credit.attention import ROWS, abc
from redviz.credit.baselines import sparse, uniform
from redviz.credit.prefix import INITIALS, red
from redviz.errors import RedvizError
from redviz.probe.choices import BASELINES, MOST_STEPS
from redviz.records import Credit


@dataclass(frozen=True)
class Option:
    """One option of a method: its default, a sentence, and what it may be.

    ``choices`` are all its values; ``range`` is (low, high) of a real number; with neither it is a whole number (within
    ``bounds``), or a list of whole numbers where ``many`` is set. A default of None means that the method decides.
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
        if self.choices is not None:
            if isinstance(value, str) and value in self.choices:
                return value
            raise RedvizError(f"{name} is {_short(value)}; use one of {', '.join(map(str, self.choices))}.")
        if self.range is not None:
            low, high = self.range
            if _real(value) and low <= value <= high:
                return float(value)
            raise RedvizError(f"{name} is {_short(value)}; give a number from {low:g} to {high:g}.")
        if self.many:
            listed = [value] if _whole(value) else value
            if isinstance(listed, (list, tuple, range)) and len(listed) and all(map(_whole, listed)):
                return [int(n) for n in listed]
            raise RedvizError(f"{name} is {_short(value)}; give whole numbers, such as [0, 2].")
        if _whole(value) and (self.bounds is None or self.bounds[0] <= value <= self.bounds[1]):
            return int(value)
        within = f" from {self.bounds[0]} to {self.bounds[1]}" if self.bounds else ""
        raise RedvizError(f"{name} is {_short(value)}; give a whole number{within}.")


def _real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _short(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:60] + "…"


@dataclass(frozen=True)
class MethodInfo:
    """What a person should know of a method before believing its colours.

    Attributes
    ----------
    label, paper
        A short name for strips, and where it was published.
    cost
        Forward (F) and backward (B) passes of the reward model for one response.
    needs
        "observation" (the one forward pass that every analysis has), "attention", or "model" (it calls the model again).
    sums_to
        What the credits add up to.
    causal
        True where the credit of token t depends on tokens up to t only; False for hindsight methods.
    """

    label: str
    paper: str
    cost: str
    needs: str
    sums_to: str
    causal: bool
    credit: Callable[..., Credit]
    options: Mapping[str, Option]


def _ig(*args: Any, **options: Any) -> Credit:
    from redviz.probe.integrated_gradients import ig  # Captum and torch load only when gradients are asked for

    return ig(*args, **options)


METHODS: dict[str, MethodInfo] = {
    "red": MethodInfo(
        "RED", "Li et al. 2024, RED / R3HF, arXiv 2411.08302", "1 F", "observation", "R − β_c·P_0", True, red,
        {
            "beta_c": Option(1.0, "Share of the redistributed reward; the rest stays on the last token.", range=(0.0, 1.0)),
            "initial": Option("prefix", "What the first token is compared with.", choices=INITIALS),
        },
    ),
    "abc": MethodInfo(
        "ABC", "Chan et al. 2024, Dense Reward for Free, arXiv 2402.00782", "1 F", "attention", "R", False, abc,
        {
            "layer": Option(-1, "Attention layer; −1 is the last (the paper's choice)."),
            "heads": Option(None, "Heads to average; empty takes all (the paper's choice).", many=True),
            "b": Option(1.0, "Share of the score that attention splits; the paper's experiments use 0.8.", range=(0.0, 1.0)),
            "row": Option("response", "Whose attention: the last response token's, or the reading position's.", choices=ROWS),
        },
    ),
    "ig": MethodInfo(
        "IG", "Sundararajan et al. 2017, Integrated Gradients, through Captum", "n (F + B)", "model", "R − R(baseline)", False, _ig,
        {
            "baseline": Option("pad", "What every response token starts from; pad is mean where there is none.", choices=BASELINES),
            "steps": Option(None, "Quadrature nodes; empty doubles them until the residual is small.", bounds=(1, MOST_STEPS)),
        },
    ),
    "sparse": MethodInfo("Sparse", "outcome reward on the last token", "1 F", "observation", "R", True, sparse, {}),
    "uniform": MethodInfo("Uniform", "R / T each, the control of ABC's paper", "1 F", "observation", "R", False, uniform, {}),
}  # fmt: skip


def methods() -> dict[str, MethodInfo]:
    """Every credit method by name, with its paper, cost, needs and promise.

    >>> methods()["red"].sums_to
    'R − β_c·P_0'
    """
    return dict(METHODS)


@dataclass(frozen=True)
class Recipe:
    """A method with its options, as asked for."""

    method: str
    options: Mapping[str, Any]

    @property
    def info(self) -> MethodInfo:
        return METHODS[self.method]


def recipes(wanted: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, Recipe]:
    """Read a list of names, or label -> options, into label -> :class:`Recipe`; values checked, defaults filled in.

    >>> recipes({"abc L2": {"method": "abc", "layer": 2}})["abc L2"].options["layer"]
    2
    """
    if isinstance(wanted, str):
        raise RedvizError(f"methods is the text {wanted!r}; give a list such as ['red', 'abc'].")
    if not isinstance(wanted, (Mapping, Sequence)):
        raise RedvizError(
            f"methods is {_short(wanted)}; give a list of names, or an object of labels and their options."
        )
    pairs = wanted.items() if isinstance(wanted, Mapping) else [(name, {}) for name in wanted]
    found: dict[str, Recipe] = {}
    for label, given in pairs:
        if not isinstance(given, Mapping):
            raise RedvizError(
                f"The options of {_short(label)} are {_short(given)}; give an object such as {{'layer': 2}}."
            )
        options = dict(given)
        name = options.pop("method", label)
        if not isinstance(label, str) or not isinstance(name, str) or name not in METHODS:
            raise RedvizError(f"There is no method {_short(name)}; use one of {', '.join(METHODS)}.")
        known = METHODS[name].options
        if strange := [key for key in options if key not in known]:
            allowed = ", ".join(known) or "none"
            raise RedvizError(f"{name} has no option {', '.join(map(str, strange))}; its options: {allowed}.")
        checked = {key: known[key].check(f"{name}.{key}", value) for key, value in options.items()}
        found[label] = Recipe(name, {key: option.default for key, option in known.items()} | checked)
    return found
