"""The columns in which data sets hold prompts and responses, one function per schema, and the checks on values."""

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from redviz.records import Example, Message, Prompt

Row = Mapping[str, Any]
Answer = tuple[str, Prompt, str]  # what is added to the row's id, the prompt, the response


class BadValue(ValueError):
    """What is wrong with one row, in words that follow "line 3:"."""


class NoSchema(BadValue):
    """The row's columns fit no schema; a file of such rows alone is refused."""


def examples_of(row: Any, line: int) -> list[Example]:
    """The examples in one row, by the first of ``SCHEMAS`` whose columns it has; raises ``BadValue`` if none."""
    if isinstance(row, BadValue):
        raise row
    if not isinstance(row, dict):
        raise BadValue(f"{KINDS[type(row)]}, expected an object")
    name = str(line) if row.get("id") in (None, "") else text_of(str(row["id"]), "id")
    for columns, answers_of in SCHEMAS:
        if all(row.get(column) is not None for column in columns):
            answers = answers_of(row, *columns)
            if empty := [suffix for suffix, _, response in answers if not response]:
                raise BadValue(f"the response{empty[0].replace('-', ' ')} is empty")
            return [Example(prompt, response, name + suffix) for suffix, prompt, response in answers]
    raise NoSchema(f"columns {quoted(row)}; {EXPECTED}")


def prompt_of(value: Any, name: str = "prompt") -> Prompt:
    """Check a prompt from a file: text, or a list of ``{"role", "content"}`` messages (other keys are left out)."""
    return _messages(value, name) if isinstance(value, list) else text_of(value, name)


def text_of(value: Any, name: str) -> str:
    r"""Check a text from a file: a string that can be written as UTF-8 (JSON can spell half an emoji, ``\ud83d``)."""
    if not isinstance(value, str):
        raise BadValue(f"{name} is {KINDS[type(value)]}, expected text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise BadValue(f"{name} holds half a character (a lone surrogate)")
    return value


def parsed(written: str) -> Any:
    """The JSON value, or what is wrong with it."""
    try:
        return json.loads(written)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if "\n" in written else f"column {error.colno}"
        return BadValue(f"not JSON: {error.msg} ({where})")
    except (ValueError, RecursionError):  # a number of thousands of digits; brackets nested too deeply
        return BadValue("not JSON that can be read: a number too long or lists nested too deeply")


def _one(row: Row, prompt: str, response: str) -> list[Answer]:
    return [("", *_turn(row[response], response, prompt_of(row[prompt], prompt)))]


def _several(row: Row, prompt: str, responses: str) -> list[Answer]:
    listed = _list(row[responses], responses)
    context = prompt_of(row[prompt], prompt)
    return [(f"-{n}", *_turn(value, f"{responses} {n}", context)) for n, value in enumerate(listed, 1)]


def _pair(row: Row, prompt: str, *sides: str) -> list[Answer]:
    return [(f"-{side}", *_turn(row[side], side, prompt_of(row[prompt], prompt))) for side in sides]


def _conversation(row: Row, messages: str) -> list[Answer]:
    return [("", *_turn(_list(row[messages], messages), messages, ()))]


def _instruction(row: Row, instruction: str, response: str) -> list[Answer]:
    # The text that an instruction is about has its own column (Alpaca: input, Dolly: context), part of the prompt.
    about = [text_of(row[column], column) for column in ("input", "context") if row.get(column)]
    prompt = "\n\n".join([text_of(row[instruction], instruction), *about])
    return [("", prompt, text_of(row[response], response))]


def _turn(value: Any, name: str, prompt: Prompt) -> tuple[Prompt, str]:
    """The prompt and the response: a text, or the last assistant turn of messages, after the turns before it."""
    if not isinstance(value, list):
        return prompt, text_of(value, name)
    messages = _messages(value, name)
    last = max((n for n, message in enumerate(messages) if message["role"] == "assistant"), default=None)
    if last is None:
        raise BadValue(f"{name} has no assistant turn")
    earlier = messages[:last]
    if not earlier or earlier[0]["role"] != "assistant":
        return earlier or prompt, messages[last]["content"]
    before = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    return before + earlier, messages[last]["content"]  # a completion of several turns goes on from the prompt


def _messages(value: list[Any], name: str) -> tuple[Message, ...]:
    if not all(isinstance(message, dict) and {"role", "content"} <= message.keys() for message in value) or not value:
        raise BadValue(f'{name} is a list, expected messages {{"role": ..., "content": ...}}')
    return tuple(
        {key: text_of(message[key], f"{key} of message {n} in {name}") for key in ("role", "content")}
        for n, message in enumerate(value, 1)
    )


def _list(value: Any, name: str) -> list[Any]:
    """A list, or its JSON text (a CSV cell)."""
    listed = parsed(value) if isinstance(value, str) else value
    if not isinstance(listed, list) or not listed:
        raise BadValue(f"{name} is not a list with something in it")
    return listed


def quoted(names: Iterable[str], most: int = 20) -> str:
    """Column names for a message, not more than a person will read."""
    listed = [repr(name) for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "") or "(none)"


KINDS: dict[type, str] = {
    dict: "an object",
    list: "a list",
    str: "text",
    int: "a number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
SCHEMAS: tuple[tuple[tuple[str, ...], Callable[..., list[Answer]]], ...] = (
    (("prompt", "chosen", "rejected"), _pair),
    (("prompt", "responses"), _several),
    (("prompt", "response"), _one),
    (("prompt", "completion"), _one),
    (("messages",), _conversation),
    (("instruction", "response"), _instruction),
    (("instruction", "output"), _instruction),
)
EXPECTED = "expected " + " or ".join(" + ".join(columns) for columns, _ in SCHEMAS)
