"""One thread and one queue: short jobs go ahead of long ones, each reports progress and can be cancelled."""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redviz.errors import Cancelled, RedvizError

log = logging.getLogger("redviz")

SHORT, LONG, IDLE = 0, 1, 2  # priorities
KEPT_JOBS = 200


@dataclass
class Job:
    """One piece of work in the queue. Screens read its fields; only the worker writes them."""

    id: int
    title: str
    priority: int
    work: Callable[[Job], Any] = field(repr=False)
    key: Any = field(default=None, repr=False)
    state: str = "queued"  # queued, running, done, failed, cancelled
    done: int = 0
    total: int = 0
    started: float = 0.0
    result: Any = None
    error: str = ""
    finished: threading.Event = field(default_factory=threading.Event, repr=False)
    stop: threading.Event = field(default_factory=threading.Event, repr=False)
    give_way: Callable[[], None] = field(default=lambda: None, repr=False)

    def cancel(self) -> None:
        """Ask the job to stop: at once if it waits, else at its next micro-batch."""
        self.stop.set()

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
        return self.result


class Worker:
    """A queue of jobs and the one thread that runs them."""

    def __init__(self) -> None:
        self._queue: queue.PriorityQueue[tuple[int, int, Job | None]] = queue.PriorityQueue()
        self._numbers = itertools.count(1)
        self._pending: dict[Any, Job] = {}
        self._jobs: OrderedDict[int, Job] = OrderedDict()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._serve, name="redviz-worker", daemon=True)
        self._thread.start()

    def submit(self, title: str, work: Callable[[Job], Any], priority: int = SHORT, key: Any = None) -> Job:
        """Queue work; the same key while one is pending gives the same job."""
        with self._lock:
            if key is not None and key in self._pending:
                return self._pending[key]
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
        job.started = time.monotonic()
        job.state = "running"
        try:
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
                self._pending.pop(job.key, None)
            job.finished.set()
