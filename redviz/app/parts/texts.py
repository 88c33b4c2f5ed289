"""Which text the model was trained on, and that text as the model reads it, before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import streamlit as st

from redviz.app.parts.waiting import job_on, result_of
from redviz.app.session import allowed, engine, example_of, offered, spec_of, unconfirmed, update, view
from redviz.models.reading.templates import EOS, OWN, TEXTS, names_file
from redviz.models.spec import ModelSpec, is_rule
from redviz.records import Encoding, Example
from redviz.view.reading import reading_html

if TYPE_CHECKING:
    from redviz.app.worker import Job
    from redviz.models.kinds.reward_model import RewardModel

Writing = tuple[ModelSpec, str, str, Callable[..., Encoding]]
TEXT = "Writing the text"
TITLES = {
    "": "The model's own",
    OWN: "The tokenizer's own",
    "plain": "Prompt, then response",
    "chatml": "ChatML",
    "alpaca": "### Instruction: …",
    "alpaca-preamble": "Below is an instruction … (Alpaca)",
    "vicuna": "USER: … ASSISTANT: …",
    "vicuna-preamble": "A chat between … (Vicuna)",
    "hh": "Human: … Assistant: …",
    "qa": "Question: … Answer: …",
}
USUAL = ("plain", *(name for name in TEXTS if name != "plain"))
OPTIONS = ("", *(name + end for name in (OWN, *USUAL) for end in ("", EOS)))
HELP = (
    "The text that the model was trained on: a usual one, the path of a Jinja file, or a line with {prompt} and {response}, "
    "such as Q: {prompt} A: {response}. +eos at its end writes an EOS behind the response."
)


def title_of(template: str) -> str:
    """A template in words; what has no name stands as it was written."""
    name = template.removesuffix(EOS)
    return TITLES.get(name, name) + (", then EOS" if template.endswith(EOS) else "")


def text_choice() -> None:
    """The choice of a text; a shared server reads no files."""
    current = view().template
    key = "redviz.widget.template"
    st.session_state[key] = current

    def take() -> None:
        update(template=(st.session_state[key] or "").strip())
        if job := _writing():  # now, before the page asks for a score
            job_on(*job)

    options = OPTIONS if current in OPTIONS else (*OPTIONS, current)
    st.selectbox("Text", options, format_func=title_of, key=key, on_change=take, help=HELP, accept_new_options=True)
    if offered() is not None and names_file(view().template):
        update(template="")
        st.error("This server reads no files as templates; choose a text of the list, or write a line.")


def text_as_read() -> None:
    """The prompt and the response in view as the model reads them: one encoding, no forward pass."""
    if job := _writing():
        found: Encoding | None = result_of(*job)
        if found is not None:
            st.caption("As the model reads it: its template dimmed, the response marked.")
            st.html(reading_html(found))


def _writing() -> Writing | None:
    """What writes the text in view, None where there is none to write: the spec, a title, a key and the work."""
    spec, example = spec_of(view()), example_of(view())
    closed = (
        not allowed(spec.name) or spec.name in unconfirmed() or (offered() is not None and names_file(spec.template))
    )
    if closed or is_rule(spec.name) or engine().as_pairs(spec) or not example.response:
        return None

    def work(model: RewardModel, job: Job) -> Encoding:
        return model.encode(Example(example.prompt, example.response))

    return spec, TEXT, repr((example.prompt, example.response)), work
