"""Agreement: people among themselves, methods against people and among themselves, faithfulness to the model, preferred maps."""

from redviz.app.agreement.page import page
from redviz.app.session import through_app, write_link

through_app("pages/agreement.py")
page()
write_link()
