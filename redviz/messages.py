"""Chat messages as they were written: a role and a text, and beside them what only some templates show."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from redviz.errors import RedvizError

Message = Mapping[str, Any]
"""``role`` and ``content``, both text, and any of :data:`EXTRAS` that the message holds."""
Prompt = str | tuple[Message, ...]

EXTRAS = (
    "tool_calls", "function_call", "tool_call_id", "name", "reasoning_content", "reasoning", "thinking", "tools",
    "written",
)  # fmt: skip
"""What a message may hold beside role and content, under the names that chat templates read.

``written`` is the part of a text that the message was read from, with its marks, up to where the next content begins: joined, they are
what stood before the response, which a model without a chat template reads (False where that text cannot be had so).
"""


CALLS = ("tool_calls", "function_call")
UNREAD = (
    "image",
    "image_url",
    "audio",
    "input_audio",
    "video",
    "video_url",
)  # what a part of a content may hold that is no text


def as_prompt(prompt: Any) -> Prompt:
    """Text as it is, messages as a tuple of :func:`as_message`.

    Raises
    ------
    RedvizError
        For anything else.
    """
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, Sequence):
        raise RedvizError(
            "The prompt is neither text nor a list of messages; give a string or [{'role': 'user', 'content': '…'}]."
        )
    return tuple(as_message(message) for message in prompt)


def as_message(given: Any) -> dict[str, Any]:
    """Check one message: its role, its content as one text, and those of :data:`EXTRAS` that say something.

    Content may be a list of text parts, and null beside tool calls, as OpenAI's API has them.

    Raises
    ------
    RedvizError
        For a message without a role or a content, for content that is no text, and for extras that are no JSON.

    Examples
    --------
    >>> as_message({"role": "user", "content": [{"type": "text", "text": "Hi"}], "name": None})
    {'role': 'user', 'content': 'Hi'}
    """
    if not isinstance(given, Mapping) or not isinstance(given.get("role"), str):
        raise _no_message(given)
    extras = {name: _plain(name, given[name]) for name in EXTRAS if given.get(name) not in (None, "", [], {})}
    content = given.get("content")
    if content is None and not extras.keys() - {"name", "tools"}:
        raise _no_message(given)
    return {"role": given["role"], "content": content_text(content), **extras}


def content_text(content: Any) -> str:
    """A message's content as one text: text as it is, text parts joined as they stand, "" for null.

    Raises
    ------
    RedvizError
        For anything else, such as an image.

    Examples
    --------
    >>> content_text(["Hi, ", {"type": "text", "text": "you"}])
    'Hi, you'
    """
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, Sequence):
        raise RedvizError(f"A message needs a role and a content, both text; its content is {str(content)[:80]!r}.")
    return "".join(_part_text(part) for part in content)


def has_extras(message: Message) -> bool:
    """Whether a message holds more than a role and a content."""
    return any(name in message for name in EXTRAS)


def shown_text(message: Message) -> str:
    """A message for a person: its text, and what else of it templates read, a line each.

    >>> print(shown_text({"role": "tool", "content": "Sunny", "tool_call_id": "7"}))
    Sunny
    tool_call_id: "7"
    """
    held = [name for name in EXTRAS if name in message and name != "written"]
    lines = [f"{name}: {json.dumps(message[name], ensure_ascii=False)}" for name in held]
    return "\n".join([message["content"], *lines] if message["content"] else lines)


def with_tools(prompt: Prompt, tools: Any) -> Prompt:
    """The prompt with the functions that its conversation may call, which stand at its first message under ``tools``.

    Parameters
    ----------
    tools
        A list of JSON schemas, or its JSON text, as data sets write a column of it; nothing in it leaves the prompt as it is.

    Examples
    --------
    >>> with_tools("Hi", [{"name": "weather"}])
    ({'role': 'user', 'content': 'Hi', 'tools': [{'name': 'weather'}]},)
    """
    if isinstance(tools, str) and tools.strip():
        try:
            tools = json.loads(tools)
        except ValueError as error:
            raise RedvizError(f"tools is text and no JSON ({error}); give a list of functions.") from None
    if not tools:
        return prompt
    if not isinstance(tools, list) or not all(isinstance(tool, Mapping) for tool in tools):
        raise RedvizError(f"tools is {str(tools)[:80]!r}; give a list of functions, each as an object of its own.")
    first, *others = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    return ({**first, "tools": _plain("tools", tools)}, *others)


def with_reasoning(reasoning: str, content: str) -> str:
    r"""A response that was thought before it was said, as one text in the spelling that templates of reasoning models take apart.

    >>> with_reasoning("Six sevens.", "42")
    '<think>\nSix sevens.\n</think>\n\n42'
    """
    return f"<think>\n{reasoning.strip()}\n</think>\n\n{content}" if reasoning.strip() else content


def _part_text(part: Any) -> str:
    text = part if isinstance(part, str) else part.get("text") if isinstance(part, Mapping) else None
    if isinstance(part, Mapping) and any(part.get(name) for name in UNREAD):  # a text beside an image is not all of it
        text = None
    if not isinstance(text, str):
        kind = part.get("type", "no text") if isinstance(part, Mapping) else type(part).__name__
        raise RedvizError(f"A part of a message's content is {str(kind)[:40]}, and redviz reads text; leave it out.")
    return text


def _plain(name: str, value: Any) -> Any:
    """A copy of a value of JSON."""
    try:
        return json.loads(json.dumps(value, ensure_ascii=False))
    except (TypeError, ValueError):
        raise RedvizError(f"{name} of a message is {str(value)[:80]!r}, which is no JSON; give plain values.") from None


def _no_message(found: Any) -> RedvizError:
    return RedvizError(f"A message needs a role and a content, both text; found {str(found)[:80]!r}.")
