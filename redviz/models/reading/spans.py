"""Where a response stands in the text that a chat template makes of it, character by character.

Most templates write it as it is: a second rendering, with a sentinel in its place, says where. Templates of reasoning models take it
apart at its marks (``</think>``), strip, move or drop its parts, and write marks of their own. There every line between two marks is
replaced by a sentinel of its own, with marks and blanks kept, so that the template does the same with them; where they come out is
where the lines stand, even if the text says something twice. What the template made of the response must then follow letter by
letter; where it does not, the response is refused, or aligned where that leaves no choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np

from redviz.errors import RedvizError
from redviz.models.reading.pieces import Piece, Units, blanks_of, marks_of, pieces_of, units_of_pieces, units_of_text
from redviz.records import Array
from redviz.text import align

LEAST = 0.5  # of the rewritten letters, that must be the response's own
BLANKS_INSIDE = "The chat template changes blanks inside the response."
Offsets = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Place:
    """A response in the text that a model reads.

    Attributes
    ----------
    rendered
        The whole text.
    begin, end
        The characters of it that hold the response: ``n = end - begin``.
    source
        Where each of them stands in the response, ``[n, 2]`` int64 (start, end), an empty pair for the template's own characters;
        None where the response stands there as it is.
    notices
        What the template did to it.
    """

    rendered: str
    begin: int
    end: int
    source: Array | None = None  # [n, 2] int64
    notices: tuple[str, ...] = ()

    def offsets(self, spans: Sequence[tuple[int, int]]) -> Offsets:
        """The characters of the response that tokens stand for, from their spans in the rendered text."""
        size = self.end - self.begin
        clipped = [(min(max(a - self.begin, 0), size), min(max(b - self.begin, 0), size)) for a, b in spans]
        if self.source is None:
            return tuple(clipped)
        return tuple(self._of(self.source, a, b) for a, b in clipped)

    @staticmethod
    def _of(source: Array, a: int, b: int) -> tuple[int, int]:
        held = source[a:b]
        held = held[held[:, 1] > held[:, 0]]
        if len(held):
            return int(held[0, 0]), int(held[-1, 1])
        at = int(source[a, 0]) if a < len(source) else int(source[-1, 1])
        return at, at


def place_of(response: str, render: Callable[[str], str], *, sentinel: str, plain: str, template: str) -> Place:
    """Find a response in what a template makes of it.

    Parameters
    ----------
    render
        From a response to the whole text.
    sentinel, plain
        A word that stands neither in the response nor in the rest of the text, and the whole text with it as the response.
    template
        The chat template, whose own words may be marks.

    Raises
    ------
    RedvizError
        Where the template writes the response other than once, keeps nothing of it, or changes it in a way that leaves open which
        of its words are read.
    """
    rendered = render(response)
    prefix, found, suffix = plain.partition(sentinel)
    if found and sentinel not in suffix and rendered == prefix + response + suffix:
        return Place(rendered, len(prefix), len(prefix) + len(response))
    if (count := plain.count(sentinel)) > 1:
        raise _written(count)
    pieces = pieces_of(response, marks_of(template))
    names = {k: f"{sentinel}{k}Z" for k, piece in enumerate(pieces) if piece.kind == "line"}
    if not names:
        return _of_marks(response, rendered, pieces, suffix)
    marked = "".join(names.get(k, piece.text) for k, piece in enumerate(pieces))
    shown = render(marked)
    parts = re.split(rf"{sentinel}(\d+)Z", shown)  # what stands before, between and after the lines; their numbers
    literals, kept = parts[::2], [int(k) for k in parts[1::2]]
    if not kept and found:
        raise _nothing()
    if len(set(kept)) < len(kept) or not kept:
        raise _written(max(map(kept.count, kept), default=0))
    if kept != sorted(kept):
        raise RedvizError(
            "The chat template puts a later part of the response before an earlier one, so no token has its place; "
            "save a template that keeps their order."
        )
    if rendered != "".join(
        [literals[0], *(pieces[k].text + after for k, after in zip(kept, literals[1:], strict=True))]
    ):
        return _aligned(response, rendered, pieces, kept, literals, len(names) - len(kept))
    own = _Own(len(rendered))
    at = len(literals[0])
    own.match_backward(rendered[:at], pieces[: kept[0]])
    for n, k in enumerate(kept):
        own.put(at, pieces[k].start, len(pieces[k].text))
        at += len(pieces[k].text)
        if n + 1 < len(kept):
            own.match_between(at, literals[n + 1], pieces[k + 1 : kept[n + 1]])
            at += len(literals[n + 1])
    own.match_forward(at, rendered, pieces[kept[-1] + 1 :])
    lead, tail = blanks_of(pieces[: kept[0]]), blanks_of(pieces[kept[-1] + 1 :])
    edge = f"{sentinel}Z"
    if lead and (probe := render(edge + marked)).replace(edge, "") == shown and edge + lead + names[kept[0]] in probe:
        own.put(len(literals[0]) - len(lead), 0, len(lead))
    if tail and (probe := render(marked + edge)).replace(edge, "") == shown and names[kept[-1]] + tail + edge in probe:
        own.put(at, len(response) - len(tail), len(tail))
    return own.place(response, rendered, bool(len(names) - len(kept)))


class _Own:
    """Which character of the response every character of a rendered text is: ``[n]`` int64, -1 for the template's own."""

    def __init__(self, size: int) -> None:
        self.of = np.full(size, -1, np.int64)
        self.rewritten = False

    def put(self, at: int, start: int, size: int) -> None:
        self.of[at : at + size] = np.arange(start, start + size)

    def match_between(self, at: int, literal: str, pieces: Sequence[Piece]) -> None:
        """What the template has between two lines, by the marks and blanks that the response has there."""
        theirs, ours = units_of_text(literal, at, pieces), units_of_pieces(pieces)
        blocks = SequenceMatcher(None, [u[0] for u in theirs], [u[0] for u in ours], autojunk=False)
        for i, j, size in blocks.get_matching_blocks():
            for (text, place), (_, start) in zip(theirs[i : i + size], ours[j : j + size], strict=True):
                self.put(place, start, len(str(text)))
        self.rewritten |= any(self.of[at + i] < 0 and not c.isspace() for i, c in enumerate(literal))

    def match_backward(self, before: str, pieces: Sequence[Piece]) -> None:
        """What stands before the first line, as far back as the response's own marks do."""
        if any(piece.kind == "mark" for piece in pieces):
            self._walk(units_of_text(before, 0, pieces)[::-1], units_of_pieces(pieces)[::-1])

    def match_forward(self, at: int, rendered: str, pieces: Sequence[Piece]) -> None:
        """What stands after the last line, as far as the response's own marks do."""
        if any(piece.kind == "mark" for piece in pieces):
            self._walk(units_of_text(rendered[at:], at, pieces), units_of_pieces(pieces))

    def _walk(self, theirs: Units, ours: Units) -> None:
        waiting: list[tuple[int, int, int]] = []  # blanks count only with a mark beyond them
        i = j = 0
        while i < len(theirs) and j < len(ours):
            (text, at), (own, start) = theirs[i], ours[j]
            if text == own:
                waiting.append((at, start, len(str(text))))
                i, j = i + 1, j + 1
                if not str(text).isspace():
                    for one in waiting:
                        self.put(*one)
                    waiting = []
            elif str(text).isspace():
                i += 1
            elif isinstance(own, str) and own.isspace():
                j += 1
            else:
                break

    def place(self, response: str, rendered: str, dropped: bool) -> Place:
        """The response's place; every character that stands for one of the response's is that character."""
        held = np.flatnonzero(self.of >= 0)
        begin, end = int(held[0]), int(held[-1]) + 1
        of = self.of[begin:end]
        reached = np.maximum.accumulate(np.where(of >= 0, of + 1, 0))
        source = np.stack([np.where(of >= 0, of, reached), reached], 1)  # [n, 2]
        if any(i >= 0 and response[i] != c for i, c in zip(of, rendered[begin:end], strict=True)):
            raise _unclear("rewrites the response")
        gone = np.setdiff1d(np.arange(len(response)), of)
        marks = any(not response[i].isspace() for i in gone)
        if not len(gone) and not (of < 0).any():
            return Place(rendered, begin, end)
        inside = len(gone) and bool(((gone > of.max(initial=0)) | (gone < of[of >= 0].min())).all())
        if dropped:
            notice = "The chat template drops part of the response."
        elif marks or self.rewritten:
            notice = "The chat template rewrites the marks in the response; the rest of it stands as you wrote it."
        else:
            notice = "The chat template trims blanks around the response." if inside else BLANKS_INSIDE
        return Place(rendered, begin, end, source, (notice,))


def _aligned(
    response: str, rendered: str, pieces: Sequence[Piece], kept: Sequence[int], literals: Sequence[str], dropped: int
) -> Place:
    """A template that rewrites letters: its text and the response's are aligned, where that leaves no choice."""
    before, after = literals[0], literals[-1]
    begin, end = len(before), len(rendered) - len(after)
    if not (rendered.startswith(before) and rendered.endswith(after) and begin < end):
        raise RedvizError(
            "The chat template changes its own text with the response, so the response's tokens cannot be told apart."
        )
    if dropped:
        raise _unclear("drops part of the response and rewrites the rest")
    first, last = pieces[kept[0]].start, pieces[kept[-1]].start + len(pieces[kept[-1]].text)
    middle, part = rendered[begin:end], response[first:last]
    places = [found.start() for found in re.finditer(f"(?={re.escape(middle)})", part)]
    if len(places) > 1:
        raise _unclear("keeps a part of the response that stands in it more than once")
    whole = np.arange(len(middle) + 1) + places[0] if places else None
    boundary = _by_lines(middle, part) if whole is None else whole  # [len(middle) + 1]
    source = np.stack([boundary[:-1], boundary[1:]], 1) + first  # [n, 2]
    same = sum(b > a and response[a] == c for (a, b), c in zip(source, middle, strict=True))
    if same < LEAST * len(middle):
        raise _unclear("rewrites most of the response")
    notice = (
        "drops part of the response."
        if places
        else "rewrites the response; its tokens are matched to your text by alignment."
    )
    return Place(rendered, begin, end, source, (f"The chat template {notice}",))


def _by_lines(source: str, target: str) -> Array:
    """:func:`redviz.text.align`, line by line where both have as many: a rewritten word then never moves to another line."""
    theirs, ours = source.split("\n"), target.split("\n")
    if len(theirs) != len(ours):
        return align(source, target)
    starts = np.cumsum([0, *(len(line) + 1 for line in ours[:-1])])
    return np.concatenate([align(a, b) + at for a, b, at in zip(theirs, ours, starts, strict=True)])


def _of_marks(response: str, rendered: str, pieces: Sequence[Piece], suffix: str) -> Place:
    """A response of marks and blanks alone, such as the beginning of a thought: its place is where its marks end the turn."""
    own = _Own(len(rendered))
    if rendered.endswith(suffix):
        own.match_backward(rendered[: len(rendered) - len(suffix)], pieces)
    if not (own.of >= 0).any():
        raise _nothing()
    return own.place(response, rendered, False)


def _nothing() -> RedvizError:
    return RedvizError(
        "The response becomes no token: the chat template drops all of it (blanks, or a thought without an answer); "
        "write some text behind it."
    )


def _written(count: int) -> RedvizError:
    return RedvizError(
        f"The chat template writes the response {count} times, and redviz needs it once; "
        "save a template with the tokenizer that writes the last assistant turn exactly once."
    )


def _unclear(what: str) -> RedvizError:
    return RedvizError(
        f"The chat template {what}, so which of its words the model reads cannot be told; "
        "give the response as the template leaves it, or save a template that writes it as it is."
    )
