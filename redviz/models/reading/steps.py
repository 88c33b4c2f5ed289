"""Steps of a response, and how each kind of process reward model wants them written: knows tokenizers, and nothing of torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.models.reading.conversations import applied, as_written, left_out_of, left_out_of_text, messages_of
from redviz.models.reading.encode import encode
from redviz.models.reading.templates import adds_tokens
from redviz.records import Array, Example, Prompt

NO_LIMIT = 2**31 - 1
BLANK_LINE, LINE_BREAK = r"\n[^\S\n]*\n\s*", r"\n\s*"


@dataclass(frozen=True)
class Marked:
    """A conversation as a process reward model reads it.

    Attributes
    ----------
    ids
        Token ids, ``[L]`` int64.
    columns
        Where the score of each of the ``K`` steps is read, ``[K]`` int64.
    rendered
        The text that was tokenized.
    """

    ids: Array  # [L] int64
    columns: Array  # [K] int64
    rendered: str


Writer = Callable[[Any, Prompt, Sequence[str], str], Marked]
"""Called with the tokenizer, the prompt, what each step says, and the tag."""


@dataclass(frozen=True)
class StepFormat:
    """How one kind of process reward model has its steps written.

    Attributes
    ----------
    write
        Puts the steps behind the prompt, with a mark after each.
    tag
        The mark: text at whose last token the score of the step before it is read.
    between
        A regular expression of what parts the steps of a response.
    in_text
        Whether a response may hold the mark already; it then parts steps too, and is not written twice.
    """

    write: Writer
    tag: str
    between: str = BLANK_LINE
    in_text: bool = True

    @property
    def mark(self) -> str:
        """A regular expression of the mark in a response, a word of letters only as a whole; "" where it is not looked for."""
        shown = self.tag.strip() if self.in_text else ""
        if not shown:
            return ""
        before, after = r"(?<!\S)" if shown[0].isalnum() else "", r"(?!\S)" if shown[-1].isalnum() else ""
        return before + re.escape(shown) + after

    def split(self, response: str) -> tuple[tuple[int, int], ...]:
        r"""The spans of the steps, which tile the response; () where it says nothing.

        What parts two steps belongs to the first of them, and blank lines at the ends to their neighbour.

        >>> StepFormat(after_each, "<extra_0>").split("\n\nOne.\n\n\nTwo.\n")
        ((0, 9), (9, 14))
        """
        breaks = rf"{self.mark}\s*|{self.between}" if self.mark else self.between
        spans: list[tuple[int, int]] = []
        start = 0
        for end in (*(found.end() for found in re.finditer(breaks, response)), len(response)):
            if self.content(response[start:end]):
                spans.append((start, end))
                start = end
        return (*spans[:-1], (spans[-1][0], len(response))) if spans else ()

    def left_out(self, tokenizer: Any, prompt: Prompt) -> tuple[str, ...]:
        """A sentence that names what the prompt holds and the model does not read."""
        if self.write in (lines_with_tag, joined_ids) or not tokenizer.chat_template:
            return left_out_of_text(prompt, "This model reads plain text and")
        return left_out_of(tokenizer, prompt)

    def content(self, step: str) -> str:
        """What a step says: without blanks around it, and without the mark where it is written already."""
        text = step.strip()
        while self.mark and (found := re.search(rf"{self.mark}\Z", text)):
            text = text[: found.start()].rstrip()
        return text


def after_each(tokenizer: Any, prompt: Prompt, steps: Sequence[str], tag: str) -> Marked:
    """The steps without anything but the tag between them, as one assistant turn of the chat template."""
    text = "".join(step + tag for step in steps)
    encoding = encode(tokenizer, Example(prompt, text), max_length=NO_LIMIT, read="last")
    ends = np.cumsum([len(step) + len(tag) for step in steps])  # [K]
    reached = [
        b if b > a else 0 for a, b in encoding.offsets
    ]  # 0: what the template writes between a thought and an answer
    columns = _ending_at(reached, ends, tag) + encoding.start
    return _checked(tokenizer, Marked(encoding.ids, columns, encoding.rendered), tag)


def lines_with_tag(tokenizer: Any, prompt: Prompt, steps: Sequence[str], tag: str) -> Marked:
    """Plain text without a chat template: the prompt, a blank, and a line for each step with a blank and the tag at its end."""
    head = f"{text_of(prompt)} "
    lines = [f"{step} {tag}" for step in steps]
    text = head + "\n".join(lines)
    batch = tokenizer(text, return_offsets_mapping=True, truncation=False, verbose=False)
    ends = len(head) + np.cumsum([len(line) + 1 for line in lines]) - 1  # [K]
    columns = _ending_at([b for _, b in batch["offset_mapping"]], ends, tag)
    return _checked(tokenizer, Marked(np.asarray(batch["input_ids"], np.int64), columns, text), tag)


def joined_ids(tokenizer: Any, prompt: Prompt, steps: Sequence[str], tag: str) -> Marked:
    """BOS (where there is one), the prompt, and each step followed by the separator, every part tokenized by itself."""

    def ids_of(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        return found

    head, mark = text_of(prompt), ids_of(tag)
    ids = ([] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]) + ids_of(head)
    columns = []
    for step in steps:
        ids += ids_of(step) + mark
        columns.append(len(ids) - 1)
    return Marked(
        np.asarray(ids, np.int64), np.asarray(columns, np.int64), head + "".join(step + tag for step in steps)
    )


def turns(tokenizer: Any, prompt: Prompt, steps: Sequence[str], tag: str) -> Marked:
    """A user turn for each step, each answered by the tag; the score is read at the token before the answer."""
    if not tokenizer.chat_template:
        raise RedvizError(
            "This tokenizer has no chat template, so a turn for each step has no defined text; save the template with it."
        )
    first = messages_of(prompt)
    if first[-1]["role"] != "user":
        raise RedvizError(
            f"The prompt ends with a turn of {first[-1]['role']}, and the first step joins the user's; end with a user turn."
        )
    conversation = first[:-1]
    starts = []
    asked = {**first[-1], "content": f"{first[-1]['content']} {steps[0]}"}
    for turn in (asked, *({"role": "user", "content": step} for step in steps[1:])):
        conversation.append(turn)
        starts.append(len(applied(tokenizer, conversation, add_generation_prompt=True)))
        conversation.append({"role": "assistant", "content": tag})
    text = applied(tokenizer, conversation)
    if any(not text.startswith(tag, start) for start in starts):
        raise RedvizError(
            "This chat template does not write the answers after a step where its generation prompt ends; "
            "save the template that the model was trained with."
        )
    adds = adds_tokens(tokenizer)
    batch = tokenizer(text, add_special_tokens=adds, return_offsets_mapping=True, truncation=False, verbose=False)
    answers = _ending_at([b for _, b in batch["offset_mapping"]], np.asarray(starts) + len(tag), tag)
    _checked(tokenizer, Marked(np.asarray(batch["input_ids"], np.int64), answers, text), tag)
    return Marked(np.asarray(batch["input_ids"], np.int64), answers - 1, text)


def text_of(prompt: Prompt) -> str:
    """The prompt as one text, for models that have no chat template."""
    if isinstance(prompt, str):
        return prompt
    if (written := as_written(prompt)) is not None:
        return written
    if len(prompt) != 1:
        raise RedvizError(
            "This model reads plain text, not a conversation of several turns; give the prompt as one string."
        )
    return str(messages_of(prompt)[0]["content"])


def _ending_at(token_ends: Sequence[int], ends: Array, tag: str) -> Array:
    """The last token that ends at each of these characters: ``[K]`` int64."""
    place = {end: column for column, end in enumerate(token_ends)}
    if missing := [int(end) for end in ends if int(end) not in place]:
        raise RedvizError(
            f"The tag {tag!r} becomes one token with what follows it (character {missing[0]}); name another tag."
        )
    return np.array([place[int(end)] for end in ends], np.int64)


def _checked(tokenizer: Any, marked: Marked, tag: str) -> Marked:
    """Refuse a mark that the tokenizer does not write the same way after every step."""
    found = set(marked.ids[marked.columns].tolist())
    known = tokenizer(tag, add_special_tokens=False)["input_ids"]
    if not known or found != {known[-1]}:
        raise RedvizError(
            f"The tag {tag!r} is not one and the same token after every step, so there is no place to read; "
            "use the tokenizer that came with the model, or name its tag."
        )
    return marked
