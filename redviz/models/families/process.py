"""Process reward models: which checkpoint is one, its head, and how its steps are written.

Every record here is built from the description, never run on the published weights.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForTokenClassification

from redviz.errors import RedvizError
from redviz.models.families import logit
from redviz.models.families.build import build as build_family
from redviz.models.families.family import Config, Described, Family, RewardModule
from redviz.models.families.heads import sequence
from redviz.models.kinds.process import AGGREGATES, ProcessModel, causal
from redviz.models.loading.checkpoint import check_weights, pretrained
from redviz.models.loading.weights import Weights
from redviz.models.reading.steps import (
    BLANK_LINE,
    LINE_BREAK,
    StepFormat,
    after_each,
    joined_ids,
    lines_with_tag,
    turns,
)
from redviz.records import Source

LABELS = ("wrong", "right")


@dataclass(frozen=True, kw_only=True)
class ProcessFamily(Described):
    """One kind of process reward model.

    Attributes
    ----------
    format
        How its steps are told apart and written; the tag may be replaced by the one that ``head`` names.
    good
        Which of its two logits says that a step is right.
    """

    format: StepFormat
    good: int
    curve: str = "after each step"


QWEN = Family(
    title="Qwen2.5-Math-PRM",
    source="Qwen/Qwen2.5-Math-PRM-7B: modeling_qwen2_rm.py, Qwen2ForProcessRewardModel, and README.md, make_step_rewards",
    about="Two linear layers with ReLU between give two logits at <extra_0>, which stands after every step.",
    text="the tokenizer's chat template, <extra_0> behind every step: README.md, make_step_rewards",
    recognises=lambda config, weights: _named(config, "ForProcessRewardModel") and "score.0.weight" in weights,
    head=lambda config, weights: sequence(weights, "score"),
    labels=lambda config: LABELS,
)

PROCESS: dict[str, ProcessFamily] = {
    "qwen_math_prm": ProcessFamily(
        title=QWEN.title,
        source=QWEN.source,
        about=QWEN.about,
        text=QWEN.text,
        format=StepFormat(after_each, "<extra_0>"),
        good=1,
    ),
    "token_classification": ProcessFamily(
        title="TRL token classification",
        source="huggingface/trl: trl/trainer/prm_trainer.py, PRMTrainer.tokenize_row",
        about="Two labels for each token, read at the last token of the separator behind every step; a line break unless head names it.",
        text="BOS, prompt, and every step followed by the separator, each tokenized by itself, no chat template: "
        "trl/trainer/prm_trainer.py, tokenize_row",
        format=StepFormat(joined_ids, "\n", LINE_BREAK),
        good=1,
    ),
    "step_tag": ProcessFamily(
        title="Math-Shepherd",
        source="peiyi9979/math-shepherd-mistral-7b-prm: model card (as in huggingface/search-and-learn: "
        "src/sal/models/reward_models.py, MathShepherd)",
        about="A language model's logits of two tokens such as + and -, read at a tag behind every line.",
        text="prompt, a blank, and every line with a blank and the tag behind it, with BOS and no chat template: model card",
        format=StepFormat(lines_with_tag, "ки", LINE_BREAK),
        good=0,
    ),
    "step_turns": ProcessFamily(
        title="RLHFlow process reward model",
        source="RLHFlow/RLHF-Reward-Modeling: math/prm_evaluate.py (as in huggingface/search-and-learn: "
        "src/sal/models/reward_models.py, RLHFFlow)",
        about="A language model's logits of two tokens such as + and -, where the answer to the turn of every step begins.",
        text="the tokenizer's chat template, a user turn for each step: math/prm_evaluate.py",
        format=StepFormat(turns, "+", in_text=False),
        good=0,
    ),
}
GRAMMAR = re.compile(
    r"(?:(?P<kind>steps|turns)(?::(?P<good>[^|@#]+)\|(?P<bad>[^|@#]+))?(?:@(?P<tag>[^#]+))?(?:#|$))?"
    r"(?P<aggregate>min|product|mean|last)?"
)


def check_text(format: StepFormat, name: str) -> None:
    """Refuse a template where the steps are not written through one.

    Raises
    ------
    RedvizError
        Where they are lines or parts of plain text.
    """
    if format.write in (joined_ids, lines_with_tag):
        raise RedvizError(f"{name} reads its steps as plain text of its own form; leave --template out.")


@dataclass(frozen=True)
class ProcessSpec:
    """A process reward model as it was recognised or asked for.

    Attributes
    ----------
    family
        A key of ``PROCESS``.
    aggregate
        How step scores make one score.
    tag
        The mark after each step, where ``head`` names one; else "".
    tokens
        The good and the bad token of a language model; () for a classifier.
    """

    family: str
    aggregate: str = "min"
    tag: str = ""
    tokens: tuple[str, ...] = ()

    @property
    def format(self) -> StepFormat:
        known = PROCESS[self.family].format
        if self.family == "step_turns":
            return replace(known, tag=self.tokens[0])
        if not self.tag:
            return known
        of_blanks = BLANK_LINE if self.tag.count("\n") > 1 else LINE_BREAK
        return replace(known, tag=self.tag, between=known.between if self.tag.strip() else of_blanks)


def asked_for(config: Config, weights: Weights, head: str | int | None) -> ProcessSpec | None:
    r"""The process reward model that a checkpoint is, or that ``head`` makes of a language model; None for any other model.

    ``head`` is an aggregate ("min", "product", "mean", "last"); of a token classifier also ``"steps@TAG"`` with its step separator
    (``\n`` may be spelled out); of a language model ``"steps:+|-@TAG"`` or ``"turns:+|-"``, each with ``#`` and an aggregate after it.

    Raises
    ------
    RedvizError
        Where a process reward model gets another kind of head.
    """
    text = "" if head is None else str(head)
    matched = GRAMMAR.fullmatch(text)
    part = matched.groupdict() if matched else {}
    aggregate, tag = part.get("aggregate") or "min", (part.get("tag") or "").replace("\\n", "\n")
    if part.get("good"):
        tokens = (part["good"], part["bad"])
        if part["kind"] == "turns":
            return ProcessSpec("step_turns", aggregate, "", tokens)
        return ProcessSpec("step_tag", aggregate, tag, tokens)
    family = (
        "qwen_math_prm"
        if QWEN.recognises(config, weights)
        else "token_classification"
        if _named(config, "ForTokenClassification")
        else ""
    )
    if not family:
        return None
    if not matched or part.get("kind") == "turns":
        native = "; tokens:1-0 reads every token instead" if family == "token_classification" else ""
        raise RedvizError(
            f"{weights.name} is a process reward model and has no head {text!r}; --head says how step scores make one score: "
            f"{', '.join(AGGREGATES)}{native}."
        )
    return ProcessSpec(family, aggregate, tag)


def build(
    folder: Path,
    config: Config,
    weights: Weights,
    asked: ProcessSpec,
    tokenizer: Any,
    dtype: torch.dtype | str,
    options: dict[str, Any],
    allow_pickle: bool = False,
) -> RewardModule:
    """The trunk, and two logits as its head in float32.

    Raises
    ------
    RedvizError
        Where weights are missing, or a token that ``head`` names is none.
    """
    if asked.family == "qwen_math_prm":
        return build_family(folder, config, weights, QWEN, dtype, options)
    auto: Any = AutoModelForCausalLM if asked.tokens else AutoModelForTokenClassification
    module, report = pretrained(auto, folder, weights.name, dtype, options, allow_pickle)
    check_weights(report, weights.name, auto)
    if asked.tokens:
        head = logit.rows_of(module, [logit.token_id(tokenizer, text, weights.name) for text in asked.tokens])
        return RewardModule(module.base_model, head, asked.tokens)
    classifier = module.score if hasattr(module, "score") else module.classifier
    return RewardModule(module.base_model, copy.deepcopy(classifier).float().cpu(), LABELS)


def opened(
    asked: ProcessSpec,
    module: RewardModule,
    tokenizer: Any,
    max_length: int,
    source: Source,
    trained_length: int | None,
) -> ProcessModel:
    """The loaded model, tried once.

    Raises
    ------
    RedvizError
        Where it looks both ways, or its tag is no token of the tokenizer.
    """
    return causal(
        ProcessModel(
            name=source.model,
            source=source,
            device=source.device,
            max_length=max_length,
            module=module,
            tokenizer=tokenizer,
            head=module.score,
            good=PROCESS[asked.family].good,
            format=asked.format,
            aggregate=asked.aggregate,
            trained_length=trained_length,
        )
    )


def _named(config: Config, ending: str) -> bool:
    return any(str(name).endswith(ending) for name in config.get("architectures") or ())
