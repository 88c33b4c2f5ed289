"""The sidebar: which model, how it is loaded, and whether it may be believed."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import streamlit as st

from redviz.app.demonstration import about
from redviz.app.parts.texts import text_as_read, text_choice
from redviz.app.session import (
    CARD,
    QUICK,
    ROLES,
    THOROUGH,
    allowed,
    asked,
    bound,
    engine,
    known_card,
    offered,
    partners_of,
    spec_of,
    unconfirmed,
    update,
    use_model,
    view,
)
from redviz.app.state import CHOICES
from redviz.app.worker import IDLE, LONG, Job
from redviz.models.families.table import ABOUT
from redviz.models.loading.files import embedded_models, embedded_reward_models
from redviz.models.rules.rules import RULES
from redviz.models.spec import ModelSpec, ModelState, is_rule
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

STYLE = Path(__file__).with_name("page.css")
OTHERS = {
    "policy": ("Policy", "The tuned language model of dpo, rto, sepo, tdpo, the KL penalty and ABC-D."),
    "reference": ("Reference", "The model it was tuned from; treg asks this one."),
    "cost_model": ("Cost model", "A second reward model whose score is a cost, for RED's α."),
    "value_model": ("Critic", 'V(s_t) of the return curves under the baseline "value model".'),
}
LOADING = "redviz.loading"
READS = {"model": "where the model's own forward does", "last": "the last token"}
LAMP = {"green": ("🟢", "all checks passed"), "amber": ("🟠", "read its cautions"), "red": ("🔴", "a check failed")}


def sidebar() -> None:
    """Draw it."""
    with st.sidebar:
        st.markdown("### redviz\nWhich tokens of a response earn its reward.")
        if said := about():
            st.caption(said)
        _model_picker()
        _loading_options()
        spec = spec_of(view())
        _other_models()
        if not allowed(spec.name) or spec.name in unconfirmed():
            return
        if is_rule(spec.name):
            st.caption(plain(RULES[spec.name].description))
            return
        pairs = engine().as_pairs(spec)
        _status(engine().state(pairs or spec))
        if pairs:
            st.page_link("pages/compare.py", label="⚪ it judges pairs: use Compare")
        else:
            _lamp(spec)


def card_job(spec: ModelSpec, thorough: bool = False) -> tuple[Hashable, Job]:
    """Request, once in this session, the conformance card, and the key it is asked for under. The worker gets to it when nobody waits
    for anything else; a thorough one is asked for by a press, as any long job.
    """

    def check(model: RewardModel, job: Job) -> object:
        from redviz.evaluation.conformance.conformance import check_model

        return check_model(model, job.progress, thorough)

    kept, priority = (THOROUGH, LONG) if thorough else (QUICK, IDLE)
    key = (CARD, spec, kept)
    start = lambda: engine().with_model(spec, CARD, check, key=kept, priority=priority)  # noqa: E731
    return key, asked(key, start, subject=key if thorough else None)


def _model_picker() -> None:
    free = offered() is None
    listed = [*(offered() or embedded_reward_models()), *RULES]
    current = view().model
    options = [*listed, *([current] if free and current not in listed else [])]
    key = "redviz.widget.picker"
    st.session_state[key] = current if current in options else None

    def take() -> None:
        name = (st.session_state[key] or "").strip()
        if not name:
            return
        unconfirmed().discard(name)
        use_model(name)

    st.selectbox(
        "Reward model",
        options,
        key=key,
        on_change=take,
        placeholder="Choose, or type a folder or Hub id",
        accept_new_options=free,
    )
    if current not in options:
        st.error(f"{plain(current)} is not on this server's list; choose one of it.")


def _loading_options() -> None:
    with st.popover("Loading options", width="stretch", key=LOADING, on_change="rerun") as options:
        text_choice()
        if options.open:
            text_as_read()
        if offered() is None:  # a shared server decides these itself
            help_device = "auto takes CUDA, else MPS, else the CPU"
            bound(st.selectbox, "Device", "device", CHOICES["device"], help=help_device)
            bound(
                st.selectbox,
                "dtype",
                "dtype",
                CHOICES["dtype"],
                help="The head always runs in float32. 8bit and 4bit need bitsandbytes.",
            )
            bound(st.text_input, "Revision", "revision", help="A branch, tag or commit of a Hub id.")
        help_head = "For models with several labels: an index, a name, or a difference such as 1-0."
        bound(st.text_input, "Head", "head", help=help_head)
        bound(st.selectbox, "Read the score at", "read", CHOICES["read"], format_func=lambda r: READS[r])


def _other_models() -> None:
    """A policy with its reference, a cost model, a critic: some methods and baselines need them."""
    with st.popover("Other models", width="stretch", help="A policy with its reference, a cost model, a critic"):
        for role in ROLES:
            _other_model(role)


def _other_model(role: str) -> None:
    title, help_text = OTHERS[role]
    policies = [name for name in embedded_models() if name not in embedded_reward_models()]
    listed = list(policies if role in ("policy", "reference") else embedded_reward_models())
    free, current = offered() is None, getattr(view(), role)
    options = [*listed, *([current] if current and current not in listed else [])]
    key = f"redviz.widget.{role}"
    st.session_state[key] = current or None

    def take() -> None:
        name = (st.session_state[key] or "").strip()
        unconfirmed().discard(name)
        update(**{role: name})

    st.selectbox(
        title,
        options,
        key=key,
        on_change=take,
        help=help_text,
        accept_new_options=free,
        placeholder="None: choose, or type a folder or Hub id" if free else "None",
    )
    if current and role not in partners_of(view()):
        st.caption(
            "Not loaded: " + ("only the link asks for it; choose it here." if free else "not on this server's list.")
        )


def _status(state: ModelState | None) -> None:
    if state is None:
        st.caption("The model loads when it is first needed.")
        return
    free = psutil.virtual_memory().available if state.source.device == "cpu" else state.free_bytes
    st.markdown(
        f":gray-badge[{state.source.dtype}] :gray-badge[{state.source.device}] :gray-badge[{free / 2**30:.1f} GiB free]"
    )
    if known := ABOUT.get(state.source.family):
        st.caption(plain(f"{known.title}: {known.verified}."))


@st.fragment(run_every=1.0)
def _waiting(job: Job) -> None:
    if job.finished.is_set():
        st.rerun()
    st.caption(
        f"⚪ Checking the model: {job.done} of {job.total} checks"
        if job.total
        else "⚪ The model has not been checked yet."
    )


def _lamp(spec: ModelSpec) -> None:
    card = known_card(spec)
    if card is not None:
        sign, words = LAMP[card.verdict]
        st.page_link("pages/model.py", label=f"{sign} {card.verdict}: {words}")
        return
    _, job = card_job(spec)
    if job.finished.is_set():
        st.page_link("pages/model.py", label="🔴 the model could not be checked")
    else:
        _waiting(job)
