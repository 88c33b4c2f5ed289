"""Checks of an implicit reward: its sum of log-ratios against the two models' own forwards, whole and cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from redviz.evaluation.conformance.checks import QUICK, Effort, Finding
from redviz.evaluation.conformance.checks_of_pairs import orders_obvious_pairs
from redviz.evaluation.conformance.checks_of_text import family
from redviz.models.kinds.implicit import ImplicitReward
from redviz.models.kinds.policy import Policy
from redviz.models.running.attention import PLAIN
from redviz.records import Array, Encoding, Example, Observation

PROMPT = "Write a film review."
RESPONSES = ("A warm, funny film, and the lead is superb.", "Dull.", "It drags, it repeats itself, and then it ends.")
ROUNDINGS = 256  # units in the last place of the trunk's dtype


@dataclass(frozen=True)
class ImplicitSubject:
    """The model under check, and short texts as it reads them."""

    model: ImplicitReward
    encodings: tuple[Encoding, ...]
    effort: Effort = QUICK

    @cached_property
    def observations(self) -> tuple[Observation, ...]:
        """Made when a check first asks, so that a model of which no number comes has a card too, with what is wrong."""
        return tuple(self.model.observe(e) for e in self.encodings)

    @property
    def near(self) -> float:
        """How far two computations of one sum may differ."""
        return max(1e-4, ROUNDINGS * torch.finfo(next(self.model.module.parameters()).dtype).eps) * self.model.beta * 10


def subject(model: ImplicitReward, effort: Effort = QUICK) -> ImplicitSubject:
    """Encode the fixed texts."""
    encodings = tuple(model.encode(Example(PROMPT, response)) for response in RESPONSES)
    return ImplicitSubject(model, encodings, effort)


def own_score(given: ImplicitSubject) -> Finding:
    """Every prefix score against whole logits of Transformers' own forward, kernel and softmax."""
    model, worst = given.model, 0.0
    for encoding, observation in zip(given.encodings, given.observations, strict=True):
        terms = [_own_terms(policy, encoding) for policy in (model.policy, model.reference)]  # [T] each
        sums = model.beta * np.concatenate([[0.0], np.cumsum(terms[0] - terms[1])])
        worst = max(worst, float(np.abs(sums - observation.prefix_scores).max()))
    figure = f"largest difference {worst:.1e} at any token of {len(given.encodings)} texts; scores spread by {_spread(given):.2g}"
    if worst <= given.near:
        return Finding("green", figure)
    return Finding("red", figure, "The log-ratios are not the models' own; try --dtype float32.")


def prefix_consistency(given: ImplicitSubject) -> Finding:
    """The prefix score after half of a text against the text cut there and scored anew."""
    model, worst, longest = given.model, 0.0, 0
    for encoding, observation in zip(given.encodings, given.observations, strict=True):
        half = max(1, len(encoding.offsets) // 2)
        cut = model.encode(Example(PROMPT, encoding.example.response[: encoding.offsets[half - 1][1]]))
        if cut.ids[: cut.stop].tolist() != encoding.ids[: encoding.start + half].tolist():
            continue  # cut there, the text falls into other tokens
        again = model.observe(cut).prefix_scores[-1]
        worst, longest = (
            max(worst, abs(float(again - observation.prefix_scores[half]))),
            max(longest, len(encoding.ids)),
        )
    figure = f"differs by {worst:.1e} from texts cut in the middle"
    verdict = "green" if worst <= given.near else "red"
    return Finding(verdict, figure, "" if verdict == "green" else "Try --dtype float32.", length=longest)


def tuned(given: ImplicitSubject) -> Finding:
    """Whether the policy differs from its reference at all."""
    if _spread(given) > 0:
        return Finding("green", f"the scores of three texts spread by {_spread(given):.2g}")
    return Finding(
        "red", "every text scores the same", "Policy and reference are one model; name the one it was tuned from."
    )


def _own_terms(policy: Policy, encoding: Encoding) -> Array:
    """Log-probabilities of the response's tokens from whole logits: ``[T]`` float64."""
    kernel = policy.module.config._attn_implementation
    policy.module.set_attn_implementation("eager" if kernel == PLAIN else "sdpa")
    try:
        with torch.inference_mode():
            ids = torch.as_tensor(policy.encode(encoding.example).ids[None], device=policy.device)
            logs = policy.module(input_ids=ids, use_cache=False).logits[0].double().log_softmax(-1)  # [L, V]
    finally:
        policy.module.set_attn_implementation(kernel)
    columns = torch.arange(encoding.start, encoding.stop, device=policy.device)
    found: Array = logs[columns - 1, ids[0, columns]].cpu().numpy()
    return found


def _spread(given: ImplicitSubject) -> float:
    return float(np.std([o.score for o in given.observations]))


CHECKS: dict[str, tuple[str, Callable[[Any], Finding]]] = {
    "own_score": ("Prefix scores equal the models' own log-ratios", own_score),
    "prefix_consistency": ("A prefix score is the score of the text cut there", prefix_consistency),
    "weights": ("Policy and reference differ", tuned),
    "family": ("How the model is built and read", family),
    "obvious_pairs": ("Obvious pairs are in the right order", orders_obvious_pairs),
}
