"""Filling a run with parts, whoever scores them: the lock, the state, the parts that are there already, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from redviz.credit.ingredients import Progress
from redviz.data.whole_files import sweep
from redviz.errors import Cancelled, RedvizError
from redviz.runs.parts import failed_in
from redviz.runs.runs import Run, State

STATE_EVERY = 0.5  # seconds
STOPPED = "Stopped; finished parts are kept and it can be resumed."

ScoreParts = Callable[[Collection[int], Callable[[int], None]], Iterable[tuple[int, int]]]


def fill(
    run: Run, scored: ScoreParts, *, progress: Progress | None = None, stop: Callable[[], bool] | None = None
) -> State:
    """Work on a run until every part is there.

    Parameters
    ----------
    run
        Its folder; held for this process meanwhile.
    scored
        Called with the numbers of the missing parts and with a ``beat`` to call often, with the examples that are ready beyond
        finished parts (it raises :class:`Cancelled` where the run should stop); writes each part and then gives its number and how
        many of its rows failed, in any order.
    progress, stop
        As :func:`redviz.runs.local.run_parts` takes them.

    Raises
    ------
    Cancelled
        Where it was stopped.
    RedvizError
        Where another process works on the run, or a part was not given.
    """
    with run.held():
        (run.folder / "cancel").unlink(missing_ok=True)
        watch = _Watch(run, progress, stop)
        try:
            sweep(run.folder / "parts")
            end_attempts(run)
            finished = {
                number: failed
                for number in range(run.manifest.parts)
                if (failed := _looked_at(run, number)) is not None
            }
            watch.begin(sum(map(run.manifest.size, finished)), sum(finished.values()))
            missing = set(range(run.manifest.parts)) - finished.keys()
            if missing:
                for number, failed in scored(frozenset(missing), watch.beat):
                    watch.finish(run.manifest.size(number), failed)
                    missing.discard(number)
            if missing:
                raise RedvizError(f"Part {min(missing)} of run {run.id} was not scored; resume the run.")
        except (Cancelled, KeyboardInterrupt):
            watch.end("cancelled", STOPPED)
            raise
        except Exception as error:
            watch.end("failed", str(error) if isinstance(error, RedvizError) else f"{type(error).__name__}: {error}")
            raise
        return watch.end("done", "")


def end_attempts(run: Run) -> None:
    """Tell every worker of an earlier attempt that still lives somewhere to stop: it works only while its attempt's file is there."""
    for left in run.folder.glob("attempt-*"):
        left.unlink(missing_ok=True)


def _looked_at(run: Run, number: int) -> int | None:
    if (failed := failed_in(run, number)) is None and run.part(number).exists():
        run.log(f"part {number} is damaged and is done again")
    return failed


@dataclass
class _Watch:
    """Counts what is done, keeps ``state.json`` fresh, and raises where somebody wants the run to stop."""

    run: Run
    progress: Progress | None
    stop: Callable[[], bool] | None
    done: int = 0  # examples of finished parts
    before: int = 0  # of them, those that were there already
    failed: int = 0
    ready: int = 0  # examples of the part at work
    since: float = 0.0
    told: float = 0.0

    def begin(self, done: int, failed: int) -> None:
        self.done = self.before = done
        self.failed, self.since = failed, time.monotonic()
        total = self.run.manifest.count
        self.run.set_state(
            state="running",
            done=done,
            total=total,
            failed=failed,
            pid=os.getpid(),
            message="",
            started=time.time(),
        )
        self.run.log(f"running: {done} of {total} examples are there already")
        if self.progress is not None:
            self.progress(done, total)

    def beat(self, ready: int) -> None:
        self.ready = ready
        now = time.monotonic()
        if now - self.told >= STATE_EVERY:
            self.told = now
            self.run.set_state(done=self.done + ready, failed=self.failed, rate=self.rate)
            if self.run.is_cancelled():
                raise Cancelled(f"Run {self.run.id} was cancelled.")
        if self.stop is not None and self.stop():
            raise Cancelled(f"Run {self.run.id} was cancelled.")
        if self.progress is not None:
            self.progress(self.done + ready, self.run.manifest.count)

    def finish(self, examples: int, failed: int) -> None:
        self.done, self.failed = self.done + examples, self.failed + failed
        self.beat(0)

    def end(self, state: str, message: str) -> State:
        rate = {"rate": self.rate} if self.done + self.ready > self.before else {}  # nothing new: the old rate stands
        self.run.log(f"{state}: {self.done} of {self.run.manifest.count} examples. {message}")
        return self.run.set_state(state=state, message=message, done=self.done, failed=self.failed, **rate)

    @property
    def rate(self) -> float:
        """Examples per second, those of this process."""
        seconds = time.monotonic() - self.since
        return (self.done + self.ready - self.before) / seconds if seconds > 0 and self.since else 0.0
