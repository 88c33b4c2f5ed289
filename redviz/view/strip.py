"""Token strips: the response with one band of colour per method under it, in the browser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from redviz.records import Analysis
from redviz.view.lanes import strip_of, strip_payload
from redviz.view.link import component
from redviz.view.markdown import plain

strip_component = component("strip", "tip.js", "strip.js")


def strips(
    analysis: Analysis,
    *,
    labels: Sequence[str] | None = None,
    names: Mapping[str, str] | None = None,
    granularity: str = "token",
    layout: str = "lanes",
    scale: str = "own",
    limits: Mapping[str, float] | None = None,
    text_size: int = 16,
    solo: str | None = None,
    group: str = "main",
    key: str,
) -> None:
    """Draw the credits of a response on its text.

    Parameters
    ----------
    analysis
        What to draw; a failed one shows its error.
    labels, names
        Which credits, in drawing order, and what a person reads instead of a label.
    granularity
        "token", "word" or "sentence".
    layout
        "lanes": the text once, one thin band per method under it; "stacked": one full-colour copy per method.
    scale, limits
        "own": each method has its own limit; "one": all share one. Limits by label replace both
        (:func:`redviz.view.lanes.shared_limits`).
    text_size
        In CSS pixels.
    solo
        The one label to show at first; keys 1-9 and 0 change it in the browser.
    group
        Panels of one group share hover and pin; :func:`redviz.view.link.share_pin` ties the pin to the page.
    key
        The component's key.
    """
    if analysis.error:
        st.error(plain(analysis.error))
    if analysis.observation is None:
        return
    strip = strip_of(analysis, labels=labels, names=names, granularity=granularity, scale=scale, limits=limits)
    payload = strip_payload(strip, layout=layout, text_size=text_size, solo=solo, group=group)
    strip_component(key=key, data=payload)
