"""Encode: from a prompt and a response to token ids, the response's span and its character offsets.

Knows tokenizers and chat templates, and nothing of torch models. The span is found by rendering the template twice, once with
a sentinel as the assistant's content, and comparing: templates trim, insert think blocks and repeat text, so searching for
the response would find the wrong place.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from redviz.errors import RedvizError
from redviz.messages import as_message
from redviz.models.reading.pairs import Tokenized, tokenized_pair
from redviz.models.reading.templates import adds_tokens, writes_date
from redviz.records import Array, Encoding, Example, Message
from redviz.text import align

SENTINEL = "REDVIZ7SENTINEL"
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
    rendered, prefix, suffix = render(tokenizer, example)
    if lone := LONE_SURROGATE.search(rendered):
        raise RedvizError(
            f"The text holds half of a surrogate pair (U+{ord(lone[0]):04X}), which is no character; repair its encoding."
        )
    begin, end = len(prefix), len(rendered) - len(suffix)
    found = tokenized_pair(tokenizer, prefix, example.response) if pairs else _tokenized(tokenizer, rendered)
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
    offsets, notices = _response_offsets(example.response, rendered[begin:end], begin, spans[start:stop])
    notices += text_notices(tokenizer, example)
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


def messages_of(prompt: str | Sequence[Message]) -> list[dict[str, Any]]:
    """A prompt as chat messages: text becomes one user turn."""
    if isinstance(prompt, str):
        return [{"role": "user", "content": prompt}]
    return [as_message(message) for message in prompt]


def render(tokenizer: Any, example: Example) -> tuple[str, str, str]:
    """The text the model reads, and the template's text before and after the response."""
    if not tokenizer.chat_template:
        return _render_plain(example)
    sentinel = _free_sentinel(example)
    with_sentinel = apply_template(tokenizer, example.prompt, sentinel)
    rendered = apply_template(tokenizer, example.prompt, example.response)
    if with_sentinel.count(sentinel) != 1:
        raise RedvizError(
            f"The chat template writes the response {with_sentinel.count(sentinel)} times, and redviz needs it once; "
            "save a template with the tokenizer that writes the last assistant turn exactly once."
        )
    prefix, suffix = with_sentinel.split(sentinel)
    if not (rendered.startswith(prefix) and rendered.endswith(suffix) and len(rendered) >= len(prefix) + len(suffix)):
        raise RedvizError(
            "The chat template changes its own text with the response, so the response's tokens cannot be told apart."
        )
    return rendered, prefix, suffix


def apply_template(tokenizer: Any, prompt: str | Sequence[Message], response: str) -> str:
    """The conversation as text, the response as its last assistant turn."""
    messages = messages_of(prompt)
    tools = next((message.pop("tools") for message in messages if "tools" in message), None)
    conversation = [*messages, {"role": "assistant", "content": response}]
    try:
        return str(tokenizer.apply_chat_template(conversation, tools=tools, tokenize=False))
    except Exception as error:  # jinja raises its own tree, and templates raise through it
        raise RedvizError(
            f"The model's chat template refused this conversation ({error}); change the roles or their order."
        ) from error


def template_hash(tokenizer: Any) -> str:
    """A short hash of the chat template, "" where the tokenizer has none."""
    template = tokenizer.chat_template
    if not template:
        return ""
    text = template if isinstance(template, str) else repr(sorted(template.items()))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _render_plain(example: Example) -> tuple[str, str, str]:
    prompt = plain_text(example.prompt)
    return prompt + example.response, prompt, ""


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
    return turns[0]["content"]


def _free_sentinel(example: Example) -> str:
    text = example.response + "".join(m["content"] for m in messages_of(example.prompt))
    sentinel = SENTINEL
    while sentinel in text:
        sentinel += "X"
    return sentinel


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


def _response_offsets(
    response: str, middle: str, begin: int, spans: Sequence[tuple[int, int]]
) -> tuple[tuple[tuple[int, int], ...], tuple[str, ...]]:
    """Offsets into the response as the person wrote it, from spans in the rendered text."""
    notices: tuple[str, ...] = ()
    size = len(middle)
    clipped = [(min(max(a - begin, 0), size), min(max(b - begin, 0), size)) for a, b in spans]
    if middle == response:
        return tuple(clipped), notices
    if middle == response.strip():
        shift = len(response) - len(response.lstrip())
        return tuple((a + shift, b + shift) for a, b in clipped), (
            "The chat template trims blanks around the response.",
        )
    at = response.find(middle)
    if at >= 0 and middle:
        return tuple((a + at, b + at) for a, b in clipped), ("The chat template drops part of the response.",)
    boundary: Array = align(middle, response)  # [len(middle) + 1]
    mapped = tuple((int(boundary[a]), int(boundary[b])) for a, b in clipped)
    return mapped, ("The chat template rewrites the response; its tokens are matched to your text by alignment.",)


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
