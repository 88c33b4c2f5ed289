"""A prompt and a response as the messages that a chat template is given, and what the template leaves out of them.

A prompt whose last turn is the assistant's is a beginning of the response's own turn (a prefill): the response goes on in it.
Messages are handed on as they were written. Templates differ in how they want a few things (content that is null beside tool calls,
arguments as objects, content in parts); a way that shows more is tried only where the template does not show what it was given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redviz.errors import RedvizError
from redviz.messages import CALLS, EXTRAS, as_message
from redviz.records import Message

Messages = list[dict[str, Any]]
SENTINEL = "REDVIZ7SENTINEL"
READ = tuple(name for name in EXTRAS if name != "written")  # what templates may show beside role and content
MOST_NAMED = 4  # of what a template leaves out


def messages_of(prompt: str | Sequence[Message]) -> Messages:
    """A prompt as chat messages: text becomes one user turn."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [as_message(message) for message in prompt]


def turns_of(prompt: str | Sequence[Message]) -> tuple[Messages, dict[str, Any]]:
    """The turns before the response's own, and its own: what the prompt holds of it already, or an assistant's turn of nothing."""
    messages = messages_of(prompt)
    if messages and messages[-1]["role"] == "assistant" and not any(name in messages[-1] for name in CALLS):
        return messages[:-1], messages[-1]
    return messages, {"role": "assistant", "content": ""}


@dataclass(frozen=True)
class Conversation:
    """A prompt under a chat template, to be rendered with one response or another.

    Attributes
    ----------
    tokenizer
        A Hugging Face tokenizer with a chat template.
    messages
        The turns before the response's.
    own
        The response's turn, as far as the prompt holds it.
    hand
        How messages are handed on: one of :data:`HANDS`.
    sentinel, plain
        A word that stands nowhere in it, and the whole conversation with that word as the response.
    """

    tokenizer: Any
    messages: Messages
    own: dict[str, Any]
    hand: Callable[[dict[str, Any]], dict[str, Any]]
    sentinel: str
    plain: str

    @classmethod
    def of(cls, tokenizer: Any, prompt: str | Sequence[Message], response: str = "") -> Conversation:
        """The prompt's, handed on in the first way in which the template shows what it holds.

        Parameters
        ----------
        response
            A text that the sentinel must not stand in, beside the prompt.

        Raises
        ------
        RedvizError
            Where the template refuses it in every way.
        """
        sentinel = _free_sentinel(prompt, response)
        messages, own = turns_of(prompt)
        names = [*_called([*messages, own]), sentinel]
        found: Conversation | None = None
        refused: list[RedvizError] = []
        for hand in HANDS:
            tried = cls(tokenizer, messages, own, hand, sentinel, "")
            try:
                tried = replace(tried, plain=tried.with_response(sentinel))
            except RedvizError as error:
                refused.append(error)
                continue
            if all(name in tried.plain for name in names) and f"'{sentinel}'" not in tried.plain:
                return tried
            found = found or tried
        if found is None:
            raise refused[0]
        return found

    def with_response(self, text: str) -> str:
        """The whole conversation as the model reads it, with this response.

        Raises
        ------
        RedvizError
            Where the template refuses it.
        """
        own = {**self.own, "content": self.own["content"] + text}
        return applied(self.tokenizer, [*self.messages, own], self.hand)

    def left_out(self) -> tuple[str, ...]:
        """A sentence that names what the prompt holds and the template does not show."""
        turns = [*self.messages, self.own]
        gone = [
            f"the text of message {n} ({message['role']})"
            for n, message in enumerate(turns, 1)
            if message["content"].strip() not in self.plain
            and str(message.get("written") or message["content"]).strip() not in self.plain
        ]
        for n, message in enumerate(turns):
            for name in (name for name in READ if name in message):
                without = {key: value for key, value in message.items() if key != name}
                if self._shows_the_same([*turns[:n], without, *turns[n + 1 :]]):
                    gone.append("tools" if name == "tools" else f"{name} of message {n + 1} ({message['role']})")
        return _told("The chat template", gone)

    def _shows_the_same(self, turns: Messages) -> bool:
        try:
            return replace(self, messages=turns[:-1], own=turns[-1]).with_response(self.sentinel) == self.plain
        except RedvizError:
            return False


def as_it_is(message: dict[str, Any]) -> dict[str, Any]:
    """A message as it is."""
    return message


def _without_content(message: dict[str, Any]) -> dict[str, Any]:
    """Null content beside tool calls: some templates write calls only there."""
    empty = any(name in message for name in CALLS) and not message["content"]
    return {**message, "content": None} if empty else message


def _with_objects(message: dict[str, Any]) -> dict[str, Any]:
    """Arguments of calls as objects, where they were written as JSON text, as OpenAI's API has them."""
    if "tool_calls" not in message:
        return message
    return {**message, "tool_calls": [_with_object(call) for call in message["tool_calls"]]}


def _with_object(call: Any) -> Any:
    if not isinstance(call, dict):
        return call
    if isinstance(call.get("function"), dict):
        return {**call, "function": _with_object(call["function"])}
    try:
        return {**call, "arguments": json.loads(call["arguments"])}
    except (KeyError, TypeError, ValueError):
        return call


def _in_parts(message: dict[str, Any]) -> dict[str, Any]:
    """Content as a list of one text part."""
    return {**message, "content": [{"type": "text", "text": message["content"]}]}


HANDS = (as_it_is, _without_content, _with_objects, lambda m: _without_content(_with_objects(m)), _in_parts)


def applied(
    tokenizer: Any,
    conversation: Sequence[dict[str, Any]],
    hand: Callable[[dict[str, Any]], dict[str, Any]] = as_it_is,
    *,
    add_generation_prompt: bool = False,
) -> str:
    """Messages as the chat template writes them; ``tools`` of one of them are those of the conversation.

    Raises
    ------
    RedvizError
        Where the template refuses them.
    """
    tools = next((message["tools"] for message in conversation if "tools" in message), None)
    given = [hand({name: value for name, value in m.items() if name != "tools"}) for m in conversation]
    try:
        return str(
            tokenizer.apply_chat_template(
                given, tools=tools, tokenize=False, add_generation_prompt=add_generation_prompt
            )
        )
    except Exception as error:  # jinja raises its own tree, and templates raise through it
        raise RedvizError(
            f"The model's chat template refused this conversation ({error}); change the roles or their order."
        ) from error


def left_out_of(tokenizer: Any, prompt: str | Sequence[Message]) -> tuple[str, ...]:
    """A sentence that names what the prompt holds and the tokenizer's chat template does not show."""
    return Conversation.of(tokenizer, prompt).left_out()


def _free_sentinel(prompt: str | Sequence[Message], response: str) -> str:
    """A word that stands neither in the prompt nor in the response."""
    text, sentinel = repr(prompt) + response, SENTINEL
    while sentinel in text:
        sentinel += "X"
    return sentinel


def left_out_of_text(prompt: str | Sequence[Message], name: str) -> tuple[str, ...]:
    """A sentence that names what messages hold and a model without a chat template does not read."""
    held = dict.fromkeys(extra for message in messages_of(prompt) for extra in READ if extra in message)
    return _told(name, [f"{extra} of the prompt's messages" for extra in held])


def as_written(prompt: str | Sequence[Message]) -> str | None:
    """The text that held a conversation, up to its response; None where it was messages, or turns of elsewhere joined it."""
    turns = messages_of(prompt)
    if not turns or not all("written" in turn for turn in turns):
        return None
    if not all(isinstance(turn["written"], str) for turn in turns):
        raise RedvizError(
            "The response's text repeats the mark of its speaker, so without a chat template it is not what the file holds; "
            "mend the text, or name the model's with --template, such as hh."
        )
    return "".join(turn["written"] for turn in turns)


def plain_text(prompt: str | Sequence[Message]) -> str:
    """What stands before the response without a chat template: the prompt, or the text that its turns were read from."""
    if (written := as_written(prompt)) is not None:
        return written
    turns = messages_of(prompt)
    if len(turns) != 1:
        raise RedvizError(
            "This tokenizer has no chat template, so a conversation of several turns has no defined text; name the text that the "
            "model was trained on with --template (such as hh or chatml), or give the prompt as one string, written so."
        )
    return str(turns[0]["content"])


def _called(messages: Sequence[Message]) -> Iterator[str]:
    """The names of the functions that messages call."""
    for message in messages:
        for call in message.get("tool_calls", ()):
            function = call.get("function", call) if isinstance(call, dict) else {}
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                yield function["name"]


def _told(who: str, gone: Sequence[str]) -> tuple[str, ...]:
    if not gone:
        return ()
    named = ", ".join(gone[:MOST_NAMED]) + (f" and {len(gone) - MOST_NAMED} more" if len(gone) > MOST_NAMED else "")
    return (f"{who} does not show all of the prompt as it stands there; left out or rewritten: {named}.",)
