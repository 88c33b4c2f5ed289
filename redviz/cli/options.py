"""Flags that several commands have, and from the text of some to what ``redviz.analyze`` and ``open_dataset`` take."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from redviz.credit.recipes import METHODS, Option, recipes
from redviz.errors import RedvizError

Prompt = Annotated[str | None, typer.Option("--prompt", help="The prompt, one user turn.")]
PromptFile = Annotated[Path | None, typer.Option("--prompt-file", help="A text file with the prompt; - is stdin.")]
Messages = Annotated[
    str | None, typer.Option("--messages", help="A list of {role, content}: a JSON file, or the JSON itself.")
]
Methods = Annotated[
    str, typer.Option("--methods", help="Names from redviz methods with commas, or a JSON object: label to options.")
]
MethodsOfMany = Annotated[str, typer.Option("--methods", help="Names with commas, or a JSON object.")]
MethodOptions = Annotated[list[str] | None, typer.Option("--option", help="METHOD.NAME=VALUE, as often as needed.")]
Granularity = Annotated[str, typer.Option("--granularity", help="token, word or sentence.")]
AsJson = Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")]


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
        if key not in METHODS[name].all_options:
            recipes({name: {key: value}})  # refuses, and names the known ones
        wanted[name][key] = _value(METHODS[name].all_options[key], value.strip(), text)
    return wanted


def mapping_of(columns: Sequence[str]) -> dict[str, str]:
    """Which column plays which part.

    >>> mapping_of(["prompt=question", "response=answer"])
    {'prompt': 'question', 'response': 'answer'}
    """
    pairs = [text.partition("=") for text in columns]
    if wrong := [text for text, (part, equals, column) in zip(columns, pairs, strict=True) if not (part and column)]:
        raise RedvizError(f"--column {wrong[0]} is not PART=COLUMN; write it like prompt=question.")
    return {part.strip(): column.strip() for part, _, column in pairs}


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
    """The option's own type, told by its choices, its range, or whether it takes several: ``16``, ``0,2`` or ``[0, 2]``."""
    read: Any = value
    if option.default is None and value in ("", "none"):
        read = None
    elif option.choices is None:
        try:
            listed = option.many and not value.startswith("[")
            read = float(value) if option.range is not None else json.loads(f"[{value}]" if listed else value)
        except ValueError:
            if isinstance(option.default, bool):
                raise RedvizError(f"--option {text}: give true or false ({option.help.rstrip('.')}).") from None
            kind = "a number" if option.range is not None else "whole numbers" if option.many else "a whole number"
            raise RedvizError(f"--option {text}: give {kind} ({option.help.rstrip('.')}).") from None
    return option.check(text.partition("=")[0], read)
