"""Working on a lab run: with its folder or in memory alone, here or in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import nullcontext

from redviz.errors import RedvizError
from redviz.lab.config import LabConfig
from redviz.lab.runs import LabRun
from redviz.lab.steps import Evaluation, Step
from redviz.lab.training import Lab
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.policy import Policy
from redviz.models.kinds.reward_model import RewardModel

log = logging.getLogger("redviz")

KEPT_EVERY = 10  # steps between two checkpoints


def work(
    lab: Lab,
    run: LabRun | None = None,
    *,
    on_step: Callable[[Step], None] = lambda step: None,
    on_evaluation: Callable[[str, Evaluation], None] = lambda name, found: None,
    repeats: int = 8,
) -> None:
    """Run a lab to its end or until it is stopped; with a folder it goes on from there and is kept there.

    Parameters
    ----------
    lab, run
        Of one config. Without a run nothing is written.
    on_step, on_evaluation
        Called after each new step, and with "before" and "after".
    repeats
        Responses to each held-out request of an evaluation.

    Raises
    ------
    RedvizError
        Where another process works on the run, or its checkpoint cannot be read.
    """
    with run.held() if run is not None else nullcontext():
        told: dict[str, Evaluation] = {}
        if run is not None:
            run.restore(lab)
            told = run.evaluations()

        def judge(name: str) -> None:
            found = told.get(name) or lab.evaluate(repeats)
            if run is not None and name not in told:
                run.set_evaluation(name, found)
            on_evaluation(name, found)

        if lab.done == 0 or "before" in told:
            judge("before")
        since = lab.done
        try:
            for step in lab.run():
                if run is not None:
                    run.add(step)
                    if step.step % KEPT_EVERY == 0:
                        run.keep(lab)
                on_step(step)
        finally:  # what was stopped, or failed after whole steps, goes on from its last one
            if run is not None and lab.done > since:
                run.keep(lab)
        if lab.done >= lab.config.steps:
            judge("after")


class LabThread:
    """A run in a thread of its own, for a screen that comes and goes: it reads the fields, and may pause, resume and stop.

    The thread loads the models, trains, writes the run's folder where there is one, and lets everything go at its end.

    Attributes
    ----------
    config, run
        What runs, and its folder or None.
    steps, evaluations
        So far, those of an earlier process among them; they only grow.
    state
        "loading", "running", "paused", "done", "stopped" or "failed"; the last three are final.
    error
        One sentence where it failed.

    Examples
    --------
    >>> tiny = LabConfig(batch=4, group=2, micro_batches=2, max_new_tokens=4, steps=2, device="cpu")
    >>> thread = LabThread(tiny)
    >>> thread.wait()
    >>> thread.state, len(thread.steps), sorted(thread.evaluations)
    ('done', 2, ['after', 'before'])
    """

    def __init__(
        self,
        config: LabConfig,
        run: LabRun | None = None,
        *,
        policy: Policy | None = None,
        reward_model: RewardModel | FunctionModel | None = None,
        repeats: int = 8,
    ) -> None:
        self.config, self.run = config, run
        self.steps: list[Step] = [] if run is None else run.steps()
        self.evaluations: dict[str, Evaluation] = {} if run is None else run.evaluations()
        self.error = ""
        self._ending = ""
        self._lab: Lab | None = None
        self._lock = threading.Lock()  # the lab and what was asked of it before it was there
        self._wanted_pause = self._wanted_stop = False
        self._models: tuple[Policy | None, RewardModel | FunctionModel | None] = (policy, reward_model)
        self._repeats = repeats
        self._thread = threading.Thread(target=self._work, name=f"redviz-lab-{config.id}", daemon=True)
        self._thread.start()

    @property
    def state(self) -> str:
        if self._ending:
            return self._ending
        if self._lab is None:
            return "loading"
        return "paused" if self._wanted_pause else "running"

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def pause(self) -> None:
        with self._lock:
            self._wanted_pause = True
            if self._lab is not None:
                self._lab.pause()

    def resume(self) -> None:
        with self._lock:
            self._wanted_pause = False
            if self._lab is not None:
                self._lab.resume()

    def stop(self, timeout: float | None = 60.0) -> None:
        """Stop at the next gap between parts of a step and wait for the thread to end."""
        with self._lock:
            self._wanted_stop, self._wanted_pause = True, False
            if self._lab is not None:
                self._lab.stop()
        self._thread.join(timeout)

    def wait(self, timeout: float | None = None) -> None:
        """Wait until it has ended."""
        self._thread.join(timeout)

    def _work(self) -> None:
        ending = "failed"
        try:
            policy, reward_model = self._models
            self._models = (None, None)
            lab = Lab(self.config, policy=policy, reward_model=reward_model)
            del policy, reward_model
            with self._lock:
                self._lab = lab
                if self._wanted_stop:
                    lab.stop()
                elif self._wanted_pause:
                    lab.pause()
            work(lab, self.run, on_step=self._add, on_evaluation=self._judge, repeats=self._repeats)
            ending = "done" if lab.done >= self.config.steps else "stopped"
        except RedvizError as error:
            self.error = str(error)
        except Exception as error:
            log.exception("a lab run failed")
            self.error = f"The run failed ({type(error).__name__}: {error}); its finished steps are kept."
        finally:
            with self._lock:
                last, self._lab = self._lab, None
                if last is not None:
                    last.close()
                self._ending = ending

    def _add(self, step: Step) -> None:
        self.steps = [*self.steps[: step.step - 1], step]  # steps after a checkpoint are made again

    def _judge(self, name: str, found: Evaluation) -> None:
        self.evaluations = {**self.evaluations, name: found}
