"""What a file ``redviz.json`` beside a checkpoint says of it, so that a team says it once: the text it was trained on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from redviz.errors import RedvizError
from redviz.models.reading.templates import use_template

FILE = "redviz.json"
KNOWN = ("template",)


def stated_template(folder: Path, name: str) -> str:
    """The template that ``redviz.json`` in a checkpoint's folder names, "" where it names none.

    Raises
    ------
    RedvizError
        Where the file is no JSON object with a text as template, or says anything else.
    """
    path = folder / FILE
    if not path.exists():
        return ""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RedvizError(
            f'{name} has a {FILE} that is not JSON ({error}); write it like {{"template": "hh+eos"}}.'
        ) from error
    if not isinstance(said, dict) or not isinstance(said.get("template", ""), str):
        raise RedvizError(f'{name} has a {FILE} without a text as template; write it like {{"template": "hh+eos"}}.')
    if strange := [key for key in said if key not in KNOWN]:
        raise RedvizError(f"{name} has a {FILE} with an unknown {strange[0]!r}; it may hold {', '.join(KNOWN)}.")
    return str(said.get("template", ""))


def set_text(tokenizer: Any, template: str | None, name: str, folders: Iterable[Path]) -> str:
    """Give a tokenizer the text that was asked for, or that ``redviz.json`` in the first of the folders to have one states.

    Returns
    -------
    str
        What was taken, "" where it is the tokenizer's own.

    Raises
    ------
    RedvizError
        As :func:`redviz.models.reading.templates.use_template` and :func:`stated_template` do.
    """
    if template:
        given = str(template)  # a Path is as good as its name
        use_template(tokenizer, given, name)
        return given
    for folder in folders:
        if stated := stated_template(folder, name):
            try:
                use_template(tokenizer, stated, name, folder)
            except RedvizError as error:
                raise RedvizError(f"{FILE} beside {name}: {error}") from error
            return stated
    return ""
