"""From result rows back to analyses, so that a file can be drawn as the app draws what it has just computed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

import numpy as np

from redviz.data.sets.values import BadValue
from redviz.errors import RedvizError
from redviz.messages import has_extras
from redviz.records import Analysis, Array, Credit, Encoding, Example, Observation, Prompt, Source

REBUILT = "Read from a result file, which keeps the response's tokens and not those of the prompt and the template."
OF_ONE = ("example_id", "response_id", "prompt", "response", "model", "fingerprint", "template_hash", "head", "read")


def analyses_of(rows: Iterable[Mapping[str, Any]]) -> Iterator[Analysis]:
    """The analyses behind rows that stand together: one for each response, with a credit for each of its rows.

    What a row does not keep is not made up: the prompt's tokens and the attention rows are missing, and a notice says so.

    Parameters
    ----------
    rows
        As :func:`redviz.data.results.rows.rows` makes them; lists as Python lists. The rows of one response follow each other.

    Raises
    ------
    RedvizError
        Where a row's lists do not fit each other.
    """
    for _, group in groupby(rows, key=lambda row: tuple(row.get(name) for name in OF_ONE)):
        held: dict[str, Mapping[str, Any]] = {}
        for row in group:
            label = row.get("label") or ""
            if label in held:  # the same response again: another example with the same id
                yield _analysis(held)
                held = {}
            held[label] = row
        yield _analysis(held)


def _analysis(by_label: Mapping[str, Mapping[str, Any]]) -> Analysis:
    first = next(iter(by_label.values()))
    name = "/".join(part for part in (first.get("example_id"), first.get("response_id")) if part)
    try:
        example = Example(_prompt(first.get("prompt")), first["response"] or "", name)
        source = Source(
            model=first.get("model") or "",
            revision=first.get("revision") or "",
            fingerprint=first.get("fingerprint") or "",
            dtype=first.get("dtype") or "",
            template_hash=first.get("template_hash") or "",
            versions={"redviz": first.get("redviz_version") or ""},
            head=first.get("head") or "",
            read=first.get("read") or "model",
            template=first.get("template") or "",
        )
        errors = [row["error"] for row in by_label.values() if row.get("error")]
        observation = _observation(first, example) if first.get("score") is not None else None
        credits = {
            label: _credit(row, observation)
            for label, row in by_label.items()
            if label and observation is not None and row.get("credits")
        }
    except (KeyError, TypeError, ValueError, IndexError, BadValue) as problem:
        raise RedvizError(
            f"The row of {name or 'a response'} cannot be drawn ({problem}); give rows that redviz wrote."
        ) from None
    error = "; ".join(dict.fromkeys(errors)) or None
    return Analysis(example, source, observation, credits, error)


def _prompt(written: str | None) -> Prompt:
    """The messages of the row; one user turn is a prompt given as text."""
    messages = json.loads(written or "[]")
    prompt = tuple({**m, "role": str(m["role"]), "content": str(m["content"])} for m in messages)
    if len(prompt) == 1 and prompt[0]["role"] == "user" and not has_extras(prompt[0]):
        return str(prompt[0]["content"])
    return prompt


def _observation(row: Mapping[str, Any], example: Example) -> Observation:
    tokens = [str(token) for token in row["tokens"]]  # T
    prefix = _numbers(row["prefix_scores"])  # [T+1]
    offsets = tuple((int(a), int(b)) for a, b in row["offsets"])
    if not tokens or not len(prefix) - 1 == len(tokens) == len(offsets) == len(row["token_ids"]):
        raise ValueError(f"{len(tokens)} tokens, {len(offsets)} offsets and {len(prefix)} prefix scores")
    score, closing = float(row["score"]), row.get("closing")
    if not all(0 <= a <= b <= len(example.response) for a, b in offsets):
        raise ValueError("tokens outside its response, which is not the text that was scored")
    after = closing is not None and closing != 0  # the score was read at a closing token
    pieces = ("", *tokens, *([""] if after else []))
    ids = np.asarray([0, *row["token_ids"], *([0] if after else [])], np.int64)
    scores = np.append(prefix, np.float32(score)) if after else prefix.copy()
    if not after:
        scores[-1] = score
    stop = len(tokens) + 1
    encoding = Encoding(
        ids,
        1,
        stop,
        stop if after else stop - 1,
        offsets,
        pieces,
        example.response,
        int(row.get("truncated") or 0),
        (REBUILT,),
        example,
        unit=row.get("unit") or "token",
    )
    return Observation(encoding, scores, black_box=bool(np.isnan(prefix).any()))


def _credit(row: Mapping[str, Any], observation: Observation | None) -> Credit:
    values = _numbers(row["credits"])
    if observation is None or len(values) != len(observation.encoding.offsets):
        raise ValueError(f"{len(values)} credits")
    meta = json.loads(row.get("meta") or "{}")
    options = json.loads(row.get("options") or "{}")
    named = {"method": row.get("method") or row["label"], "options": options}
    return Credit(
        values, row.get("total"), row.get("reference"), _closing(row, options, meta, observation), {**named, **meta}
    )


def _closing(
    row: Mapping[str, Any], options: Mapping[str, Any], meta: Mapping[str, Any], observation: Observation
) -> float:
    """The closing tokens' part of the last credit: written where the run knew it, else what plain RED gives them."""
    if isinstance(told := meta.get("closing"), (int, float)):
        return float(told)
    plain = row.get("method") == "red" and not options.get("alpha") and not options.get("kl_coef")
    return float(options.get("beta_c", 1.0)) * observation.closing if plain else 0.0


def _numbers(listed: Any) -> Array:
    """A list of numbers, null for what is not known."""
    return np.asarray([math.nan if value is None else float(value) for value in listed], np.float32)
