"""Checks of a classifier of tokens read as token rewards: its terms against the module's own forward, whole and cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from redviz.evaluation.conformance.checks import PROMPT, QUICK, RESPONSES, Effort, Finding
from redviz.evaluation.conformance.checks_of_pairs import orders_obvious_pairs
from redviz.evaluation.conformance.checks_of_text import family, weights
from redviz.models.kinds.token_rewards import TokenRewards
from redviz.models.running.attention import PLAIN
from redviz.records import Array, Encoding, Example, Observation

ROUNDINGS = 256  # units in the last place of the trunk's dtype


@dataclass(frozen=True)
class TokenSubject:
    """The model under check, and short texts as it reads them."""

    model: TokenRewards
    encodings: tuple[Encoding, ...]
    effort: Effort = QUICK

    @cached_property
    def observations(self) -> tuple[Observation, ...]:
        """Made when a check first asks, so that a model of which no number comes has a card too, with what is wrong."""
        return tuple(self.model.observe_all(self.encodings))

    @property
    def near(self) -> float:
        """How far two computations of one sum may differ."""
        largest = max(float(np.abs(_terms(o)).sum()) for o in self.observations)
        return max(1e-4, ROUNDINGS * torch.finfo(self.model.dtype).eps) * max(1.0, largest)


def subject(model: TokenRewards, effort: Effort = QUICK) -> TokenSubject:
    """Encode the fixed texts, which are observed in one padded batch."""
    encodings = tuple(model.encode(Example(PROMPT, response)) for response in RESPONSES)
    return TokenSubject(model, encodings, effort)


def own_score(given: TokenSubject) -> Finding:
    """Every token's reward in a padded batch against the module's own forward and kernel on each text alone; and their sum."""
    module = given.model.module
    kernel = module.config._attn_implementation
    module.set_attn_implementation("eager" if kernel == PLAIN else "sdpa")
    try:
        theirs = [given.model.own_rewards(encoding) for encoding in given.encodings]  # [T] each
    finally:
        module.set_attn_implementation(kernel)
    pairs = list(zip(given.observations, theirs, strict=True))
    worst = max(float(np.abs(_terms(o) - own).max()) for o, own in pairs)
    sums = max(abs(o.score - float(own.sum())) for o, own in pairs)
    figure = f"the score is the sum of token rewards: they differ by at most {worst:.1e}, their sums by {sums:.1e}, in {len(pairs)} texts"
    if max(worst, sums) <= given.near:
        return Finding("green", figure)
    return Finding("red", figure, "The rewards are not the model's own; try --dtype float32.")


def prefix_consistency(given: TokenSubject) -> Finding:
    """The prefix score after half of a text against the text cut there and scored anew."""
    model, worst, longest = given.model, 0.0, 0
    if model.both_ways:
        figure = "later tokens change earlier rewards, so no prefix has a score of that one pass; red is refused"
        return Finding("green", figure, title="A model that looks both ways has no prefix scores")
    for encoding, observation in zip(given.encodings, given.observations, strict=True):
        half = max(1, len(encoding.offsets) // 2)
        cut = model.encode(Example(PROMPT, encoding.example.response[: encoding.offsets[half - 1][1]]))
        if cut.ids[: cut.stop].tolist() != encoding.ids[: encoding.start + half].tolist():
            continue  # cut there, the text falls into other tokens
        worst = max(worst, abs(model.observe(cut).score - float(observation.prefix_scores[half])))
        longest = max(longest, len(encoding.ids))
    figure = f"differs by {worst:.1e} from texts cut in the middle"
    verdict = "green" if worst <= given.near else "red"
    return Finding(verdict, figure, "" if verdict == "green" else "Try --dtype float32.", length=longest)


def _terms(observation: Observation) -> Array:
    assert observation.step_scores is not None
    return observation.step_scores


CHECKS: dict[str, tuple[str, Callable[[Any], Finding]]] = {
    "own_score": ("The score is the sum of the model's own token rewards", own_score),
    "prefix_consistency": ("A prefix score is the score of the text cut there", prefix_consistency),
    "weights": ("All weights come from the checkpoint", weights),
    "family": ("How the model is built and read", family),
    "obvious_pairs": ("Obvious pairs are in the right order", orders_obvious_pairs),
}
