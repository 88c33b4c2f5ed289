"""Runs as jobs of the engine: begun, gone on with and stopped; they go on when the tab is closed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import streamlit as st

from redviz import settings
from redviz.app.dataset.sources import DatasetSource
from redviz.app.dataset.state import PARTS, show_part
from redviz.app.engine import Engine
from redviz.app.session import allowed, engine, offered, partners_for, view
from redviz.app.worker import LONG, Job
from redviz.credit.ingredients import Partners
from redviz.credit.recipes import Recipe
from redviz.data.sets.dataset import open_dataset
from redviz.errors import RedvizError
from redviz.models.spec import ModelSpec
from redviz.runs.local import run_parts, specs_of, start_run
from redviz.runs.run_folder import delete_run, refuse_in_demo
from redviz.runs.runs import Run, list_runs

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

RUN = "Scoring a data set"
OWN, BEGUN = "redviz.runs.own", "redviz.runs.begun"
Work = Callable[["RewardModel", Job], str]

_run_of: dict[
    int, str
] = {}  # job -> the run it works on, known only once its model is loaded; for all sessions of this server


@dataclass(frozen=True)
class Begun:
    """A job that this session queued, and the data set it is for."""

    job: Job
    name: str

    @property
    def run_id(self) -> str:
        """The run it became, or "" before that."""
        return _run_of.get(self.job.id, "")


def begin(
    spec: ModelSpec, source: DatasetSource, mapping: Mapping[str, str], limit: int | None, on_ray: bool = False
) -> None:
    """Queue a run of the view's methods over a data set, here or on Ray, and turn to the list of runs."""
    refuse_in_demo()
    wanted = view().recipes
    specs = partners_for(wanted.values())
    own = own_runs()
    key = repr((source.key, sorted(mapping.items()), limit, wanted, sorted(specs.items())))
    work = _begun(engine(), source, mapping, limit, wanted, specs, own, spec.device if on_ray else "", spec.template)
    engine().drop(spec, RUN, key)  # what was kept names a run that may have been deleted since
    job = engine().with_model(spec, RUN, work, key=key, priority=LONG)
    begun().append(Begun(job, source.name))
    show_part(PARTS[2])


def _begun(
    running: Engine,
    source: DatasetSource,
    mapping: Mapping[str, str],
    limit: int | None,
    wanted: Mapping[str, Recipe],
    specs: Mapping[str, ModelSpec],
    own: set[str],
    on_ray: str,
    template: str | None = None,
) -> Work:
    """Nothing of Streamlit is called in here: it runs in the worker's thread."""

    def work(model: RewardModel, job: Job) -> str:
        with running.partners(specs) as beside:
            partners = Partners(**beside)
            job.progress(0, 0)  # a wish to stop is heard between opening and counting too
            # Opened anew: the screen's own data set counts its problems while somebody looks at it.
            dataset = open_dataset(source.content, source.name, mapping=mapping, limit=limit)
            how: dict[str, Any] = {"partners": partners, "mapping": mapping, "progress": job.progress}
            how["template"] = template
            run = start_run(dataset, source.content, model, wanted, **how)
            own.add(run.id)
            _run_of[job.id] = run.id
            _score(run, model, partners, job, on_ray)
            return run.id

    return work


def _score(run: Run, model: RewardModel, partners: Partners, job: Job, on_ray: str) -> None:
    """Score what is left, here or by workers of Ray that load the models to the device ``on_ray`` names."""
    if not on_ray:
        run_parts(model, run, partners=partners, progress=job.progress)
        return
    from redviz.runs.ray_engine import run_parts_on_ray

    run_parts_on_ray(run, loading={"device": on_ray}, progress=job.progress)


def ray_possible() -> bool:
    """Whether a run can be given to Ray from here: it is installed, and this is no shared server."""
    return importlib.util.find_spec("ray") is not None and offered() is None


def resume_on_ray(run: Run) -> None:
    """Queue what is left of a run, for Ray."""
    resume(run, on_ray="auto")


def resume(run: Run, on_ray: str = "") -> None:
    """Queue what is left of a run."""
    refuse_in_demo()
    spec, beside = specs_of(run.manifest)
    if refused := next((s.name for s in (spec, *beside.values()) if not allowed(s.name)), None):
        raise RedvizError(f"This server does not offer {refused}; resume the run from its machine's command line.")
    running = engine()

    def work(model: RewardModel, job: Job) -> str:
        with running.partners(beside) as partners:
            _score(run, model, Partners(**partners), job, on_ray)
        return run.id

    engine().drop(spec, RUN, run.id)
    job = engine().with_model(spec, RUN, work, key=run.id, priority=LONG)
    _run_of[job.id] = run.id
    own_runs().add(run.id)
    begun().append(Begun(job, run.manifest.dataset))


def stop(run: Run) -> None:
    """Cancel a run, whichever process works on it, and its job here where it waits for its turn."""
    run.cancel()
    if job := job_of(run):
        job.cancel()


def delete(run: Run) -> None:
    """Delete a run that nobody works on or waits to work on."""
    if job_of(run):
        raise RedvizError(f"Run {run.id} waits for its turn or is being worked on; cancel it first.")
    delete_run(run)
    own_runs().discard(run.id)


def job_of(run: Run) -> Job | None:
    """The job of this server that works on a run or is queued to."""
    return next((j for j in engine().worker.jobs() if _run_of.get(j.id) == run.id and not j.finished.is_set()), None)


def begun() -> list[Begun]:
    """The jobs that this session queued, oldest first; those that were looked at are taken out."""
    found: list[Begun] = st.session_state.setdefault(BEGUN, [])
    return found


def own_runs() -> set[str]:
    """Ids of the runs that this browser session began or went on with."""
    found: set[str] = st.session_state.setdefault(OWN, set())
    return found


def shown_runs() -> list[Run]:
    """The runs that this session may see, the newest first.

    On one's own machine that is all of them, those of the command line too. On a shared server people do not see each other's data:
    a session sees the runs it began. A public server has none.
    """
    if settings.demo_mode():
        return []
    return [run for run in list_runs() if offered() is None or run.id in own_runs()]


def has_rows(run: Run) -> bool:
    """Whether a part is finished; examples that are done beyond finished parts cannot be looked at yet."""
    return any((run.folder / "parts").glob("*.parquet"))
