"""Solutions whose steps carry verdicts as signs: chats that answer + or - to every step (RLHFlow), marked texts (Math-Shepherd)."""

from __future__ import annotations

import re
from typing import Any

from redviz.data.sets.candidates import Answer, stepped
from redviz.data.sets.conversations import conversation_of, unwritten
from redviz.data.sets.values import BadValue, Row, text_of

SIGNS = {"+": True, "-": False}
STEP_TAG = "ки"
FIRST_STEP = re.compile(r"\bStep 1\s*:")


def is_signed_chat(row: Row, messages: str) -> bool:
    """Whether every assistant turn of a chat is a sign."""
    try:
        value = unwritten(row[messages], messages)
        turns = conversation_of(value, messages) if isinstance(value, list) else ()
    except BadValue:
        return False
    said = [turn["content"].strip() for turn in turns if turn["role"] == "assistant"]
    return bool(said) and all(text in SIGNS for text in said)


def signed_chat(row: Row, messages: str) -> list[Answer]:
    """The user's turns are the steps, the first after the question; the assistant's sign is the verdict of the step before it."""
    turns = conversation_of(unwritten(row[messages], messages), messages)
    opening, turns = (
        [turn for turn in turns if turn["role"] == "system"],
        tuple(t for t in turns if t["role"] != "system"),
    )
    steps, signs = turns[::2], turns[1::2]
    if (
        len(steps) != len(signs)
        or {s["role"] for s in steps} != {"user"}
        or {s["role"] for s in signs} != {"assistant"}
    ):
        raise BadValue(f"{messages} does not go from a step to its sign and on")
    if other := next((sign["content"] for sign in signs if sign["content"].strip() not in SIGNS), None):
        raise BadValue(f"the sign {other[:40]!r} in {messages} is neither + nor -")
    question, first = _parted(steps[0]["content"])
    texts = [first, *(step["content"] for step in steps[1:])]
    verdicts = [SIGNS[sign["content"].strip()] for sign in signs]
    if not first:  # nothing says where the question ends: the first step stands with it
        texts, verdicts = texts[1:], verdicts[1:]
    if not texts:
        raise BadValue(f"{messages} has one step, and nothing (such as 'Step 1:') says where it begins")
    prompt: Any = (*opening, {"role": "user", "content": question}) if opening else question
    return [stepped(prompt, texts, verdicts)]


def is_marked(row: Row) -> bool:
    """Whether a text has step tags, and its label signs in their places."""
    given, label = row.get("input"), row.get("label")
    return isinstance(given, str) and isinstance(label, str) and STEP_TAG in given and STEP_TAG not in label


def marked(row: Row, column: str, label: str) -> list[Answer]:
    """A question and its steps, each closed by a tag, and the same text with a sign for every tag (Math-Shepherd)."""
    given, signed = text_of(row[column], column), text_of(row[label], label)
    *pieces, rest = given.split(STEP_TAG)
    verdicts, at = [], 0
    for piece in pieces:
        at += len(piece)
        if not signed[:at].endswith(piece) or signed[at : at + 1] not in SIGNS:
            raise BadValue(f"{label} is not {column} with a sign for every {STEP_TAG}")
        verdicts.append(SIGNS[signed[at]])
        at += 1
    question, first = _parted(pieces[0])
    if not first or rest.strip():
        raise BadValue(f"{column} does not go from a question to 'Step 1:' and on to a last {STEP_TAG}")
    return [stepped(question, [step.strip() for step in (first, *pieces[1:])], verdicts)]


def _parted(text: str) -> tuple[str, str]:
    """A question and the first step after it; all is question where no first step is marked."""
    found = FIRST_STEP.search(text)
    return (text[: found.start()].rstrip(), text[found.start() :]) if found else (text, "")
