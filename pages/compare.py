"""Compare: responses to one prompt side by side, or one response under two models."""

from redviz.app.compare.page import page
from redviz.app.session import through_app, write_link

through_app("pages/compare.py")
page()
write_link()
