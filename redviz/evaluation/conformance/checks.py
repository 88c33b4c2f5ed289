"""What the checks of the conformance card share: the texts, the model's own forward, and how near is near enough."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.attention import PLAIN
from redviz.models.running.both_ways import Row
from redviz.models.running.observe import observe
from redviz.models.running.split import own_score
from redviz.records import Array, Encoding, Example, Observation

VERDICTS = ("green", "amber", "red")

PROMPT = "Review the film."
RESPONSES = (
    "A warm, funny film, and the lead is superb. The last half hour drags a little, but I would see it again.",
    "Dull.",
    "I did not like it: the plot is thin, the jokes are old, and nobody on the screen seems to care.",
)
WORDS = re.findall(
    r"\w+",
    "the film opens on a quiet street and its lead is superb moving funny dull tedious glorious thin old slow bright "
    "strange careful loud tender story plot scene music camera never always nearly rather still again before after",
)

NEAR = 1e-3  # of the spread of the prefix scores
ROUNDINGS = 8  # units in the last place of the trunk's dtype, of the largest score

OPERATIONS = {"cpu": 5e11, "cuda": 5.5e15, "mps": 1.1e14}  # floating-point operations of a card's long checks together
SHARES = {"prefix_consistency": 0.18, "ig": 0.12, "obvious_pairs": 0.7}  # of them
THOROUGHLY = "check thoroughly (redviz doctor --thorough)"


@dataclass(frozen=True)
class Effort:
    """How much a card may cost, and who hears of it: ``beat`` is called between passes of long checks, and may raise to cancel."""

    thorough: bool = False
    beat: Callable[[], None] = lambda: None

    def budget(self, share: str, device: object) -> float:
        """The operations that one check may spend on a device; of a thorough card no end of them."""
        return math.inf if self.thorough else SHARES[share] * OPERATIONS[str(device).partition(":")[0]]


QUICK = Effort()


@dataclass(frozen=True)
class Finding:
    """What one check found; ``length`` is for the check of prefix consistency alone, ``title`` for a claim of another kind of model."""

    verdict: str
    figure: str
    remedy: str = ""
    length: int = 0
    title: str = ""


@dataclass(frozen=True)
class Subject:
    """The model under check, three short texts as it reads them, and what it says about each, run one by one."""

    model: RewardModel
    encodings: tuple[Encoding, ...]
    effort: Effort = QUICK

    @cached_property
    def observations(self) -> tuple[Observation, ...]:
        """Made when a check first asks, so that a model of which no number comes has a card too, with what is wrong."""
        return tuple(observe(self.model, [encoding])[0] for encoding in self.encodings)


def subject(model: RewardModel, effort: Effort = QUICK) -> Subject:
    """Encode the fixed texts."""
    encodings = tuple(model.encode(Example(PROMPT, response)) for response in RESPONSES)
    return Subject(model, encodings, effort)


def working_parameters(module: Any) -> int:
    """Parameters that every token is multiplied with: all but the table of embeddings, of which it takes a row."""
    table = module.get_input_embeddings().weight.numel()
    return int(sum(p.numel() for p in module.parameters())) - int(table)


def long_encoding(model: RewardModel, length: int) -> Encoding:
    """A text of exactly ``length`` tokens, as the model reads it; no stretch of it repeats."""
    state, words = 1, []
    for i in range(length):
        state = state * 1103515245 % 2**31 + 12345  # a linear congruential generator: the same text everywhere
        words.append(WORDS[(state >> 16) % len(WORDS)] + (". " if i % 11 == 10 else " "))
    return replace(model, max_length=length).encode(Example(PROMPT, "".join(words).rstrip()))


@contextmanager
def native_attention(model: RewardModel) -> Iterator[None]:
    """The model as Transformers runs it, without redviz's attention function."""
    ours = model.module.config._attn_implementation
    model.module.set_attn_implementation("eager" if ours in (PLAIN, "eager") else "sdpa")
    try:
        yield
    finally:
        model.module.set_attn_implementation(ours)


def native_score(model: RewardModel, ids: Sequence[int] | Array | Row) -> float:
    """The model's own forward on one text: its kernel, positions, head and pooling rule; ours is only the mix."""
    if isinstance(ids, Row):
        with native_attention(model):
            return float(own_score(model, ids))
    batch = torch.as_tensor(np.asarray(ids)[None], device=model.device)  # [1, L]
    model.forwards += 1
    with native_attention(model), torch.inference_mode():
        logits = model.module(input_ids=batch, use_cache=False).logits  # [1, K]
    return float((logits.float() @ model.mix)[0])


def native_column(model: RewardModel, ids: Array) -> int:
    """Where the model's own forward reads: the right-most id that is not its pad id."""
    kept = np.flatnonzero(ids != model.pad_id) if model.pad_id is not None else np.arange(len(ids))
    return int(kept[-1]) if len(kept) else 0


def tolerance(model: RewardModel, scores: Array) -> float:
    """How far two computations of one score may differ: a thousandth of the spread, and the dtype's rounding."""
    rounding = ROUNDINGS * torch.finfo(model.dtype).eps * float(np.abs(scores).max())
    return NEAR * float(scores.std()) + rounding


def graded(difference: float, allowed: float) -> str:
    """Green within the tolerance, amber within ten times, red beyond (and for NaN)."""
    return "green" if difference <= allowed else "amber" if difference <= 10 * allowed else "red"


def largest(pairs: Sequence[tuple[Array, Array]]) -> float:
    """The largest difference; NaN where one is NaN."""
    return float(np.max([np.abs(a - b).max() for a, b in pairs]))
