"""The check on obvious pairs: whether a model puts a good answer above a bad one that any model of that subject tells apart."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from os.path import commonprefix
from typing import Any, Protocol

import numpy as np

from redviz.analysis import observe_examples
from redviz.comparison import observe_together
from redviz.errors import RedvizError
from redviz.evaluation.conformance.checks import THOROUGHLY, Effort, Finding, working_parameters
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.implicit import ImplicitReward
from redviz.models.running.budgets import at_once, within
from redviz.records import Array, Encoding, Example
from redviz.settings import project_file

LEVEL = (
    0.05 / 7
)  # of seven figures one is so far from a coin's by chance once in twenty models: 10 of 10, or 40 of 60 in all
PASS_OPERATIONS = {"cpu": 1e11, "cuda": 1e14, "mps": 4e12}  # of one pass: a screen's short jobs wait for its end
NEAR_A_COIN = (
    "Perhaps it was trained on another text than it is given here: name it with --template (such as qa, hh, chatml or plain+eos), or "
    "let redviz doctor --dataset PAIRS find it out on labelled pairs."
)


@dataclass(frozen=True)
class ObviousPair:
    """Two answers to one prompt, of which one is better to anybody."""

    id: str
    subject: str
    prompt: str
    chosen: str
    rejected: str

    @property
    def examples(self) -> tuple[Example, Example]:
        """The better one first."""
        return Example(self.prompt, self.chosen), Example(self.prompt, self.rejected)


@cache
def obvious_pairs() -> tuple[ObviousPair, ...]:
    """The pairs of ``sample_data/obvious_pairs.jsonl``, in rounds: the first of every subject, then the second of every subject.

    >>> len(obvious_pairs()), [pair.id for pair in obvious_pairs()[:2]]
    (60, ['answers-01', 'topic-01'])
    """
    lines = project_file("sample_data/obvious_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(sorted((ObviousPair(**json.loads(line)) for line in lines), key=lambda pair: pair.id[-2:]))


class Given(Protocol):
    """A model of any kind that gives a response a score, and how much its card may cost."""

    @property
    def model(self) -> Any: ...

    @property
    def effort(self) -> Effort: ...


def orders_obvious_pairs(given: Given) -> Finding:
    """How many pairs the model orders, by subject, against what a coin gets right."""
    model, pairs = given.model, obvious_pairs()
    encodings, refused = encoded(model, [example for pair in pairs for example in pair.examples])
    taken = _affordable(model, encodings, given.effort.budget("obvious_pairs", model.device))
    if not taken:
        return Finding("amber", "not measured: a long run for this model here", f"{THOROUGHLY.capitalize()}.")
    sides, failed = scores(model, encodings[: 2 * taken], given.effort.beat)
    apart = sides[::2] - sides[1::2]  # [pair]
    known = np.isfinite(apart)
    if not known.any():
        return Finding("amber", f"not measured: {failed or refused}", "Read what the sentence says of these texts.")
    subjects = [pair.subject for pair in pairs[:taken]]
    right = Counter(subject for subject, margin in zip(subjects, apart, strict=True) if margin > 0)
    count = Counter(subject for subject, scored in zip(subjects, known, strict=True) if scored)
    figure = f"orders {right.total()} of {count.total()} obvious pairs: "
    figure += ", ".join(f"{subject} {right[subject]} of {n}" for subject, n in count.items())
    if not known.all():
        figure += f"; {int((~known).sum())} have no scores ({(failed or refused).rstrip('.')})"
    if taken < len(pairs):
        figure += f"; {len(pairs) - taken} were left out: {THOROUGHLY}"
    wrong = Counter(subject for subject, margin in zip(subjects, apart, strict=True) if margin < 0)
    if _beyond_chance(right, count):
        return Finding("green", figure)
    if _beyond_chance(wrong, count):
        remedy = "Its score may be a cost: see its model card, and choose the label that is the reward with --head."
        return Finding("amber", f"{figure}; fewer than a coin would", remedy)
    first = "" if taken == len(pairs) else f"First {THOROUGHLY}. "
    return Finding("amber", f"{figure}; near a coin's figure on every subject", first + NEAR_A_COIN)


def _beyond_chance(hits: Counter[str], count: Counter[str]) -> bool:
    """Whether a coin would hardly hit so many, of all pairs or of a subject's."""
    chances = [by_chance(hits[subject], n) for subject, n in count.items()]
    return min(*chances, by_chance(hits.total(), count.total())) <= LEVEL


def encoded(model: Any, examples: Sequence[Example]) -> tuple[list[Encoding | None], str]:
    """Texts as the model reads them; None for each that it refuses, and why it refused the first of those."""
    found: list[Encoding | None] = []
    why = ""
    for example in examples:
        try:
            found.append(model.encode(example))
        except RedvizError as error:
            found.append(None)
            why = why or str(error)
    return found, why


def scores(model: Any, encodings: Sequence[Encoding | None], beat: Callable[[], None]) -> tuple[Array, str]:
    """The score of every text of some pairs, ``[2 x pair]`` float64: nan where there is none, and why the first of those has none.

    Pairs stay together in a pass, which runs what its texts have in common once: the beginning of the template, or a long prompt.
    """
    found = np.full(len(encodings), np.nan)
    sizes = [max(len(e.ids) if e else 0 for e in encodings[n : n + 2]) for n in range(0, len(encodings), 2)]  # [pair]
    columns = PASS_OPERATIONS[str(model.device).partition(":")[0]] / (2 * parameters_read(model))
    fitting = within(sizes, int(min(columns, at_once("forward", model.device))) // 2)
    left, why = sorted((pair for pair, size in enumerate(sizes) if size), key=lambda pair: sizes[pair]), ""
    while left:
        beat()
        taken = left[: fitting(left)]
        left = left[len(taken) :]
        batch = {n: e for pair in taken for n in (2 * pair, 2 * pair + 1) if (e := encodings[n])}
        found[list(batch)], said = _scores(model, list(batch.values()))
        why = why or said
    return found, why


def _scores(model: Any, batch: Sequence[Encoding]) -> tuple[list[float], str]:
    """Of one batch; where it fails as a whole, of each alone."""
    try:
        seen = (
            observe_together(model, batch)
            if _run_once(model, batch)
            else observe_examples(model, batch, prefixes=False)
        )
        return [observation.score for observation in seen], ""
    except RedvizError as error:
        if len(batch) == 1:
            return [math.nan], str(error)
    each = [_scores(model, [encoding]) for encoding in batch]
    return [score for alone, _ in each for score in alone], next((why for _, why in each if why), "")


def by_chance(right: int, count: int) -> float:
    """How likely a coin gets so many of ``count`` right, or more.

    >>> by_chance(9, 10), by_chance(5, 10)
    (0.0107421875, 0.623046875)
    """
    return sum(math.comb(count, k) for k in range(right, count + 1)) / 2**count


def _affordable(model: Any, encodings: Sequence[Encoding | None], budget: float) -> int:
    """How many pairs the budget affords: as many of each subject."""
    saved = _run_once(model, [encoding for encoding in encodings if encoding])
    each = [tokens_read(model, encoding) - saved if encoding else 0 for encoding in encodings]
    operations = 2.0 * parameters_read(model) * np.cumsum(np.add(each[::2], each[1::2]))  # [pair]
    subjects = len({pair.subject for pair in obvious_pairs()})
    return int((operations <= budget).sum()) // subjects * subjects


def _run_once(model: Any, encodings: Sequence[Encoding]) -> int:
    """How many ids all texts begin with, where a pass may run these once and they are half of the longest text at least; else 0."""
    if isinstance(model, FunctionModel) or model.both_ways or model.gate is not None:
        return 0
    common = len(commonprefix([encoding.ids.tolist() for encoding in encodings]))
    return common if 2 * common >= max((len(encoding.ids) for encoding in encodings), default=0) else 0


def parameters_read(model: Any) -> int:
    """Parameters that every token of a text is multiplied with; of an implicit reward those of both models."""
    return working_parameters(model.module) * (2 if isinstance(model, ImplicitReward) else 1)


def tokens_read(model: Any, encoding: Encoding) -> int:
    """Tokens that the model reads of one text; where its units are steps, these are told by the text."""
    return len(encoding.ids) if encoding.unit == "token" else len(model.tokenizer(encoding.rendered)["input_ids"])
