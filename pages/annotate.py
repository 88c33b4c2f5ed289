"""Annotate: one response at a time, for whoever holds a personal link."""

from redviz.app.annotate.page import page
from redviz.app.session import through_app

through_app("pages/annotate.py")
page()
