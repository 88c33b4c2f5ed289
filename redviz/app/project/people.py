"""The people of a project and their personal links; the maps that its task or its reveal needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

from redviz.annotation.map_making import Made, make_maps, without_maps
from redviz.annotation.people import (
    AnnotatorInfo,
    add_annotators,
    delete_annotator,
    list_annotators,
    renew_code,
    set_annotator_state,
)
from redviz.annotation.projects import ProjectInfo
from redviz.app.access import guarded, personal_link
from redviz.app.annotate.state import store
from redviz.app.parts.methods_bar import method_names
from redviz.app.parts.waiting import wait_for, with_partners
from redviz.app.project.state import told
from redviz.app.session import allowed, engine, partners_for, spec_of, view
from redviz.app.worker import LONG, Job
from redviz.credit.ingredients import Partners
from redviz.credit.recipes import Recipe, recipes
from redviz.data.results.rows import without_formulas
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

STATES = {"active": "active", "paused": "paused", "refused": "not qualified", "imported": "imported labels, no link"}
MAPS, JOBS_OF_MAPS = "Computing the maps", "redviz.project.maps"


def people_part(project: ProjectInfo) -> None:
    """Draw it."""
    _safety()
    people = list_annotators(store(), project.id)
    invited = [person for person in people if person.state != "imported"]
    if not invited:
        st.info("Nobody can annotate yet: add people below, then send each of them their link.")
    for person in invited:
        _person(person)
    if others := [person.name for person in people if person.state == "imported"]:
        st.caption(
            plain(
                f"Imported labels of {', '.join(others[:20])}{' …' if len(others) > 20 else ''}; nobody has a link to these names."
            )
        )
    _add(project)
    if invited:
        links = pd.DataFrame({"name": [p.name for p in invited], "link": [personal_link(p.code) for p in invited]})
        st.download_button(
            "Download all links (CSV)",
            without_formulas(links).to_csv(index=False),
            "links.csv",
            "text/csv",
            on_click="ignore",
        )
    _maps(project)


def _safety() -> None:
    seen_at = urlsplit(st.context.url or "").hostname
    here = (None, "localhost", "127.0.0.1", "::1")
    if not guarded() and (seen_at not in here or st.get_option("server.address") not in here[1:]):
        st.warning(
            "Whoever shortens a personal link reaches every screen, credits included. Set REDVIZ_LEAD_CODE before you start redviz, "
            "and those screens ask for it."
        )
    elif not guarded():
        st.caption(
            "This redviz is open on your machine only. For annotators elsewhere, set REDVIZ_LEAD_CODE and serve it with --address 0.0.0.0."
        )


def _person(person: AnnotatorInfo) -> None:
    with st.container(horizontal=True, vertical_alignment="center", border=True):
        st.markdown(f"**{plain(person.name)}**  \n{STATES[person.state]}", width=160)
        st.code(personal_link(person.code), language=None, width="stretch")
        st.link_button("Open", personal_link(person.code))
        if person.state == "active":
            st.button(
                "Pause",
                key=f"redviz.pause.{person.id}",
                on_click=told,
                args=(set_annotator_state, store(), person.id, "paused"),
            )
        else:
            st.button(
                "Let in",
                key=f"redviz.admit.{person.id}",
                on_click=told,
                args=(set_annotator_state, store(), person.id, "active"),
            )
        with st.popover("New link"):
            st.write("For a link that others have seen: the old one stops working, and everything judged stays.")
            st.button(
                "Make a new link", key=f"redviz.renew.{person.id}", on_click=told, args=(renew_code, store(), person.id)
            )
        with st.popover("Remove"):
            st.write("Their link stops working and their judgements no longer count; nothing is erased.")
            st.button(
                "Remove them",
                key=f"redviz.remove.{person.id}",
                on_click=told,
                args=(delete_annotator, store(), person.id),
            )


def _add(project: ProjectInfo) -> None:
    with st.form("redviz.project.add", clear_on_submit=True, border=False):
        names = st.text_area("Add people, one name a line", height=80)
        if st.form_submit_button("Add them") and names.strip():
            add_annotators(store(), project.id, [line.strip() for line in names.splitlines() if line.strip()])
            st.rerun()


# ---- maps --------------------------------------------------------------------------------------------------------------


def _maps(project: ProjectInfo) -> None:
    """Maps are computed before anybody is asked about them: annotators' screens run no model."""
    if project.task != "maps" and not project.reveal_method:
        return
    wanted = _wanted(project)
    st.divider()
    st.markdown("**Maps**")
    missing = without_maps(store(), project.id, frozenset(wanted))
    named = ", ".join(method_names(wanted).values()) if project.task == "maps" else project.reveal_method
    if not missing:
        st.success(plain(f"All {project.items:,} items have their maps ({named})."))
        return
    spec = spec_of(view())
    st.write(plain(f"{len(missing):,} of {project.items:,} items lack a map of {named}, by {spec.name}. "))
    if project.task == "maps":
        st.caption("These are the methods chosen on Inspect; two or more are needed.")
        if len(wanted) < 2:
            return
    if not allowed(spec.name):
        st.error(plain(f"This server does not offer {spec.name}; choose a model at the left."))
        return
    running: dict[int, Job] = st.session_state.setdefault(JOBS_OF_MAPS, {})
    job = running.get(project.id)
    if job is None:
        st.button("Compute them", type="primary", on_click=_start, args=(project.id, wanted))
    elif job.state == "done":
        st.warning(plain(_failed(job.wait())))
        st.button("Try again", on_click=_start, args=(project.id, wanted))
    else:
        wait_for([((MAPS, project.id), job)])


def _failed(made: Made) -> str:
    first = next(iter(made.failed.items()), ("", ""))
    return f"{made.items} items got their maps; {len(made.failed)} did not, the first is {first[0]}: {first[1]}"


def _wanted(project: ProjectInfo) -> dict[str, Recipe]:
    if project.task == "maps":
        return dict(view().recipes)
    return recipes({project.reveal_method: {}})


def _start(project_id: int, wanted: dict[str, Recipe]) -> None:
    """Queue the job."""
    spec, running, kept = spec_of(view()), engine(), store()

    def work(model: RewardModel, job: Job, **partners: Any) -> Made:
        return make_maps(kept, project_id, model, wanted, Partners(**partners), job.progress)

    key, beside = repr((project_id, wanted)), partners_for(wanted.values())
    running.drop(spec, MAPS, key)
    made = running.with_model(spec, MAPS, with_partners(beside, work), key=key, priority=LONG)
    st.session_state[JOBS_OF_MAPS][project_id] = made
