"""Curves over tokens in the browser, stacked on one shared axis: prefix scores, cumulative credit, returns."""

from __future__ import annotations

from collections.abc import Sequence

from redviz.view.link import component
from redviz.view.panels import Level, Panel, Series, curves_payload

__all__ = ["Level", "Panel", "Series", "curves"]

_curves = component("curves", "scales.js", "curves.js")


def curves(panels: Sequence[Panel], *, n: int, group: str = "main", unit: str = "token", key: str) -> None:
    """Draw line charts over the tokens of a response, stacked, that share hover and pin with the strips of their group.

    Parameters
    ----------
    panels
        From top to bottom.
    n
        How many tokens the response has.
    group
        Panels of one group share hover and pin.
    unit
        What the axis counts: "token" or "step".
    key
        The component's key.

    Raises
    ------
    RedvizError
        If a line does not fit on the response's tokens.
    """
    _curves(key=key, data=curves_payload(panels, n=n, group=group, unit=unit))
