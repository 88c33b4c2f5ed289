"""The head of Inspect: the score and what it is made of, notices, and the methods still under way."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from redviz.app.parts.methods_bar import method_names, remove
from redviz.app.parts.waiting import wait_for
from redviz.app.session import ROLES, asked, engine, recent, unconfirmed, view
from redviz.credit.recipes import Recipe
from redviz.models.spec import ModelSpec, PartnerSpecs
from redviz.records import Analysis, Example
from redviz.view.markdown import plain


def headline(analysis: Analysis) -> None:
    """Score, base and closing, and the notices of this response."""
    for notice in analysis.notices:
        st.warning(plain(notice))
    with st.container(horizontal=True, gap="large"):
        st.metric(
            "Score",
            f"{analysis.score:+.3f}",
            _change(analysis),
            width="content",
            help="What the model's own forward pass returns for this conversation",
        )
        st.metric(
            "Base P₀",
            f"{analysis.base:+.3f}",
            width="content",
            help="The score of the empty response: what the prompt alone brings",
        )
        st.metric(
            "Closing",
            f"{analysis.closing:+.3f}",
            width="content",
            help="What the template's closing tokens add after the last response token",
        )
        st.metric(f"{analysis.unit.capitalize()}s", len(analysis.tokens), width="content")


def _change(analysis: Analysis) -> str | None:
    """The change from the response looked at before, where it answers the same prompt (an edit, say)."""
    seen = recent()
    if len(seen) < 2 or seen[1][0].prompt != analysis.prompt or seen[1][1] != seen[0][1]:
        return None
    return f"{analysis.score - seen[1][2]:+.3f} from the response before"


def missing_credits(
    spec: ModelSpec,
    example: Example,
    missing: Mapping[str, Recipe],
    refused: Mapping[str, str],
    partners: PartnerSpecs,
) -> None:
    """Ask the worker for what is missing, with its progress; say which methods refuse, and why."""
    names = method_names(missing)
    jobs = []
    for label, recipe in missing.items():
        key = ("credit", spec, repr(example), repr(recipe), repr(partners) if recipe.ingredients != ("model",) else "")
        title = names[label]
        start = lambda t=title, r=recipe: engine().credit(spec, example, t, r, partners)  # noqa: E731
        jobs.append((key, asked(key, start, subject=example.prompt)))
    wait_for(jobs)
    failed = [label for label, (_, job) in zip(missing, jobs, strict=True) if job.state == "failed"]
    for label in failed:
        st.button(f"Remove {names[label]}", key=f"redviz.failed.{label}", on_click=remove, args=(label,))
    waiting = unconfirmed() & {getattr(view(), role) for role in ROLES}
    for label, why in refused.items():
        if not waiting:  # else the page offers to load what is missing
            with st.container(horizontal=True, vertical_alignment="center"):
                st.warning(plain(why if why.startswith(label) else f"{label}: {why}"))
                st.button("Remove", key=f"redviz.refused.{label}", on_click=remove, args=(label,))
    if any(" --" in why for why in refused.values()) and not waiting:
        st.caption("What the sentence calls --policy, --reference or --cost-model is under Other models, at the left.")
