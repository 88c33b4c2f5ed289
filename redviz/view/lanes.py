"""What a strip shows, before it is drawn: the units of a response, and per method one pooled value for each of them."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from redviz.credit.recipes import METHODS
from redviz.errors import RedvizError
from redviz.records import Analysis, Array
from redviz.text import Unit, pool, units
from redviz.view import colour
from redviz.view.marks import flat, pieces

SCALES = ("own", "one")
LAYOUTS = ("lanes", "stacked")
SHOWN_AFTER_CUT = 600  # characters of a truncated response that are still shown, dimmed


@dataclass(frozen=True)
class Lane:
    """One method's values over the units of a response.

    Attributes
    ----------
    label, name
        The key in ``analysis.credits`` and what a person reads.
    values
        One per unit, ``[U]`` float64; the closing tokens' share is left out.
    end
        The closing tokens' share, drawn as a cell of its own.
    limit
        Where the colour scale ends.
    total
        The sum of all credits, the closing tokens' share included.
    """

    label: str
    name: str
    values: Array  # [U] float64
    end: float
    limit: float
    total: float


@dataclass(frozen=True)
class Strip:
    """The units of one response and the lanes under them."""

    analysis: Analysis
    units: tuple[Unit, ...]
    lanes: tuple[Lane, ...]

    @property
    def has_end(self) -> bool:
        """Whether the score is read at a closing token, which then has a cell of its own."""
        return self.analysis.observation is not None and self.analysis.observation.has_end

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.analysis.response[u.start : u.end] for u in self.units)

    @cached_property
    def gaps(self) -> dict[int, str]:
        """Characters before a unit that no token covers (some tokenizers drop blanks), by unit index."""
        found, reached = {}, 0
        for i, unit in enumerate(self.units):
            if unit.start > reached:
                found[i] = self.analysis.response[reached : unit.start]
            reached = max(reached, unit.end)
        return found

    @property
    def rest(self) -> str:
        """What follows the last unit: the part of a truncated response that the model never read."""
        left = self.analysis.response[max((u.end for u in self.units), default=0) :]
        return left if len(left) <= SHOWN_AFTER_CUT else left[:SHOWN_AFTER_CUT] + "…"


def strip_of(
    analysis: Analysis,
    *,
    labels: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    granularity: str = "token",
    scale: str = "own",
    limits: Mapping[str, float] | None = None,
) -> Strip:
    """Pool the credits of an analysis over units.

    Parameters
    ----------
    analysis
        What to draw.
    labels
        Which credits, in drawing order; all by default.
    names
        What a person reads instead of a label; by default the method's short name.
    granularity
        "token", "word" or "sentence".
    scale
        "own": each method has its own limit; "one": the limit of all values together.
    limits
        Limits by label that replace these, so that several responses share a scale (see :func:`shared_limits`).

    Returns
    -------
    Strip

    Raises
    ------
    RedvizError
        If a label, the granularity or the scale is unknown.
    """
    _check("scale", scale, SCALES)
    chosen = list(analysis.credits) if labels is None else list(labels)
    for label in chosen:
        _check("method label", label, tuple(analysis.credits))
    groups = units(analysis.response, analysis.offsets, granularity)
    pooled = {label: pool(analysis.credits[label].own, groups) for label in chosen}
    everything = np.concatenate(list(pooled.values())) if pooled else np.zeros(0)
    lanes = []
    for label in chosen:
        credit = analysis.credits[label]
        end = (limits or {}).get(label) or colour.limit(everything if scale == "one" else pooled[label])
        total = float(np.sum(credit.values, dtype=np.float64))
        name = (names or {}).get(label) or method_name(label)
        lanes.append(Lane(label, name, pooled[label], float(credit.closing), end, total))
    return Strip(analysis, groups, tuple(lanes))


def method_name(label: str) -> str:
    """What a person reads for a label: the method's short name, or the label itself where a person chose it."""
    return METHODS[label].label if label in METHODS else label


def shared_limits(
    analyses: Sequence[Analysis], labels: Sequence[str] | None = None, granularity: str = "token"
) -> dict[str, float]:
    """One limit per label over several responses, for strips that are compared under one method."""
    strips = [strip_of(a, labels=labels, granularity=granularity) for a in analyses]
    values: dict[str, list[Array]] = {}
    for lane in (lane for strip in strips for lane in strip.lanes):
        values.setdefault(lane.label, []).append(lane.values)
    return {label: colour.limit(np.concatenate(parts)) for label, parts in values.items()}


def strip_payload(
    strip: Strip, *, layout: str = "lanes", text_size: int = 16, solo: str | None = None, group: str = "main"
) -> dict[str, Any]:
    """What the browser needs to draw a strip, as plain JSON types; ``sig`` changes when anything in it does."""
    _check("layout", layout, LAYOUTS)
    labels = [lane.label for lane in strip.lanes]
    if solo is not None:
        _check("solo", solo, tuple(labels))
    analysis = strip.analysis
    several = any(u.last - u.first > 1 for u in strip.units)
    payload = {
        "group": group,
        "content": signature({"response": analysis.response, "ids": analysis.token_ids}),
        "layout": layout,
        "size": int(text_size),
        "solo": None if solo is None else labels.index(solo),
        "noun": analysis.unit,
        "count": len(analysis.offsets),
        "units": [p[0] if len(p) == 1 else p for p in map(pieces, strip.texts)],
        "first": [u.first for u in strip.units],
        "gaps": {str(i): text for i, text in strip.gaps.items()},
        "rest": strip.rest,
        "tokens": [flat(piece) for piece in analysis.tokens] if several else None,
        "scores": [rounded(p, 8) for p in analysis.prefix_scores],  # their differences are shown too
        "score": rounded(analysis.score, 8),
        "end": strip.has_end,
        "lanes": [
            {
                "name": lane.name,
                "values": [rounded(v) for v in lane.values],
                "end": rounded(lane.end),
                "limit": rounded(lane.limit),
                "sum": rounded(lane.total),
                "colour": index,
            }
            for lane, index in zip(strip.lanes, colour.series_indices(labels).values(), strict=True)
        ],
        "turns": [[colour.turn(theme, positive) for positive in (False, True)] for theme in colour.THEMES],
    }
    return payload | {"sig": signature(payload)}


def signature(payload: Mapping[str, Any]) -> str:
    """A short fingerprint of a payload's content."""
    return hashlib.blake2b(json.dumps(payload).encode(), digest_size=8).hexdigest()


def rounded(value: float, digits: int = 5) -> float | None:
    """As many significant digits as a screen can show; None for a value that is not a number."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def number(value: float) -> str:
    """Three significant digits without an exponent where that is readable, and a real minus sign.

    >>> number(-0.04567), number(1234.5), number(0.0)
    ('−0.0457', '1234', '0')
    """
    if not math.isfinite(value):
        return "n/a"
    size = abs(float(f"{value:.3g}"))
    if size == 0:
        return "0"
    style = ".2e" if size < 1e-4 or size >= 1e6 else f".{max(0, 2 - math.floor(math.log10(size)))}f"
    return format(value, style).replace("-", "−")


def signed(value: float) -> str:
    """:func:`number` with its sign, also when it is positive.

    >>> signed(0.5)
    '+0.500'
    """
    return ("+" if value > 0 else "") + number(value)


def _check(what: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise RedvizError(
            f"Unknown {what} {value!r}; use one of {', '.join(map(repr, allowed)) or 'none: there are no credits'}."
        )
