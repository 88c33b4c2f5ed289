"""The schemas of data sets: which columns each one has, and the item that a row of it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from redviz.data.sets.candidates import (
    CONTEXTS,
    answer_to_chat,
    completions,
    conversation,
    feedback,
    follows_chat,
    generations,
    has_chat,
    instruction,
    is_no_pair,
    is_verdict,
    one,
    pair,
    several,
    steps,
    unpaired,
)
from redviz.data.sets.items import Candidate, DataItem
from redviz.data.sets.published import CHOSEN, PAIR, PUBLISHED, REJECTED
from redviz.data.sets.schema import AROUND, MAX_COLUMNS, PROMPTS, Schema
from redviz.data.sets.values import (
    KINDS,
    BadText,
    BadValue,
    NoSchema,
    Row,
    kind_of,
    parsed,
    prompt_of,
    quoted,
    short_name,
    text_of,
)

__all__ = [
    "EXPECTED",
    "KINDS",
    "SCHEMAS",
    "BadValue",
    "NoSchema",
    "Schema",
    "items_of",
    "parsed",
    "prompt_of",
    "quoted",
    "text_of",
]

IDS = ("id", "prompt_id", "question_id", "example_id", "uuid")
SUBSETS = ("subset", "src", "source", "category", "dataset")


def items_of(row: Any, line: int, schema: Schema | None = None) -> list[DataItem]:
    """The items in one row (a tree holds several), by ``schema`` or else by the first of ``SCHEMAS`` whose columns it has.

    Raises
    ------
    BadValue
        What is wrong with the row.
    """
    if isinstance(row, BadValue):
        raise row
    if not isinstance(row, dict):
        raise BadValue(f"{kind_of(row)}, expected an object")
    if len(row) > MAX_COLUMNS:
        raise BadValue(f"{len(row):,} columns, more than the {MAX_COLUMNS:,} that are read here")
    if schema is None:
        schema = next((schema for schema in SCHEMAS if schema.fits(row)), None)
        if schema is None:
            raise NoSchema(f"columns {quoted(row)}; {EXPECTED}")
    elif (missing := schema.missing(row)) is not None:
        raise BadValue(f"{missing} is missing" if missing not in row else f"{missing} is null")
    return [_item(part, line, schema, schema.found(row)) for part in schema.unfold(row)]


def _item(row: Row, line: int, schema: Schema, names: tuple[str, ...]) -> DataItem:
    answers = schema.read(row, *names)
    if empty := [answer.role for answer in answers if not answer.response]:
        raise BadText(f"the response {empty[0]} is empty" if empty[0] else "the response is empty")
    shared = answers[0].prompt
    return DataItem(
        id=_id(row) or str(line),
        prompt=shared,
        candidates=tuple(  # repr: turns that say the same may have been spelled otherwise
            Candidate(a.response, a.role, a.rating, a.spans, None if repr(a.prompt) == repr(shared) else a.prompt)
            for a in answers
        ),
        subset=next((short_name(row[name], 80) for name in SUBSETS if isinstance(row.get(name), str)), ""),
        line=line,
        preferences=answers[0].preferences,
    )


def _id(row: Row) -> str:
    value = next((row[name] for name in IDS if row.get(name) not in (None, "")), None)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    # A slash would part the id from the role in result rows.
    return short_name(text_of(str(value), "id"), 120).replace("/", "_")


PREFERENCE = Schema(
    "preference",
    "TRL preference",
    "pairs of prompt, chosen and rejected",
    (PROMPTS, CHOSEN, REJECTED),
    pair,
    extra=PAIR,
)
SCHEMAS: tuple[Schema, ...] = (
    Schema(
        "qa_feedback",
        "FineGrainedRLHF",
        "questions with passages and several predictions",
        (("question",), ("passages",), ("prediction 1",)),
        feedback,
        extra=("feedback", "preference", *(f"prediction {n}" for n in range(2, 10))),
        remark="error spans that people marked on prediction 1 and their preferences are kept",
    ),
    Schema(
        "stepwise",
        "TRL stepwise supervision",
        "prompts with labelled steps",
        (("prompt",), ("completions",), ("labels",)),
        steps,
        remark="steps are joined by line breaks and kept as spans",
    ),
    *PUBLISHED,
    Schema(
        "ultrafeedback",
        "UltraFeedback",
        "prompts with several completions",
        ((*PROMPTS, *CONTEXTS), ("completions",)),
        completions,
        accepts=is_no_pair,
        extra=("system",),
        remark="ratings are kept where they are given",
    ),
    Schema(
        "generations",
        "distilabel",
        "prompts with several generations",
        ((*PROMPTS, *CONTEXTS), ("generations",)),
        generations,
        accepts=is_no_pair,
        extra=("system", "context", "ratings", "rating", "generation_models"),
        remark="ratings are kept where they are given",
    ),
    PREFERENCE,
    Schema(
        "preference_chat",
        "TRL preference with a chat as prompt",
        "pairs of conversation, chosen and rejected",
        (CONTEXTS, CHOSEN, REJECTED),
        pair,
        accepts=has_chat,
        extra=PAIR,
    ),
    Schema(
        "implicit",
        "TRL preference with an implicit prompt",
        "pairs of chosen and rejected",
        (CHOSEN, REJECTED),
        lambda row, *sides: pair(row, "", *sides),
        extra=PAIR,
        remark="the prompt is the shared beginning of both",
    ),
    Schema(
        "unpaired",
        "TRL unpaired preference",
        "prompts with one completion and its label",
        (("prompt", "instruction", "question"), ("completion", "response", "output"), ("label", "kto_tag")),
        unpaired,
        accepts=is_verdict,
        extra=("system", "input", "context"),
        remark="a true label is chosen, a false one rejected",
    ),
    Schema(
        "responses",
        "prompt and responses",
        "prompts with several responses",
        ((*PROMPTS, *CONTEXTS), ("responses",)),
        several,
        accepts=is_no_pair,
        extra=("system", "ratings", "scores", "annotations"),
    ),
    Schema(
        "response",
        "prompt and response",
        "prompts with one response",
        (("prompt",), ("response",)),
        one,
        extra=("system",),
    ),
    Schema(
        "completion",
        "prompt and completion",
        "prompts with one completion",
        (("prompt",), ("completion",)),
        one,
        extra=("system",),
    ),
    Schema(
        "answered_chat",
        "a chat and its response",
        "conversations with a response",
        (CONTEXTS, ("response", "completion")),
        answer_to_chat,
        accepts=follows_chat,
        extra=("system", "label", "kto_tag"),
    ),
    Schema(
        "messages",
        "messages",
        "conversations",
        (("messages",),),
        conversation,
        extra=("system", "label", "kto_tag"),
        remark="the last assistant turn is the response",
    ),
    Schema(
        "sharegpt",
        "ShareGPT",
        "conversations",
        (("conversations", "conversation"),),
        conversation,
        extra=("system", "label", "kto_tag"),
        remark="the last assistant turn is the response",
    ),
    Schema(
        "instruction",
        "distilabel or Alpaca",
        "instructions with one response",
        (("instruction",), ("response", "output", "generation")),
        instruction,
        extra=("system", "input", "context"),
    ),
)
USUAL = [
    schema for schema in SCHEMAS[SCHEMAS.index(PREFERENCE) :] if schema.name not in ("preference_chat", "answered_chat")
]
EXPECTED = "expected " + " or ".join(" + ".join(names[0] for names in schema.columns) for schema in USUAL)
FIELDS = tuple(
    dict.fromkeys(
        [*(name for schema in SCHEMAS for names in schema.columns for name in names)]
        + [name for schema in SCHEMAS for name in schema.extra]
        + [*AROUND, *IDS, *SUBSETS]
    )
)


def schemas_with(parts: Iterable[str]) -> tuple[Schema, ...]:
    """The schemas that read every one of these parts, as far as any schema needs it: what was mapped is not passed over.

    >>> [schema.name for schema in schemas_with(["completion", "label"])]
    ['unpaired', 'answered_chat']
    """
    needed = {name for schema in SCHEMAS for names in schema.columns for name in names}
    asked = needed & {*parts}
    return tuple(
        schema
        for schema in SCHEMAS
        if asked <= {*(name for names in schema.columns for name in names), *schema.extra, *AROUND}
    )


def kept_beside(mapping: Mapping[str, str]) -> tuple[str, ...]:
    """The known columns that are read by their own names beside a mapping.

    Not those that the mapping takes, nor those that would be read before a mapped part of the same meaning.

    >>> "prompt" in kept_beside({"chosen": "better"}), "prompt" in kept_beside({"question": "q"})
    (True, False)
    """
    same = {names for schema in SCHEMAS for names in schema.columns} | {IDS, SUBSETS}
    # "input" is also what an instruction is about: mapped, it stands beside the instruction.
    first = {
        name
        for names in same
        for part in mapping
        if part in names and part != "input"
        for name in names[: names.index(part)]
    }
    taken = first.union(mapping, mapping.values())
    return tuple(name for name in FIELDS if name not in taken)
