"""Lab runs as folders: what is run, its steps, its samples, and the state that it goes on from.

``REDVIZ_HOME/lab/<run id>/`` holds ``config.json``, ``steps.jsonl`` (a line per step), ``samples.json`` (the held-out requests before and
after), ``checkpoint`` (weights, optimizer, baseline) and ``lock`` (held by the process that works on it).
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass

import torch

from redviz.data.whole_files import replace_file, sweep
from redviz.errors import RedvizError
from redviz.lab.config import LabConfig
from redviz.lab.steps import Evaluation, Sample, Step
from redviz.lab.training import Lab
from redviz.runs.run_folder import RunFolder, folder_of, newest_first, refuse_in_demo, written
from redviz.settings import home


@dataclass(frozen=True)
class LabRun(RunFolder):
    """A run of the lab. Any process may read it; only the one that holds its lock writes steps, samples and checkpoint."""

    config: LabConfig

    place, called, told_in = "lab", "lab run", "config.json"

    def steps(self) -> list[Step]:
        """The steps so far, in order; a line that a killed process left half written is left out."""
        found: list[Step] = []
        with suppress(FileNotFoundError), (self.folder / "steps.jsonl").open(encoding="utf-8") as file:
            for line in file:
                with suppress(ValueError, TypeError):
                    found.append(Step(**json.loads(line)))
        return found

    def evaluations(self) -> dict[str, Evaluation]:
        """``before`` and, once all steps are done, ``after``."""
        try:
            written = json.loads((self.folder / "samples.json").read_text(encoding="utf-8"))
            return {
                name: Evaluation(**{**one, "samples": tuple(Sample(**sample) for sample in one["samples"])})
                for name, one in written.items()
            }
        except (OSError, ValueError, TypeError, KeyError):
            return {}

    @property
    def state(self) -> str:
        """Where it stands: "running" in some process, "done", "stopped" (it can go on), or "new"."""
        if self.is_held:
            return "running"
        done = len(self.steps())
        if done >= self.config.steps and "after" in self.evaluations():
            return "done"
        return "stopped" if done else "new"

    def load(self, lab: Lab) -> None:
        """Bring a lab to the kept state, if there is one; nothing is written."""
        path = self.folder / "checkpoint"
        if path.exists():
            try:
                state = torch.load(path, map_location=lab.policy.device, weights_only=True)
            except Exception as error:  # torch and zipfile each have a tree of their own
                raise RedvizError(
                    f"The checkpoint of lab run {self.id} cannot be read; delete the run and start it again."
                ) from error
            lab.load_state(state)

    # what follows is for the process that holds the lock

    def keep(self, lab: Lab) -> None:
        """Write the state that the run goes on from."""
        replace_file(self.folder / "checkpoint", lambda file: torch.save(lab.state(), file))

    def restore(self, lab: Lab) -> None:
        """Bring a lab to the kept state, if there is one, and forget the steps after it: they are made again, the same."""
        sweep(self.folder)
        self.load(lab)
        self._write_steps(self.steps()[: lab.done])

    def add(self, step: Step) -> None:
        """One more line."""
        with (self.folder / "steps.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(step.to_dict()) + "\n")

    def _write_steps(self, steps: list[Step]) -> None:
        lines = "".join(json.dumps(step.to_dict()) + "\n" for step in steps)
        replace_file(self.folder / "steps.jsonl", lambda file: file.write_text(lines, "utf-8"))

    def set_evaluation(self, name: str, found: Evaluation) -> None:
        """Keep the samples ``before`` or ``after``."""
        every = {key: one.to_dict() for key, one in self.evaluations().items()} | {name: found.to_dict()}
        text = json.dumps(every, ensure_ascii=False, indent=1)
        replace_file(self.folder / "samples.json", lambda file: file.write_text(text, "utf-8"))


def create_lab_run(config: LabConfig) -> LabRun:
    """The run of this config: a new folder, or the one that is there already.

    Raises
    ------
    RedvizError
        On a public server (``REDVIZ_DEMO``), which writes nothing, or where the folder cannot be written.
    """
    refuse_in_demo()
    run = LabRun(home() / "lab" / config.id, config)
    with written(run):
        run.folder.mkdir(parents=True, exist_ok=True)
        if not (run.folder / "config.json").exists():
            text = json.dumps(config.to_dict(), ensure_ascii=False, indent=1)
            replace_file(run.folder / "config.json", lambda file: file.write_text(text, "utf-8"))
    return run


def open_lab_run(run_id: str) -> LabRun:
    """A run by its id; RedvizError where there is none or its config cannot be read."""
    folder = folder_of(LabRun, run_id)
    try:
        return LabRun(folder, LabConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError, RedvizError):
        raise RedvizError(
            f"The config of lab run {run_id} cannot be read; delete the run and start it again."
        ) from None


def list_lab_runs() -> list[LabRun]:
    """All runs that can be read, the newest first."""
    return newest_first(LabRun, open_lab_run)


def export_json(config: LabConfig, steps: list[Step], evaluations: dict[str, Evaluation]) -> str:
    """A run as one JSON text: config, steps, and the held-out requests before and after."""
    return json.dumps(
        {
            "id": config.id,
            "config": config.to_dict(),
            "steps": [step.to_dict() for step in steps],
            "evaluations": {name: one.to_dict() for name, one in evaluations.items()},
        },
        ensure_ascii=False,
        indent=1,
    )


def export_csv(config: LabConfig, steps: list[Step]) -> str:
    """The steps as CSV text: a line each, with the run's algorithm, method and seed before the figures."""
    names = list(Step.__dataclass_fields__)
    told = [config.algorithm, f'"{config.label}"', str(config.seed)]
    lines = [",".join(["algorithm", "method", "seed", *names])]
    for step in steps:
        values = step.to_dict()
        lines.append(",".join([*told, *("" if values[name] is None else repr(values[name]) for name in names)]))
    return "\n".join(lines) + "\n"
