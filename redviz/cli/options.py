"""``--methods`` and ``--option``: from text to what ``redviz.analyze`` takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from redviz.errors import RedvizError
from redviz.methods import METHODS, Option, recipes


def methods_with_options(listed: str, given: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read ``red,abc`` and ``["red.beta_c=0.5", "abc.heads=0,2"]``, or one JSON object of labels and options.

    >>> methods_with_options("red,abc", ["red.beta_c=0.5", "abc.heads=0,2"])
    {'red': {'beta_c': 0.5}, 'abc': {'heads': [0, 2]}}
    """
    if listed.lstrip().startswith("{"):
        return _from_json(listed, given)
    wanted: dict[str, dict[str, Any]] = {name.strip(): {} for name in listed.split(",") if name.strip()}
    if not wanted:
        raise RedvizError(f"--methods names none; give some of {', '.join(METHODS)}.")
    recipes(list(wanted))
    for text in given:
        name, dot, rest = text.partition(".")
        key, equals, value = rest.partition("=")
        if not dot or not equals:
            raise RedvizError(f"--option {text} is not METHOD.NAME=VALUE; write it like red.beta_c=0.5.")
        if name not in wanted:
            raise RedvizError(f"--option {text} is for {name}, which --methods does not name ({', '.join(wanted)}).")
        recipes({name: {key: None}})  # an unknown option is refused with the known ones
        wanted[name][key] = _value(METHODS[name].options[key], value.strip(), text)
    return wanted


def _from_json(listed: str, given: Sequence[str]) -> dict[str, dict[str, Any]]:
    if given:
        raise RedvizError("--option goes with a list of names; in a JSON object the options stand beside their label.")
    try:
        wanted: dict[str, dict[str, Any]] = json.loads(listed)
    except ValueError as error:
        raise RedvizError(
            f'--methods is not JSON ({error}); write it like {{"abc L2": {{"method": "abc", "layer": 2}}}}.'
        ) from None
    if not wanted or not all(isinstance(options, dict) for options in wanted.values()):
        raise RedvizError("--methods as JSON is an object of labels, each with an object of options.")
    recipes(wanted)
    return wanted


def _value(option: Option, value: str, text: str) -> Any:
    """The option's own type, told by its choices, its range or its default."""
    if option.choices is not None:
        if value not in option.choices:
            raise RedvizError(f"--option {text}: use one of {', '.join(map(str, option.choices))}.")
        return value
    try:
        if option.range is not None:
            return float(value)
        if isinstance(option.default, int):
            return int(value)
        return None if value in ("", "none") else _whole(value, option)
    except ValueError:
        kind = "a number" if option.range is not None else "a whole number"
        raise RedvizError(f"--option {text}: give {kind} ({option.help.rstrip('.')}).") from None


def _whole(value: str, option: Option) -> int | list[int]:
    """A whole number, or several: ``16``, ``0,2`` or ``[0, 2]``. What speaks of heads always takes a list."""
    found = json.loads(f"[{value.strip('[]')}]")
    if not found or any(type(n) is not int for n in found):
        raise ValueError(value)
    return found if len(found) > 1 or "Heads" in option.help else found[0]
