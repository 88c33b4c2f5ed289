"""Run folders: a job over a data set as files, so that it outlives its process and any process can see or continue it.

``REDVIZ_HOME/runs/<run id>/`` holds ``manifest.json`` (what is computed), ``parts/00000.parquet`` (its rows, chunk by chunk),
``state.json``, ``log.txt``, ``lock`` (held by the process that works on it) and, for an upload, its content.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redviz.data.whole_files import replace_file
from redviz.errors import RedvizError
from redviz.runs.manifest import WITHOUT_EFFECT, Manifest
from redviz.runs.run_folder import RunFolder, folder_of, newest_first, refuse_in_demo, written
from redviz.settings import home

UNFINISHED = "The process that worked on it is gone; resume it, finished parts are kept."


@dataclass(frozen=True)
class State:
    """Where a run stands.

    Attributes
    ----------
    state
        "queued", "running", "done", "cancelled" or "failed"; a run whose process is gone is failed.
    done, total
        Examples.
    failed
        Rows with an error.
    rate
        Examples per second since the process that works on it began.
    created, started, updated
        Seconds since 1970.
    """

    state: str = "queued"
    done: int = 0
    total: int = 0
    failed: int = 0
    rate: float = 0.0
    pid: int = 0
    message: str = ""
    created: float = 0.0
    started: float = 0.0
    updated: float = 0.0


@dataclass(frozen=True)
class Run(RunFolder):
    """A run over a data set. Any process may read it, and ask it to stop; only the one that holds its lock writes parts and state."""

    manifest: Manifest

    place, called, told_in = "runs", "run", "manifest.json"

    def part(self, number: int) -> Path:
        """The file of a part, there or not yet."""
        return self.folder / "parts" / f"{number:05d}.parquet"

    @property
    def kept_content(self) -> Path:
        """Where an upload is kept."""
        return self.folder / f"content{Path(self.manifest.dataset).suffix.lower()}"

    def state(self) -> State:
        """Where it stands now; "running" only while a process holds the lock."""
        state = self._written_state()
        if state.state == "running" and not self.is_held:
            state = self._written_state()  # it may have finished between the two looks
        if state.state == "running" and not self.is_held:
            return replace(state, state="failed", message=UNFINISHED)
        return state

    def _written_state(self) -> State:
        try:
            found = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            return State(**{f.name: found[f.name] for f in fields(State)})
        except (OSError, ValueError, KeyError, TypeError):
            return State(total=self.manifest.count)  # never begun, or not readable: the parts tell when it goes on

    def set_state(self, **changes: Any) -> State:
        """Change some fields of the state; for the process that holds the lock."""
        state = replace(self._written_state(), **changes, updated=time.time())
        replace_file(
            self.folder / "state.json", lambda file: file.write_text(json.dumps(asdict(state)), "utf-8"), False
        )
        return state

    def log(self, sentence: str) -> None:
        """Add a line to the log."""
        when = datetime.now(UTC).isoformat(timespec="seconds")
        with (self.folder / "log.txt").open("a", encoding="utf-8") as file:
            file.write(f"{when} [{os.getpid()}] {' '.join(sentence.split())}\n")

    def cancel(self) -> None:
        """Ask the process that works on it to stop at its next micro-batch; a run that waits is cancelled at once."""
        refuse_in_demo()
        with suppress(FileNotFoundError):  # deleted meanwhile: nobody works on it
            (self.folder / "cancel").touch()
        with suppress(RedvizError), self.held():
            if self._written_state().state in ("queued", "running"):
                self.set_state(state="cancelled", message="Cancelled; finished parts are kept.")

    def is_cancelled(self) -> bool:
        return (self.folder / "cancel").exists()


def create_run(manifest: Manifest, content: bytes | None = None) -> Run:
    """The run of this manifest: a new folder, or the one that is there already.

    Parameters
    ----------
    manifest
        What to compute. A run found again keeps its own, with the data set's and the models' new places.
    content
        The data set's bytes where it is an upload without a path; they are kept in the run, so that it can go on later.

    Raises
    ------
    RedvizError
        On a public server (``REDVIZ_DEMO``), which writes nothing, or where the folder cannot be written.
    """
    refuse_in_demo()
    run = Run(home() / "runs" / manifest.id, manifest)
    if manifest.count < 1:
        raise RedvizError(f"{manifest.dataset} gives no example to score; check its columns and --limit.")
    with written(run):
        (run.folder / "parts").mkdir(parents=True, exist_ok=True)
        return _settled(run, content)


def _settled(run: Run, content: bytes | None) -> Run:
    """The run with all its folder needs; as it is where a living process works on it."""
    file = run.folder / "manifest.json"
    try:
        with run.held():
            if content is not None and not run.kept_content.exists():
                replace_file(run.kept_content, lambda file: file.write_bytes(content))
            manifest, on_disk = run.manifest, _manifest_in(run.folder)
            if on_disk is None:  # or one that cannot be read
                run.set_state(state="queued", total=manifest.count, created=time.time())
                run.log(f"created: {manifest.count} examples of {manifest.dataset} under {manifest.model}")
            else:
                manifest = replace(on_disk, **{name: getattr(manifest, name) for name in WITHOUT_EFFECT})
            if manifest != on_disk:
                replace_file(file, lambda file: file.write_text(manifest.to_json(), "utf-8"))
            return replace(run, manifest=manifest)
    except RedvizError:
        if file.exists():
            return open_run(run.id)
        raise


def open_run(run_id: str) -> Run:
    """A run by its id; RedvizError where there is none or its manifest cannot be read."""
    folder = folder_of(Run, run_id)
    if (manifest := _manifest_in(folder)) is None:
        raise RedvizError(f"The manifest of run {run_id} cannot be read; start the run again.")
    return Run(folder, manifest)


def _manifest_in(folder: Path) -> Manifest | None:
    with suppress(OSError, ValueError, TypeError, AttributeError):
        written = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        return Manifest(**{f.name: written[f.name] for f in fields(Manifest) if f.name in written})
    return None


def list_runs() -> list[Run]:
    """All runs that can be read, the newest first."""
    return newest_first(Run, open_run)
