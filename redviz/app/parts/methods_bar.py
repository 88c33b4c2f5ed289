"""Which methods are drawn, each with its options beside it, and how the strips look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from redviz.app.session import bound, choice, update, view
from redviz.app.state import MOST_METHODS as MOST
from redviz.app.state import ViewState
from redviz.credit.method import FAMILIES
from redviz.credit.recipes import METHODS, Option, Recipe
from redviz.models.spec import ModelState, is_rule

OF = {
    "log_probs": "a policy and its reference",
    "policy": "a policy",
    "reference": "a reference",
    "cost": "a cost model",
}
WIDE = 2  # a range beyond it is typed, not slid


def method_names(wanted: Mapping[str, Recipe]) -> dict[str, str]:
    """What a person reads for each label: the method's short name, or the label where it was given one of its own."""
    return {label: _name(label, recipe) for label, recipe in wanted.items()}


def _name(label: str, recipe: Recipe) -> str:
    segment = recipe.options.get("segment", "token")
    name = recipe.info.label if label == recipe.method else label
    return name if segment == "token" else f"{name} · {segment}"


def methods_bar(state: ModelState | None) -> None:
    """Draw it."""
    wanted = view().recipes
    names = method_names(wanted)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        for label, recipe in wanted.items():
            with st.popover(
                names[label], help=f"{recipe.info.paper}. Sums to {recipe.info.sums_to}. Cost: {recipe.info.cost}."
            ):
                _options(label, recipe, state)
        with st.popover("Add method", icon=":material/add:", disabled=len(wanted) >= MOST, help=_room(wanted)):
            _choices()
    with st.container(horizontal=True, gap="medium"):
        choice("Split by", "granularity", ["token", "word", "sentence"])
        choice(
            "Layout",
            "layout",
            ["lanes", "stacked"],
            help="Lanes: the text once, a band per method. Stacked: one coloured copy per method.",
        )
        choice(
            "Scale",
            "scale",
            ["own", "one"],
            help="Own: each method on its own limit (3 × RMS). One: the same limit for all, to compare sizes.",
        )
        bound(st.slider, "Text size", "text_size", 12, 40, width=160)


def _room(wanted: Mapping[str, Recipe]) -> str | None:
    return f"{MOST} methods are the most that are drawn; remove one first" if len(wanted) >= MOST else None


def _choices() -> None:
    """Every method by family; those that this model has nothing for are greyed out."""
    rule = is_rule(view().model)
    for family in FAMILIES:
        st.caption(family.capitalize())
        with st.container(horizontal=True, gap="small"):
            for name, info in METHODS.items():
                if info.family == family:
                    st.button(
                        info.label,
                        key=f"redviz.add.{name}",
                        help=f"{info.formula}. Sums to {info.sums_to}. Cost: {info.cost}. {info.paper}.",
                        on_click=_add,
                        args=(name,),
                        type="tertiary",
                        disabled=rule and not info.black_box,
                    )


def _options(label: str, recipe: Recipe, state: ModelState | None) -> None:
    info = recipe.info
    st.markdown(f"**{info.label}** · {info.paper}")
    st.caption(
        f"Sums to {info.sums_to}. Cost: {info.cost}. "
        + (
            "The credit of a token depends on the tokens up to it."
            if info.causal
            else "The credit of a token depends on the whole response."
        )
    )
    if partners := [OF[name] for name in recipe.ingredients if name in OF]:
        st.caption(f"Needs {' and '.join(partners)}: under Other models, at the left.")
    with st.container(horizontal=True):
        st.button(
            "Add again",
            key=f"redviz.again.{label}",
            on_click=_add,
            args=(recipe.method, dict(recipe.options)),
            help="The same method with other options",
        )
        st.button(
            "Remove", key=f"redviz.remove.{label}", on_click=remove, args=(label,), disabled=len(view().methods) == 1
        )
    for name, option in info.all_options.items():
        _option(label, name, option, recipe.options[name], state)


def _option(label: str, name: str, option: Option, value: Any, state: ModelState | None) -> None:
    key = f"redviz.option.{label}.{name}"

    def take() -> None:
        chosen = st.session_state[key]
        update(**_changed(view(), label, name, None if chosen == [] else chosen))

    st.session_state[key] = [] if option.many and value is None else value
    words: dict[str, Any] = {"label": name, "help": option.help, "key": key, "on_change": take}
    if isinstance(option.default, bool):
        st.toggle(**words)
    elif option.choices:
        st.selectbox(options=list(option.choices), **words)
    elif option.range and option.range[1] - option.range[0] > WIDE:
        st.number_input(min_value=option.range[0], max_value=option.range[1], step=0.05, format="%.3g", **words)
    elif option.range:
        st.slider(min_value=option.range[0], max_value=option.range[1], step=0.05, **words)
    elif option.many:
        st.multiselect(options=range(state.heads if state else 64), placeholder="all", **words)
    elif name == "layer":
        count = state.layers if state else 64
        st.selectbox(options=[-1, *range(count)], format_func=lambda i: "last" if i == -1 else str(i), **words)
    else:
        low, high = option.bounds or (None, None)
        st.number_input(min_value=low, max_value=high, step=1, placeholder="automatic", **words)


def _changed(state: ViewState, label: str, name: str, value: Any) -> dict[str, Any]:
    return {"methods": state.with_option(label, name, value).methods}


def _add(method: str, options: Mapping[str, Any] | None = None) -> None:
    taken = view().methods
    label, number = method, 2
    while label in taken:
        label, number = f"{METHODS[method].label} {number}", number + 1
    update(methods={**taken, label: ({} if label == method else {"method": method}) | dict(options or {})})


def remove(label: str) -> None:
    """Take a method off the strips; the last one stays."""
    if len(view().methods) == 1:
        return
    left = {name: options for name, options in view().methods.items() if name != label}
    update(methods=left, rewards=view().rewards if view().rewards in left else next(iter(left)))
