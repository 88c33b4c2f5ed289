"""The worker: one thread that owns the models. Everything that touches torch on behalf of a screen runs here.

Browser sessions hold model specs and results, never models. Short jobs go ahead of long ones; a job reports progress and can be
cancelled between micro-batches; results are kept by content, so a slider, a page change or a second person costs nothing.
"""

from __future__ import annotations

import gc
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.analysis import credit_of
from redviz.errors import RedvizError
from redviz.methods import Recipe
from redviz.models.files import fingerprint, resolve
from redviz.models.memory import capacity, free_memory, place
from redviz.records import Analysis, Credit, Example, Observation, Source
from redviz.settings import memory_limit_bytes
from redviz.worker import IDLE, LONG, SHORT, Job, Worker

if TYPE_CHECKING:
    from redviz.models.reward_model import RewardModel

RESULT_BYTES = 512 * 2**20  # observations and credits kept


@dataclass(frozen=True)
class ModelSpec:
    """Which model, and how it is loaded: the arguments of :func:`redviz.load_reward_model` a person can choose."""

    name: str
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    head: str | None = None
    max_length: int | None = None
    read: str = "model"


@dataclass(frozen=True)
class ModelState:
    """A loaded model as screens may know it."""

    spec: ModelSpec
    source: Source
    bytes: int
    max_length: int
    layers: int
    heads: int
    free_bytes: int  # memory left on its device after loading


class Results:
    """Results by content, the least recently used dropped beyond a number of bytes. Safe between threads."""

    def __init__(self, limit: int = RESULT_BYTES) -> None:
        self._limit, self._held = limit, 0
        self._kept: OrderedDict[Any, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """The value, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def drop(self, key: Any) -> None:
        """Forget a value."""
        with self._lock:
            self._held -= self._kept.pop(key, (None, 0))[1]

    def put(self, key: Any, value: Any, size: int) -> None:
        """Keep a value of this many bytes."""
        with self._lock:
            _, old = self._kept.pop(key, (None, 0))
            self._kept[key] = (value, size)
            self._held += size - old
            while self._held > self._limit and len(self._kept) > 1:
                _, (_, gone) = self._kept.popitem(last=False)
                self._held -= gone


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
        self._results = Results()
        self._runs_of_gone = 0

    # What screens ask for: none of it waits, none of it touches torch.

    def cached(
        self, spec: ModelSpec, example: Example, wanted: Mapping[str, Recipe]
    ) -> tuple[Analysis | None, dict[str, Recipe], dict[str, str]]:
        """What is known without the model: the analysis so far, the methods still missing, and methods that refuse, with why.

        Credits that are arithmetic on the observation are computed here, so a slider never queues.
        """
        source = self._sources.get(spec)
        observation = self._results.get(_key(source, spec, example)) if source else None
        if source is None or observation is None:
            return None, dict(wanted), {}
        credits: dict[str, Credit] = {}
        missing: dict[str, Recipe] = {}
        refused: dict[str, str] = {}
        for label, recipe in wanted.items():
            key = _key(source, spec, example, recipe)
            credit = self._results.get(key)
            if credit is None and recipe.info.needs != "model":
                try:
                    credit = credit_of(None, observation, recipe)
                except RedvizError as error:
                    refused[label] = str(error)
                    continue
                self._results.put(key, credit, credit.values.nbytes)
            if credit is None:
                missing[label] = recipe
            else:
                credits[label] = credit
        return Analysis(example, source, observation, credits), missing, refused

    def observe(self, spec: ModelSpec, example: Example) -> Job:
        """The one forward pass, loading the model if need be."""
        return self.worker.submit(
            "Scoring", lambda job: self._observe(job, spec, example), SHORT, ("observe", spec, _text(example))
        )

    def credit(self, spec: ModelSpec, example: Example, label: str, recipe: Recipe) -> Job:
        """A credit that calls the model again."""
        key = ("credit", spec, _text(example), _text(recipe))
        return self.worker.submit(f"{label}", lambda job: self._credit(job, spec, example, recipe), LONG, key)

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
            _key(analysis.source, spec, analysis.example), analysis.observation, _size(analysis.observation)
        )
        for credit in analysis.credits.values():
            recipe = Recipe(credit.meta["method"], credit.meta["options"])
            self._results.put(_key(analysis.source, spec, analysis.example, recipe), credit, credit.values.nbytes)
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

    def _model(self, spec: ModelSpec) -> RewardModel:
        if spec in self._models:
            with self._lock:
                self._models.move_to_end(spec)
            return self._models[spec]
        from redviz.models.load import pick_device

        self._make_room(place(pick_device(spec.device)), _bytes_on_disk(spec))
        model = self._load(spec)
        config = model.module.config.get_text_config()
        size = sum(p.numel() * p.element_size() for p in model.module.parameters())
        self._sources[spec] = model.source
        self._states[spec] = ModelState(
            spec,
            model.source,
            size,
            model.max_length,
            config.num_hidden_layers,
            config.num_attention_heads,
            free_memory(model.device),
        )
        with self._lock:
            self._models[spec] = model
        self._make_room(place(model.device))
        return model

    def _load(self, spec: ModelSpec) -> RewardModel:
        """Load; where memory runs out, once more with nothing else loaded."""
        import torch

        from redviz.models.load import load_reward_model

        options = {name: value for name, value in vars(spec).items() if name != "name"}
        try:
            return load_reward_model(spec.name, **options)
        except RedvizError as error:
            others = [other for other in self._models if other not in self._in_use]
            if not others or not isinstance(error.__cause__, (torch.OutOfMemoryError, MemoryError)):
                raise
        for other in others:  # outside of the except block, whose error holds what was half loaded
            self._release(other)
        return load_reward_model(spec.name, **options)

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

    def _observe(self, job: Job, spec: ModelSpec, example: Example) -> Observation:
        from redviz.analysis import observe_examples

        with self._using(spec) as model:
            job.progress(0, 1)
            key = _key(model.source, spec, example)
            found: Observation | None = self._results.get(key)
            if found is None:
                found = observe_examples(model, [model.encode(example)])[0]
                self._results.put(key, found, _size(found))
            return found

    def _credit(self, job: Job, spec: ModelSpec, example: Example, recipe: Recipe) -> Credit:
        with self._using(spec) as model:
            observation = self._observe(job, spec, example)
            key = _key(model.source, spec, example, recipe)
            credit: Credit | None = self._results.get(key)
            if credit is None:
                credit = credit_of(model, observation, recipe, job.progress)
                self._results.put(key, credit, credit.values.nbytes)
            return credit

    def _kept_work(self, spec: ModelSpec, job: Job, key: Any, work: Callable[[RewardModel, Job], Any]) -> Any:
        with self._using(spec) as model:
            result = work(model, job)
        self._results.put(key, result, 65536 + _array_bytes(result))
        return result


def _key(source: Source, spec: ModelSpec, example: Example, recipe: Recipe | None = None) -> tuple[Any, ...]:
    """What a result depends on: weights, how they are read, text, method and options."""
    loaded = (source.fingerprint, source.template_hash, source.dtype, spec.head, spec.max_length, spec.read)
    return (*loaded, _text(example), _text(recipe) if recipe else None)


def _text(record: Example | Recipe) -> str:
    plain = (record.prompt, record.response) if isinstance(record, Example) else (record.method, dict(record.options))
    return json.dumps(plain, ensure_ascii=False, sort_keys=True, default=list)


def _size(observation: Observation) -> int:
    rows = [r.nbytes for r in (observation.response_row, observation.pooling_row) if r is not None]
    return sum(rows) + observation.column_scores.nbytes + 64 * len(observation.encoding.ids)


def _bytes_on_disk(spec: ModelSpec) -> int:
    return sum(path.stat().st_size for path in resolve(spec.name, spec.revision).glob("*.safetensors"))


def _array_bytes(result: Any) -> int:
    """Bytes of the arrays in a result, a record of arrays, or a collection of either."""
    if isinstance(result, np.ndarray):
        return result.nbytes
    if is_dataclass(result):
        result = vars(result)
    parts = result.values() if isinstance(result, Mapping) else result if isinstance(result, (list, tuple)) else ()
    return sum(map(_array_bytes, parts))
