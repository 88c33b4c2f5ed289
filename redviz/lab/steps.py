"""What a run of the lab tells: its steps, and the policy on held-out requests."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """What one step of training saw, before it changed the policy.

    Attributes
    ----------
    step
        From 1 on.
    reward
        Mean score of the responses, without the KL penalty.
    kl
        KL(policy || reference) of a whole response: exact at every state that was visited, summed over its tokens; the mean.
    length, ended
        Mean tokens of a response, the end of the turn among them; share of responses that ended by themselves.
    entropy
        Of the distribution of the next token, in nats; mean over all response tokens.
    gradient_norm
        Of the policy's gradient over the whole batch, before it is scaled down.
    gradient_variance
        Of that gradient, summed over all weights, estimated between the parts of the batch (:class:`redviz.lab.gradients.GradientMean`).
    value_loss
        PPO's critic's; None without one.
    seconds
        How long it took, pauses not counted.
    """

    step: int
    reward: float
    kl: float
    length: float
    ended: float
    entropy: float
    gradient_norm: float
    gradient_variance: float
    value_loss: float | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Sample:
    """A response to a held-out request, its score, its tokens, and the KL to the reference summed over its states."""

    prompt: str
    response: str
    score: float
    tokens: int
    kl: float


@dataclass(frozen=True)
class Evaluation:
    """The policy on the held-out requests, drawn with one fixed seed: means, the reward's standard error, and all responses."""

    step: int
    reward: float
    reward_error: float
    kl: float
    length: float
    entropy: float
    samples: tuple[Sample, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
