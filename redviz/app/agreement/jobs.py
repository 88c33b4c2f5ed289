"""The two long jobs of the Agreement screen: credits of the labelled responses, and removing their units."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz import settings
from redviz.app.agreement.state import Labels, units_choice
from redviz.app.parts.kept import keep, recall
from redviz.app.parts.methods_bar import method_names, methods_bar
from redviz.app.parts.waiting import result_of, with_partners
from redviz.app.session import allowed, confirm_partners, confirmed, engine, partners_for, spec_of, view
from redviz.app.worker import LONG, Job
from redviz.credit.recipes import Recipe, spelled_out
from redviz.data.labels.labels import LabelledItem
from redviz.errors import RedvizError
from redviz.evaluation.agreement.agreement import ScoredLabels, score_labelled
from redviz.evaluation.faithfulness.faithfulness_report import FaithfulnessReport, faithfulness_over
from redviz.models.spec import ModelSpec
from redviz.records import Analysis, Source
from redviz.view.markdown import plain

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

SCORING, REMOVING = "Credits of labelled responses", "Removing units"
LIMIT = "agreement.limit"
FIRST_LIMIT, DEMO_LIMIT = 100, 50  # responses
Pair = tuple[LabelledItem, Analysis]


def methods_and_responses() -> None:
    """The methods bar, folded away under what it says."""
    named = ", ".join(method_names(view().recipes).values())
    with st.expander(f"Methods: {plain(named)}", icon=":material/tune:"):
        methods_bar(engine().state(spec_of(view())))
        st.caption(
            "Split, layout, scale and text size are those of Inspect; the units of this screen are chosen below."
        )


def responses_limit(labels: Labels, name: str, first: int, words: str) -> int:
    """How many of the judged responses to take, in their order."""
    most = min(len(labels.items), DEMO_LIMIT) if settings.demo_mode() else len(labels.items)
    kept, key = recall(name), f"redviz.widget.{name}"
    st.session_state[key] = min(most, kept or first)
    return int(
        st.number_input(
            f"Responses, of {len(labels.items):,}", 1, most, key=key, width=180, help=words,
            on_change=lambda: keep(name, st.session_state[key]),
        )
    )  # fmt: skip


def usable_model() -> ModelSpec | None:
    """The view's model, where it may be loaded here; else the page says why not."""
    spec = spec_of(view())
    if not allowed(spec.name):
        st.error(f"This server does not offer {plain(spec.name)}; choose a model at the left.")
        return None
    if not confirmed(spec.name):
        return None
    confirm_partners(view().recipes)
    return spec


def scored(labels: Labels) -> ScoredLabels | None:
    """The credits of the labelled responses by the view's methods; None until they are there, with what to do on the page."""
    methods_and_responses()
    spec = usable_model()
    if spec is None:
        return None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        limit = responses_limit(labels, LIMIT, FIRST_LIMIT, "The first ones, in the order of the file or the project.")
        units_choice()
    items = labels.items[:limit]
    wanted, partners = view().recipes, partners_for(view().recipes.values())
    named = ", ".join(method_names(wanted).values())
    button = f"Compute the credits of {_responses(limit)} by {plain(named)}"

    def work(model: RewardModel, job: Job, **beside: Any) -> ScoredLabels:
        found = score_labelled(model, items, wanted, progress=job.progress, **beside)
        if not any(analysis.credits for _, analysis in found.pairs):
            raise RedvizError(found.problems[0] if found.problems else "No method gave credits; choose another.")
        return found

    credits: ScoredLabels | None = _result(
        spec, SCORING, _key(items, wanted, partners), button, with_partners(partners, work)
    )
    if credits is None:
        return None
    if credits.problems:
        many = "1 response was" if len(credits.problems) == 1 else f"{len(credits.problems):,} responses were"
        st.warning(plain(f"{many} not scored, or not by all methods; the first: {credits.problems[0]}"))
    return ScoredLabels(
        credits.source, tuple((item, a) for item, (_, a) in zip(items, credits.pairs, strict=True)), credits.problems
    )


def counted(credits: ScoredLabels, title: str, key: str, report: Callable[[Iterator[Pair]], Any]) -> Any:
    """A report of these credits, made by the worker, for many responses take a while; None until it is there."""

    def work(model: RewardModel, job: Job) -> Any:
        def told() -> Iterator[Pair]:
            for done, pair in enumerate(credits.pairs):
                job.progress(done, len(credits.pairs))
                yield pair

        return report(told())

    return result_of(spec_of(view()), title, key, work)


def asked(found: ScoredLabels) -> dict[str, Any]:
    """What a report of these credits was made with, for the downloads."""
    methods = spelled_out(view().recipes)
    return {"methods": methods, "responses": len(found.pairs), "seed": 0}


def faithful(
    labels: Labels, limit: int, operator: str, granularity: str, moves: int
) -> tuple[FaithfulnessReport, Source] | None:
    """Every method of the view under removal of units, with the model's source; None until it is there."""
    spec = usable_model()
    if spec is None:
        return None
    items = labels.items[:limit]
    wanted, partners = view().recipes, partners_for(view().recipes.values())
    key = _key(items, wanted, partners) + repr((operator, granularity, moves))
    button = f"Remove {granularity}s in {_responses(limit)}"
    methods = spelled_out(wanted)

    def work(model: RewardModel, job: Job, **beside: Any) -> tuple[FaithfulnessReport, Source]:
        report = faithfulness_over(
            model,
            [item.example for item in items],
            methods,
            operator=operator,
            granularity=granularity,
            sensitivity_samples=moves,
            progress=job.progress,
            total=len(items),
            **beside,
        )
        return report, model.source

    found: tuple[FaithfulnessReport, Source] | None = _result(
        spec, REMOVING, key, button, with_partners(partners, work)
    )
    return found


def _result(spec: ModelSpec, title: str, key: str, button: str, work: Callable[[RewardModel, Job], Any]) -> Any:
    """What the job gave; else a button, and then its progress with a way to cancel it."""
    note = f"By {plain(spec.name)}, the model at the left. It goes on while you look at other pages."
    return result_of(spec, title, key, work, priority=LONG, subject=title, button=button, note=note)


def _key(items: Sequence[LabelledItem], wanted: Mapping[str, Recipe], partners: Mapping[str, ModelSpec]) -> str:
    texts = repr([(item.id, item.prompt, item.response) for item in items])
    return repr((hashlib.sha256(texts.encode("utf-8", "surrogatepass")).hexdigest(), wanted, sorted(partners.items())))


def _responses(count: int) -> str:
    return "1 response" if count == 1 else f"{count:,} responses"
