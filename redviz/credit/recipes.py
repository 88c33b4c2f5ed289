"""Which method, with which options: from what a person asked for to checked recipes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import gcd
from typing import Any

from redviz.credit.method import SEGMENTS, MethodInfo, Option, short
from redviz.credit.table import METHODS
from redviz.errors import RedvizError

__all__ = ["METHODS", "MODELS", "SEGMENTS", "MethodInfo", "Option", "Recipe", "methods", "recipes", "stride_of"]

MODELS = ("model", "policy", "reference")  # ingredients that are called again; the others are records


def methods() -> dict[str, MethodInfo]:
    """Every credit method by name, with its paper, cost, needs and promise.

    >>> methods()["red"].sums_to
    'R − β_c·P_0 − β Σ k_t'
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

    @property
    def ingredients(self) -> tuple[str, ...]:
        """What it needs beside the observation, with these options: "model", "policy", "reference", "log_probs", "cost"."""
        own = () if self.info.needs in ("observation", "attention", "steps") else (self.info.needs,)
        return (*own, *(what for option, what in self.info.extras.items() if self.options[option]))

    @property
    def arithmetic(self) -> bool:
        """Whether its credits are arithmetic on records, so that no model runs for them."""
        return not any(name in MODELS for name in self.ingredients)


def stride_of(wanted: Iterable[Recipe]) -> int:
    """How far apart prefixes may be scored so that every recipe has those it asks for; 0 where none asks for any."""
    return gcd(*(recipe.options["stride"] for recipe in wanted if "stride" in recipe.options))


def spelled_out(wanted: Mapping[str, Recipe]) -> dict[str, dict[str, Any]]:
    """Label -> its method and every option, as :func:`recipes` reads them and as files and keys hold them.

    >>> wanted = recipes({"abc L2": {"method": "abc", "layer": 2}})
    >>> spelled_out(wanted)["abc L2"]["method"], recipes(spelled_out(wanted)) == wanted
    ('abc', True)
    """
    return {label: {"method": recipe.method, **recipe.options} for label, recipe in wanted.items()}


def recipes(wanted: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, Recipe]:
    """Read a list of names, or label -> options, into label -> :class:`Recipe`; values checked, defaults filled in.

    >>> recipes({"abc L2": {"method": "abc", "layer": 2}})["abc L2"].options["layer"]
    2
    """
    if isinstance(wanted, str):
        raise RedvizError(f"methods is the text {wanted!r}; give a list such as ['red', 'abc'].")
    if not isinstance(wanted, (Mapping, Sequence)):
        raise RedvizError(
            f"methods is {short(wanted)}; give a list of names, or an object of labels and their options."
        )
    pairs = wanted.items() if isinstance(wanted, Mapping) else [(name, {}) for name in wanted]
    by_label: dict[str, Recipe] = {}
    for label, given in pairs:
        if not isinstance(given, Mapping):
            raise RedvizError(
                f"The options of {short(label)} are {short(given)}; give an object such as {{'layer': 2}}."
            )
        options = dict(given)
        name = options.pop("method", label)
        if not isinstance(label, str) or not isinstance(name, str) or name not in METHODS:
            raise RedvizError(f"There is no method {short(name)}; use one of {', '.join(METHODS)}.")
        known = METHODS[name].all_options
        if strange := [key for key in options if key not in known]:
            allowed = ", ".join(known) or "none"
            raise RedvizError(f"{name} has no option {', '.join(map(str, strange))}; its options: {allowed}.")
        checked = {key: known[key].check(f"{name}.{key}", value) for key, value in options.items()}
        by_label[label] = Recipe(name, {key: option.default for key, option in known.items()} | checked)
    return by_label
