"""Data set: open one, score it, read what the scores say about the model; the runs that do it."""

from redviz.app.dataset.page import page
from redviz.app.session import through_app, write_link

through_app("pages/dataset.py")
page()
write_link()
