"""Lab: a policy learns under each token reward; its curves while it does, and what it wrote before and after."""

from redviz.app.lab.page import page
from redviz.app.session import through_app, write_link

through_app("pages/lab.py")
page()
write_link()
