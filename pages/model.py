"""Model: the conformance card, one row per check with its figure, verdict and remedy; what is loaded; the engine's counters."""

from redviz.app.model.page import page
from redviz.app.session import through_app, write_link

through_app("pages/model.py")
page()
write_link()
