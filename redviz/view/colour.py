"""Colours, colour-blind safe, light and dark: the diverging scale of credits, text on it, one colour per curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redviz.records import Array

RMS_MULTIPLE = 3.0


@dataclass(frozen=True)
class Theme:
    """The poles of the diverging scale and the grounds they stand on; zero is the ground itself."""

    name: str
    background: str
    text: str
    positive: str  # blue
    negative: str  # orange
    series: tuple[str, ...]


LIGHT = Theme(
    name="light",
    background="#ffffff",
    text="#2f2d2b",
    positive="#1c64b4",
    negative="#b85600",
    series=("#005f9b", "#a8346b", "#008556", "#8a6d00", "#5b49b5", "#7d3d1e", "#3b778b", "#5f5c68"),
)
DARK = Theme(
    name="dark",
    background="#171614",
    text="#edebe8",
    positive="#6cb2ff",
    negative="#ff9c42",
    series=("#66b8ff", "#f28cba", "#4ed7a3", "#e3c04a", "#b37bff", "#d39a78", "#7dc7d6", "#b4c8bb"),
)
THEMES = (LIGHT, DARK)
# Known methods keep their colour in every figure; others take the first free one.
SERIES_ORDER = ("red", "abc", "ig", "red_closed", "shapley", "occlusion", "rollout", "grad_x_input")


def limit(values: Array | Sequence[float]) -> float:
    """Where the colour scale ends: three times the root mean square over units, never 0.

    >>> limit([0.3, -0.6, 1.0, 0.5])
    1.95576...
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    size = RMS_MULTIPLE * float(np.sqrt(np.mean(finite**2))) if finite.size else 0.0
    return size if size > 0 else 1.0


def strength(value: float, end: float) -> float:
    """How far along the scale a value lies, in [-1, 1]; 0 for a value that is not a number."""
    return float(np.clip(value / end, -1.0, 1.0)) if np.isfinite(value) else 0.0


def tint(x: float, theme: Theme = LIGHT, ground: str | None = None) -> str:
    """The colour at ``x`` in [-1, 1] as ``#rrggbb``: the pole laid over the ground with opacity ``abs(x)``."""
    pole = theme.positive if x > 0 else theme.negative
    return _hex((1 - abs(x)) * _rgb(ground or theme.background) + abs(x) * _rgb(pole))


def text_on(colour: str) -> str:
    """Black or white, whichever stands out more; one of the two always reaches 4.5 : 1 (WCAG AA)."""
    return max("#000000", "#ffffff", key=lambda ink: contrast(ink, colour))


def turn(theme: Theme, positive: bool) -> float:
    """The strength from which text on a cell must change from the theme's ink to the opposite one."""
    ink = text_on(theme.background)
    steps = np.linspace(0, 1, 201)
    turned = [s for s in steps if text_on(tint(float(s) if positive else -float(s), theme)) != ink]
    return float(turned[0]) if turned else 2.0


def contrast(a: str, b: str) -> float:
    """The WCAG 2.2 contrast ratio of two colours, 1 to 21."""
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2) of ``#rrggbb``, 0 to 1."""
    return float(linear(colour) @ np.array([0.2126, 0.7152, 0.0722]))


def linear(colour: str) -> Array:
    """Linear-light red, green and blue of ``#rrggbb``, ``[3]`` in 0 to 1."""
    c = _rgb(colour) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def series_indices(labels: Sequence[str]) -> dict[str, int]:
    """One stable colour index per method label: known methods keep theirs, others take the first free ones.

    >>> series_indices(["abc", "mine", "red"])
    {'abc': 1, 'mine': 2, 'red': 0}
    """
    chosen = {label: SERIES_ORDER.index(label) for label in labels if label in SERIES_ORDER}
    free = (i for i in range(len(SERIES_ORDER) + len(labels)) if i not in chosen.values())
    return {label: chosen[label] if label in chosen else next(free) for label in labels}


def css_variables(selector: str) -> str:
    """The scale and the series as CSS variables that follow the page's own colour scheme."""
    pairs = {
        "pos": (LIGHT.positive, DARK.positive),
        "neg": (LIGHT.negative, DARK.negative),
        "ink": ("#000000", "#ffffff"),
    }
    pairs["turned"] = ("#ffffff", "#000000")
    pairs |= {f"s{i}": (a, b) for i, (a, b) in enumerate(zip(LIGHT.series, DARK.series, strict=True))}
    body = "".join(f"--rv-{name}:light-dark({light},{dark});" for name, (light, dark) in pairs.items())
    return f"{selector}{{{body}}}\n"


def _rgb(colour: str) -> Array:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=np.float64)


def _hex(rgb: Array) -> str:
    return "#" + "".join(f"{round(float(c)):02x}" for c in rgb)
