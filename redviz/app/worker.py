"""One thread and one queue: short jobs go ahead of long ones, each reports progress and can be cancelled."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redviz.errors import Cancelled, RedvizError

log = logging.getLogger("redviz")

SHORT, LONG, IDLE = 0, 1, 2  # priorities
KEPT_JOBS, KEPT_RESULTS = 200, 8  # results live in the engine's cache; a job itself holds its own only for a while


@dataclass
class Job:
    """One piece of work in the queue. Screens read its fields and may cancel it; only the worker runs it."""

    id: int
    title: str
    priority: int
    work: Callable[[Job], Any] = field(repr=False)
    key: Any = field(default=None, repr=False)
    state: str = "queued"  # queued, running, done, failed, cancelled
    done: int = 0
    total: int = 0
    result: Any = None
    forgotten: bool = False  # whether the result was dropped, after KEPT_RESULTS later jobs
    error: str = ""
    finished: threading.Event = field(default_factory=threading.Event, repr=False)
    stop: threading.Event = field(default_factory=threading.Event, repr=False)
    give_way: Callable[[], None] = field(default=lambda: None, repr=False)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)  # a job is begun or cancelled, never both

    def cancel(self) -> None:
        """Ask the job to stop: at once if it waits, else at its next micro-batch."""
        self.stop.set()
        with self.lock:
            if self.state == "queued":
                self.state, self.error, self.work = "cancelled", f"{self.title} was cancelled.", _spent
                self.finished.set()

    def begin(self) -> bool:
        """Take the job out of waiting, unless it was cancelled there."""
        with self.lock:
            if self.state == "queued":
                self.state = "running"
            return self.state == "running"

    def progress(self, done: int, total: int) -> None:
        """Report progress and let shorter jobs pass; raises :class:`Cancelled` once the job was asked to stop."""
        self.done, self.total = done, total
        self.give_way()
        if self.stop.is_set():
            raise Cancelled(f"{self.title} was cancelled.")

    def wait(self, timeout: float | None = None) -> Any:
        """The result, or the error as RedvizError. For tests and scripts; screens poll ``state``."""
        if not self.finished.wait(timeout):
            raise RedvizError(f"{self.title} has not finished after {timeout} seconds.")
        if self.state != "done":
            raise RedvizError(self.error)
        result = self.result
        if result is None and self.forgotten:
            raise RedvizError(f"The result of {self.title} is no longer kept; ask for it again.")
        return result


def _spent(job: Job) -> None:
    """The work of a job that is over: what it was made from can be freed."""


class Worker:
    """A queue of jobs and the one thread that runs them."""

    def __init__(self) -> None:
        self._queue: queue.PriorityQueue[tuple[int, int, Job | None]] = queue.PriorityQueue()
        self._numbers = itertools.count(1)
        self._pending: dict[Any, Job] = {}
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._holding: deque[Job] = deque()  # the last jobs that are done, which hold their results
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="redviz-worker", daemon=True)
        self._thread.start()

    def submit(self, title: str, work: Callable[[Job], Any], priority: int = SHORT, key: Any = None) -> Job:
        """Queue work; the same key while one is pending gives the same job, unless that was cancelled."""
        with self._lock:
            pending = self._pending.get(key) if key is not None else None
            if pending is not None and not pending.stop.is_set():
                return pending
            job = Job(next(self._numbers), title, priority, work, key)
            job.give_way = lambda: self._run_shorter(priority)
            self._jobs[job.id] = job
            while len(self._jobs) > KEPT_JOBS:
                self._jobs.popitem(last=False)
            if key is not None:
                self._pending[key] = job
        self._queue.put((priority, job.id, job))
        return job

    def job(self, number: int) -> Job | None:
        """A job by its number, while it is remembered."""
        return self._jobs.get(number)

    def jobs(self) -> list[Job]:
        """The last jobs, oldest first."""
        with self._lock:
            return list(self._jobs.values())

    def close(self) -> None:
        """Cancel what waits, let the running job reach its next micro-batch, and end the thread."""
        for job in self.jobs():
            job.cancel()
        self._queue.put((-1, 0, None))
        self._thread.join(timeout=60)

    def _serve(self) -> None:
        while True:
            _, _, job = self._queue.get()
            if job is None:
                return
            self._run(job)

    def _run_shorter(self, priority: int) -> None:
        """Run what is more urgent than a running job, in its place: it waits at its micro-batch meanwhile."""
        while True:
            try:
                waiting = self._queue.get_nowait()
            except queue.Empty:
                return
            if waiting[0] >= priority or waiting[2] is None:
                self._queue.put(waiting)
                return
            self._run(waiting[2])

    def _run(self, job: Job) -> None:
        try:
            if not job.begin():
                return
            job.progress(0, 0)
            job.result = job.work(job)
            job.state = "done"
        except Cancelled as error:
            job.state, job.error = "cancelled", str(error)
        except RedvizError as error:
            job.state, job.error = "failed", str(error)
        except Exception as error:
            log.exception("job %s failed", job.title)
            job.state = "failed"
            job.error = f"{job.title} failed inside redviz ({type(error).__name__}); the server's log has the details."
        finally:
            with self._lock:
                if self._pending.get(job.key) is job:
                    del self._pending[job.key]
            job.work = _spent
            self._holding.append(job)
            if len(self._holding) > KEPT_RESULTS:
                oldest = self._holding.popleft()
                oldest.forgotten, oldest.result = oldest.result is not None, None
            job.finished.set()
