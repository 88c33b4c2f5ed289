"""Sign in: the lead's code or login, on a server that annotators use."""

from __future__ import annotations

import streamlit as st

from redviz import settings
from redviz.app.access import enter, login_configured, not_listed
from redviz.view.markdown import plain


def page() -> None:
    """Draw the page."""
    st.header("Sign in")
    st.write("This server is used for annotation. Annotators open the personal link that they were sent.")
    if settings.lead_code():
        with st.form("redviz.sign-in", width=420):
            given = st.text_input("Lead code", type="password")
            if st.form_submit_button("Sign in", type="primary"):
                if enter(given):
                    st.rerun()
                st.error("This is not the lead code; look up REDVIZ_LEAD_CODE on the server.")
    if login_configured():
        if sentence := not_listed():
            st.error(plain(sentence))
            st.button("Log out", on_click=st.logout)
        else:
            st.button("Log in with your organisation", on_click=st.login, type="primary")
