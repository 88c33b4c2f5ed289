"""Lists of chosen and of rejected responses (RewardBench 2, RM-Bench), and trees of them (OpenAssistant)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from redviz.data.sets.candidates import Answer, prompt_of_row
from redviz.data.sets.conversations import conversation_of, turn_of
from redviz.data.sets.values import BadValue, Row, number_of, text_of


def are_lists(row: Row, *sides: str) -> bool:
    """Whether both sides list texts or chats."""
    return all(_listed(row.get(side)) is not None for side in sides)


def best_of(row: Row, prompt: str, *sides: str) -> list[Answer]:
    """Every chosen response and every rejected one, each pair of them a stated preference."""
    context = prompt_of_row(row, prompt)
    found: list[Answer] = []
    for role, side in zip(("chosen", "rejected"), sides, strict=True):
        listed = _listed(row[side])
        if listed is None:
            raise BadValue(f"{side} is not a list of responses with something in it")
        found += [
            Answer(role if n == 1 else f"{role}-{n}", *turn_of(value, f"{side} {n}", context))
            for n, value in enumerate(listed, 1)
        ]
    chosen, rejected = ([a.role for a in found if a.role.startswith(role)] for role in ("chosen", "rejected"))
    return [found[0]._replace(preferences=tuple(product(chosen, rejected))), *found[1:]]


def tree_rows(row: Row) -> list[Row]:
    """The questions of a conversation tree, each with the messages before it and the replies to it (oasst1)."""
    found = list(_questions(row["prompt"]))
    if not found:
        raise BadValue("the tree holds no reply")
    return found


def replies(row: Row, messages: str, listed: str) -> list[Answer]:
    """Replies to one question; the rating is the rank below zero, so that the best is the highest."""
    before = conversation_of(row[messages], messages)
    found = []
    for n, reply in enumerate(row[listed], 1):
        rank = number_of(reply.get("rank"))
        found.append(
            Answer(
                str(n), before, text_of(reply.get("text"), f"text of reply {n}"), None if rank is None else 0.0 - rank
            )
        )
    return found


def _listed(value: Any) -> list[Any] | None:
    if not isinstance(value, list) or not value or not all(isinstance(entry, str | list) and entry for entry in value):
        return None
    return value


def _questions(root: Any) -> Iterator[Row]:
    waiting: list[tuple[Any, tuple[Row, ...]]] = [(root, ())]
    while waiting:
        node, before = waiting.pop(0)
        if not isinstance(node, dict) or not isinstance(node.get("replies"), list | None):
            raise BadValue("a message of the tree is no object with replies")
        turns = (*before, {"from": node.get("role"), "value": node.get("text")})
        answers = [reply for reply in node.get("replies") or () if isinstance(reply, dict)]
        waiting += [(reply, turns) for reply in answers]
        if node.get("role") == "prompter" and answers:
            yield {"id": node.get("message_id"), "messages": list(turns), "replies": answers}
