"""Agreement: people among themselves, methods against people and among themselves, faithfulness to the model, preferred maps."""

import streamlit as st

from redviz.errors import RedvizError
from redviz.view.markdown import plain
from redviz.view.screens.agreement_between import between_part
from redviz.view.screens.agreement_downloads import downloads
from redviz.view.screens.agreement_faithfulness import faithfulness_part
from redviz.view.screens.agreement_methods import methods_part
from redviz.view.screens.agreement_people import people_part
from redviz.view.screens.agreement_preferences import preferences_part
from redviz.view.screens.agreement_source import chosen_labels
from redviz.view.screens.agreement_state import PART, PARTS, begin_with
from redviz.view.session import NOTICE, remembered, through_app, view, write_link


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


through_app("pages/agreement.py")
page()
write_link()
