"""Runs on this machine: a run made from a data set and a loaded model, and the loop that fills its parts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redviz import __version__
from redviz.batches import check_batch_size
from redviz.credit.ingredients import Partners, Progress
from redviz.credit.recipes import MODELS, Recipe, recipes, spelled_out
from redviz.data.results.rows import SCHEMA_VERSION
from redviz.data.sets.dataset import Dataset, open_dataset
from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel
from redviz.models.reading.templates import from_anywhere
from redviz.models.spec import PARTNERS, ModelSpec
from redviz.records import Source
from redviz.runs.filling import fill
from redviz.runs.manifest import Manifest
from redviz.runs.parts import ALONE, RunExample, score_chunk, write_part
from redviz.runs.runs import Run, State, create_run

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

    Model = RewardModel | FunctionModel

CHUNK, SLOW_CHUNK = (
    256,
    64,
)  # examples of a part; the smaller where methods call a model again, so that a kill loses minutes
LOOK_EVERY = 256  # items between two beats while they are counted


def manifest_of(
    dataset: Dataset,
    path: str,
    model: Model,
    wanted: Mapping[str, Recipe],
    *,
    partners: Partners = ALONE,
    max_length: int | None = None,
    template: str | None = None,
    mapping: Mapping[str, str] | None = None,
    chunk: int | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """What a run over this data set with this loaded model computes; a data set that was not opened whole is read once, to be counted.

    Parameters
    ----------
    dataset, path
        From ``open_dataset`` (its ``limit`` is the run's), and what it was opened from: a path, a Hub id, or "" for an upload.
    model, partners, max_length, template
        As loaded, and the ``max_length`` and ``template`` that were asked for.
    wanted
        From :func:`redviz.credit.recipes.recipes`.
    mapping
        What ``open_dataset`` was given.
    chunk
        Examples of a part; by default 256, and 64 where a method calls a model again.
    progress
        Called with (items counted, rows of the data set) while they are counted; may raise :class:`Cancelled`.
    """
    if chunk is not None and chunk < 1:
        raise RedvizError(f"The chunk is {chunk} examples; give at least 1, some hundreds are good.")
    source = model.source
    beside = {
        role: {"model": other.source.model, "fingerprint": other.source.fingerprint, "dtype": other.source.dtype}
        for role, other in vars(partners).items()
        if other is not None
    }
    slow = any(recipe.info.needs in MODELS for recipe in wanted.values())
    return Manifest(
        dataset=dataset.name,
        path=str(Path(path).absolute()) if path and Path(path).exists() else path,
        dataset_fingerprint=dataset.fingerprint,
        count=_counted(dataset, progress) if dataset.examples is None else dataset.examples,
        model=source.model,
        methods=spelled_out(wanted),
        revision=source.revision,
        model_fingerprint=source.fingerprint,
        template_hash=source.template_hash,
        dtype=source.dtype,
        head=source.head,
        read=source.read,
        max_length=max_length,
        template=from_anywhere(template),
        device=str(model.device),
        partners=beside,
        load_from={
            role: _place(other) for role, other in {"model": model, **vars(partners)}.items() if other is not None
        },
        mapping=dict(mapping or {}),
        limit=dataset.limit,
        chunk=chunk or (SLOW_CHUNK if slow else CHUNK),
        schema_version=SCHEMA_VERSION,
        redviz_version=__version__,
    )


def _counted(dataset: Dataset, progress: Progress | None) -> int:
    """How many examples a data set gives."""
    total = min(dataset.rows, dataset.limit or dataset.rows)
    count = 0
    for n, item in enumerate(dataset.items(bad_texts=True)):
        if progress is not None and n % LOOK_EVERY == 0:
            progress(min(n, total), total)
        count += len(item.candidates)
    return count


def _place(model: Any) -> str:
    """What a model can be loaded from in any working directory."""
    name: str = model.source.model
    folder = Path(name).expanduser()
    by_name = type(model) is FunctionModel  # those made from it have weights
    return name if by_name or not folder.is_dir() else str(folder.absolute())


def start_run(
    dataset: Dataset, source: Path | bytes | str, model: Model, wanted: Mapping[str, Recipe], **how: Any
) -> Run:
    """The run folder for a data set that was opened from ``source``, new or found again; ``how`` as :func:`manifest_of` takes it."""
    content = source if isinstance(source, bytes) else None
    run = create_run(manifest_of(dataset, "" if content is not None else str(source), model, wanted, **how), content)
    if dataset.skipped:
        shown = "; ".join(f"line {problem.line}: {problem.reason}" for problem in dataset.problems[:20])
        run.log(f"{dataset.skipped} rows of {dataset.name} give no example and are left out: {shown}")
    return run


def specs_of(manifest: Manifest) -> tuple[ModelSpec, dict[str, ModelSpec]]:
    """How to load the model of a run and its partners again, to go on with it."""
    spec = ModelSpec(
        _name_here(manifest, "model", manifest.model),
        dtype=manifest.dtype or "auto",
        revision=manifest.revision or None,
        head=manifest.head or None,
        max_length=manifest.max_length,
        read=manifest.read,
        template=manifest.template,
    )
    return spec, {
        role: ModelSpec(_name_here(manifest, role, told["model"]), dtype=told["dtype"] or "auto", role=PARTNERS[role])
        for role, told in manifest.partners.items()
    }


def _name_here(manifest: Manifest, role: str, name: str) -> str:
    """A model's name as it was given, where it means the same here; else the folder."""
    place = manifest.load_from.get(role, name)
    return name if str(Path(name).expanduser().absolute()) == place else place


def reopened(run: Run) -> Dataset:
    """The data set of a run, checked to be what it was when the run began."""
    manifest = run.manifest
    source: Path | str = manifest.path or run.kept_content
    dataset = open_dataset(
        source, "" if manifest.path else manifest.dataset, mapping=manifest.mapping, limit=manifest.limit
    )
    _check_unchanged(run, dataset.fingerprint)
    return dataset


def _check_unchanged(run: Run, fingerprint: str) -> None:
    if fingerprint != run.manifest.dataset_fingerprint:
        raise RedvizError(f"{run.manifest.dataset} has changed since run {run.id} began; start a new run.")


def asked_of(dataset: Dataset) -> Iterator[RunExample]:
    """The examples of a data set in order, each with its subset; a row whose text cannot be read is one, with its problem."""
    for item in dataset.items(bad_texts=True):
        for example in item.examples:
            yield RunExample(example, item.subset, item.problem)


def run_parts(
    model: Model,
    run: Run,
    *,
    partners: Partners = ALONE,
    dataset: Dataset | None = None,
    batch_size: int | str = "auto",
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> State:
    """Score the parts of a run that are not there yet, in order.

    Parameters
    ----------
    model, partners
        Loaded; the same weights as when the run began.
    run
        Its folder.
    dataset
        What the run began with, where this process has it open; else it is opened again.
    batch_size
        Responses per forward pass, or "auto".
    progress
        Called between micro-batches with (examples done, examples in all); may raise :class:`Cancelled`.
    stop
        Asked between micro-batches; true ends the run as cancelled.

    Returns
    -------
    State
        Done.

    Raises
    ------
    Cancelled
        Where it was stopped: by ``progress``, ``stop`` or :meth:`Run.cancel`.
    RedvizError
        Where another process works on the run, or the model or data set is not the run's. The state says what ended a run.
    """
    check_batch_size(batch_size)
    wanted = recipes(run.manifest.methods)

    def scored(missing: Collection[int], beat: Callable[[int], None]) -> Iterator[tuple[int, int]]:
        _check_same(run, model, partners)
        for number, chunk in chunks_of(run, dataset):
            if number in missing:
                rows = score_chunk(model, chunk, wanted, partners, batch_size, beat)
                yield number, write_part(run, number, rows)

    return fill(run, scored, progress=progress, stop=stop)


def chunks_of(run: Run, dataset: Dataset | None = None) -> Iterator[tuple[int, list[RunExample]]]:
    """The examples of a run's parts, numbered from 0, read again from its data set."""
    dataset = dataset or reopened(run)
    stream = asked_of(dataset)
    number = 0
    while chunk := list(islice(stream, run.manifest.chunk)):
        yield number, chunk
        number += 1
    _check_unchanged(run, dataset.read_last)


def check_text(run: Run, source: Source) -> None:
    """Refuse a model that reads another text than when the run began: a Jinja file that has changed since.

    Raises
    ------
    RedvizError
        Where it does.
    """
    if source.template_hash != run.manifest.template_hash:
        raise RedvizError(f"The model's template is not the one that run {run.id} began with; start a new run.")


def _check_same(run: Run, model: Model, partners: Partners) -> None:
    check_text(run, model.source)
    given = {"model": model.source} | {role: m.source for role, m in vars(partners).items() if m is not None}
    asked = {"model": run.manifest.model_fingerprint}
    asked |= {role: told["fingerprint"] for role, told in run.manifest.partners.items()}
    if wrong := [role for role in asked if role not in given or given[role].fingerprint != asked[role]]:
        raise RedvizError(
            f"The {wrong[0].replace('_', ' ')} is not the one that run {run.id} began with; start a new run."
        )
