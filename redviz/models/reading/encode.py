"""Encode: from a prompt and a response to token ids, the response's span and its character offsets.

Knows tokenizers and chat templates, and nothing of torch models. The span is found by rendering the template again with sentinels in
the response's place, and comparing (:mod:`redviz.models.reading.spans`): templates trim, insert and move think blocks and repeat text,
so searching for the response would find the wrong place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.models.reading.conversations import Conversation, left_out_of_text, messages_of, plain_text
from redviz.models.reading.pairs import Tokenized, tokenized_pair
from redviz.models.reading.spans import Place, place_of
from redviz.models.reading.templates import adds_tokens, writes_date
from redviz.records import Array, Encoding, Example

DATED = "The chat template writes today's date, so the same text has another score on another day."
LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def encode(
    tokenizer: Any,
    example: Example,
    *,
    max_length: int,
    read: str = "model",
    pad_id: int | None = None,
    pairs: bool = False,
    first: bool = False,
    appended: int | None = None,
) -> Encoding:
    """Render, tokenize and locate the response of one example.

    Parameters
    ----------
    tokenizer
        A fast Hugging Face tokenizer. With a chat template, a text prompt becomes one user turn; without, prompt and response
        are joined as they are.
    example
        The prompt and the response.
    max_length
        The context in tokens. A longer response is cut at its end, never at the prompt; the closing tokens stay.
    read
        "model": the score is read where Transformers' own forward reads it, at the right-most id that is not ``pad_id``.
        "last": at the last token, whatever its id.
    pad_id
        The model's pad id, or None where the model reads the last token.
    pairs
        Whether prompt and response are two segments, with the tokenizer's own tokens around them (:mod:`redviz.models.reading.pairs`).
    first
        Whether the score is read at the first token ([CLS]) instead.
    appended
        The id of a token to put behind everything, unless it stands there already; the score is then read at it.

    Raises
    ------
    RedvizError
        Where the response is empty, the prompt alone fills the context, or the template does not reproduce the response.
    """
    if not example.response:
        raise RedvizError("The response is empty; give at least one character to score.")
    place, left_out = render(tokenizer, example)
    rendered, begin, end = place.rendered, place.begin, place.end
    if lone := LONE_SURROGATE.search(rendered):
        raise RedvizError(
            f"The text holds half of a surrogate pair (U+{ord(lone[0]):04X}), which is no character; repair its encoding."
        )
    found = tokenized_pair(tokenizer, rendered[:begin], example.response) if pairs else _tokenized(tokenizer, rendered)
    ids, spans, types = found.ids, found.spans, found.types  # [L]
    if appended is not None and (not len(ids) or ids[-1] != appended):
        ids, spans = np.append(ids, appended), [*spans, (len(rendered), len(rendered))]
    touching = [i for i, (a, b) in enumerate(spans) if a < end and b > begin]
    if not touching:
        raise RedvizError(
            "The response becomes no token under this tokenizer (only blanks that its template trims?); write some text."
        )
    start, stop = touching[0], touching[-1] + 1
    if start <= int(first):  # the column of P_0 stands before the response, and is not the one where the score is read
        raise RedvizError("Nothing stands before the response, so there is no empty-prefix score; give a prompt.")
    pieces = tuple(
        rendered[a:b] or tokenizer.convert_ids_to_tokens(int(i)) for i, (a, b) in zip(ids, spans, strict=True)
    )
    offsets = place.offsets(spans[start:stop])
    notices = (*place.notices, *left_out, *text_notices(tokenizer, example))
    keep = min(stop, max_length - (len(ids) - stop))
    cut = stop - keep
    if cut:
        if keep <= start:
            room = max_length - (len(ids) - stop)
            raise RedvizError(
                f"The prompt alone takes {start} of the {room} tokens this model can read; shorten the prompt."
            )
        notices += (
            f"The response was cut: its last {cut} of {stop - start} tokens do not fit the model's {max_length} tokens.",
        )
        rendered = rendered[: spans[keep - 1][1]] + rendered[spans[stop - 1][1] :]
        ids, pieces = np.delete(ids, slice(keep, stop)), pieces[:keep] + pieces[stop:]
        types = None if types is None else np.delete(types, slice(keep, stop))
        offsets, stop = offsets[: keep - start], keep
    column = 0 if first else reading_column(ids, read, pad_id)
    return Encoding(ids, start, stop, column, offsets, pieces, rendered, cut, notices, example, types)


def reading_column(ids: Array, read: str, pad_id: int | None) -> int:
    """Where a model that reads at the end reads its score: at the right-most id that is no padding, or at the last token."""
    if read == "model" and pad_id is not None and len(kept := np.flatnonzero(ids != pad_id)):
        return int(kept[-1])
    return len(ids) - 1


def _tokenized(tokenizer: Any, rendered: str) -> Tokenized:
    batch = tokenizer(
        rendered,
        add_special_tokens=adds_tokens(tokenizer),
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        truncation=False,
        verbose=False,
    )
    spans = _gapless(batch["offset_mapping"], _added(batch, tokenizer), len(rendered))
    return Tokenized(np.asarray(batch["input_ids"], dtype=np.int64), spans, None)


def render(tokenizer: Any, example: Example) -> tuple[Place, tuple[str, ...]]:
    """The text the model reads with the response's place in it, and what of the prompt is not in it."""
    if not tokenizer.chat_template:
        return _render_plain(example), left_out_of_text(example.prompt, "This tokenizer has no chat template and")
    conversation = Conversation.of(tokenizer, example.prompt, example.response)
    template = tokenizer.chat_template
    place = place_of(
        example.response,
        conversation.with_response,
        sentinel=conversation.sentinel,
        plain=conversation.plain,
        template=template if isinstance(template, str) else "".join(template.values()),
    )
    return place, conversation.left_out()


def template_hash(tokenizer: Any) -> str:
    """A short hash of the chat template, "" where the tokenizer has none."""
    template = tokenizer.chat_template
    if not template:
        return ""
    text = template if isinstance(template, str) else repr(sorted(template.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _render_plain(example: Example) -> Place:
    prompt = plain_text(example.prompt)
    return Place(prompt + example.response, len(prompt), len(prompt) + len(example.response))


def _added(batch: Mapping[str, Any], tokenizer: Any) -> list[bool]:
    """Which tokens the tokenizer added around the text (BOS, EOS, [CLS]): they stand for no character."""
    width = [b - a for a, b in batch["offset_mapping"]]
    return [bool(m) and w == 0 for m, w in zip(batch["special_tokens_mask"], width, strict=True)]


def _gapless(raw: Sequence[tuple[int, int]], added: Sequence[bool], length: int) -> list[tuple[int, int]]:
    """Offsets without holes: blanks that a tokenizer leaves out (GPT-2 trims them) go to the token that follows."""
    spans: list[tuple[int, int]] = []
    reached = 0
    for (a, b), is_added in zip(raw, added, strict=True):
        if is_added:
            spans.append((reached, reached))
            continue
        if b <= a:  # a token of blanks alone can come with an empty span
            a = b = max(reached, b)
        spans.append((min(a, reached), b))
        reached = max(reached, b)
    for i in range(len(spans) - 1, -1, -1):
        if not added[i]:
            spans[i] = (spans[i][0], max(spans[i][1], length))
            break
    return spans


def text_notices(tokenizer: Any, example: Example) -> tuple[str, ...]:
    """What to know of the text as it is written: special tokens that it spells, and a template that writes the day's date."""
    return _special_notices(tokenizer, example) + ((DATED,) if writes_date(tokenizer) else ())


def _special_notices(tokenizer: Any, example: Example) -> tuple[str, ...]:
    """A sentence that names the special tokens which prompt and response spell out."""
    texts = [example.response, *(m["content"] for m in messages_of(example.prompt))]
    spelled = sorted({t for t in _special_texts(tokenizer) if any(t in text for text in texts)})
    if not spelled:
        return ()
    return (
        f"The text spells the special token{'s'[: len(spelled) > 1]} {', '.join(spelled)}; the model reads it as such.",
    )


def _special_texts(tokenizer: Any) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
