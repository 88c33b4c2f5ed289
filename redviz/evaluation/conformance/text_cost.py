"""The usual texts that are tried on labelled pairs, and what that takes. No torch here: a screen tells it before anything runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from redviz.models.reading.encode import messages_of
from redviz.models.reading.templates import EOS, TEXTS
from redviz.records import Example
from redviz.text import duration

MOST_PAIRS = 200
FIRST_PAIRS = 20  # on these all texts are tried, on the others those that did best
KEPT = 5  # texts beside the one in use that are tried on all pairs
CHATML_OPEN = "<|im_start|>user\\n{prompt}<|im_end|>\\n<|im_start|>assistant\\n{response}"
RATES = {"cpu": 5e10, "cuda": 5e13, "mps": 2e12}  # operations in a second, for a guess
CHARACTERS = 4  # of a token, about
AROUND = 20  # tokens that a template writes, about

Pair = tuple[Example, Example]  # the better response first


@dataclass(frozen=True)
class Cost:
    """What trying the usual texts takes at most: the time is a guess from the model's size, nan where that is not known."""

    texts: int
    pairs: int
    responses: int
    seconds: float

    @property
    def sentence(self) -> str:
        """In words."""
        said = f"up to {self.texts} texts on {self.pairs} pairs: {self.responses:,} responses to score"
        return said if math.isnan(self.seconds) else f"{said}, about {duration(max(1.0, self.seconds))}"


def cost(in_use: str, count: int, characters: float, parameters: float, device: object) -> Cost:
    """What :func:`trained_text` takes at most.

    Parameters
    ----------
    in_use, count
        The text in use, and how many pairs there are.
    characters
        Of a prompt and a response together, on average.
    parameters
        That every token is multiplied with; nan where that is not known.
    """
    texts, pairs = len(candidates(in_use)), min(count, MOST_PAIRS)
    responses = 2 * readings_of_pairs(texts, pairs)
    tokens = responses * (AROUND + characters / CHARACTERS)
    return Cost(texts, pairs, responses, 2.0 * parameters * tokens / RATES[str(device).partition(":")[0]])


def mean_characters(pairs: Sequence[Pair]) -> float:
    """Of a prompt and a response together."""
    sizes = [sum(len(m["content"]) for m in messages_of(e.prompt)) + len(e.response) for pair in pairs for e in pair]
    return float(np.mean(sizes)) if sizes else 0.0


def readings_of_pairs(texts: int, pairs: int) -> int:
    """How often a pair is read in a text."""
    first = min(FIRST_PAIRS, pairs)
    return first * texts + (pairs - first) * min(texts, 1 + KEPT)


def candidates(in_use: str) -> tuple[str, ...]:
    """The texts to try, that in use first: it, the usual ones, and ChatML that stops at the response; each with an EOS and without.

    >>> candidates("qa")[:4]
    ('qa', 'qa+eos', 'alpaca', 'alpaca+eos')
    """
    toggled = in_use.removesuffix(EOS) if in_use.endswith(EOS) else in_use + EOS
    usual = [name + end for name in (*TEXTS, CHATML_OPEN) for end in ("", EOS)]
    return tuple(dict.fromkeys([in_use, toggled, *usual]))
