"""The Model screen: the card that its budgets shorten, and the thorough one."""

import screens
from streamlit.testing.v1 import AppTest

from redviz.evaluation.conformance import checks


def rows(shown: AppTest) -> "dict[str, str]":
    frame = shown.table[0].value
    return dict(zip(frame["check"], frame["measured"], strict=True))


def test_a_card_is_shortened_by_its_budget_and_made_whole_by_a_press(monkeypatch):
    monkeypatch.setitem(checks.OPERATIONS, "cpu", 3e9)
    shown = screens.press(screens.opened("model"), "Check again")  # the engine keeps what other tests had checked
    assert "were left out" in rows(shown)["Obvious pairs are in the right order"]
    whole = screens.press(shown, "Check thoroughly")
    assert "of 60 obvious pairs" in rows(whole)["Obvious pairs are in the right order"]
    assert not any(button.label == "Check thoroughly" for button in whole.button)
    assert whole.session_state["redviz.jobs"] and "Check again" in [button.label for button in whole.button]
