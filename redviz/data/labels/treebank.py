"""Trees of the Stanford Sentiment Treebank, and the text that a person would have typed for their tokens."""

from __future__ import annotations

import re
from collections.abc import Sequence

from redviz.data.sets.values import BadValue

NAMES = ("very negative", "negative", "neutral", "positive", "very positive")
PIECES = re.compile(r"\(([0-4]) |([^ ()]+)|(\))| ")
ESCAPES = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}", "``": '"', "''": '"'}
CLITICS = {"'s", "n't", "'re", "'ve", "'m", "'ll", "'d", "'S", "N'T"}
NO_SPACE_BEFORE = {*".,!?:;%)]}'", "...", "!?", "?!", "..", "....", *CLITICS}
NO_SPACE_AFTER = {*"([{$#"}


def parse_tree(line: str) -> tuple[list[tuple[str, int]], int]:
    """The words of one tree with their grades (0 to 4), and the grade of the whole.

    >>> parse_tree("(3 (2 It) (3 (2 's) (3 fun)))")
    ([('It', 2), ("'s", 2), ('fun', 3)], 3)
    """
    words: list[tuple[str, int]] = []
    open_grades: list[int] = []
    whole, at = None, 0
    while at < len(line):
        piece = PIECES.match(line, at)
        if piece is None or whole is not None:
            raise BadValue(f"not a tree with grades of 0 to 4 (character {at + 1})")
        at = piece.end()
        grade, word, close = piece.groups()
        if grade:
            open_grades.append(int(grade))
        elif (word or close) and not open_grades:
            raise BadValue(f"a tree with a word or bracket outside (character {at})")
        elif word:
            words.append((word, open_grades[-1]))
        elif close:
            last = open_grades.pop()
            whole = last if not open_grades else None
    if whole is None or not words:
        raise BadValue("a tree that is cut off or without words")
    return words, whole


def detokenize(words: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Join treebank tokens into natural text; return it with each token's (start, end) in it.

    Brackets, quotation marks and slashes lose their escapes, clitics and closing punctuation move to the word before,
    quotation marks hug what they enclose. A lone ``-`` between words loses its spaces.

    >>> detokenize(["It", "ca", "n't", "."])
    ("It can't.", [(0, 2), (3, 5), (5, 8), (8, 9)])
    """
    text, spans, quoted, glue = "", [], False, True
    for position, raw in enumerate(words):
        word = ESCAPES.get(raw, raw).replace("\\/", "/").replace("\\*", "*").replace("\u00a0", " ")
        before, after = not glue, False
        if word == '"':
            closing = quoted and raw != "``"
            before, after, quoted = not closing and not glue, not closing, not closing
        elif word in NO_SPACE_BEFORE:
            before = False
        elif word in NO_SPACE_AFTER:
            after = True
        elif word == "-" and 0 < position < len(words) - 1:
            before, after = False, True
        if before and text:
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text, glue = text + word, after
    return text, spans
