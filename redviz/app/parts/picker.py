"""Which response to look at: from the gallery, pasted, uploaded, edited in place, or seen before."""

from __future__ import annotations

import streamlit as st

from redviz.app.demonstration import file_uploader, too_long
from redviz.app.session import example_of, gallery, recent, remembered, show_example, update, use_model, view
from redviz.app.state import DEFAULT
from redviz.data.gallery import GalleryItem
from redviz.data.sets.readers import read_examples
from redviz.errors import RedvizError
from redviz.messages import shown_text
from redviz.models.rules.rules import RULES
from redviz.models.spec import is_rule
from redviz.records import Example, Prompt
from redviz.view.markdown import plain
from redviz.view.marks import flat

SOURCES = ("Gallery", "Paste", "Upload", "Edit", "Recent")


def picker() -> None:
    """Draw the prompt and the ways to choose a response."""
    with st.container(horizontal=True, gap="medium"):
        source = remembered("Response from", "source", SOURCES)
        note = _gallery() if source == "Gallery" else ""
    if source == "Gallery":
        _rule(note)
    {"Paste": _paste, "Upload": _upload, "Edit": _edit, "Recent": _recent}.get(source, lambda: None)()
    _prompt(example_of(view()).prompt)


def _gallery() -> str:
    """The gallery's two pickers; the chosen item's note."""
    items = {item.id: item for item in gallery()}
    current = view().example.partition("/")[0]
    key = "redviz.widget.item"
    st.session_state[key] = current if current in items else None

    def take_item() -> None:
        if item := items.get(st.session_state[key]):
            update(example=f"{item.id}/{item.responses[0].id}", prompt="", response="", pin=None)

    st.selectbox(
        "Prompt",
        list(items),
        format_func=lambda i: _title(items[i]),
        key=key,
        on_change=take_item,
        placeholder="Your own text",
        width=300,
    )
    if current not in items:
        return ""
    _responses(items[current])
    return items[current].note


def _rule(note: str) -> None:
    """Offer the rule that an item was written for; without one, what to know before trusting its score."""
    item = next((item for item in gallery() if item.id == view().example.partition("/")[0]), None)
    rule = item.rule if item else ""
    if rule and view().model != rule:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(
                f"⚠ {note.capitalize() or 'Outside what this model was trained on'}. This item has a rule of its own."
            )
            st.button(f"Score it by {rule}", on_click=use_model, args=(rule,), type="primary")
    elif rule:
        st.caption(f"{RULES[rule].description} Nothing in a prompt or a response is ever run.")
    elif is_rule(view().model):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("⚠ This item is no task for a rule.")
            st.button(f"Score it by {DEFAULT.model}", on_click=use_model, args=(DEFAULT.model,), type="primary")
    elif note:
        st.caption(f"⚠ {note.capitalize()}: its score says little here.")


def _title(item: GalleryItem) -> str:
    return item.title if item.kind == "review" else f"{item.title} ({item.kind})"


def _responses(item: GalleryItem) -> None:
    key = "redviz.widget.response"
    ids = [f"{item.id}/{response.id}" for response in item.responses]
    st.session_state[key] = view().example

    def take() -> None:
        if st.session_state[key]:
            update(example=st.session_state[key], pin=None)

    names = {example: chr(ord("A") + i) for i, example in enumerate(ids)}
    st.segmented_control("Response", ids, format_func=lambda i: names[i], key=key, on_change=take)


def _paste() -> None:
    with st.form("redviz.paste"):
        prompt = st.text_area("Prompt", height=80, placeholder="Write a short review of the film you saw last night.")
        response = st.text_area("Response", height=160)
        asked = st.form_submit_button("Show its tokens", type="primary")
        if not too_long(prompt, response) and asked:
            _show_own(prompt, response)


def _edit() -> None:
    example = example_of(view())
    with st.form("redviz.edit"):
        response = st.text_area(
            "Response", value=example.response, height=160, key=f"redviz.edit.{hash(example.response)}"
        )
        asked = st.form_submit_button("Score the edited response", type="primary")
        if not too_long(example.prompt, response) and asked:
            _show_own(example.prompt, response)
    st.caption("The response as it was stays under Recent, with its score.")


def _show_own(prompt: Prompt, response: str) -> None:
    if not response.strip():
        st.error("The response is empty; write at least one word to score.")
        return
    show_example(Example(prompt, response))
    st.rerun()


def _upload() -> None:
    file = file_uploader(
        "Prompts and responses",
        type=["jsonl", "json", "csv", "txt"],
        help="prompt/response, prompt/chosen/rejected, messages; one per row",
    )
    if file is None:
        return
    try:
        examples, problems = read_examples(file.getvalue(), file.name)
    except RedvizError as error:
        st.error(plain(error))
        return
    if problems:
        listed = "; ".join(f"line {p.line}: {p.reason}" for p in problems[:5])
        st.warning(plain(f"{len(problems)} rows were left out ({listed}{' …' if len(problems) > 5 else ''})."))
    if not examples:
        st.error("No row of this file has a prompt and a response; check its columns.")
        return
    names = [f"{i + 1}. {_short(e.response, 90)}" for i, e in enumerate(examples)]
    chosen = st.selectbox(f"{len(examples)} responses", range(len(examples)), format_func=names.__getitem__)
    if st.button("Show its tokens", type="primary"):
        show_example(examples[chosen])
        st.rerun()


def _recent() -> None:
    seen = recent()
    if not seen:
        st.caption("Responses you look at are listed here while this browser tab stays open.")
    for i, (example, spec, score) in enumerate(seen):
        if st.button(
            plain(f"{score:+.3f}  {_short(example.response, 100)}  ({spec.name})"),
            key=f"redviz.recent.{i}",
            type="tertiary",
        ):
            show_example(example)
            st.rerun()


def _prompt(prompt: Prompt) -> None:
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    with st.expander(f"Prompt: {plain(_short(_prompt_text(prompt), 100)) or '(empty)'}"):
        for turn in turns:
            with st.chat_message(turn["role"] if turn["role"] in ("user", "assistant") else "system", avatar=None):
                st.caption(turn["role"])
                st.text(shown_text(turn))


def _prompt_text(prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else " / ".join(m["content"] for m in prompt)


def _short(text: str, length: int) -> str:
    line = flat(" ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"
