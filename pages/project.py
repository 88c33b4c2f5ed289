"""Project: make an annotation project, invite people, watch it, settle what they disagree about, take it away."""

from redviz.app.project.page import page
from redviz.app.session import through_app, write_link

through_app("pages/project.py")
page()
write_link()
