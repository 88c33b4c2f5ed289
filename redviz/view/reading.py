"""The text as a model reads it: what the template writes, the prompt, the response, and where the score is read."""

from __future__ import annotations

from redviz.models.reading.conversations import messages_of
from redviz.records import Encoding
from redviz.view.escape import tag
from redviz.view.static import marked, stylesheet

TEMPLATE, PROMPT, RESPONSE, READ = "template", "prompt", "response", "read"
HERE = "score read here"


def reading_parts(encoding: Encoding) -> list[tuple[str, str]]:
    """The text in order, as (kind, text): "template", "prompt", "response", and "read" behind the token where the score is read.

    Of a process reward model the steps are the response, and the score is read behind each, which no part says.
    """
    text, ends = _written(encoding)
    kinds = [TEMPLATE] * len(text)
    if encoding.unit == "step":
        reached = _cover(text, kinds, _asked(encoding), 0, PROMPT)
        _cover(text, kinds, [piece.strip() for piece in encoding.pieces[encoding.start :]], reached, RESPONSE)
        read = None
    else:
        start, stop = ends[encoding.start - 1], ends[encoding.stop - 1]
        kinds[start:stop] = [RESPONSE] * (stop - start)
        for column, (first, last) in enumerate(encoding.offsets, encoding.start):
            if first == last:  # what the template writes between a thought and an answer
                kinds[ends[column - 1] : ends[column]] = [TEMPLATE] * (ends[column] - ends[column - 1])
        _cover(text[:start], kinds, _asked(encoding), 0, PROMPT)
        read = ends[encoding.read]
    parts: list[tuple[str, str]] = []
    begin = 0
    for at in range(1, len(text) + 1):
        if at in (len(text), read) or kinds[at] != kinds[begin]:
            parts.append((kinds[begin], text[begin:at]))
            begin = at
        if at == read:
            parts.append((READ, HERE))
    return parts


def reading_html(encoding: Encoding) -> str:
    """The same as HTML: the template dimmed, the response marked."""
    written = "".join(
        tag("small", marked(text), class_=kind) if kind == READ else tag("span", marked(text), class_=kind)
        for kind, text in reading_parts(encoding)
    )
    return f"<style>{stylesheet('reading.css')}</style>" + tag(
        "div", tag("div", written, class_="reading"), class_="redviz"
    )


def _written(encoding: Encoding) -> tuple[str, list[int]]:
    """The tokens' texts put together, and where each token ends: a character of several tokens stands once."""
    if encoding.unit == "step":
        return encoding.rendered, []
    text, ends, reached = "", [], 0
    for piece in encoding.pieces:
        most = min(len(piece), reached)
        shared = next((k for k in range(most + 1) if encoding.rendered.startswith(piece, reached - k)), None)
        if shared is None:  # a token that the tokenizer adds stands for no character
            text += piece
        else:
            text += piece[shared:]
            reached += len(piece) - shared
        ends.append(len(text))
    return text, ends


def _asked(encoding: Encoding) -> list[str]:
    return [str(turn["content"]).strip() for turn in messages_of(encoding.example.prompt)]


def _cover(text: str, kinds: list[str], sought: list[str], reached: int, kind: str) -> int:
    """Mark each of these texts where it is found, one after the other; where the last one ends."""
    for part in sought:
        at = text.find(part, reached)
        if part and at >= 0:
            reached = at + len(part)
            kinds[at:reached] = [kind] * len(part)
    return reached
