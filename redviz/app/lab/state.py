"""What the Lab screen works on: the experiments of this server that a session may see, and the one it has open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import scipy.stats  # noqa: F401  before torch: it breaks where it finds a torch that another thread has half imported
import streamlit as st

from redviz import settings
from redviz.app.parts.kept import keep, recall
from redviz.app.session import allowed, offered, remembered
from redviz.errors import RedvizError
from redviz.lab.config import METHODS, LabConfig
from redviz.lab.experiments import experiment_id
from redviz.lab.queue import LabQueue, Standing
from redviz.lab.runs import LabRun, list_lab_runs
from redviz.runs.run_folder import delete_run

PARTS = ("New experiment", "Curves", "Experiments")
PART, OPEN, PROBLEM = "lab.part", "lab.open", "lab.problem"
OWN = "redviz.lab.own"
POLICY, REWARD_MODEL = "embedded:writer", "embedded:sentiment"
EVERY = 1.5  # seconds between two looks at what runs

QUEUE = LabQueue()  # one for all sessions of this server


@dataclass(frozen=True)
class Limits:
    """The most that one experiment may ask of this server."""

    lines: int = 8
    seeds: int = 10
    steps: int = 1000
    batch: int = 256
    new_tokens: int = 128


@dataclass(frozen=True)
class Experiment:
    """Runs that differ in token rewards and seed alone.

    Attributes
    ----------
    runs
        Where each stands, by seed and in the order in which they were planned.
    """

    id: str
    runs: tuple[Standing, ...]

    @property
    def configs(self) -> list[LabConfig]:
        return [run.config for run in self.runs]

    @property
    def lines(self) -> dict[str, list[Standing]]:
        """The runs of every token reward, by its label."""
        found: dict[str, list[Standing]] = {}
        for run in self.runs:
            found.setdefault(run.config.label, []).append(run)
        return found

    @property
    def moving(self) -> bool:
        """Whether anything here changes by itself."""
        return any(run.active or run.state == "elsewhere" for run in self.runs)

    @property
    def state(self) -> str:
        """In one word."""
        states = [run.state for run in self.runs]
        for word in ("stopping", "paused", "running", "loading", "elsewhere", "waiting", "failed"):
            if word in states:
                return word
        if all(state == "done" for state in states):
            return "done"
        return "stopped" if "stopped" in states else "interrupted"

    @property
    def done(self) -> int:
        return sum(len(run.steps) for run in self.runs)

    @property
    def total(self) -> int:
        return sum(config.steps for config in self.configs)

    def seconds_left(self) -> float | None:
        """An estimate from the steps so far: of the same token rewards where there are some, else of all; None before the first."""
        every = [step.seconds for run in self.runs for step in run.steps]
        if not every:
            return None
        left = 0.0
        for runs in self.lines.values():
            own = [step.seconds for run in runs for step in run.steps] or every
            left += sum(own) / len(own) * sum(run.config.steps - len(run.steps) for run in runs)
        return left


def line_name(label: str) -> str:
    """Token rewards as a person reads them.

    >>> line_name("red beta_c=0.5"), line_name("uniform")
    ('RED β_c = 0.5', 'uniform')
    """
    method, _, options = label.partition(" ")
    name = method.upper() if method in ("red", "abc", "ig") else method
    return f"{name} {options.replace('beta_c', 'β_c').replace('=', ' = ')}".strip()


def chosen_part() -> str:
    """Which of the three parts is shown; the curves at first where something that this session may see is under way."""
    if recall(PART) is None and any(config in QUEUE.active() for found in _groups().values() for config, _ in found):
        show_part(PARTS[1])
    return remembered("Part of this screen", PART, PARTS, label_visibility="collapsed")


def show_part(part: str) -> None:
    """Turn to a part at the next run of the page."""
    keep(PART, part)


def limits() -> Limits:
    """A public server bounds an experiment to some minutes of one core, a shared one to some more."""
    if settings.demo_mode():
        return Limits(lines=3, seeds=2, steps=30, batch=32, new_tokens=32)
    return Limits() if offered() is None else Limits(seeds=5, steps=200, batch=128, new_tokens=64)


def experiments(most: int | None = None) -> list[Experiment]:
    """Those that this session may see, the newest first."""
    return [_experiment(name, found) for name, found in list(_groups().items())[:most]]


def opened() -> Experiment | None:
    """The experiment that the session looks at: the one it opened, else what runs, else the newest; None where there is none."""
    groups, active = _groups(), QUEUE.active()
    moving = (name for name, found in groups.items() if any(config in active for config, _ in found))
    wanted = recall(OPEN)
    chosen = wanted if wanted in groups else next(moving, next(iter(groups), None))
    return None if chosen is None else _experiment(chosen, groups[chosen])


def _groups() -> dict[str, list[tuple[LabConfig, LabRun | None]]]:
    """The runs of every experiment that this session may see, the newest first.

    On one's own machine that is all of them, those of the command line too. On a shared server a session sees those it began; a
    public server keeps them in memory only.
    """
    own = own_configs()
    if settings.demo_mode():
        told: list[tuple[LabConfig, LabRun | None]] = [(config, None) for config in reversed(own)]
    else:
        told = [(run.config, run) for run in list_lab_runs() if offered() is None or run.config in own]
    groups: dict[str, list[tuple[LabConfig, LabRun | None]]] = {}
    for config, run in told:
        groups.setdefault(experiment_id(config), []).append((config, run))
    return groups


def _experiment(name: str, found: list[tuple[LabConfig, LabRun | None]]) -> Experiment:
    runs = [QUEUE.standing(config, run) for config, run in found]
    return Experiment(
        name, tuple(sorted(runs, key=lambda run: (run.config.seed, METHODS.index(run.config.method), run.config.label)))
    )


def open_experiment(experiment: str) -> None:
    """Look at it."""
    keep(OPEN, experiment)
    keep(PROBLEM, "")
    show_part(PARTS[1])


def start(configs: Sequence[LabConfig]) -> None:
    """Queue the runs of an experiment, and look at it."""
    _check(configs)
    QUEUE.add(configs, keep=not settings.demo_mode())
    _take(configs)
    open_experiment(experiment_id(configs[0]))


def go_on(experiment: Experiment) -> None:
    """Queue what is left of an experiment."""
    _check([run.config for run in experiment.runs if run.state != "done"])
    QUEUE.add(
        [run.config for run in experiment.runs if run.state not in ("done", "elsewhere")],
        keep=not settings.demo_mode(),
    )
    _take(experiment.configs)


def delete(experiment: Experiment) -> None:
    """Delete all runs of an experiment that nobody works on or waits to work on."""
    if any(run.active for run in experiment.runs):
        raise RedvizError("This experiment waits for its turn or is being worked on; stop it first.")
    if settings.demo_mode():
        own_configs()[:] = [config for config in own_configs() if config not in experiment.configs]
        return  # what is in memory goes when it is the oldest: another session may look at it
    for run in list_lab_runs():
        if run.config in experiment.configs:
            delete_run(run)
    QUEUE.forget(experiment.configs)


def tried(act: Callable[..., object], *given: object) -> None:
    """Do what a button says; what stands against it is told by :func:`problem`, since a callback has no place of its own."""
    keep(PROBLEM, "")
    try:
        act(*given)
    except RedvizError as error:
        keep(PROBLEM, str(error))


def problem() -> str:
    """What stood against the last button, in a sentence, or ""."""
    said: str = recall(PROBLEM, "")
    return said


def own_configs() -> list[LabConfig]:
    """The runs that this browser session began or went on with."""
    found: list[LabConfig] = st.session_state.setdefault(OWN, [])
    return found


def _take(configs: Sequence[LabConfig]) -> None:
    own = own_configs()
    own.extend(config for config in configs if config not in own)


def _check(configs: Sequence[LabConfig]) -> None:
    """Refuse what this server does not do."""
    for config in configs:
        for name in (config.policy, config.reward_model):
            if name != POLICY and not allowed(name):
                raise RedvizError(f"This server does not offer {name}; run redviz lab on your own machine.")
    most = limits()
    if any(config.steps > most.steps or config.batch > most.batch for config in configs):
        raise RedvizError(
            f"This server takes up to {most.steps} steps of {most.batch} responses; run redviz lab on your own machine."
        )
    busy = {experiment_id(config) for config in QUEUE.active() if config in own_configs()}
    if offered() is not None and busy - {experiment_id(config) for config in configs}:
        raise RedvizError("Another experiment of yours is under way on this shared server; stop it first.")
