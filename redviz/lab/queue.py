"""Lab runs take turns: one thread at a time trains, whoever asked, and screens read where each run stands."""

from __future__ import annotations

import ctypes
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from redviz.errors import RedvizError
from redviz.lab.config import LabConfig
from redviz.lab.runs import LabRun, create_lab_run, open_lab_run
from redviz.lab.steps import Evaluation, Step
from redviz.lab.working import LabThread
from redviz.runs.lock import is_held

KEPT_IN_MEMORY = 40  # ended runs of which no folder tells all
KEPT_READ = 100  # folders as they were last read
PAUSE_HOLDS = 600.0  # seconds for which a paused run keeps its turn while others wait
ACTIVE = ("waiting", "loading", "running", "paused", "stopping")


@dataclass(frozen=True)
class Standing:
    """Where a run stands.

    Attributes
    ----------
    state
        "waiting", "loading", "running", "paused" or "stopping" in this queue; "elsewhere" in another process; "done", "stopped"
        (in this process), "interrupted" (it was not finished, and nobody stopped it here) or "failed".
    steps, evaluations
        So far.
    error
        One sentence where it failed.
    """

    config: LabConfig
    state: str
    steps: Sequence[Step] = ()
    evaluations: dict[str, Evaluation] | None = None
    error: str = ""

    @property
    def active(self) -> bool:
        return self.state in ACTIVE

    def evaluation(self, name: str) -> Evaluation | None:
        """That of "before" or "after", once it is there."""
        return (self.evaluations or {}).get(name)


class LabQueue:
    """The runs that wait, and the one that trains.

    Examples
    --------
    >>> tiny = LabConfig(batch=4, group=2, micro_batches=2, max_new_tokens=4, steps=2, device="cpu")
    >>> queue = LabQueue()
    >>> queue.add([tiny], keep=False)
    >>> queue.wait()
    >>> queue.standing(tiny).state, len(queue.standing(tiny).steps)
    ('done', 2)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: OrderedDict[str, tuple[LabConfig, bool]] = OrderedDict()
        self._current: LabThread | None = None
        self._ended: OrderedDict[str, Standing] = OrderedDict()  # what no folder tells
        self._paused: set[str] = set()
        self._stopping: set[str] = set()
        self._server: threading.Thread | None = None

    def add(self, configs: Iterable[LabConfig], keep: bool = True) -> None:
        """Queue runs that are neither done nor in the queue; with ``keep`` each has its folder from now on.

        Raises
        ------
        RedvizError
            Where a folder cannot be written; nothing is queued then.
        """
        wanted = list(configs)
        left = [c for c in wanted if create_lab_run(c).state != "done"] if keep else wanted
        with self._lock:
            for config in left:
                known = self._ended.get(config.id)
                if self._is_here(config.id) or (not keep and known is not None and known.state == "done"):
                    continue
                self._ended.pop(config.id, None)
                self._paused.discard(config.id)
                self._waiting[config.id] = (config, keep)
            if self._waiting and self._server is None:
                self._server = threading.Thread(target=self._serve, name="redviz-lab-queue", daemon=True)
                self._server.start()

    def pause(self, configs: Iterable[LabConfig]) -> None:
        """Pause the one that trains at its next gap, and those that wait when their turn comes."""
        ids = {config.id for config in configs}
        with self._lock:
            self._paused |= {i for i in ids if self._is_here(i)}
            if self._current is not None and self._current.config.id in ids:
                self._current.pause()

    def resume(self, configs: Iterable[LabConfig]) -> None:
        """Let paused runs go on."""
        ids = {config.id for config in configs}
        with self._lock:
            self._paused -= ids
            if self._current is not None and self._current.config.id in ids:
                self._current.resume()

    def stop(self, configs: Iterable[LabConfig]) -> None:
        """Stop the one that trains at its next gap and take out those that wait; returns at once."""
        with self._lock:
            for config in configs:
                if self._waiting.pop(config.id, None):
                    self._note(Standing(config, "stopped"))
                elif self._current is not None and self._current.config.id == config.id:
                    self._stopping.add(config.id)
                    self._current.stop(timeout=0)
                self._paused.discard(config.id)

    def forget(self, configs: Iterable[LabConfig]) -> None:
        """Drop what is known of runs that are deleted."""
        with self._lock:
            for config in configs:
                self._ended.pop(config.id, None)

    def standing(self, config: LabConfig, run: LabRun | None = None) -> Standing:
        """Where a run stands, in this queue, in memory or in its folder."""
        with self._lock:
            if config.id in self._waiting:
                state = "paused" if config.id in self._paused else "waiting"
                return _of_folder(config, run, state)
            if self._current is not None and self._current.config.id == config.id:
                thread = self._current
                state = "stopping" if config.id in self._stopping else thread.state
                state = state if state in ACTIVE else "stopping"  # it has ended and hands over
                return Standing(config, state, thread.steps, thread.evaluations)
            known = self._ended.get(config.id)
        if known is not None and known.state in ("stopped", "failed") and run is not None:
            return _of_folder(config, run, "", known.state, known.error)
        return known or _of_folder(config, run)

    def active(self) -> list[LabConfig]:
        """The run that trains and those that wait, in their order."""
        with self._lock:
            return self._active()

    def wait(self, timeout: float | None = None) -> None:
        """Wait until nothing is left to do. For tests and scripts; screens poll."""
        server = self._server
        if server is not None:
            server.join(timeout)

    def _active(self) -> list[LabConfig]:
        now = [] if self._current is None else [self._current.config]
        return now + [config for config, _ in self._waiting.values()]

    def _is_here(self, run_id: str) -> bool:
        return run_id in self._waiting or (self._current is not None and self._current.config.id == run_id)

    def _serve(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._server = None
                    return
                run_id, (config, keep) = self._waiting.popitem(last=False)
                try:
                    run = open_lab_run(run_id) if keep else None
                except RedvizError as error:
                    self._note(Standing(config, "failed", error=str(error)))
                    continue
                thread = self._current = LabThread(config, run)
                if run_id in self._paused:
                    thread.pause()
            self._attend(thread)
            with self._lock:
                ended = Standing(config, thread.state, error=thread.error)
                if run is None:
                    ended = Standing(config, thread.state, thread.steps, thread.evaluations, thread.error)
                self._current = None
                self._paused.discard(run_id)
                self._stopping.discard(run_id)
                if run is None or ended.state != "done":
                    self._note(ended)
            del thread
            _give_back()

    def _attend(self, thread: LabThread) -> None:
        """Wait for a run to end; one that is paused for long while runs of others wait gives up its turn."""
        since: float | None = None
        while thread.alive:
            thread.wait(0.5)
            if thread.state != "paused":
                since = None
                continue
            since = since or time.monotonic()
            with self._lock:
                others = any(i not in self._paused for i in self._waiting)
            if others and time.monotonic() - since > PAUSE_HOLDS:
                thread.stop(timeout=0)

    def _note(self, standing: Standing) -> None:
        self._ended[standing.config.id] = standing
        while len(self._ended) > KEPT_IN_MEMORY:
            self._ended.popitem(last=False)


def _give_back() -> None:
    """Hand back what a run has freed: the C library and CUDA's allocator keep it otherwise, some 200 MB on a CPU."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    with suppress(OSError, AttributeError):  # glibc alone has it
        ctypes.CDLL(None).malloc_trim(0)


def _of_folder(
    config: LabConfig, run: LabRun | None, state: str = "", ending: str = "interrupted", error: str = ""
) -> Standing:
    """What the folder of a run tells; ``state`` where the queue knows better, ``ending`` where it is not finished."""
    if run is None:
        return Standing(config, state or ending, error=error)
    steps, evaluations = _read(run.folder, tuple(_stamp(run.folder / name) for name in ("steps.jsonl", "samples.json")))
    if not state:
        done = len(steps) >= config.steps and "after" in evaluations
        state = "elsewhere" if is_held(run.folder / "lock") else "done" if done else ending
    return Standing(config, state, steps, evaluations, "" if state == "done" else error)


@lru_cache(maxsize=KEPT_READ)
def _read(folder: Path, stamps: object) -> tuple[Sequence[Step], dict[str, Evaluation]]:
    """A folder's steps and samples, read again only where a file has changed: screens ask every second."""
    run = open_lab_run(folder.name)
    return tuple(run.steps()), run.evaluations()


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
