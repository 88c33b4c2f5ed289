"""What Compare asks of the worker: the shared pass over all responses, then each method's credits as they come."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz.analysis import with_credits
from redviz.app.parts.methods_bar import method_names, remove
from redviz.app.parts.waiting import job_on, result_of, wait_for, with_partners
from redviz.app.session import engine, partners_for
from redviz.app.worker import LONG, Job
from redviz.comparison import Comparison, observe_together
from redviz.credit.ingredients import Partners
from redviz.credit.recipes import Recipe
from redviz.models.spec import ModelSpec
from redviz.records import Analysis, Credit, Example

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

SCORES = "Scoring the responses"


def compared(spec: ModelSpec, examples: Sequence[Example], wanted: Mapping[str, Recipe]) -> Comparison | None:
    """The responses under a model with the credits that are there so far; the progress of the others is on the page.

    None until the scores are there. The numbers are those of :func:`redviz.compare`.
    """
    key = tuple((example.prompt, example.response) for example in examples)
    scored: Comparison | None = result_of(spec, SCORES, key, partial(_score, examples))
    if scored is None:
        return None
    credits: list[dict[str, Credit]] = [{} for _ in examples]
    jobs: list[tuple[str, Hashable, Job]] = []
    names = method_names(wanted)
    for label, recipe in wanted.items():
        beside = partners_for([recipe])
        title, content = names[label], repr((key, recipe, sorted(beside.items())))
        made: list[Credit] | None = engine().kept(spec, title, content)
        if made is None:
            work = with_partners(beside, partial(_credits, scored, recipe, label))
            jobs.append((label, *job_on(spec, title, content, work, LONG, subject=examples[0].prompt)))
            continue
        for own, credit in zip(credits, made, strict=True):
            own[label] = credit
    wait_for([(asked_key, job) for _, asked_key, job in jobs])
    for label, _, job in jobs:
        if job.state == "failed" and len(wanted) > 1:
            st.button(f"Remove {names[label]}", key=f"redviz.failed.{label}", on_click=remove, args=(label,))
    return Comparison(tuple(replace(a, credits=own) for a, own in zip(scored.analyses, credits, strict=True)))


def _score(examples: Sequence[Example], model: RewardModel, job: Job) -> Comparison:
    observations = observe_together(model, [model.encode(example) for example in examples])
    return Comparison(tuple(Analysis(e, model.source, o, {}) for e, o in zip(examples, observations, strict=True)))


def _credits(
    scored: Comparison, recipe: Recipe, label: str, model: RewardModel, job: Job, **partners: Any
) -> list[Credit]:
    observed = [analysis.observation for analysis in scored.analyses if analysis.observation is not None]
    return [
        with_credits(
            model, seen, {label: recipe}, Partners(**partners), job.progress, part=(number, len(observed))
        ).credits[label]
        for number, seen in enumerate(observed)
    ]
