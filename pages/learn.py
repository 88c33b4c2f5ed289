"""Learn: how one reward at the end becomes a signal for every token, in scenes with the real model."""

from redviz.app.learn.page import page
from redviz.app.session import through_app

through_app("pages/learn.py")
page()
