"""Which responses are compared: those of the prompt in view, pasted ones, or those that another page handed over."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

import streamlit as st

from redviz.app.demonstration import too_long
from redviz.app.inspect.critics import siblings
from redviz.app.parts.kept import keep, recall
from redviz.app.session import example_of, gallery, remembered, spec_of, update, view
from redviz.comparison import MOST
from redviz.errors import RedvizError
from redviz.messages import shown_text
from redviz.records import Example
from redviz.view.markdown import plain
from redviz.view.marks import flat

HANDED = "compare"  # other pages put a list of examples into st.session_state["redviz.compare"]
SOURCE, SEEN, DRAFT, PASTED, CHOSEN = (f"compare.{name}" for name in ("source", "seen", "draft", "pasted", "chosen"))
IN_VIEW, PASTE, FROM_PAGE = "Prompt in view", "Paste", "Handed over"
SHOWN = 90  # characters of a response in a list


def pool() -> list[Example]:
    """The responses that can be chosen from, all to one prompt; draws the ways to come by others."""
    handed = recall(HANDED)
    if handed and recall(SEEN) != handed:  # another page sent the person here: show what it sent
        keep(SEEN, list(handed))
        keep(SOURCE, FROM_PAGE)
    sources = [IN_VIEW, PASTE, *([FROM_PAGE] if handed else [])]
    if recall(SOURCE) not in sources:
        keep(SOURCE, IN_VIEW)
    with st.container(horizontal=True, gap="medium"):
        source = remembered("Responses from", SOURCE, sources)
        if source == IN_VIEW:
            _item()
    if source == FROM_PAGE:
        examples = list(handed)
        if any(example.prompt != examples[0].prompt for example in examples):
            raise RedvizError(
                "These responses answer different prompts, so their scores have no margin; choose a pair of one prompt."
            )
    elif source == PASTE:
        _paste()
        examples = recall(PASTED, [])
    else:
        example = example_of(view())
        item = next((item for item in gallery() if view().example.startswith(item.id + "/")), None)
        examples = (
            [Example(item.prompt, response.text, f"{item.id}/{response.id}") for response in item.responses]
            if item
            else [example, *siblings(example, spec_of(view()))]
        )
    if examples:
        _prompt(examples[0])
    return examples


def names_of(examples: Sequence[Example]) -> list[str]:
    """A letter each, with the role where one is known: "A", or "A · chosen"."""
    roles = [example.id.rpartition("/")[2] if example.id and "/" in example.id else "" for example in examples]
    letters = [ascii_uppercase[i] if i < len(ascii_uppercase) else str(i + 1) for i in range(len(examples))]
    return [letter + (f" · {role}" if len(role) > 1 else "") for letter, role in zip(letters, roles, strict=True)]


def chosen(examples: Sequence[Example], names: Sequence[str]) -> list[int]:
    """Which of them are compared; all, up to six, until a person says otherwise."""
    name = f"{CHOSEN}.{hash(tuple((example.prompt, example.response) for example in examples))}"
    if recall(name) is None:
        keep(name, list(range(min(MOST, len(examples)))))
    key = f"redviz.widget.{name}"
    st.session_state[key] = recall(name)
    st.pills(
        "Compare",
        range(len(examples)),
        format_func=lambda i: names[i],
        selection_mode="multi",
        key=key,
        on_change=lambda: keep(name, sorted(st.session_state[key])),
        help=f"Two to {MOST} of them",
    )
    return list(recall(name))


def short(text: str, length: int = SHOWN) -> str:
    """One line of a response."""
    line = flat(" ".join(text[: 4 * length].split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def to_paste() -> None:
    """Turn to pasting, with the prompt and response in view to begin with."""
    example = example_of(view())
    if isinstance(example.prompt, str):
        keep(DRAFT, {"prompt": example.prompt, "responses": [example.response, ""]})
    keep(SOURCE, PASTE)


def _item() -> None:
    items = {item.id: item for item in gallery()}
    current = view().example.partition("/")[0]
    key = "redviz.widget.compare.item"
    st.session_state[key] = current if current in items else None

    def take() -> None:
        if item := items.get(st.session_state[key]):
            update(example=f"{item.id}/{item.responses[0].id}", prompt="", response="", pin=None)

    st.selectbox(
        "Prompt",
        list(items),
        format_func=lambda i: items[i].title,
        key=key,
        on_change=take,
        placeholder="Your own text",
        width=300,
    )
    if current in items and items[current].rule and view().model != items[current].rule:
        st.caption(f"⚠ This item was written for {items[current].rule}: choose it at the left, as reward model.")


def _paste() -> None:
    draft = recall(DRAFT) or {"prompt": "", "responses": ["", ""]}
    keep(DRAFT, draft)

    def field(label: str, key: str, value: str, height: int) -> str:
        st.session_state[key] = value
        written: str = st.text_area(label, key=key, height=height, on_change=take)
        return written

    def take() -> None:
        draft["prompt"] = st.session_state["redviz.widget.compare.prompt"]
        draft["responses"] = [st.session_state[f"redviz.widget.compare.{i}"] for i in range(len(draft["responses"]))]

    prompt = field("Prompt", "redviz.widget.compare.prompt", draft["prompt"], 80)
    written = [
        field(f"Response {ascii_uppercase[i]}", f"redviz.widget.compare.{i}", text, 110)
        for i, text in enumerate(draft["responses"])
    ]
    with st.container(horizontal=True):
        go = st.button("Compare them", type="primary")
        full = len(written) >= MOST
        st.button("Add another", icon=":material/add:", on_click=lambda: draft["responses"].append(""), disabled=full)
        if len(written) > 2:
            st.button("Remove the last", on_click=lambda: draft["responses"].pop())
    longest = max(written, key=len)
    if not too_long(prompt, longest) and go:
        keep(PASTED, [Example(prompt, text) for text in written])


def check(examples: Sequence[Example], names: Sequence[str]) -> None:
    """Raise a :class:`RedvizError`, with the next click, where these cannot be compared."""
    if len(examples) < 2:
        raise RedvizError("Choose at least two responses to compare.")
    if len(examples) > MOST:
        raise RedvizError(f"{len(examples)} responses are chosen; at most {MOST} can be told apart, so leave some out.")
    seen: dict[str, str] = {}
    for name, example in zip(names, examples, strict=True):
        if not example.response.strip():
            raise RedvizError(f"Response {name} is empty; write at least one word to score, or leave it out.")
        if example.response in seen:
            same = seen[example.response]
            raise RedvizError(f"Responses {same} and {name} are the same text; change one of them or leave it out.")
        seen[example.response] = name


def _prompt(example: Example) -> None:
    turns = [{"role": "user", "content": example.prompt}] if isinstance(example.prompt, str) else example.prompt
    with st.expander(f"Prompt: {plain(short(' / '.join(turn['content'] for turn in turns), 100)) or '(empty)'}"):
        for turn in turns:
            st.caption(plain(turn["role"]))
            st.text(shown_text(turn))
