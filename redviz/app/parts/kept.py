"""What a screen remembers while other pages are looked at: its choices, kept under names that are no widget keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st


def keep(name: str, value: Any) -> None:
    """Remember a value under a name."""
    st.session_state[f"redviz.{name}"] = value


def recall(name: str, default: Any = None) -> Any:
    """What was kept under a name."""
    return st.session_state.get(f"redviz.{name}", default)


def kept(widget: Callable[..., Any], label: str, name: str, default: Any, *args: Any, **options: Any) -> Any:
    """A widget whose value outlives its page, since Streamlit forgets the state of widgets that are not drawn."""
    key = f"redviz.widget.{name}"
    st.session_state[key] = recall(name, default)
    return widget(label, *args, key=key, on_change=lambda: keep(name, st.session_state[key]), **options)


def kept_choice(label: str, name: str, options: list[Any], **more: Any) -> Any:
    """A selectbox whose choice outlives its page; a kept value that is no longer offered gives way to the first."""
    if recall(name) not in options:
        keep(name, options[0])
    return kept(st.selectbox, label, name, options[0], options, **more)


def kept_choices(label: str, name: str, options: list[Any], **more: Any) -> list[Any]:
    """A multiselect whose choices outlive its page."""
    keep(name, [value for value in recall(name, []) if value in options])
    found: list[Any] = kept(st.multiselect, label, name, [], options, **more)
    return found


def once(name: str, key: Any, make: Callable[[], Any]) -> Any:
    """What ``make`` gives, computed again only where the key changed."""
    found = recall(name)
    if found is None or found[0] != key:
        keep(name, found := (key, make()))
    return found[1]
