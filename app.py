"""redviz in the browser: `streamlit run app.py`, or `redviz serve`."""

import streamlit as st

from redviz.view.screens.sidebar import STYLE, sidebar
from redviz.view.session import back_to_page

st.set_page_config(page_title="redviz", page_icon="🟥", layout="wide")
page = st.navigation(
    [
        st.Page("pages/inspect.py", title="Inspect", icon=":material/format_ink_highlighter:", default=True),
        st.Page("pages/compare.py", title="Compare", icon=":material/compare_arrows:"),
        st.Page("pages/dataset.py", title="Data set", icon=":material/dataset:"),
        st.Page("pages/model.py", title="Model", icon=":material/fact_check:"),
    ]
)
back_to_page()
st.html(STYLE)
page.run()
sidebar()  # last, so that the model's check queues behind what the page waits for
