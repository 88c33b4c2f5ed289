"""Checks on the values of a row: what is wrong is said in words that follow "line 3:"."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from redviz.errors import RedvizError
from redviz.messages import Message, Prompt, as_message

Row = Mapping[str, Any]
UNREAD = ("images", "image", "videos", "video", "audio", "audios")  # what a message may hold that is no text


class BadValue(ValueError):
    """What is wrong with one row, in words that follow "line 3:"."""


class BadText(BadValue):
    """The row is of the right form, and one of its texts is none that a model could read."""


class NoSchema(BadValue):
    """The row's columns fit no schema; a file of such rows alone is refused."""


def prompt_of(value: Any, name: str = "prompt") -> Prompt:
    """Check a prompt from a file: text, or a list of ``{"role", "content"}`` messages (other keys are left out)."""
    return messages_of(value, name) if isinstance(value, list) else text_of(value, name)


def text_of(value: Any, name: str) -> str:
    r"""Check a text from a file: a string that can be written as UTF-8 (JSON can spell half an emoji, ``\ud83d``)."""
    if not isinstance(value, str):
        raise BadValue(f"{name} is {kind_of(value)}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadText(f"{name} holds half a character (a lone surrogate)") from None
    if "\0" in value:
        raise BadText(f"{name} holds a null character")
    return value


def messages_of(value: list[Any], name: str) -> tuple[Message, ...]:
    """Check a list of messages: a role, a content, and what templates may show beside them (:mod:`redviz.messages`)."""
    if not all(isinstance(message, dict) and is_message(message) for message in value) or not value:
        raise BadValue(f'{name} is a list, expected messages {{"role": ..., "content": ...}}')
    return tuple(message_of(message, f"message {n} in {name}") for n, message in enumerate(value, 1))


def is_message(value: Row) -> bool:
    """Whether an object has the keys of a message; beside tool calls the content may be left out."""
    return {"role", "content"} <= value.keys() or {"role", "tool_calls"} <= value.keys()


def message_of(value: Row, name: str) -> Message:
    """Check one message; what is no text in it is told."""
    for key in ("role", "content"):
        if not isinstance(value.get(key), str | list | None) or (key == "role" and not isinstance(value[key], str)):
            raise BadValue(f"{key} of {name} is {kind_of(value[key])}, expected text")
    if seen := next((key for key in UNREAD if value.get(key)), None):
        raise BadValue(f"{name} has {seen}, and redviz reads text")
    try:
        message = as_message(value)
    except RedvizError as error:
        if value.get("content") is None:
            raise BadValue(f"content of {name} is null, expected text") from None
        raise BadValue(f"{name}: {str(error).rstrip('.')}") from None
    for key, text in message.items():
        text_of(text if isinstance(text, str) else json.dumps(text, ensure_ascii=False), f"{key} of {name}")
    return message


def verdict_of(value: Any) -> bool | None:
    """True or false, also as 1 and 0 or as a word (a CSV cell); None if it is neither."""
    if isinstance(value, str):
        return {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower())
    return bool(value) if isinstance(value, bool | int | float) and value in (0, 1) else None


def number_of(value: Any) -> float | None:
    """A finite number, also one written as text; None if there is none (data sets write N/A for a missing rating)."""
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def parsed(written: str) -> Any:
    """The JSON value, or what is wrong with it."""
    try:
        return json.loads(written)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if "\n" in written else f"column {error.colno}"
        return BadValue(f"not JSON: {error.msg} ({where})")
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets nested too deeply
        return BadValue("not JSON that can be read: a number too long or lists nested too deeply")


def short_name(value: str, most: int) -> str:
    """A name for a screen or an id: one line, no control or direction marks, not longer than ``most`` characters."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in value[: 20 * most]).split())
    return plain if len(plain) <= most else plain[: most - 13] + "…" + plain[-12:]


def file_name(name: str) -> str:
    r"""The last part of a file's name, fit for a sentence, with its ending.

    >>> file_name("../../etc/pass\0wd\n.jsonl")
    'passwd.jsonl'
    """
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(character for character in last if character.isprintable()).strip()
    return (plain if len(plain) <= 80 else plain[:60] + "…" + plain[-16:]) or "the file"


def quoted(names: Iterable[str], most: int = 20) -> str:
    """Column names for a message, not more than a person will read."""
    listed = [repr(name if len(name) <= 60 else name[:60] + "…") for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "") or "(none)"


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    return KINDS.get(type(value), f"of the kind {type(value).__name__}")


KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    bytes: "binary data",
    type(None): "null",
}
