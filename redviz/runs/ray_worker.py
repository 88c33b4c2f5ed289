"""What a Ray worker does: load the models of a run once, and score its parts by number."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from redviz.credit.ingredients import Partners
from redviz.credit.recipes import recipes
from redviz.data.results.rows import Rows
from redviz.errors import Cancelled, RedvizError
from redviz.models.spec import load
from redviz.runs.local import check_text, chunks_of, specs_of
from redviz.runs.parts import RunExample, failed_in, score_chunk, write_part
from redviz.runs.runs import Run, open_run

STOPPED = "The run was cancelled."


class PartWorker:
    """Loads the models once, and scores one part per call.

    It works while the run has a file of the attempt's name, and is asked to stop by nothing else that the next attempt takes back.
    What it refuses travels as a sentence in the answer: Ray would start an actor that fails to start again and again.
    """

    def __init__(
        self, run_id: str, shared: str, loading: Mapping[str, Any], batch_size: int | str, attempt: str = ""
    ) -> None:
        os.environ["REDVIZ_HOME"] = shared
        self.batch_size, self.attempt = batch_size, attempt
        self.refusal = ""
        try:
            self.run = _seen(run_id, Path(shared))
            self.model, self.partners = _loaded(self.run, loading)
            self.wanted = recipes(self.run.manifest.methods)
        except RedvizError as error:
            self.refusal = str(error)
        self.chunks: Iterator[tuple[int, list[RunExample]]] = iter(())
        self.at = -1

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        number = int(batch["number"][0])
        refusal, failed = self.refusal, None
        try:
            if (
                not refusal and (failed := failed_in(self.run, number)) is None
            ):  # else its worker died after it had written
                failed = write_part(self.run, number, self._score(number))
        except Cancelled:
            refusal = STOPPED
        except RedvizError as error:
            refusal = str(error)
        return {"number": [number], "failed": [failed or 0], "refusal": [refusal]}

    def _score(self, number: int) -> Rows:
        self._beat(0)
        if number <= self.at:  # numbers come in order but for those that another worker left
            self.at = -1
        if self.at < 0:
            self.chunks = chunks_of(self.run)
        for at, chunk in self.chunks:
            self.at = at
            if at == number:
                return score_chunk(self.model, chunk, self.wanted, self.partners, self.batch_size, self._beat)
        raise RedvizError(f"{self.run.manifest.dataset} has no part {number}; start a new run.")

    def _beat(self, ready: int) -> None:
        if self.run.is_cancelled() or not (self.run.folder / self.attempt).exists():
            raise Cancelled(STOPPED)


def _seen(run_id: str, shared: Path) -> Run:
    if not (shared / "runs" / run_id / "manifest.json").exists():
        raise RedvizError(
            f"The worker on {os.uname().nodename} cannot see the run folder {shared / 'runs' / run_id}; "
            "put REDVIZ_HOME on a file system that all machines share."
        )
    return open_run(run_id)


def _loaded(run: Run, loading: Mapping[str, Any]) -> tuple[Any, Partners]:
    """The models of a run, checked to be what it began with; ``loading`` says what of their specs the manifest does not know."""
    spec, others = specs_of(run.manifest)
    model = load(replace(spec, **loading))
    check_text(run, model.source)
    beside = {role: load(replace(other, **loading)) for role, other in others.items()}
    asked = {role: told["fingerprint"] for role, told in run.manifest.partners.items()}
    for role, there in {"model": model, **beside}.items():
        if there.source.fingerprint != (asked | {"model": run.manifest.model_fingerprint})[role]:
            raise RedvizError(
                f"The {role.replace('_', ' ')} that a worker loads is not the one that run {run.id} began with; start a new run."
            )
    return model, Partners(**beside)
