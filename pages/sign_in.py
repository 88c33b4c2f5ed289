"""Sign in: the lead's code or login, on a server that annotators use."""

from redviz.app.session import through_app
from redviz.app.sign_in import page

through_app("pages/sign_in.py")
page()
