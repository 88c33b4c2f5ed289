"""What a baseline of the return curves needs beside the response: other responses to the prompt, or a critic's values."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz.app.parts.waiting import result_of, wait_for
from redviz.app.session import asked, engine, gallery, partners_of, recent, view
from redviz.app.worker import Job
from redviz.credit.advantages import GROUPED
from redviz.credit.recipes import Recipe
from redviz.models.spec import ModelSpec
from redviz.records import Analysis, Array, Example

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

MOST = 8  # responses of a group


def critic_inputs(analysis: Analysis, spec: ModelSpec, label: str, recipe: Recipe) -> dict[str, Any] | None:
    """The arguments that the chosen baseline adds to ``return_curves``; None while they are missing, with why on the page."""
    baseline = view().baseline
    if baseline in GROUPED:
        return _group(analysis, spec, label, recipe, baseline)
    if baseline == "value model":
        return _critic(analysis)
    return {}


def siblings(example: Example, spec: ModelSpec) -> list[Example]:
    """Other responses to this prompt: those of the gallery, and those this session has scored with this model."""
    shown = [Example(item.prompt, response.text) for item in gallery() for response in item.responses]
    shown += [seen for seen, other, _ in recent() if other == spec]
    texts = dict.fromkeys(e.response for e in shown if e.prompt == example.prompt and e.response != example.response)
    return [Example(example.prompt, text) for text in list(texts)[: MOST - 1]]


def _group(analysis: Analysis, spec: ModelSpec, label: str, recipe: Recipe, baseline: str) -> dict[str, Any] | None:
    others = siblings(analysis.example, spec)
    if not others:
        st.info(
            f"{baseline} compares several responses to one prompt, and this is the only one here; "
            "choose a prompt of the gallery, or edit the response and score it."
        )
        return None
    partners = partners_of(view())
    jobs: list[tuple[Hashable, Job]] = []
    rewards: list[Array] = []
    for other in others:
        of_other, missing, refused = engine().cached(spec, other, {label: recipe}, partners)
        if of_other is None:
            key: Hashable = ("observe", spec, repr(other))
            jobs.append((key, asked(key, lambda e=other: engine().observe(spec, e))))  # type: ignore[misc]
        elif missing:
            key = ("credit", spec, repr(other), repr(recipe))
            start = lambda e=other: engine().credit(spec, e, label, recipe, partners)  # noqa: E731
            jobs.append((key, asked(key, start, subject=other.prompt)))
        elif not refused:
            rewards.append(of_other.credits[label].values)
    wait_for(jobs)
    if jobs or not rewards:
        return None
    totals = [float(credits.sum()) for credits in (analysis.credits[label].values, *rewards)]
    listed = ", ".join(f"{total:+.3g}" for total in totals)
    st.caption(
        f"The group: this response and {len(rewards)} other{'s' * (len(rewards) > 1)} to the same prompt, with rewards of {listed}."
    )
    return {"group": rewards}


def _critic(analysis: Analysis) -> dict[str, Any] | None:
    critic = partners_of(view()).get("value_model")
    observation = analysis.observation
    if critic is None or observation is None:
        st.info('The baseline "value model" needs a critic; choose one under Other models, at the left.')
        return None

    def work(model: RewardModel, job: Job) -> Array:
        from redviz.models.kinds.value_head import critic_values

        return critic_values(model, observation.encoding)

    values = result_of(critic, "Critic values", (analysis.prompt, analysis.response, analysis.source.fingerprint), work)
    return None if values is None else {"values": values}
