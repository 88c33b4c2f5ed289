"""The worker: one thread that owns the models. Everything that touches torch on behalf of a screen runs here.

Browser sessions hold model specs and results, never models. Short jobs go ahead of long ones; a job reports progress and can be
cancelled between micro-batches; results are kept by content, so a slider, a page change or a second person costs nothing.
"""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from math import gcd
from typing import TYPE_CHECKING, Any

from redviz.analysis import observe_examples, with_credits
from redviz.app.results import Results, array_bytes, content_key, observation_bytes, text_key
from redviz.app.worker import IDLE, LONG, SHORT, Job, Worker
from redviz.credit import ingredients
from redviz.credit.recipes import MODELS, Recipe, recipes, stride_of
from redviz.errors import OnlyPairs, RedvizError
from redviz.models.loading.files import fingerprint, resolve
from redviz.models.loading.memory import capacity, place
from redviz.models.spec import (
    NEEDED_FOR,
    NOBODY,
    PARTNERS,
    ModelSpec,
    ModelState,
    PartnerSpecs,
    bytes_on_disk,
    device_of,
    load,
    state_of,
)
from redviz.records import Analysis, Credit, Example, Observation, Source
from redviz.settings import memory_limit_bytes

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel


class Engine:
    """The worker, its models and its results.

    Parameters
    ----------
    memory_limit
        Bytes of weights to keep loaded; by default ``REDVIZ_MODEL_MEMORY_GB``, else nine tenths of each GPU's memory, and half of
        the machine's for the CPU. Models that a job is using stay beyond it.
    """

    def __init__(self, memory_limit: int | None = None) -> None:
        self.limit = memory_limit or memory_limit_bytes()  # None: by device
        self.worker = Worker()
        self._models: OrderedDict[ModelSpec, RewardModel] = OrderedDict()
        self._lock = threading.Lock()  # of _models and _runs_of_gone: the worker writes them, screens read them
        self._in_use: list[ModelSpec] = []  # by the running job, and by those that it overtook; the worker's own
        self._states: dict[ModelSpec, ModelState] = {}
        self._sources: dict[ModelSpec, Source] = {}
        self._only_pairs: set[ModelSpec] = set()  # asked for as reward models, and found to score pairs only
        self._results = Results()
        self._runs_of_gone = 0

    # What screens ask for: none of it waits, none of it touches torch.

    def cached(
        self, spec: ModelSpec, example: Example, wanted: Mapping[str, Recipe], partners: PartnerSpecs = NOBODY
    ) -> tuple[Analysis | None, dict[str, Recipe], dict[str, str]]:
        """What is known without the model: the analysis so far, the methods still missing, and methods that refuse, with why.

        Credits that are arithmetic on records are computed here, so a slider never queues.
        """
        source = self._sources.get(spec)
        observation = self._results.get(content_key(source, spec, example)) if source else None
        if source is None or observation is None or stride_of(wanted.values()) % observation.stride:
            return None, dict(wanted), {}
        credits: dict[str, Credit] = {}
        missing: dict[str, Recipe] = {}
        refused: dict[str, str] = {}
        for label, recipe in wanted.items():
            key = self._credit_key(source, spec, example, recipe, partners)
            credit = self._results.get(key)
            at_hand = None if credit is not None else self._known_records(source, spec, example, recipe, partners)
            if credit is None and at_hand is not None:
                try:
                    credit = ingredients.credit_of(observation, recipe, at_hand)
                except RedvizError as error:
                    refused[label] = str(error)
                    continue
                self._results.put(key, credit, credit.values.nbytes)
            if credit is None:
                missing[label] = recipe
            else:
                credits[label] = credit
        return Analysis(example, source, observation, credits), missing, refused

    def _known_records(
        self, source: Source, spec: ModelSpec, example: Example, recipe: Recipe, partners: PartnerSpecs
    ) -> dict[str, Any] | None:
        """The records a recipe needs, where all that can be had are here; None where a model has to run for it first."""
        at_hand = {}
        for name in recipe.ingredients:
            specs = [partners[role] for role in NEEDED_FOR.get(name, ()) if role in partners]
            if len(specs) < len(NEEDED_FOR.get(name, ())):
                continue  # nobody was chosen for it: the credit says so
            record = None if name in MODELS else self._results.get(self._record_key(name, source, spec, example, specs))
            if record is None:
                return None
            at_hand[name] = record
        return at_hand

    def observe(self, spec: ModelSpec, example: Example, stride: int = 1) -> Job:
        """The one forward pass, loading the model if need be; of a model that looks both ways, every stride-th prefix too."""
        key = ("observe", spec, text_key(example), stride)
        return self.worker.submit("Scoring", lambda job: self._observe(job, spec, example, stride), SHORT, key)

    def credit(
        self, spec: ModelSpec, example: Example, label: str, recipe: Recipe, partners: PartnerSpecs = NOBODY
    ) -> Job:
        """A credit that calls a model again, or that needs records which are not here yet."""
        key = ("credit", spec, text_key(example), text_key(recipe), tuple(sorted(partners.items(), key=repr)))
        return self.worker.submit(f"{label}", lambda job: self._credit(job, spec, example, recipe, partners), LONG, key)

    def with_model(
        self, spec: ModelSpec, title: str, work: Callable[[RewardModel, Job], Any], *, key: Any, priority: int = SHORT
    ) -> Job:
        """Any other work on a loaded model (a conformance card, a causal check, an attention map), kept under its key."""
        keyed = ("model", spec, title, key)
        return self.worker.submit(title, lambda job: self._kept_work(spec, job, keyed, work), priority, keyed)

    def kept(self, spec: ModelSpec, title: str, key: Any) -> Any:
        """The result of earlier :meth:`with_model` work under this key, or None."""
        return self._results.get(("model", spec, title, key))

    def drop(self, spec: ModelSpec, title: str, key: Any) -> None:
        """Forget what :meth:`with_model` kept."""
        self._results.drop(("model", spec, title, key))

    def state(self, spec: ModelSpec) -> ModelState | None:
        """What is known of a model that was loaded here, or None."""
        return self._states.get(spec)

    def as_pairs(self, spec: ModelSpec) -> ModelSpec | None:
        """How a model is loaded that was asked for here and found to score pairs only; None where that is not known of it."""
        return replace(spec, role="pair") if spec in self._only_pairs else None

    def loaded(self) -> list[ModelState]:
        """The models in memory, the least recently used first."""
        with self._lock:
            return [self._states[spec] for spec in self._models]

    @property
    def runs(self) -> int:
        """Forward passes since the app started."""
        with self._lock:
            return self._runs_of_gone + sum(model.forwards for model in self._models.values())

    def prime(self, spec: ModelSpec, analysis: Analysis) -> bool:
        """Take a stored analysis as result, if the weights it came from are the ones here."""
        if (
            analysis.observation is None
            or fingerprint(resolve(spec.name, spec.revision)) != analysis.source.fingerprint
        ):
            return False
        self._sources.setdefault(spec, analysis.source)
        self._results.put(
            content_key(analysis.source, spec, analysis.example),
            analysis.observation,
            observation_bytes(analysis.observation),
        )
        asked = {label: {"method": c.meta["method"], **c.meta["options"]} for label, c in analysis.credits.items()}
        for label, recipe in recipes(asked).items():
            credit = analysis.credits[label]
            key = self._credit_key(analysis.source, spec, analysis.example, recipe, NOBODY)
            self._results.put(key, credit, credit.values.nbytes)
        return True

    def unload(self, spec: ModelSpec) -> Job:
        """Free a model's memory, in the worker, after the jobs before it."""
        return self.worker.submit(f"Unloading {spec.name}", lambda job: self._release(spec), IDLE)

    def close(self) -> None:
        """Stop the worker."""
        self.worker.close()

    # What follows runs in the worker thread.

    @contextmanager
    def _using(self, spec: ModelSpec) -> Iterator[RewardModel]:
        """The model, loaded if need be, and kept until the work on it is over: a shorter job may load another meanwhile."""
        self._in_use.append(spec)
        try:
            yield self._model(spec)
        finally:
            if spec in self._models:
                self._make_room(place(self._states[spec].source.device))
            self._in_use.remove(spec)

    @contextmanager
    def partners(self, specs: PartnerSpecs) -> Iterator[dict[str, Any]]:
        """The models beside the reward model, as keywords of :func:`redviz.analyze`. For work in the worker only."""
        with ExitStack() as held:
            kept = {role: spec for role, spec in specs.items() if role in PARTNERS}
            yield {role: held.enter_context(self._using(spec)) for role, spec in kept.items()}

    def _model(self, spec: ModelSpec) -> RewardModel:
        if spec in self._models:
            with self._lock:
                self._models.move_to_end(spec)
            return self._models[spec]
        self._make_room(place(device_of(spec)), bytes_on_disk(spec))
        model = self._load(spec)
        self._sources[spec] = model.source
        self._states[spec] = state_of(spec, model)
        with self._lock:
            self._models[spec] = model
        self._make_room(place(model.device))
        return model

    def _load(self, spec: ModelSpec) -> Any:
        """Load; where memory runs out, once more with nothing else loaded."""
        import torch

        try:
            return load(spec)
        except OnlyPairs:
            self._only_pairs.add(spec)
            raise
        except RedvizError as error:
            others = [other for other in self._models if other not in self._in_use]
            if not others or not isinstance(error.__cause__, (torch.OutOfMemoryError, MemoryError)):
                raise
        for other in others:  # outside of the except block, whose error holds what was half loaded
            self._release(other)
        return load(spec)

    def _make_room(self, where: str, coming: int = 0) -> None:
        """Release the least recently used models that no job is using, until what is held there and what comes fits the limit."""
        limit = self.limit or capacity(where)
        sharing = [s for s in self._models if self.limit or place(self._states[s].source.device) == where]
        held = coming + sum(self._states[spec].bytes for spec in sharing)
        for spec in sharing:
            if held > limit and spec not in self._in_use:
                held -= self._states[spec].bytes
                self._release(spec)

    def _release(self, spec: ModelSpec) -> None:
        if spec not in self._models:
            return
        with self._lock:
            self._runs_of_gone += self._models.pop(spec).forwards
        gc.collect()
        import torch

        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _observe(self, job: Job, spec: ModelSpec, example: Example, stride: int = 1) -> Observation:
        with self._using(spec) as model:
            job.progress(0, 1)
            key = content_key(model.source, spec, example)
            found: Observation | None = self._results.get(key)
            if found is None or stride % found.stride:
                step = gcd(stride, found.stride if found else 0) or 1  # what was asked for before is served by it too
                found = observe_examples(model, [model.encode(example)], stride=step, progress=job.progress)[0]
                self._results.put(key, found, observation_bytes(found))
            return found

    def _credit(self, job: Job, spec: ModelSpec, example: Example, recipe: Recipe, partners: PartnerSpecs) -> Credit:
        with ExitStack() as held:
            model = held.enter_context(self._using(spec))
            observation = self._observe(job, spec, example, stride_of([recipe]))
            key = self._credit_key(model.source, spec, example, recipe, partners)
            credit: Credit | None = self._results.get(key)
            if credit is None:
                needed = {role for name in recipe.ingredients for role in NEEDED_FOR.get(name, ())}
                beside = held.enter_context(self.partners({r: s for r, s in partners.items() if r in needed}))

                def kept(name: str, make: Callable[[], Any]) -> Any:
                    """The policy's log-probabilities or the cost model's observation, kept by content."""
                    specs = [partners[role] for role in NEEDED_FOR[name]]
                    record_key = self._record_key(name, model.source, spec, example, specs)
                    record = self._results.get(record_key)
                    if record is None:
                        record = make()
                        self._results.put(record_key, record, 4096 + array_bytes(record))
                    return record

                own = {recipe.method: recipe}
                together = ingredients.Partners(**beside)
                analysis = with_credits(model, observation, own, together, job.progress, kept=kept)
                credit = analysis.credits[recipe.method]
                key = self._credit_key(model.source, spec, example, recipe, partners)
                self._results.put(key, credit, credit.values.nbytes)
            return credit

    def _record_key(
        self, name: str, source: Source, spec: ModelSpec, example: Example, specs: Sequence[ModelSpec]
    ) -> tuple[Any, ...]:
        return (name, content_key(source, spec, example), tuple(self._content(other) for other in specs))

    def _credit_key(
        self, source: Source, spec: ModelSpec, example: Example, recipe: Recipe, partners: PartnerSpecs
    ) -> tuple[Any, ...]:
        roles = [role for name in recipe.ingredients for role in NEEDED_FOR.get(name, ()) if role in partners]
        return (*content_key(source, spec, example, recipe), tuple(self._content(partners[role]) for role in roles))

    def _content(self, spec: ModelSpec) -> tuple[Any, ...]:
        """What a partner's part in a result depends on; unknown weights are told apart by their spec."""
        source = self._sources.get(spec)
        return (spec, source.fingerprint if source else "")

    def _kept_work(self, spec: ModelSpec, job: Job, key: Any, work: Callable[[RewardModel, Job], Any]) -> Any:
        with self._using(spec) as model:
            result = work(model, job)
        self._results.put(key, result, 65536 + array_bytes(result))
        return result
