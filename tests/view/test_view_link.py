"""The server's side of the pin: wishes move it, echoes do not, another response forgets it."""

import pytest
import streamlit as st

from redviz.view.link import mount


@pytest.fixture
def page(monkeypatch):
    """A session without a browser: draws panels, and pins as a person would."""
    session = {}
    monkeypatch.setattr(st, "session_state", session)

    class FakePage:
        seeds, learn = {}, {}

        def draw(self, pin=None, content="a", key="strip"):
            def renderer(key, data, on_pin_change):
                self.seeds[key] = data["seed"]
                self.learn[key] = on_pin_change

            return mount(renderer, {}, key=key, group="g", pin=pin, content=content)

        def person_pins(self, token, key="strip"):
            session[key] = {"pin": token}
            self.learn[key]()

    return FakePage()


def test_a_pin_made_in_the_browser_is_returned_and_not_sent_back(page):
    assert page.draw() is None
    before = page.seeds["strip"]
    page.person_pins(5)
    assert page.draw() == 5
    assert page.draw(pin=5) == 5  # the page passes on what it was told
    assert page.seeds["strip"] == before


def test_a_stale_echo_does_not_move_the_pin_back(page):
    page.draw()
    page.person_pins(5)
    page.draw(pin=None)
    page.person_pins(7)
    assert page.draw(pin=5) == 7
    page.person_pins(9)
    assert page.draw(pin=7) == 9


def test_a_wish_of_the_page_moves_the_pin_and_reaches_the_browser(page):
    page.draw()
    count = page.seeds["strip"][1]
    assert page.draw(pin=3) == 3
    assert page.seeds["strip"] == [3, count + 1]


def test_the_other_panel_of_the_group_follows(page):
    page.draw()
    page.person_pins(4)
    assert page.draw() == 4
    assert page.draw(key="curves", content=None) == 4


def test_taking_the_pin_away_is_kept(page):
    page.draw(pin=4)
    page.person_pins(None)
    assert page.draw(pin=4) is None
    assert page.draw(pin=None) is None


def test_another_response_forgets_the_pin(page):
    page.draw()
    page.person_pins(5)
    page.draw()
    assert page.draw(content="b") is None


def test_the_next_pin_is_not_moved_back_by_the_second_panel(page):
    for pin, told in ((None, None), (5, None), (6, 5), (8, 6)):  # the page tells both panels what the run before learnt
        if pin is not None:
            page.person_pins(pin)
        assert page.draw(pin=told) == page.draw(pin=told, key="curves", content=None) == pin


def test_a_panel_without_a_wish_leaves_that_of_another(page):
    page.draw(), page.draw(key="curves", content=None)
    for _ in range(2):
        assert page.draw(pin=2) == page.draw(key="curves", content=None) == 2


def test_a_run_that_stops_between_the_panels_leaves_no_wish(page):
    page.draw(), page.draw(key="curves", content=None)
    page.person_pins(5)
    page.draw(), page.draw(key="curves", content=None)
    page.person_pins(6)
    page.draw(pin=5)  # stopped here: a newer pin came
    page.person_pins(7)
    assert page.draw(pin=6) == page.draw(pin=6, key="curves", content=None) == 7
