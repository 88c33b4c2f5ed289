"""The component files of the panels, and the server's side of the pin that a group of them shares.

The browser holds the pin between redraws (``link.js``), the page holds it on the server, and nothing else does. A pin moves in
the browser first; the server hears of it after a rest, through one door per group, so that pinning sends no panel twice.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from redviz.view.colour import css_variables

HERE = Path(__file__).parent


def _module(*scripts: str) -> str:
    return "\n".join((HERE / script).read_text("utf-8") for script in ("link.js", *scripts))


def component(name: str, *scripts: str) -> Callable[..., Any]:
    """Register a component of this folder: ``link.js`` and the scripts as one module, ``<name>.css`` after colours."""
    return st.components.v2.component(
        f"redviz.{name}",
        js=_module(*scripts),
        css=css_variables(":host") + (HERE / f"{name}.css").read_text("utf-8"),
    )


_door = st.components.v2.component("redviz.pin", js=_module("pin.js"))


def share_pin(pin: int | None, *, group: str, on_pin: Callable[[int | None], None], key: str) -> None:
    """Show the page's pin in a group of panels, and tell the page what a person pins there.

    Parameters
    ----------
    pin
        The page's pin: a token index, ``T`` for the "end" cell, or None. A newer one of the browser's stands until it is heard.
    group
        The panels' group.
    on_pin
        Called before the run that follows a pin made in the browser, with its token index or None.
    key
        The component's key.
    """

    def learn() -> None:
        on_pin(st.session_state[key]["pin"]["token"])

    message = st.session_state.get(key, {}).get("pin") or {}
    _door(key=key, data={"group": group, "pin": pin, "heard": message.get("number")}, on_pin_change=learn)
