"""Runs that one figure shows together: the same but for their token rewards and seeds; and their downloads."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from redviz.lab.config import LabConfig
from redviz.lab.requests import REQUESTS
from redviz.lab.steps import Evaluation, Step

FLAGS = {
    "algorithm": "--algorithm",
    "method": "--method",
    "steps": "--steps",
    "seed": "--seed",
    "learning_rate": "--learning-rate",
    "kl_coef": "--kl-coef",
    "kl_estimator": "--kl-estimator",
    "gamma": "--gamma",
    "lam": "--lam",
    "clip": "--cliprange",
    "epochs": "--epochs",
    "group": "--num-generations",
    "batch": "--batch-size",
    "micro_batches": "--micro-batches",
    "max_new_tokens": "--max-new-tokens",
    "policy": "--policy",
    "reward_model": "--model",
    "device": "--device",
}  # of ``redviz lab``
ALWAYS = ("algorithm", "method", "steps", "seed")


def shared(config: LabConfig) -> LabConfig:
    """What the runs of one experiment have in common: the config with the first token rewards and the first seed."""
    return replace(config, method="sparse", options={}, seed=0)


def experiment_id(config: LabConfig) -> str:
    """A hash of what the runs of one experiment have in common.

    >>> experiment_id(LabConfig(method="red", seed=1)) == experiment_id(LabConfig(method="ig", seed=2))
    True
    """
    return hashlib.sha256(shared(config).id.encode()).hexdigest()[:16]


def planned(base: LabConfig, rewards: Iterable[tuple[str, dict[str, Any]]], seeds: int) -> list[LabConfig]:
    """The runs of an experiment in their order: all token rewards with one seed before the next seed, so that lines come soon."""
    told = list(rewards)
    return [
        replace(base, method=method, options=options, seed=seed) for seed in range(seeds) for method, options in told
    ]


def command(config: LabConfig) -> str:
    """The call of ``redviz lab`` that is this run.

    >>> print(command(LabConfig(method="red", options={"beta_c": 0.5})))
    redviz lab --algorithm rloo --method red --option red.beta_c=0.5 --steps 30 --seed 0
    """
    usual, words = LabConfig(), ["redviz lab"]
    for name, flag in FLAGS.items():
        value = getattr(config, name)
        if name in ALWAYS or value != getattr(usual, name):
            words.append(f"{flag} {shlex.quote(str(value))}")
        if name == "method":
            told = [f"{config.method}.{option}={given}" for option, given in config.options.items()]
            words += [f"--option {shlex.quote(option)}" for option in told]
    if config.prompts != REQUESTS:
        words += [f"--prompt={shlex.quote(prompt)}" for prompt in config.prompts]
    return " ".join(words)


def steps_jsonl(runs: Sequence[tuple[LabConfig, Sequence[Step]]]) -> str:
    """The curves: a line per step of every run, with the run's id, algorithm, method, options and seed."""
    return "".join(
        _line({**_named(config), **step.to_dict()}) for config, steps in runs for step in steps
    )  # fmt: skip


def samples_jsonl(runs: Sequence[tuple[LabConfig, dict[str, Evaluation]]]) -> str:
    """The responses to the held-out requests: a line each, with its run and whether it was drawn before or after."""
    return "".join(
        _line({**_named(config), "when": name, "step": one.step, **vars(sample)})
        for config, evaluations in runs
        for name, one in evaluations.items()
        for sample in one.samples
    )


def _named(config: LabConfig) -> dict[str, Any]:
    return {
        "run": config.id,
        "algorithm": config.algorithm,
        "method": config.method,
        "options": dict(config.options),
        "seed": config.seed,
    }


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"
