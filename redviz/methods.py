"""The table of credit methods: what each is, costs, needs and promises. One plain dict, read by the library, the app and the CLI."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redviz.credit.attention import ROWS, abc
from redviz.credit.baselines import sparse, uniform
from redviz.credit.prefix import INITIALS, red
from redviz.errors import RedvizError
from redviz.records import Credit


@dataclass(frozen=True)
class Option:
    """One option of a method: its default, a sentence, and what it may be.

    ``choices`` are all its values; ``range`` is (low, high) of a real number; with neither it is a whole number, or a list of whole
    numbers where ``many`` is set. A default of None means that the method decides.
    """

    default: Any
    help: str
    choices: tuple[Any, ...] | None = None
    range: tuple[float, float] | None = None
    many: bool = False


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
            "baseline": Option("pad", "What every response token starts from.", choices=("pad", "eos", "mean", "zero")),
            "steps": Option(None, "Quadrature nodes; empty doubles them until the residual is small."),
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
    """Read a list of names, or label -> options, into label -> :class:`Recipe`; defaults filled in.

    >>> recipes({"abc L2": {"method": "abc", "layer": 2}})["abc L2"].options["layer"]
    2
    """
    if isinstance(wanted, str):
        raise RedvizError(f"methods is the text {wanted!r}; give a list such as ['red', 'abc'].")
    pairs = wanted.items() if isinstance(wanted, Mapping) else [(name, {}) for name in wanted]
    found: dict[str, Recipe] = {}
    for label, given in pairs:
        options = dict(given)
        name = options.pop("method", label)
        if name not in METHODS:
            raise RedvizError(f"There is no method {name!r}; use one of {', '.join(METHODS)}.")
        known = METHODS[name].options
        if strange := [key for key in options if key not in known]:
            allowed = ", ".join(known) or "none"
            raise RedvizError(f"{name} has no option {', '.join(strange)}; its options: {allowed}.")
        found[label] = Recipe(name, {key: option.default for key, option in known.items()} | options)
    return found
