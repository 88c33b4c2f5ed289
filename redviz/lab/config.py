"""What a lab run is made of: the algorithm, the token rewards, and every number that decides its course."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.lab.requests import REQUESTS

ALGORITHMS = ("reinforce", "rloo", "grpo", "ppo")
METHODS = ("sparse", "uniform", "red", "abc", "ig", "random")
POTENTIAL = ("sparse", "red")  # token rewards whose totals are the score's, less what the prompt alone decides
CLIPPED = ("grpo", "ppo")  # what may take several passes over one batch
ESTIMATORS = ("k1", "k2", "k3")


@dataclass(frozen=True)
class LabConfig:
    """One run of the lab; the same config gives the same numbers on the same machine.

    Attributes
    ----------
    algorithm
        "reinforce", "rloo", "grpo" or "ppo"; :mod:`redviz.lab.forms` says what each makes of the token rewards.
    method, options
        The token rewards: "sparse", "uniform", "red" (``{"beta_c": 0.5}``), "abc", "ig", or "random", which splits the score by
        random weights (a control). Options are those of :func:`redviz.methods`; "random" has none.
    kl_coef, kl_estimator
        What every token pays for leaving the reference, which is the policy as it was at the start: the coefficient and "k1", "k2"
        or "k3" (:func:`redviz.returns.kl_penalty`). It is part of the reward under every algorithm.
    gamma, lam
        Discount; and lambda of generalised advantage estimation, which PPO alone uses.
    clip, epochs
        How far the ratio of the new policy's probability to the old one's may go from 1, and passes over one batch; GRPO and PPO alone.
    prompts
        Requests; each step draws ``batch / group`` of them, with replacement.
    group, batch, micro_batches
        Responses to one drawn request; responses of one step; parts of a step. A part holds whole groups: the variance of the
        gradient is estimated between the parts, and a run can be paused or stopped between them.
    max_new_tokens
        Where a response that has not ended is cut; it is scored as it stands.
    learning_rate, critic_learning_rate, max_gradient_norm
        Adam's rates, constant, and the norm that the policy's gradient is scaled down to where it is larger.
    steps, seed, device
        Every random draw follows from the seed and the number of the step, so a run of 20 steps begins as one of 10.
    policy, reward_model
        What :func:`redviz.load_policy` and :func:`redviz.load_reward_model` take.
    """

    algorithm: str = "rloo"
    method: str = "red"
    options: Mapping[str, Any] = field(default_factory=dict)
    kl_coef: float = 0.05
    kl_estimator: Literal["k1", "k2", "k3"] = "k1"
    gamma: float = 1.0
    lam: float = 0.95
    clip: float = 0.2
    epochs: int = 1
    prompts: tuple[str, ...] = REQUESTS
    group: int = 4
    batch: int = 32
    micro_batches: int = 4
    max_new_tokens: int = 32
    learning_rate: float = 3e-4
    critic_learning_rate: float = 1e-3
    max_gradient_norm: float = 1.0
    steps: int = 30
    seed: int = 0
    device: str = "auto"
    policy: str = "embedded:writer"
    reward_model: str = "embedded:sentiment"

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(self.prompts))
        object.__setattr__(self, "options", dict(self.options))
        _check(self)

    @property
    def label(self) -> str:
        """The method with its options, as a curve is called."""
        told = ", ".join(f"{name}={value}" for name, value in sorted(self.options.items()))
        return f"{self.method} {told}".strip()

    @property
    def id(self) -> str:
        """A hash of all of it: the same command finds its run again."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON holds them."""
        return {**asdict(self), "prompts": list(self.prompts), "options": dict(self.options)}

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> LabConfig:
        """A config from plain values; names that are left out have their defaults.

        >>> LabConfig.from_dict(LabConfig(seed=3).to_dict()) == LabConfig(seed=3)
        True
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise RedvizError(f"A lab run has no {unknown[0]!r}; it has {', '.join(sorted(known))}.")
        return cls(**given)


def _check(config: LabConfig) -> None:
    """Refuse what cannot run, in one sentence."""
    for name, choices in (("algorithm", ALGORITHMS), ("method", METHODS), ("kl_estimator", ESTIMATORS)):
        if getattr(config, name) not in choices:
            raise RedvizError(f"There is no {name} {getattr(config, name)!r}; use one of {', '.join(choices)}.")
    if config.method != "random":
        recipes({"rewards": {**config.options, "method": config.method}})
        if config.options.get("kl_coef") or config.options.get("alpha"):
            raise RedvizError(
                "In the lab the KL penalty is kl_coef of the run and there is no cost model; leave the option out."
            )
    elif config.options:
        raise RedvizError(f"The random control has no options; leave out {', '.join(config.options)}.")
    for name in ("epochs", "group", "max_new_tokens", "steps"):
        _whole(name, getattr(config, name), 1)
    _whole("seed", config.seed, 0)
    _whole("micro_batches", config.micro_batches, 2)
    part = config.group * config.micro_batches
    if config.batch < part or config.batch % part:
        raise RedvizError(
            f"batch is {config.batch}; it holds micro_batches ({config.micro_batches}) parts of whole groups ({config.group}), "
            f"so give a multiple of {part}."
        )
    if config.algorithm in ("rloo", "grpo") and config.group < 2:
        raise RedvizError(f"{config.algorithm} compares responses to one request; give a group of at least 2.")
    if config.epochs > 1 and config.algorithm not in CLIPPED:
        raise RedvizError(
            f"{config.algorithm} has no clipping, so it takes one pass over a batch; give 1 epoch, or use ppo."
        )
    for name in ("learning_rate", "critic_learning_rate", "clip", "max_gradient_norm"):
        if not (math.isfinite(getattr(config, name)) and getattr(config, name) > 0):
            raise RedvizError(f"{name} is {getattr(config, name)}; give a number above 0.")
    if not (math.isfinite(config.kl_coef) and config.kl_coef >= 0):
        raise RedvizError(f"kl_coef is {config.kl_coef}; give 0 or a positive number.")
    for name in ("gamma", "lam"):
        if not 0 <= getattr(config, name) <= 1:
            raise RedvizError(f"{name} is {getattr(config, name)}; give a number from 0 to 1.")
    if not config.prompts or not all(isinstance(text, str) and text.strip() for text in config.prompts):
        raise RedvizError("prompts needs at least one request, and none of them empty.")


def _whole(name: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RedvizError(f"{name} is {value!r}; give a whole number from {least}.")
