"""Conversations as data sets write them: messages, ShareGPT's from/value, and the Human/Assistant text of HH-RLHF."""

import re
from collections.abc import Mapping
from typing import Any

from redviz.data.sets.spelling import list_of, objects_of, spelled, spells_messages
from redviz.data.sets.values import BadValue, Row, is_message, messages_of, text_of
from redviz.errors import RedvizError
from redviz.messages import with_reasoning, with_tools
from redviz.records import Message, Prompt

TURN = re.compile(r"\n\n(Human|Assistant):")
SPEAKERS = {
    **dict.fromkeys(("human", "user", "prompter"), "user"),
    **dict.fromkeys(("gpt", "assistant", "chatgpt", "model", "bot", "bing", "bard"), "assistant"),
    **dict.fromkeys(("tool", "function", "observation"), "tool"),
    "system": "system",
}
REASONING = ("reasoning_content", "reasoning", "thinking")
SYSTEM = ("system", "system_prompt")


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


def unwritten(value: Any, name: str = "the cell") -> Any:
    """The messages that a text spells as JSON or as Python prints them (a CSV cell), or else the value as it is.

    >>> unwritten('[{"role": "user", "content": "Hello."}]')
    [{'role': 'user', 'content': 'Hello.'}]
    >>> unwritten("({'from': 'gpt', 'value': None},)")
    [{'from': 'gpt', 'value': None}]
    >>> unwritten("[1, 2]")
    '[1, 2]'
    """
    if isinstance(value, dict):
        turns = objects_of(value)
        if isinstance(turns, list) and turns and all(is_turn(turn) for turn in turns):
            return turns
        return [value] if is_turn(value) else value
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "(", "array(")):
        return value
    found = spelled(value)
    if isinstance(found, list | tuple) and found and all(is_turn(turn) for turn in found):
        return list(found)
    if isinstance(found, BadValue) and spells_messages(value):
        raise BadValue(f"{name} begins as a list of messages does, and is none that JSON or Python reads")
    return value


def is_turn(value: Any) -> bool:
    """Whether a value is a message in either spelling."""
    return isinstance(value, dict) and (is_message(value) or {"from", "value"} <= value.keys())


def conversation_of(value: list[Any], name: str) -> tuple[Message, ...]:
    """Messages in either spelling: ``role`` and ``content``, or ShareGPT's ``from`` and ``value``."""
    if value and all(isinstance(turn, dict) and {"from", "value"} <= turn.keys() for turn in value):
        return tuple(
            _call(turn, name) or {"role": _role(turn["from"]), "content": text_of(turn["value"], f"a value in {name}")}
            for turn in value
        )
    return messages_of(value, name)


def _call(turn: Row, name: str) -> Message | None:
    """ShareGPT's ``function_call`` as the assistant's message that it is, where its text is a function with arguments."""
    if turn["from"] != "function_call":
        return None
    found = spelled(text_of(turn["value"], f"a value in {name}"))
    if not isinstance(found, dict) or not isinstance(found.get("name"), str):
        return {"role": "assistant", "content": turn["value"]}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": found}]}


def context_of(value: Any, name: str = "prompt") -> Prompt:
    """A prompt in any form; a Human/Assistant text loses the empty ``Assistant:`` that asks for the response."""
    value = unwritten(value, name)
    if isinstance(value, dict):  # OpenAI's {"messages": ..., "tools": ...}, WebGPT's {"full_text": ...}
        if value.get("messages") is not None:
            return with_row_tools(value, context_of(value["messages"], f"messages of {name}"))
        if value.get("full_text") is not None:
            return context_of(value["full_text"], name)
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
    """The prompt after the text of the row's ``system`` column, if it has one, with the functions of its ``tools``."""
    name = next((name for name in SYSTEM if row.get(name)), None)
    if name is None:
        return with_row_tools(row, prompt)
    turns = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    if turns and turns[0]["role"] == "system":
        return with_row_tools(row, turns)
    return with_row_tools(row, ({"role": "system", "content": text_of(row[name], name)}, *turns))


def with_row_tools(row: Row, prompt: Prompt) -> Prompt:
    """The prompt with the functions of the row's ``tools`` column, if it has one."""
    tools = row.get("tools")
    if isinstance(tools, str) and tools.strip():
        tools = list_of(tools, "tools") if tools.strip() not in ("[]", "null", "None") else None
    if not tools:
        return prompt
    try:
        return with_tools(prompt, tools)
    except RedvizError as error:
        raise BadValue(str(error).rstrip(".")) from None


def with_history(row: Row, prompt: Prompt) -> Prompt:
    """The prompt after the earlier turns of a ``history`` column: messages, or LLaMA-Factory's pairs of question and answer."""
    earlier = unwritten(row.get("history"), "history")
    if isinstance(earlier, str) and earlier.lstrip().startswith("["):
        earlier = spelled(earlier)
    if not isinstance(earlier, list) or not earlier:
        return prompt
    if all(isinstance(turn, list) and len(turn) == 2 for turn in earlier):
        roles = ("user", "assistant")
        turns: tuple[Message, ...] = tuple(
            {"role": role, "content": text_of(text, "a turn of history")}
            for pair in earlier
            for role, text in zip(roles, pair, strict=True)
        )
    else:
        turns = conversation_of(earlier, "history")
    last: tuple[Message, ...] = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    return (*turns, *last)


def turn_of(value: Any, name: str, prompt: Prompt) -> tuple[Prompt, str]:
    """The prompt and the response: a text, or the last assistant turn of a conversation, after the turns before it."""
    value = unwritten(value, name)
    if not isinstance(value, list) and not is_dialogue(value):
        return prompt, text_of(value, name)
    turns = conversation_of(value, name) if isinstance(value, list) else dialogue_of(text_of(value, name))
    last = max((n for n, message in enumerate(turns) if message["role"] == "assistant"), default=None)
    if last is None:
        raise BadValue(f"{name} has no assistant turn")
    earlier, response = turns[:last], response_of(turns[last], name)
    mark, said = "\n\nAssistant:", turns[last]
    if earlier and said.get("written", "").count(mark) > said["content"].count(mark):
        torn = Turn(earlier[-1], written=False)  # a speaker twice: the response is not what is written
        earlier = (*earlier[:-1], torn)
    if not earlier:
        return prompt, response
    if earlier[0]["role"] != "assistant":  # the turns repeat the prompt, but not always what stands before it
        first = prompt[0] if prompt and not isinstance(prompt, str) else {}
        if earlier[0]["role"] != "system" and first.get("role") == "system":
            return (first, *earlier), response
        if "tools" in first and "tools" not in earlier[0]:
            earlier = (Turn(earlier[0], tools=first["tools"]), *earlier[1:])
        return earlier, response
    before = ({"role": "user", "content": prompt},) if isinstance(prompt, str) else prompt
    return before + earlier, response  # a completion of several turns goes on from the prompt


def response_of(message: Message, name: str) -> str:
    """The text of the message that is scored, its reasoning before it; calls of tools are no text."""
    if calls := next((key for key in ("tool_calls", "function_call") if key in message), None):
        raise BadValue(f"the response in {name} makes {calls}, and redviz scores text")
    return with_reasoning(str(next((message[key] for key in REASONING if key in message), "")), message["content"])


def _role(speaker: Any) -> str:
    role = SPEAKERS.get(speaker.strip().lower()) if isinstance(speaker, str) else None
    if role is None:
        raise BadValue(f"{str(speaker)[:40]!r} is no known speaker; expected human, gpt, system or tool")
    return role
