"""Checks of a process reward model: its step scores, its marks, and what a prefix of steps is worth."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch

from redviz.credit.ingredients import credit_of
from redviz.credit.recipes import recipes
from redviz.evaluation.conformance.checks import QUICK, Effort, Finding
from redviz.evaluation.conformance.checks_of_text import family, trained_length, weights
from redviz.models.kinds.process import ProcessModel
from redviz.models.reading.steps import Marked
from redviz.models.running.attention import PLAIN
from redviz.records import Array, Encoding, Example, Observation

PROMPT = "A box holds 6 rows of 7 eggs. Eight eggs are broken. How many are whole?"
RESPONSES = (
    "There are 6 times 7 eggs, which is 42.\n\nEight of them are broken, so 42 minus 8 are whole.\n\nThe answer is 34.",
    "The answer is 50.",
    "Six and seven make 13.\n\nEight are broken, so 5 are left.\n\nI check: 5 and 8 make 13.\n\nThe answer is 5.",
)
STEP = "Step {0} adds {0} to the sum, which is now {1}.\n\n"
LENGTH = 1024  # tokens of the longest text that is cut, where the context allows
NEAR = 1e-4  # of a probability
ROUNDINGS = (
    64  # units in the last place of the trunk's dtype; a softmax of two logits moves by a quarter of their rounding
)
COPY_BYTES = 8 * 2**30  # the largest float32 copy made to measure rounding


@dataclass(frozen=True)
class StepSubject:
    """The process reward model under check, and short texts as it reads them."""

    model: ProcessModel
    encodings: tuple[Encoding, ...]
    marked: tuple[Marked, ...]
    effort: Effort = QUICK

    @cached_property
    def observations(self) -> tuple[Observation, ...]:
        """Made when a check first asks, so that a model of which no number comes has a card too, with what is wrong."""
        return tuple(self.model.observe(e) for e in self.encodings)

    @property
    def near(self) -> float:
        """How far two computations of one step score may differ."""
        return max(NEAR, ROUNDINGS * torch.finfo(next(self.model.module.parameters()).dtype).eps / 4)


def subject(model: ProcessModel, effort: Effort = QUICK) -> StepSubject:
    """Encode the fixed texts."""
    encodings = tuple(model.encode(Example(PROMPT, response)) for response in RESPONSES)
    marked = tuple(
        model.marked(PROMPT, [model.format.content(e.example.response[a:b]) for a, b in e.offsets]) for e in encodings
    )
    return StepSubject(model, encodings, marked, effort)


def own_scores(given: StepSubject) -> Finding:
    """The step scores against Transformers' own attention and positions, at batch size one."""
    model = given.model
    kernel = model.module.config._attn_implementation
    model.module.set_attn_implementation("eager" if kernel == PLAIN else "sdpa")
    try:
        with torch.inference_mode():
            theirs = []
            for text in given.marked:
                ids = torch.as_tensor(text.ids[None], device=model.device)
                model.forwards += 1
                hidden = model.trunk(input_ids=ids).last_hidden_state[0]  # [L, D]
                logits = model.head(hidden.float())[torch.as_tensor(text.columns)]  # [K, 2]
                theirs.append(logits.softmax(-1)[:, model.good].cpu().numpy())
    finally:
        model.module.set_attn_implementation(kernel)
    return _graded(given, [o.step_scores for o in given.observations], theirs, "step scores of 3 texts")


def marks(given: StepSubject) -> Finding:
    """Where step scores are read."""
    ids = sorted({int(i) for text in given.marked for i in text.ids[text.columns]})
    names = ", ".join(repr(given.model.tokenizer.decode([i])) for i in ids[:3])
    count = sum(len(text.columns) for text in given.marked)
    figure = f"{count} steps of 3 texts, each read at {names}"
    return Finding("green" if len(ids) == 1 else "red", figure, "" if len(ids) == 1 else "Name the tag with --head.")


def causality(given: StepSubject) -> Finding:
    """Cut the last step off and look whether the scores before it move."""
    model, first = given.model, given.encodings[0]
    cut = model.encode(Example(PROMPT, first.example.response[: first.offsets[-1][0]]))
    before = given.observations[0].step_scores
    assert before is not None
    return _graded(given, [model.observe(cut).step_scores], [before[:-1]], "earlier step scores without the last step")


def batching(given: StepSubject) -> Finding:
    """Each text alone against all in one right-padded batch."""
    together = given.model.step_scores(given.marked)
    return _graded(given, [o.step_scores for o in given.observations], together, "step scores of texts in one batch")


def prefix_consistency(given: StepSubject) -> Finding:
    """P_t against the score of the response cut after step t, in a long text."""
    model = given.model
    limit = min(model.trained_length or LENGTH, model.max_length)
    text = "".join(STEP.format(k, k * (k + 1) // 2) for k in range(1, limit // 8))
    encoding = replace(model, max_length=limit).encode(Example(PROMPT, text))
    prefix = model.observe(encoding).prefix_scores  # [T+1]
    steps = len(encoding.offsets)
    cuts = sorted({1, 1 + steps // 3, 1 + 2 * steps // 3, steps} & set(range(1, steps + 1)))
    theirs = model.score_texts(PROMPT, [text[: encoding.offsets[cut - 1][1]] for cut in cuts])
    contents = [model.format.content(text[a:b]) for a, b in encoding.offsets]
    length = len(model.marked(PROMPT, contents).ids)
    found = _graded(given, [prefix[cuts]], [theirs], f"scores of {len(cuts)} cut texts of up to {length} tokens")
    return replace(found, length=length if found.verdict == "green" else 0)


def sums(given: StepSubject) -> Finding:
    """What methods promise against what their credits add up to."""
    observation = given.observations[0]
    known = np.isfinite(observation.prefix_scores[0])
    parts, worst = [], 0.0
    for label, recipe in recipes(["sparse", "uniform", *(["red", "truncation"] if known else [])]).items():
        credit = credit_of(observation, recipe, {"model": given.model})
        residual = float("nan") if credit.residual is None else credit.residual
        worst = max(worst, abs(residual)) if residual == residual else float("nan")
        parts.append(f"{label} {residual:+.1e}")
    verdict = "green" if worst <= given.near else "red"
    figure = f"residuals: {', '.join(parts)}; score {observation.score:.4g}"
    return Finding(
        verdict, figure, "" if verdict == "green" else "Do not use these credits; report this card to redviz."
    )


def rounding(given: StepSubject) -> Finding:
    """How far step scores move when the trunk is run in float32."""
    model = given.model
    parameters = list(model.module.parameters())
    kind = parameters[0].dtype
    if kind == torch.float32:
        return Finding("green", "the model runs in float32")
    name, remedy = str(kind).removeprefix("torch."), "Load with --dtype float32 where it fits."
    if 4 * sum(p.numel() for p in parameters) > COPY_BYTES:
        return Finding("amber", f"not measured: the model runs in {name}, and a float32 copy is large", remedy)
    exact = replace(model, module=copy.deepcopy(model.module).float())
    moved = _largest([o.step_scores for o in given.observations], exact.step_scores(given.marked))
    verdict = "green" if moved <= 0.02 else "amber"
    return Finding(verdict, f"{name} moves a step score by up to {moved:.2g}", "" if verdict == "green" else remedy)


def of_tokens(given: StepSubject) -> Finding:
    """What the card of a reward model that scores tokens has, and this one cannot."""
    return Finding(
        "green",
        "left padding, BOS, closing tokens, attention and embeddings do not apply: only marks are read; nor do obvious pairs, whose "
        "answers have no steps",
    )


CHECKS: dict[str, tuple[str, Callable[[Any], Finding]]] = {
    "weights": ("All weights come from the checkpoint", weights),
    "family": ("How the model is built and read", family),
    "own_score": ("Step scores equal the model's own forward", own_scores),
    "marks": ("One mark after every step", marks),
    "causality": ("Later steps do not change the scores of earlier ones", causality),
    "batching": ("A batch of one equals a batch of many", batching),
    "prefix_consistency": ("Prefix scores equal the scores of truncated texts", prefix_consistency),
    "sums": ("Reference + credits + residual = score", sums),
    "rounding": ("Rounding is small beside the step scores", rounding),
    "trained_length": ("Length the model was trained on", trained_length),
    "of_tokens": ("Checks of single tokens", of_tokens),
}


def _graded(given: StepSubject, ours: list[Array | None], theirs: list[Array], what: str) -> Finding:
    difference = _largest(ours, theirs)
    verdict = "green" if difference <= given.near else "amber" if difference <= 10 * given.near else "red"
    remedy = "Do not use the step scores; report the model's name, its versions and this card to redviz."
    return Finding(verdict, f"largest difference {difference:.1e}: {what}", "" if verdict == "green" else remedy)


def _largest(ours: list[Array | None], theirs: list[Array]) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True) if a is not None))
