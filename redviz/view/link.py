"""The server's side of the link between panels: which token each group has pinned, and the component files.

A pin moves in the browser first. The server learns of it after a rest and never echoes it: a panel is sent a new pin
only when the page itself asks for another one, so that pinning sends no data twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from redviz.view.colour import css_variables

HERE = Path(__file__).parent
STATE = "redviz.link"


@dataclass
class Group:
    """What the server knows of one group of panels."""

    content: str = ""
    pin: int | None = None
    count: int = 0  # how often the server moved the pin
    wish: int | None = None  # where it moved it last
    returned: int | None = None
    told: int | None = None  # what the page said last, by whichever panel
    asked: dict[str, int | None] = field(default_factory=dict)  # and by each


def component(name: str, *scripts: str) -> Callable[..., Any]:
    """Register a component of this folder: ``link.js`` and the scripts as one module, ``<name>.css`` after colours."""
    return st.components.v2.component(
        f"redviz.{name}",
        js="\n".join((HERE / script).read_text("utf-8") for script in ("link.js", *scripts)),
        css=css_variables(":host") + (HERE / f"{name}.css").read_text("utf-8"),
    )


def mount(
    renderer: Callable[..., Any], payload: dict[str, Any], *, key: str, group: str, pin: int | None, content: str | None
) -> int | None:
    """Draw a panel and return its group's pin.

    ``pin`` is a wish only where it says something new: not what this panel or the group was told last, nor what was returned. The
    group's counts too, for a run may end between two panels, and the page's pin lags behind quick ones.
    ``content`` names the response; another one forgets the pin.
    """
    entry = _group(group)
    if content is not None and content != entry.content:
        entry.content, entry.returned = content, None
        _move(entry, pin)
    elif pin not in (entry.asked.get(key), entry.told, entry.pin, entry.returned):
        _move(entry, pin)
    entry.asked[key] = entry.told = pin

    def learn() -> None:
        entry.pin = st.session_state[key].get("pin")

    renderer(key=key, data=payload | {"seed": [entry.wish, entry.count]}, on_pin_change=learn)
    entry.returned = entry.pin
    return entry.pin


def _move(entry: Group, pin: int | None) -> None:
    entry.pin = entry.wish = pin
    entry.count += 1


def _group(name: str) -> Group:
    groups: dict[str, Group] = st.session_state.setdefault(STATE, {})
    return groups.setdefault(name, Group())
