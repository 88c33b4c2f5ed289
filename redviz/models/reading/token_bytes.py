"""Which bytes of a text a token stands for: what two tokenizers have in common, even inside a character."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from redviz.records import Array, Encoding

Ids = Sequence[int] | Array

_PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
# Byte-level vocabularies write the other 68 bytes as the characters from 256 on, in their order.
BYTE_OF = {chr(b): b for b in _PRINTABLE} | {
    chr(256 + n): b for n, b in enumerate(b for b in range(256) if b not in _PRINTABLE)
}
LONE_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def text_and_ends(tokenizer: Any, ids: Ids) -> tuple[str, Array]:
    """The text that ids stand for and, after each of them, how many of its UTF-8 bytes are there: ``[T]`` int64.

    Parameters
    ----------
    tokenizer
        Any Hugging Face tokenizer. Byte-level and SentencePiece vocabularies give bytes, also inside a character; any other
        tokenizer is asked to decode every beginning, which gives whole characters.
    ids
        ``[T]``, as they were sampled: they need not be what the tokenizer itself would make of the text.

    Returns
    -------
    tuple[str, Array]
        A text cut off inside a character ends with U+FFFD, as decoders write it.
    """
    listed = [int(i) for i in ids]
    text = str(tokenizer.decode(listed, skip_special_tokens=False, clean_up_tokenization_spaces=False))
    pieces = token_bytes(tokenizer, listed)
    joined, ends = b"".join(pieces), np.cumsum([len(piece) for piece in pieces], dtype=np.int64)
    for lead in (b"", b" "):  # SentencePiece drops the blank that opens a text
        if joined.startswith(lead) and joined[len(lead) :].decode("utf-8", "replace") == text:
            return text, _of_whole_text(joined[len(lead) :], np.maximum(ends - len(lead), 0))
    return text, _by_decoding(tokenizer, listed, text)


def token_bytes(tokenizer: Any, ids: Ids) -> list[bytes]:
    """The bytes that each id adds to a text, as its vocabulary spells them."""
    added = tokenizer.added_tokens_decoder
    core = getattr(tokenizer, "backend_tokenizer", None)  # a tokenizer written in Python has none
    byte_level = core is not None and "ByteLevel" in repr(core.decoder)
    spelled = []
    for i, token in zip(ids, tokenizer.convert_ids_to_tokens([int(i) for i in ids]), strict=True):
        if int(i) in added or token is None:
            spelled.append(added[int(i)].content.encode() if int(i) in added else b"")
        elif byte_level:
            spelled.append(bytes(BYTE_OF[c] for c in token if c in BYTE_OF))
        elif match := LONE_BYTE.fullmatch(token):
            spelled.append(bytes([int(match[1], 16)]))
        else:
            spelled.append(token.replace("▁", " ").encode())
    return spelled


def encoded_ends(tokenizer: Any, encoding: Encoding) -> Array:
    """How many bytes of the response, as it was written, are there after each of its tokens: ``[T]`` int64.

    Character offsets say it but where a token ends inside a character: there the next token's bytes begin.
    """
    offsets = encoding.offsets
    ends = _bytes_before(encoding.example.response)[[end for _, end in offsets]]  # [T]
    inside = [t for t in range(len(offsets) - 1) if offsets[t + 1][0] < offsets[t][1]]
    if inside:
        sizes = [len(piece) for piece in token_bytes(tokenizer, encoding.ids[encoding.start : encoding.stop])]
        for t in reversed(inside):
            ends[t] = ends[t + 1] - sizes[t + 1]
    found: Array = np.maximum.accumulate(np.maximum(ends, 0))
    return found


def character_offsets(text: str, ends: Array) -> tuple[tuple[int, int], ...]:
    """Offsets in characters from ends in bytes: every character that a token touches.

    >>> character_offsets("né", np.array([1, 2, 3]))
    ((0, 1), (1, 2), (1, 2))
    """
    before = _bytes_before(text)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    first = np.searchsorted(before, starts, side="right") - 1
    last = np.searchsorted(before, ends, side="left")
    return tuple((int(a), int(b)) for a, b in zip(first, last, strict=True))


def _bytes_before(text: str) -> Array:
    """Bytes before each character, and of them all: ``[characters + 1]`` int64."""
    return np.cumsum([0, *(len(c.encode("utf-8", "surrogatepass")) for c in text)], dtype=np.int64)


def _of_whole_text(raw: bytes, ends: Array) -> Array:
    """The same ends in a text where U+FFFD (three bytes) stands for what is no UTF-8."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        sizes = [len(decoder.decode(raw[i : i + 1], final=i == len(raw) - 1).encode()) for i in range(len(raw))]
        reached: Array = np.cumsum([0, *sizes], dtype=np.int64)[ends]
        return reached
    return ends


def _by_decoding(tokenizer: Any, ids: Ids, text: str) -> Array:
    """Ends from the text that every beginning of the ids decodes to: ``[T]`` int64."""
    ends = np.zeros(len(ids), np.int64)
    for t in range(len(ids)):
        begun = str(tokenizer.decode(ids[: t + 1], skip_special_tokens=False, clean_up_tokenization_spaces=False))
        ends[t] = len(os.path.commonprefix([begun, text]).encode())
    if len(ends):
        ends[-1] = len(text.encode())
    found: Array = np.maximum.accumulate(ends)
    return found
