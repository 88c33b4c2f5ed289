"""Inspect: one response, its strips, its curves, and whether to believe them."""

from redviz.app.inspect.page import page
from redviz.app.session import through_app, write_link

through_app("pages/inspect.py")
page()
write_link()
