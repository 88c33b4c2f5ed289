"""What lists of runs and of experiments do alike, on a page inside the process."""

from streamlit.testing.v1 import AppTest


def page():
    from types import SimpleNamespace

    import streamlit as st

    from redviz.app.parts.listed import delete_button, newest, show_problem
    from redviz.errors import RedvizError

    def delete(entry):
        if entry.id == "2":
            raise RedvizError("Somebody works on it.")
        st.session_state.gone = [*st.session_state.get("gone", []), entry.id]

    gone = st.session_state.get("gone", [])
    entries = [SimpleNamespace(id=str(n)) for n in range(25) if str(n) not in gone]
    for entry in newest(entries, "list", f"Show all {len(entries)}"):
        st.text(entry.id)
        delete_button("list", entry, f"entry {entry.id}", delete)
        show_problem("list", entry)


def test_the_newest_are_shown_and_all_on_request():
    at = AppTest.from_function(page).run()
    assert [text.value for text in at.text] == [str(n) for n in range(20)]
    at.toggle[0].set_value(True).run()
    assert [text.value for text in at.text] == [str(n) for n in range(25)]


def test_deletion_asks_twice_about_one_entry_and_a_refusal_stands_beside_it():
    at = AppTest.from_function(page).run()
    at.button("redviz.list.1.ask").click().run()
    assert [said.value for said in at.markdown] == ["Delete entry 1 for good?"] and "gone" not in at.session_state
    at.button("redviz.list.2.ask").click().run()
    assert [said.value for said in at.markdown] == ["Delete entry 2 for good?"]
    at.button("redviz.list.2.delete").click().run()
    assert [said.value for said in at.error] == ["Somebody works on it."] and not at.markdown
    at.button("redviz.list.1.ask").click().run()
    at.button("redviz.list.1.keep").click().run()
    assert not at.markdown and "gone" not in at.session_state
    at.button("redviz.list.1.ask").click().run()
    at.button("redviz.list.1.delete").click().run()
    assert at.session_state.gone == ["1"] and not at.markdown and not at.error
