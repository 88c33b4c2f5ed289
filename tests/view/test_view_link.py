"""The server's side of the pin: what a person pins is passed on, and the browser is told up to which message it was heard."""

import pytest
import streamlit as st

from redviz.view import link


@pytest.fixture
def page(monkeypatch):
    """A session without a browser: holds the pin, draws the door, and pins as a person would."""
    session = {}
    monkeypatch.setattr(st, "session_state", session)

    class FakePage:
        pin = None

        def door(self, key, data, on_pin_change):
            self.shown, self.learn = data, on_pin_change

        def draw(self):
            link.share_pin(self.pin, group="g", key="door", on_pin=lambda token: setattr(self, "pin", token))
            return self.shown["pin"], self.shown["heard"]

        def person_pins(self, token, number):
            session["door"] = {"pin": {"token": token, "number": number}}
            self.learn()

        def leave(self):
            session.clear()

    made = FakePage()
    monkeypatch.setattr(link, "_door", made.door)
    return made


def test_what_a_person_pins_and_unpins_is_the_pages(page):
    assert page.draw() == (None, None)
    page.person_pins(0, 1)
    assert page.pin == 0 and page.draw() == (0, 1)
    page.person_pins(None, 2)
    assert page.pin is None and page.draw() == (None, 2)


def test_a_move_of_the_pages_own_keeps_the_number_of_what_was_heard(page):
    page.draw()
    page.person_pins(5, 1)
    page.pin = 3
    assert page.draw() == (3, 1)


def test_the_pages_pin_outlives_the_door(page):
    page.draw()
    page.person_pins(5, 4)
    page.leave()
    assert page.draw() == (5, None)
