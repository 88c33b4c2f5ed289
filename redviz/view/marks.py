"""How the text of a unit is shown: what cannot be seen, or would turn the page round, is drawn as a mark."""

from __future__ import annotations

import unicodedata

from redviz.text import visible

BREAK, TAB, HIDDEN, BASE = "↵", "→", "∅", "◌"
BIDI_CONTROLS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
NON_JOINER = "\u200c"
VIRAMA = 9  # the combining class
WRAP_HERE = "\u200b"  # a line may wrap after blanks that are drawn as marks

UNSEEN = str.maketrans("", "", "\n\t" + WRAP_HERE + NON_JOINER)


def pieces(text: str) -> tuple[str, ...]:
    r"""The text of a unit as alternating text and mark: text, mark, text, mark, ..., text.

    Text is drawn as it stands (a line feed in it breaks the line); marks are drawn dimmed.

    >>> pieces("so\nit")
    ('so', '↵', '\nit')
    >>> pieces("  ")
    ('', '··', '\u200b')
    """
    if not text:
        return ("", HIDDEN, "")
    blank = bool(visible(text))
    if not blank and all(unicodedata.category(c).startswith("M") for c in text):
        return (BASE + text,)
    if not blank:
        text = _apart(text)
    parts = [""]
    for character in text:
        mark, after = _mark(character, blank)
        if not mark:
            parts[-1] += after
        elif parts[-1] in ("", WRAP_HERE) and len(parts) > 1:
            parts[-2] += mark
            parts[-1] = after
        else:
            parts += [mark, after]
    return tuple(parts)


def flat(text: str) -> str:
    r"""The text of a unit on one line, for labels and tooltips: marks in place, no line breaks.

    >>> flat("so\nit")
    'so↵it'
    """
    parts = pieces(text)
    return "".join(p if i % 2 else p.translate(UNSEEN) for i, p in enumerate(parts))


def _apart(text: str) -> str:
    """The text, kept from melting into its neighbours' glyphs: one of the two cells would have no width."""
    first = ord(text[0])
    melts = 0x1F3FB <= first <= 0x1F3FF or 0x1F1E6 <= first <= 0x1F1FF  # skin tones, halves of flags
    half = unicodedata.combining(text[-1]) == VIRAMA  # the first half of a conjunct
    return (NON_JOINER if melts else "") + text + (NON_JOINER if half else "")


def _mark(character: str, blank: bool) -> tuple[str, str]:
    """The mark for a character ("" for none) and the text that follows it."""
    if character == "\n":
        return BREAK, "\n"
    if character == "\t":
        return TAB, "\t"
    if character in BIDI_CONTROLS:
        return HIDDEN, ""
    if blank:
        mark = visible(character)
        return mark, WRAP_HERE if mark == "·" else ""
    if character < " ":
        return chr(0x2400 + ord(character)), ""
    if character in "\x7f\x85\u2028\u2029" or unicodedata.category(character) == "Cc":
        return "·", ""
    return "", "\ufffd" if unicodedata.category(character) == "Cs" else character
