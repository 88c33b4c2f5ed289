"""Who a browser session is: an annotator with a personal link, the lead, or a stranger on a guarded server.

An annotator's session is given the Annotate screen and nothing else, so that no credits are seen before judging. A server is
guarded where a lead code (``REDVIZ_LEAD_CODE``) or a login (Streamlit's OpenID Connect) is configured; one that is not is its
user's own, and whoever opens it without a personal link is the lead.
"""

from __future__ import annotations

import secrets
import time
from urllib.parse import urlsplit, urlunsplit

import streamlit as st

from redviz import settings
from redviz.app.session import ASKED

CODE, LEAD = "redviz.code", "redviz.lead"
ANNOTATOR, MASTER, STRANGER = "annotator", "lead", "stranger"
WRONG_SECONDS = 1.0  # what a wrong code costs


def role() -> str:
    """``ANNOTATOR``, ``MASTER`` or ``STRANGER``. A session that once had an annotator's code stays an annotator's.

    The code is kept in the address, which a page change empties: a server that was started again knows the session by nothing else.
    """
    _, asked = st.session_state.get(ASKED, ("", {}))
    given = st.query_params.get("code") or asked.get("code")
    if given:
        st.session_state[CODE] = given
    if CODE in st.session_state:
        if st.query_params.get("code") != code():
            st.query_params["code"] = code()
        return ANNOTATOR
    return MASTER if _proven() or not guarded() else STRANGER


def code() -> str:
    """The annotator's code of this session, or ""."""
    found: str = st.session_state.get(CODE, "")
    return found


def guarded() -> bool:
    """Whether this server asks who somebody is."""
    return bool(settings.lead_code()) or login_configured()


def login_configured() -> bool:
    """Whether Streamlit's OpenID Connect login is set up in its secrets file."""
    return bool(st.secrets.load_if_toml_exists()) and "auth" in st.secrets


def enter(given: str) -> bool:
    """Take a typed code for the lead's, or for an annotator's that the Annotate screen will check; False for a wrong lead code."""
    wanted = settings.lead_code()
    if wanted and secrets.compare_digest(given.strip().encode(), wanted.encode()):
        st.session_state[LEAD] = True
        return True
    time.sleep(WRONG_SECONDS)
    return False


def personal_link(annotator_code: str) -> str:
    """The address that opens the Annotate screen for one person."""
    parts = urlsplit(st.context.url or "")
    folder = parts.path.rstrip("/").rsplit("/", 1)[0] if parts.path.strip("/") else ""
    return urlunsplit((parts.scheme, parts.netloc, folder + "/", f"code={annotator_code}", ""))


def not_listed() -> str:
    """Why somebody who has logged in is not the lead here, in a sentence; "" where it does not apply."""
    if not login_configured() or not st.user.is_logged_in or _logged_in_lead():
        return ""
    return f"{st.user.get('email') or 'This account'} is not on the list of leads (REDVIZ_LEADS) of this server."


def _proven() -> bool:
    return bool(st.session_state.get(LEAD)) or _logged_in_lead()


def _logged_in_lead() -> bool:
    if not login_configured() or not st.user.is_logged_in:
        return False
    return (
        str(st.user.get("email", "")).lower() in settings.leads() and st.user.get("email_verified", True) is not False
    )
