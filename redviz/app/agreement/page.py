"""Agreement: people among themselves, methods against people and among themselves, faithfulness to the model, preferred maps."""

from __future__ import annotations

import streamlit as st

from redviz.app.agreement.between import between_part
from redviz.app.agreement.downloads import downloads
from redviz.app.agreement.faithfulness import faithfulness_part
from redviz.app.agreement.methods import methods_part
from redviz.app.agreement.people import people_part
from redviz.app.agreement.preferences import preferences_part
from redviz.app.agreement.source import chosen_labels
from redviz.app.agreement.state import PART, PARTS, begin_with
from redviz.app.session import NOTICE, remembered, view
from redviz.errors import RedvizError
from redviz.view.markdown import plain


def page() -> None:
    """Draw the page."""
    view()
    if problem := st.session_state.get(NOTICE, ""):
        st.warning(plain(problem))
    try:
        labels = chosen_labels()
        if labels is None:
            return
        begin_with(labels)
        if labels.maps:
            preferences_part(labels)
        else:
            part = remembered("Part of this screen", PART, PARTS, label_visibility="collapsed")
            draw = (people_part, methods_part, between_part, faithfulness_part)[PARTS.index(part)]
            draw(labels)
        downloads(labels)
    except RedvizError as error:
        st.error(plain(error))
