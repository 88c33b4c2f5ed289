"""Model: the conformance card, one row per check with its figure, verdict and remedy; what is loaded; the engine's counters."""

from __future__ import annotations

from redviz.app.model.card import card, engine_panel
from redviz.app.session import spec_of, view


def page() -> None:
    """Draw the page."""
    card(spec_of(view()))
    engine_panel()
