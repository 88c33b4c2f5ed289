"""Conversations as data sets write them: messages, ShareGPT's from/value, and the Human/Assistant text of HH-RLHF."""

import re
from collections.abc import Mapping
from typing import Any

from redviz.data.sets.values import BadValue, Row, messages_of, parsed, text_of
from redviz.records import Message, Prompt

TURN = re.compile(r"\n\n(Human|Assistant):")
SPEAKERS = {
    **dict.fromkeys(("human", "user"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot", "bing", "bard"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation", "function_call"), "tool"),
    "system": "system",
}
SPELLINGS = ({"role", "content"}, {"from", "value"})


class Turn(dict[str, Any]):
    """A message that was read from a text, which it keeps as ``written``: equal to any that says the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and _said(self) == _said(other)

    __hash__ = None


def _said(message: Message) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name != "written"}


def is_dialogue(value: Any) -> bool:
    """Whether a text is a conversation in the form of HH-RLHF."""
    return isinstance(value, str) and value.lstrip("\n").startswith("Human:") and "\n\nAssistant:" in value


def dialogue_of(text: str) -> tuple[Message, ...]:
    r"""The turns of an HH-RLHF text; consecutive turns of one speaker are one message, as chat templates want it.

    Each keeps its part of the text as ``written``, up to where the content of the next one begins: joined, they are the text before it.

    >>> for turn in dialogue_of("\n\nHuman: Hello.\n\nAssistant: Good day."):
    ...     print(turn["role"], repr(turn["content"]), repr(turn["written"]))
    user 'Hello.' '\n\nHuman: Hello.\n\nAssistant: '
    assistant 'Good day.' 'Good day.'
    """
    blanks = len(text) - len(text.lstrip("\n"))
    body = "\n\n" + text[blanks:]
    marks = list(TURN.finditer(body))
    turns: list[Turn] = []
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        role, content = ("user" if mark[1] == "Human" else "assistant"), body[mark.end() : after and after.start()]
        content, mark_text = content.removeprefix(" "), mark[0] + " " * content.startswith(" ")
        if not turns:
            turns.append(Turn(role=role, content=content, written=text[:blanks] + mark_text[2:] + content))
        elif turns[-1]["role"] == role:
            turns[-1]["content"] += f"\n\n{content}"
            turns[-1]["written"] += mark_text + content
        else:
            turns[-1]["written"] += mark_text
            turns.append(Turn(role=role, content=content, written=content))
    return tuple(turns)


def unwritten(value: Any) -> Any:
    """The messages that a text spells as JSON (a CSV cell), or else the value as it is.

    >>> unwritten('[{"role": "user", "content": "Hello."}]')
    [{'role': 'user', 'content': 'Hello.'}]
    >>> unwritten("[1, 2]")
    '[1, 2]'
    """
    if not isinstance(value, str) or not value.lstrip().startswith("["):
        return value
    found = parsed(value)
    if not isinstance(found, list) or not found:
        return value
    spelled = all(isinstance(turn, dict) and any(keys <= turn.keys() for keys in SPELLINGS) for turn in found)
    return found if spelled else value


def conversation_of(value: list[Any], name: str) -> tuple[Message, ...]:
    """Messages in either spelling: ``role`` and ``content``, or ShareGPT's ``from`` and ``value``."""
    if value and all(isinstance(turn, dict) and {"from", "value"} <= turn.keys() for turn in value):
        return tuple(
            {"role": _role(turn["from"]), "content": text_of(turn["value"], f"a value in {name}")} for turn in value
        )
    return messages_of(value, name)


def context_of(value: Any, name: str = "prompt") -> Prompt:
    """A prompt in any form; a Human/Assistant text loses the empty ``Assistant:`` that asks for the response."""
    value = unwritten(value)
    if isinstance(value, list):
        return conversation_of(value, name)
    text = text_of(value, name)
    if not is_dialogue(text):
        return text
    *before, last = dialogue_of(text)
    if not before or last["role"] != "assistant" or last["content"].strip():
        return (*before, last)
    return (*before[:-1], Turn(before[-1], written=before[-1]["written"] + last["written"]))


def with_system(row: Row, prompt: Prompt) -> Prompt:
    """The prompt after the text of the row's ``system`` column, if it has one."""
    if not row.get("system"):
        return prompt
    turns = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    if turns and turns[0]["role"] == "system":
        return turns
    return ({"role": "system", "content": text_of(row["system"], "system")}, *turns)


def turn_of(value: Any, name: str, prompt: Prompt) -> tuple[Prompt, str]:
    """The prompt and the response: a text, or the last assistant turn of a conversation, after the turns before it."""
    value = [value] if isinstance(value, dict) else unwritten(value)
    if not isinstance(value, list) and not is_dialogue(value):
        return prompt, text_of(value, name)
    turns = conversation_of(value, name) if isinstance(value, list) else dialogue_of(text_of(value, name))
    last = max((n for n, message in enumerate(turns) if message["role"] == "assistant"), default=None)
    if last is None:
        raise BadValue(f"{name} has no assistant turn")
    earlier = turns[:last]
    mark, said = "\n\nAssistant:", turns[last]
    if earlier and said.get("written", "").count(mark) > said["content"].count(mark):
        torn = Turn(earlier[-1], written=False)  # a speaker twice: the response is not what is written
        earlier = (*earlier[:-1], torn)
    if not earlier:
        return prompt, turns[last]["content"]
    if earlier[0]["role"] != "assistant":  # the turns repeat the prompt, but not always the system text before it
        system = [turn for turn in prompt[:1] if not isinstance(turn, str) and turn["role"] == "system"]
        return (*system, *earlier) if earlier[0]["role"] != "system" else earlier, turns[last]["content"]
    before = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    return before + earlier, turns[last]["content"]  # a completion of several turns goes on from the prompt


def _role(speaker: Any) -> str:
    role = SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        raise BadValue(f"{str(speaker)[:40]!r} is no known speaker; expected human, gpt, system or tool")
    return role
