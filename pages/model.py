"""Model: the conformance card, one row per check with its figure, verdict and remedy; what is loaded; the engine's counters."""

from redviz.app.model.card import card, engine_panel
from redviz.app.session import spec_of, through_app, view, write_link

through_app("pages/model.py")
card(spec_of(view()))
engine_panel()
write_link()
