"""redviz in the browser: `streamlit run app.py`, or `redviz serve`."""

import streamlit as st

from redviz.app.access import ANNOTATOR, MASTER, role
from redviz.app.demonstration import watch_idle
from redviz.app.parts.sidebar import STYLE, sidebar
from redviz.app.session import back_to_page

st.set_page_config(page_title="redviz", page_icon="🟥", layout="wide")
who = role()
annotate = st.Page("pages/annotate.py", title="Annotate", icon=":material/edit_note:", default=who == ANNOTATOR)
if who == ANNOTATOR:  # a personal link reaches no screen that shows credits
    pages = [annotate]
elif who == MASTER:
    pages = [
        st.Page("pages/inspect.py", title="Inspect", icon=":material/format_ink_highlighter:", default=True),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
        st.Page("pages/dataset.py", title="Data set", icon=":material/dataset:"),
        st.Page("pages/project.py", title="Project", icon=":material/group:"),
        annotate,
        st.Page("pages/agreement.py", title="Agreement", icon=":material/handshake:"),
        st.Page("pages/model.py", title="Model", icon=":material/fact_check:"),
        st.Page("pages/learn.py", title="Learn", icon=":material/school:"),
        st.Page("pages/lab.py", title="Lab", icon=":material/science:"),
    ]
else:
    pages = [st.Page("pages/sign_in.py", title="Sign in", icon=":material/login:", default=True)]
page = st.navigation(pages, position="sidebar" if who == MASTER else "hidden")
back_to_page(may=who == MASTER)
st.html(STYLE)
if who == MASTER:
    watch_idle()  # before the page, which may end early
page.run()
if who == MASTER:
    sidebar()  # last, so that the model's check queues behind what the page waits for
