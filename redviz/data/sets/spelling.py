"""Values that a cell of text spells: as JSON, or as Python and NumPy print them (what pandas writes into a CSV)."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from typing import Any

from redviz.data.sets.values import BadValue, parsed

OPENS = ("[", "{", "(", "array(")
MESSAGES = re.compile(r"""[\[(array\s]*\{\s*['"](role|content|from|value)['"]\s*:""")
ENDS = {tokenize.STRING, tokenize.NUMBER, tokenize.NAME}
QUIET = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER, tokenize.COMMENT}


def spelled(text: str) -> Any:
    """The list or object that a text spells, or what is wrong with it.

    >>> spelled('["a", null]'), spelled("[{'role': 'user', 'content': None}]")
    (['a', None], [{'role': 'user', 'content': None}])
    >>> spelled("['a' 'b']")  # an array of NumPy, which Python itself would read as 'ab'
    ['a', 'b']
    """
    found = parsed(text)
    if not isinstance(found, BadValue) or not text.lstrip().startswith(OPENS):
        return found
    try:
        return ast.literal_eval(_with_commas(text.strip()))
    except (ValueError, SyntaxError, MemoryError, RecursionError, tokenize.TokenError):
        return found


def spells_messages(text: str) -> bool:
    """Whether a text begins as a list of chat messages does, whatever follows.

    >>> spells_messages("[{'role': 'user', 'content': ..."), spells_messages("[1, 2]")
    (True, False)
    """
    return MESSAGES.match(text.lstrip()) is not None


def objects_of(value: Any) -> Any:
    """The list of objects that an object of equally long lists is, as ``datasets`` keeps a Sequence of objects; else the value.

    >>> objects_of({"answer": ["A", "B"], "rank": [1, 2]})
    [{'answer': 'A', 'rank': 1}, {'answer': 'B', 'rank': 2}]
    """
    if not isinstance(value, dict) or not value or not all(isinstance(column, list) for column in value.values()):
        return value
    if len({len(column) for column in value.values()}) > 1:
        return value
    return [dict(zip(value, entry, strict=True)) for entry in zip(*value.values(), strict=True)]


def list_of(value: Any, name: str) -> list[Any]:
    """A list with something in it, or the text that spells one (a CSV cell)."""
    listed = objects_of(spelled(value) if isinstance(value, str) else value)
    if not isinstance(listed, list) or not listed:
        raise BadValue(f"{name} is not a list with something in it")
    return listed


def as_list(value: Any, name: str, length: int) -> list[Any]:
    """:func:`list_of` with one entry for each of ``length`` responses."""
    listed = list_of(value, name)
    if len(listed) != length:
        raise BadValue(f"{name} has {len(listed)} entries, expected {length}")
    return listed


def _with_commas(text: str) -> str:
    """The text with a comma between neighbours, and without NumPy's ``array(…, dtype=object)`` around lists."""
    given = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in QUIET]
    written: list[str] = []
    value_before = False
    skipped = 0  # parentheses of array( that are open
    at = 0
    while at < len(given):
        token = given[at]
        if token.string == "array" and given[at + 1].string == "(":
            skipped, at = skipped + 1, at + 2
            if value_before:
                written.append(",")
            value_before = False
            continue
        if skipped and [after.string for after in given[at : at + 3]] == [",", "dtype", "="]:
            at += 4
            continue
        if skipped and token.string == ")":
            skipped, at = skipped - 1, at + 1
            continue
        starts = token.type in ENDS or token.string in ("[", "{", "(")
        if value_before and starts:
            written.append(",")
        written.append(token.string)
        value_before = token.type in ENDS or token.string in ("]", "}", ")")
        at += 1
    return " ".join(written)
