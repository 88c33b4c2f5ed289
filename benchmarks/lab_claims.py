"""Does splitting the reward over the tokens help a policy learn? Every table of docs/lab.md from one command.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/lab_claims.py

Five ways to split the reward of ``embedded:sentiment``, at equal budgets, train ``embedded:writer``; learning rates are tuned per way on
other seeds. About 40 minutes of one CPU core. Every finished run is kept in ``--cache``, so a second call redoes only the missing ones
and writes the document again; ``--seeds`` and ``--steps`` make it larger or smaller.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from lab_claims_document import document, write_figure

from redviz.data.whole_files import replace_file
from redviz.lab.config import LabConfig
from redviz.lab.steps import Step
from redviz.lab.training import Lab
from redviz.models.kinds.policy import load_policy
from redviz.models.loading.load import load_reward_model
from redviz.settings import home

log = logging.getLogger("lab_claims")

METHODS = ("sparse", "uniform", "red", "abc", "random")
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
TUNING_SEEDS, TUNING_STEPS = (1001, 1002), 10
SHORT = ("Write a film review.", "Review this movie", "Tell me about it.", "Was it any good?", "Continue the review.")
COMMON = LabConfig(
    algorithm="reinforce", kl_coef=0.02, group=1, batch=48, prompts=SHORT, micro_batches=4, max_new_tokens=24, device="cpu",
    max_gradient_norm=100.0,  # never reached: the methods' gradients differ in scale, and Adam takes a constant scale away
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """One finished run: its config, its steps, the held-out reward before and after, and the processor seconds that it took."""

    config: LabConfig
    steps: tuple[Step, ...]
    held_out: tuple[dict[str, float], dict[str, float]]
    cpu_seconds: float

    @property
    def objective(self) -> float:
        """Mean over the steps of what is maximised: the reward less the KL penalty."""
        return sum(step.reward - self.config.kl_coef * step.kl for step in self.steps) / len(self.steps)


class Runs:
    """Runs one config after the other, keeping each."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        cache.mkdir(parents=True, exist_ok=True)
        self.policy = load_policy(COMMON.policy, device="cpu", dtype="float32")
        self.reward_model = load_reward_model(COMMON.reward_model, device="cpu")
        self.before: dict[str, float] | None = None  # the same for all: they start from one policy

    def known(self, config: LabConfig) -> Result | None:
        path = self.cache / f"{config.id}.json"
        if not path.exists():
            return None
        kept = json.loads(path.read_text())
        steps = tuple(Step(**step) for step in kept["steps"])
        return Result(LabConfig.from_dict(kept["config"]), steps, tuple(kept["held_out"]), kept["cpu_seconds"])

    def result(self, config: LabConfig) -> Result:
        """A kept run, or one made now."""
        found = self.known(config)
        if found is not None:
            return found
        began = time.process_time()
        lab = Lab(config, policy=self.policy, reward_model=self.reward_model)
        if self.before is None:
            self.before = figures(lab)
        steps = tuple(lab.run())
        judged = (self.before, figures(lab))
        lab.close()
        made = Result(config, steps, judged, time.process_time() - began)
        text = json.dumps(
            {
                "config": config.to_dict(),
                "steps": [step.to_dict() for step in steps],
                "held_out": judged,
                "cpu_seconds": made.cpu_seconds,
            }
        )
        replace_file(self.cache / f"{config.id}.json", lambda file: file.write_text(text))
        log.info(
            "%s rate %g seed %d: objective %.3f, last reward %.3f, %.0f s of processor time",
            config.method, config.learning_rate, config.seed, made.objective, steps[-1].reward, made.cpu_seconds,
        )  # fmt: skip
        return made


def figures(lab: Lab) -> dict[str, float]:
    """The held-out requests as the policy stands, without the samples."""
    return {name: value for name, value in lab.evaluate().to_dict().items() if name != "samples"}


def tuning(methods: Sequence[str] = METHODS) -> list[LabConfig]:
    """Every method under every rate on the tuning seeds."""
    return [
        replace(COMMON, method=method, learning_rate=rate, seed=seed, steps=TUNING_STEPS)
        for seed in TUNING_SEEDS
        for method in methods
        for rate in RATES
    ]


def best_rate(results: Sequence[Result]) -> float:
    """The rate with the highest mean objective over the tuning seeds."""

    def mean(rate: float) -> float:
        found = [result.objective for result in results if result.config.learning_rate == rate]
        return sum(found) / len(found)

    return max(RATES, key=mean)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="seeds of the comparison, from 1 on")
    parser.add_argument("--steps", type=int, default=20, help="steps of each of its runs")
    parser.add_argument(
        "--cache", type=Path, default=home() / "cache" / "lab_claims", help="where finished runs are kept"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent.parent / "docs" / "lab.md")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    log.setLevel(logging.INFO)
    torch.set_num_threads(args.threads)
    runs = Runs(args.cache)
    tuned = [runs.result(config) for config in tuning()]
    rates = {method: best_rate([r for r in tuned if r.config.method == method]) for method in METHODS}
    log.info("rates: %s", rates)
    compared: dict[str, list[Result]] = {method: [] for method in METHODS}
    for seed in range(1, args.seeds + 1):
        for method in METHODS:
            config = replace(COMMON, method=method, learning_rate=rates[method], seed=seed, steps=args.steps)
            compared[method].append(runs.result(config))
    figure = write_figure(compared, args.output.with_suffix(".svg"))
    args.output.write_text(document(tuned, rates, compared, figure), encoding="utf-8")
    log.info("wrote %s", args.output)


if __name__ == "__main__":
    main()
