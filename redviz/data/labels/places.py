"""Where the marks of a file stand in its texts: how it counts characters, and each mark held against the words it quotes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from redviz.data.labels.label_values import Judged, Span
from redviz.data.labels.labels import Annotation, Mark
from redviz.data.sets.values import BadValue, short_name
from redviz.text import UNSPACED

CODE_POINTS, UTF16 = "code points", "UTF-16 units"
AS_WRITTEN, AS_ONE, AS_TWO = "as they are", "with \\r\\n as one character", "with \\n as two characters"


@dataclass(frozen=True)
class Counting:
    r"""What a file counts as one character, and how it counts line breaks.

    ``AS_ONE`` is a tool that read ``\r\n`` as one character where the file has both, ``AS_TWO`` one that read both where the file
    has ``\n`` alone.
    """

    unit: str = CODE_POINTS
    breaks: str = AS_WRITTEN

    def place(self, span: Span, text: str) -> tuple[int, int] | None:
        r"""Start and end in code points; None if they are not inside the text, or halve a character or a line break.

        >>> Counting(breaks=AS_ONE).place(Span(2, 3, 1.0), "a\r\nb")
        (3, 4)
        """
        places = _places(text, self)
        if not 0 <= span.start <= span.end < len(places):
            return None
        start, end = places[span.start], places[span.end]
        return None if start is None or end is None else (start, end)


def beyond(text: str) -> bool:
    """Whether a text holds characters that UTF-16 writes with two units (emoji)."""
    return max(text, default="") > "\uffff"


def counting_of(rows: Iterable[Judged], usual: str) -> tuple[Counting, str]:
    """How a file counts, from the marks themselves, and what to tell of it ("" where its texts make no difference).

    That counting is taken under which fewer marks are impossible or differ from the text quoted beside them, then under which
    fewer end inside a word; ``usual``, the unit of its tool, with line breaks as they are where another is no better. Line breaks
    are counted otherwise than they are only where no mark then ends inside a word.
    """
    units = [usual, *({CODE_POINTS, UTF16} - {usual})]
    countings = [Counting(unit, breaks) for breaks in (AS_WRITTEN, AS_ONE, AS_TWO) for unit in units]
    against = {counting: [0, 0] for counting in countings}
    emoji = breaks = 0
    for row in rows:
        text = row.response
        differing = _that_differ(text) if row.spans else []
        if not differing:
            continue
        emoji += beyond(text)
        breaks += "\n" in text
        for span in row.spans:
            places = {counting: counting.place(span, text) for counting in countings}
            if len(set(places.values())) == 1:
                continue
            for counting, place in places.items():
                if place is None or not _quoted_at(span, text, place):
                    against[counting][0] += 1
                else:
                    against[counting][1] += sum(_in_word(text, end) for end in place)
    as_written = min(countings[:2], key=lambda counting: against[counting])
    best = min(countings, key=lambda counting: against[counting])
    if best.breaks != AS_WRITTEN and against[best][0] == against[as_written][0] and against[best][1]:
        best = as_written
    told = []
    if emoji:
        texts = "1 text holds" if emoji == 1 else f"{emoji:,} texts hold"
        told.append(f"{texts} characters beyond U+FFFF (emoji), where offsets were read as {best.unit}")
    if best.breaks != AS_WRITTEN:
        texts = "1 text holds" if breaks == 1 else f"{breaks:,} texts hold"
        told.append(f"{texts} line breaks, where offsets were read {best.breaks}")
    return best, "; ".join(told)


@dataclass(frozen=True)
class Placed:
    """What a row says, in code points of its response.

    Attributes
    ----------
    moved
        How many marks did not stand where the row says, and were put where the response has the words that they quote.
    """

    annotations: tuple[Annotation, ...]
    gold: tuple[Mark, ...] | None
    moved: int


def placed(row: Judged, counting: Counting) -> Placed:
    """The marks of a row where the words stand that they quote; where nothing is quoted, where the row says.

    Offsets that do not fit their quotes are counted in another way if that fits every quote of the row. Otherwise a mark is put
    where the response holds its quote, if that is at one place only and of whole words; blanks do not count in comparing.

    Raises
    ------
    BadValue
        Where a mark is not inside the response, or its quote is nowhere in it or at several places; where offsets are wrong beside
        some quotes, so that marks without one cannot be trusted.
    """
    text, spans = row.response, row.spans
    quoted = any(span.quote is not None for span in spans)
    for way in (counting, *_that_differ(text), Counting()) if quoted else (counting,):
        found = [way.place(span, text) for span in spans]
        ends = [end for span, end in zip(spans, found, strict=True) if end is not None and _quoted_at(span, text, end)]
        if len(ends) == len(spans):
            break
    else:
        ends = [_place_of_quote(span, text, counting) for span in spans]
        wrong = any(end != counting.place(span, text) for span, end in zip(spans, ends, strict=True))
        if wrong and any(span.quote is None for span in spans):
            raise BadValue(
                "some marks do not stand at the words that they quote, so where those without a quote stand is not known"
            )
    place = dict(zip(spans, ends, strict=True))

    def marks(given: Iterable[Span]) -> tuple[Mark, ...]:
        return tuple(Mark(*place[span], span.grade, span.label) for span in given)

    theirs = [span for _, given in row.judgements for span in given]
    settled = [span for span in row.gold or () if span not in theirs]  # else it is somebody's own
    return Placed(
        tuple(Annotation(by, marks(given)) for by, given in row.judgements),
        None if row.gold is None else marks(row.gold),
        sum(place[span] != counting.place(span, text) for span in theirs + settled),
    )


def _place_of_quote(span: Span, text: str, counting: Counting) -> tuple[int, int]:
    place = counting.place(span, text)
    if place is not None and _quoted_at(span, text, place):
        return place
    if span.quote is None:
        inside = f"a text of {len(text)} characters"
        raise BadValue(f"a mark from {_short(span.start)} to {_short(span.end)} is not inside {inside}")
    found = _places_of(span.quote, text)
    if len(found) == 1 and not any(_in_word(text, end) for end in found[0]):
        return found[0]
    where = f"at {len(found)} places" if len(found) > 1 else "inside a longer word" if found else "nowhere"
    said = f"a mark from {_short(span.start)} to {_short(span.end)} quotes {short_name(span.quote, 40)!r}"
    raise BadValue(f"{said}, which does not stand there and is {where} in the text; mark it again")


@lru_cache(maxsize=64)
def _that_differ(text: str) -> tuple[Counting, ...]:
    """The ways of counting under which the offsets of a text are others than its own."""
    units = [CODE_POINTS, UTF16] if beyond(text) else [CODE_POINTS]
    breaks = [AS_WRITTEN, AS_ONE if "\r\n" in text else AS_TWO] if "\n" in text else [AS_WRITTEN]
    return tuple(Counting(unit, way) for way in breaks for unit in units if (unit, way) != (CODE_POINTS, AS_WRITTEN))


@lru_cache(maxsize=64)
def _places(text: str, counting: Counting) -> Sequence[int | None]:
    """The code point at which each unit begins, and the end of the text; None inside of what counts as two."""
    if counting not in _that_differ(text):
        return range(len(text) + 1)
    places: list[int | None] = []
    for n, character in enumerate(text):
        if counting.breaks == AS_ONE and n and text.startswith("\r\n", n - 1):
            continue
        twice = counting.breaks == AS_TWO if character == "\n" else counting.unit == UTF16 and character > "\uffff"
        places += [n, None] if twice else [n]
    return [*places, len(text)]


def _quoted_at(span: Span, text: str, place: tuple[int, int]) -> bool:
    return span.quote is None or _bare(span.quote)[0] == _bare(text[slice(*place)])[0]


def _places_of(quote: str, text: str) -> list[tuple[int, int]]:
    """Where a text holds a quote, blanks apart."""
    wanted, (bare, places) = _bare(quote)[0], _bare(text)
    found, at = [], bare.find(wanted) if wanted else -1
    while at >= 0:
        found.append((places[at], places[at + len(wanted) - 1] + 1))
        at = bare.find(wanted, at + 1)
    return found


def _bare(text: str) -> tuple[str, Sequence[int]]:
    """A text without blanks and where its characters stood; Label Studio writes a line break in a quote as a backslash and n."""
    places = [
        n
        for n, character in enumerate(text)
        if not character.isspace() and not text.startswith("\\n", n) and not (n and text.startswith("\\n", n - 1))
    ]
    return "".join(text[n] for n in places), places


def _in_word(text: str, at: int) -> bool:
    inside = 0 < at < len(text) and text[at - 1].isalnum() and text[at].isalnum()
    return inside and not UNSPACED.search(text[at - 1 : at + 1])


def _short(value: int) -> str:
    return short_name(str(value) if abs(value) < 10**18 else "a huge number", 20)
