"""What each span earns of the margin between two responses: credits of what they do not share, exact where the shared part cancels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import takewhile
from typing import Any

from redviz.errors import RedvizError
from redviz.records import Analysis, Array, Credit
from redviz.text import GRANULARITIES, Unit, cells, units

NOTHING = 1e-6  # of the larger score: float32 rounding, not a difference


@dataclass(frozen=True)
class Share:
    """One term of a margin.

    Attributes
    ----------
    kind
        "span": text after the responses part. "end": the template's closing tokens. "shared", "reference", "residual": the
        difference between the two responses in what a method gives their shared beginning, in what it compares with, and in what
        it leaves unexplained.
    response
        Index of the response that a span or an end belongs to; None for differences.
    text, start, end
        The characters, and where they stand in that response.
    value
        What the term adds to the margin: a credit of the first response, or a credit of the second with its sign turned.
    """

    kind: str
    response: int | None
    text: str
    start: int
    end: int
    value: float


@dataclass(frozen=True)
class Shares:
    """A margin, split: the rows' values sum to ``margin``.

    Attributes
    ----------
    label, first, second, granularity
        Which credits, of which two responses, over which spans.
    margin
        The difference between what the credits explain in the two responses: that of the scores, unless a remark says otherwise.
    rows
        Spans and ends of the first response, then of the second, then the differences that are not zero.
    remarks
        Sentences about differences and about what is explained.
    """

    label: str
    first: int
    second: int
    granularity: str
    margin: float
    rows: tuple[Share, ...]
    remarks: tuple[str, ...] = ()

    @property
    def largest(self) -> tuple[Share, ...]:
        """The rows, the largest shares first."""
        return tuple(sorted(self.rows, key=lambda row: -abs(row.value)))

    def total(self, *kinds: str, response: int | None = None) -> float:
        """The sum of the rows of these kinds (of all without any), of one response where one is given."""
        kept = (row for row in self.rows if not kinds or row.kind in kinds)
        return float(sum(row.value for row in kept if response is None or row.response == response))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows], "remarks": list(self.remarks)}


def shared_tokens(one: Analysis, two: Analysis) -> int:
    """How many first tokens two responses to one prompt have in common.

    By token ids, and none where what stands before the response differs (a first token that straddles the prompt's end). A function
    of text has no ids; there the text of the tokens decides.
    """
    if one.observation is None or two.observation is None:
        return 0
    encodings = [one.observation.encoding, two.observation.encoding]
    if one.observation.black_box or two.observation.black_box:
        return _common([e.pieces[e.start : e.stop] for e in encodings])
    if not _same(*(e.ids[: e.start] for e in encodings)):
        return 0
    return _common([e.ids[e.start : e.stop].tolist() for e in encodings])


def _same(one: Array, two: Array) -> bool:
    return len(one) == len(two) and bool((one == two).all())


def _common(pair: Sequence[Sequence[Any]]) -> int:
    return sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(*pair, strict=False)))


def margin_shares(
    one: Analysis, two: Analysis, label: str, granularity: str = "word", numbers: tuple[int, int] = (0, 1)
) -> Shares:
    """Split the margin of one response over another among the spans in which they differ.

    A span of the first response counts its credit, a span of the second its credit with the sign turned. What the two share has the
    same prefix scores, so its RED credits cancel to the last bit; the difference that a method with hindsight makes there (ABC,
    gradients) is a row of its own, and so are differing references and residuals.

    Parameters
    ----------
    one, two
        Two responses to one prompt under one model, with credits of the same method.
    label
        Which credits; the method must promise a sum.
    granularity
        "token", "word" or "sentence". The span in which the responses part begins at the first token that differs.
    numbers
        The indices of the two responses, for the record.

    Returns
    -------
    Shares
        Rows that sum to the margin.

    Raises
    ------
    RedvizError
        For an unknown label or granularity, and for a method that promises no sum.
    """
    if granularity not in GRANULARITIES:
        raise RedvizError(f"There is no granularity {granularity!r}; use one of {', '.join(GRANULARITIES)}.")
    credits = (_credit(one, label), _credit(two, label))
    totals = [credit.total or 0.0 for credit in credits]
    references = [credit.reference or 0.0 for credit in credits]
    shared = shared_tokens(one, two)
    before = [float(credit.own[:shared].sum()) for credit in credits]
    left = [credit.residual or 0.0 for credit in credits]
    margin, scores = totals[0] - totals[1], one.score - two.score
    tolerance = NOTHING * max(1.0, *map(abs, totals))
    rows = [
        *_rows(one, credits[0], shared, granularity, numbers[0], 1.0),
        *_rows(two, credits[1], shared, granularity, numbers[1], -1.0),
    ]
    stop = one.offsets[shared - 1][1] if shared else 0
    differences = (
        Share("shared", None, one.response[:stop], 0, stop, before[0] - before[1]),
        Share("reference", None, "", 0, 0, references[0] - references[1]),
        Share("residual", None, "", 0, 0, left[0] - left[1]),
    )
    rows += [row for row in differences if abs(row.value) > tolerance]
    kinds = {row.kind for row in rows}
    remarks = [REMARKS[kind].format(label) for kind in ("shared", "reference") if kind in kinds]
    if abs(margin - scores) > tolerance:
        remarks.append(
            f"{label} does not explain the score: its shares sum to {margin:+.4g}, and the scores differ by {scores:+.4g}."
        )
    return Shares(label, *numbers, granularity, margin, tuple(rows), tuple(remarks))


REMARKS = {
    "shared": "{} credits the shared beginning differently in the two responses; the difference is a row of its own.",
    "reference": "{} compares the two responses with different references; the difference is a row of its own.",
}


def _credit(analysis: Analysis, label: str) -> Credit:
    if label not in analysis.credits:
        raise RedvizError(f"There are no credits {label!r} here; use one of {', '.join(analysis.credits) or 'none'}.")
    credit = analysis.credits[label]
    if credit.residual is None:
        able = ", ".join(name for name, other in analysis.credits.items() if other.residual is not None)
        raise RedvizError(
            f"{label} promises no sum, so its credits are no shares of a margin; use {able or 'red, abc or ig'}."
        )
    return credit


def _rows(analysis: Analysis, credit: Credit, shared: int, granularity: str, response: int, sign: float) -> list[Share]:
    """The spans after the shared tokens, and the end."""
    own = credit.own  # [T]
    rows = [
        Share("span", response, unit.text, unit.start, unit.end, sign * float(own[unit.first : unit.last].sum()))
        for unit in spans_after(analysis, shared, granularity)
    ]
    if credit.closing:
        end = len(analysis.response)
        rows.append(Share("end", response, "", end, end, sign * credit.closing))
    return rows


def spans_after(analysis: Analysis, shared: int, granularity: str) -> tuple[Unit, ...]:
    """The units of a response from its first token that is not shared; a unit in which the responses part begins with that token.

    Its text begins with the whole character that the token is a piece of: two emoji may part in the third of their four tokens.
    """
    spans = []
    for unit in units(analysis.response, analysis.offsets, granularity):
        if unit.last <= shared:
            continue
        if unit.first < shared:
            cut = next(cell for cell in cells(analysis.response, analysis.offsets) if cell.last > shared)
            unit = Unit(analysis.response[cut.start : unit.end], cut.start, unit.end, shared, unit.last)
        spans.append(unit)
    return tuple(spans)
