"""The browser session: the engine, the view a person has chosen, its link, and the responses seen lately."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz import settings
from redviz.app.demonstration import busy_job, check_length
from redviz.app.engine import Engine
from redviz.app.state import DEFAULT, ViewState, from_query, to_query
from redviz.app.worker import Job
from redviz.credit.ingredients import needed_partners
from redviz.credit.recipes import Recipe
from redviz.data.gallery import GalleryItem, load_gallery
from redviz.data.results.archive import load_analysis
from redviz.errors import RedvizError
from redviz.models.loading.files import embedded_reward_models
from redviz.models.reading.templates import names_file
from redviz.models.spec import PARTNERS, ModelSpec, is_rule
from redviz.records import Example
from redviz.view.colour import DARK, LIGHT, Theme
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from redviz.evaluation.conformance.conformance import ConformanceCard

RECENT = 20
VIEW, NOTICE, SEEN, STORED = "redviz.view", "redviz.notice", "redviz.recent", "redviz.stored"
UNCONFIRMED = "redviz.unconfirmed"
ROLES = {**PARTNERS, "value_model": "value"}  # fields of the view that name a partner, and its role
CARD = "Checking the model"
QUICK, THOROUGH = "card", "thorough card"  # keys that cards are kept under
THROUGH, ASKED = "redviz.through", "redviz.asked"
JOBS, JOBS_KEPT, SUBJECT = "redviz.jobs", 100, "redviz.jobs.subject"
FOR_RULES = ("sparse", "truncation", "occlusion", "shapley")  # what a function of text is split by at first


@st.cache_resource(show_spinner=False)
def engine() -> Engine:
    """The one engine of this server. Primed with the stored opening example, so that the first strips wait for no model."""
    # Before any worker imports torch: scipy.stats breaks where it finds a torch that another thread has half imported.
    import_module("scipy.stats")
    made = Engine()
    made.prime(spec_of(DEFAULT), load_analysis(settings.project_file("sample_data/opening.npz")))
    return made


@st.cache_resource(show_spinner=False)
def gallery() -> tuple[GalleryItem, ...]:
    """The prompts and responses that ship with redviz."""
    return load_gallery()


def through_app(page: str) -> None:
    """Go to ``app.py`` first where Streamlit runs a page without it: it takes ``pages/`` for an app of the old kind until ``app.py``
    has called ``st.navigation`` once on this server. The address keeps what it says: should the server end on the way, the next one
    knows this visitor by nothing else.
    """
    if THROUGH not in st.session_state:
        st.session_state[ASKED] = (page, st.query_params.to_dict())
        st.switch_page("app.py", query_params=st.query_params.to_dict())


def back_to_page(may: bool = True) -> None:
    """Called by ``app.py``: from here on pages run inside it; back to the page that was asked for alone, if it may be shown."""
    st.session_state[THROUGH] = True
    page, query = st.session_state.pop(ASKED, ("", {}))
    if page and may:
        st.switch_page(page, query_params=query)
    if may:
        view()  # now, while the address bar holds the link: another page empties it, perhaps before this one asks for the view


def view() -> ViewState:
    """What this browser session looks at. The link is read once, when the session begins."""
    if VIEW not in st.session_state:
        asked, problem = from_query(st.query_params.to_dict())
        if not asked.example and not asked.response:
            asked = replace(asked, example=DEFAULT.example)
            problem = problem or "Your own text is not in the address bar; paste it again, or copy a link next time."
        try:
            check_length(asked.prompt, asked.response)  # of a view that was stored before this was a demonstration
        except RedvizError as error:
            asked, problem = DEFAULT, str(error)
        if offered() is not None and names_file(asked.template):
            asked = replace(asked, template="")
            problem = "This server reads no files, so the template of this link is left out; the rest stands."
        st.session_state[VIEW] = asked
        st.session_state[NOTICE] = problem
        st.session_state[STORED] = st.query_params.get("view") if not problem else None
        if offered() is None:
            named = (asked.model, *(getattr(asked, role) for role in ROLES))
            st.session_state[UNCONFIRMED] = {name for name in named if name and not ships(name)}
            if names_file(asked.template):  # the model is what is asked about: it is loaded with the file
                st.session_state[UNCONFIRMED].add(asked.model)
    state: ViewState = st.session_state[VIEW]
    return state


def update(**changes: Any) -> None:
    """Change the view. A stored view's link no longer fits it."""
    changed = replace(view(), **changes)
    if changed != view():
        if set(changes) != {"pin"}:
            st.session_state[STORED] = None
            st.session_state[NOTICE] = ""  # what was wrong with the link is said until the view is another
        st.session_state[VIEW] = changed


def write_link() -> None:
    """Put the view into the address bar (a page change empties it)."""
    stored = st.session_state.get(STORED)
    query = to_query(view())
    wanted = {"view": stored, **{name: query[name] for name in ("pin",) if name in query}} if stored else query
    if st.query_params.to_dict() != wanted:
        st.query_params.from_dict(wanted)


def spec_of(state: ViewState) -> ModelSpec:
    """Which model the view names, and how it is loaded. A shared server decides revision, device and dtype itself."""
    if offered() is not None:
        return ModelSpec(state.model, head=state.head or None, read=state.read, template=state.template or None)
    if is_rule(state.model):
        return ModelSpec(state.model)
    return ModelSpec(
        state.model,
        state.device,
        state.dtype,
        state.revision or None,
        state.head or None,
        None,
        state.read,
        state.template or None,
    )


def partners_of(state: ViewState) -> dict[str, ModelSpec]:
    """The models beside the reward model that this session may use: "policy", "reference", "cost_model", "value_model"."""
    spec = spec_of(state)
    return {
        partner: ModelSpec(name, spec.device, spec.dtype, role=role)
        for partner, role in ROLES.items()
        if (name := getattr(state, partner)) and (ships(name) or allowed(name)) and name not in unconfirmed()
    }


def partners_for(wanted: Iterable[Recipe]) -> dict[str, ModelSpec]:
    """Those of the view's partners that these recipes ask for."""
    needed = needed_partners(wanted)
    return {partner: spec for partner, spec in partners_of(view()).items() if partner in needed}


def ships(name: str) -> bool:
    """Whether it comes with redviz, so that using it fetches and reads nothing from elsewhere."""
    return name.startswith("embedded:") or is_rule(name)


def unconfirmed() -> set[str]:
    """Models that only a link has asked for so far."""
    found: set[str] = st.session_state.setdefault(UNCONFIRMED, set())
    return found


def confirm_partners(wanted: Mapping[str, Recipe]) -> None:
    """Offer to load the models beside the reward model that only a link asks for, where a method needs them."""
    named = {getattr(view(), partner) for partner in needed_partners(wanted.values())} & unconfirmed()
    for name in sorted(named):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.info(f"The link asks for {plain(name)} beside the reward model. Loading it reads its files.")
            st.button(
                "Load it", key=f"redviz.load.{name}", on_click=unconfirmed().discard, args=(name,), type="primary"
            )


def use_model(name: str) -> None:
    """Score by this model. Methods that cannot look into a function of text give way to those that can."""
    changes: dict[str, Any] = {"model": name, "head": "", "template": "", "pin": None}
    rule, was_rule = is_rule(name), is_rule(view().model)
    if rule and not all(recipe.info.black_box for recipe in view().recipes.values()):
        changes |= {"methods": {method: {} for method in FOR_RULES}, "rewards": FOR_RULES[0]}
    elif was_rule and not rule and list(view().methods) == list(FOR_RULES):
        changes |= {"methods": DEFAULT.methods, "rewards": DEFAULT.rewards}
    update(**changes)


def offered() -> tuple[str, ...] | None:
    """The models a shared server offers: those on its list, or the embedded ones of a public server; None offers any."""
    return settings.allowed_models() or (embedded_reward_models() if settings.demo_mode() else None)


def theme() -> Theme:
    """The colours of the theme the browser shows."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def allowed(name: str) -> bool:
    """Whether this server may load the model."""
    listed = offered()
    return listed is None or name in listed or is_rule(name)


def confirmed(name: str) -> bool:
    """Whether a person here asked for the model; a link alone does not make this machine fetch or read a folder."""
    if name not in unconfirmed():
        return True
    st.info(
        f"The link asks for the model {plain(name)}. Loading it reads its files, and fetches them where they are not here."
    )
    if st.button("Load this model", type="primary"):
        unconfirmed().discard(name)
        st.rerun()
    return False


def example_of(state: ViewState) -> Example:
    """The prompt and response the view points at."""
    if not state.example:
        return Example(state.prompt, state.response)
    item_id, _, response_id = state.example.partition("/")
    for item in gallery():
        for response in item.responses:
            if item.id == item_id and response.id == response_id:
                return Example(item.prompt, response.text, state.example)
    raise RedvizError(f"The gallery has no {state.example!r}; pick another response.")


def remember(example: Example, spec: ModelSpec, score: float) -> None:
    """Keep the responses this session has looked at, and under which model, the latest first."""
    seen: list[tuple[Example, ModelSpec, float]] = st.session_state.setdefault(SEEN, [])
    seen[:] = [entry for entry in seen if entry[:2] != (example, spec)]
    seen.insert(0, (example, spec, score))
    del seen[RECENT:]


def recent() -> list[tuple[Example, ModelSpec, float]]:
    """Responses looked at in this session, the latest first, with their model and score."""
    return list(st.session_state.get(SEEN, []))


def show_example(example: Example) -> None:
    """Look at this response."""
    if example.id and any(example.id.startswith(item.id + "/") for item in gallery()):
        update(example=example.id, prompt="", response="", pin=None)
    else:
        update(example="", prompt=example.prompt, response=example.response, pin=None)


def asked(key: Hashable, start: Callable[[], Job], subject: Hashable = None) -> Job:
    """The job this session asked for under a key. One that failed stays failed until :func:`ask_again`, so nothing loops;
    one that is done and asked for anew has lost its result to a full cache, and runs again.

    ``subject`` is what a long job is about. A demonstration works on one subject at a time for each session: while jobs of
    another are under way, what comes back is a job that has failed with a sentence, and is not remembered.
    """
    jobs: dict[Hashable, Job] = st.session_state.setdefault(JOBS, {})
    if key not in jobs or jobs[key].state == "done":
        if settings.demo_mode() and subject is not None:
            about, old = st.session_state.get(SUBJECT, (subject, []))
            under_way = [job for job in old if not job.finished.is_set()]
            if under_way and about != subject:
                return busy_job(key, under_way[0])
            jobs[key] = start()
            st.session_state[SUBJECT] = (subject, [*under_way, jobs[key]])
        else:
            jobs[key] = start()
        while len(jobs) > JOBS_KEPT:
            jobs.pop(next(iter(jobs)))
    return jobs[key]


def own_jobs() -> list[Job]:
    """The jobs this session asked for, oldest first."""
    return list(st.session_state.get(JOBS, {}).values())


def ask_again(key: Hashable) -> None:
    """Forget a job of this session, so that it is asked for anew."""
    st.session_state.get(JOBS, {}).pop(key, None)


def bound(widget: Callable[..., Any], label: str, name: str, *args: Any, **options: Any) -> Any:
    """A widget that shows and changes one field of the view.

    Widgets lose their state when their page is left, so the view is kept apart and seeds them on every run.
    """
    key = f"redviz.widget.{name}"
    st.session_state[key] = getattr(view(), name)

    def take() -> None:
        value = st.session_state[key]
        if value is not None:  # a segmented control can be clicked empty
            update(**{name: value})

    return widget(label, *args, key=key, on_change=take, **options)


def remembered(label: str, name: str, options: Sequence[str], **more: Any) -> str:
    """A row of buttons whose choice outlives its page but is no part of the link. Clicking the chosen one keeps it."""
    key, kept = f"redviz.widget.{name}", f"redviz.{name}"
    if st.session_state.get(kept) not in options:
        st.session_state[kept] = options[0]
    st.session_state[key] = st.session_state[kept]

    def take() -> None:
        if st.session_state[key] is not None:
            st.session_state[kept] = st.session_state[key]

    st.segmented_control(label, options, key=key, on_change=take, **more)
    chosen: str = st.session_state[kept]
    return chosen


def choice(label: str, name: str, options: Sequence[str], **more: Any) -> None:
    """A row of buttons for one field of the view."""
    bound(st.segmented_control, label, name, options, **more)


def card_if_known() -> dict[str, Any] | None:
    """The model's conformance card as plain JSON types, where it has been checked: every export carries it."""
    card = known_card(spec_of(view()))
    return None if card is None else card.to_dict()


def known_card(spec: ModelSpec) -> ConformanceCard | None:
    """The conformance card of a model, where it has been checked: the thorough one, if there is one."""
    card: ConformanceCard | None = engine().kept(spec, CARD, THOROUGH) or engine().kept(spec, CARD, QUICK)
    return card
