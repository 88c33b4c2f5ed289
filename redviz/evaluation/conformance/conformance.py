"""The conformance card: whether redviz reads a model right, and what a person should know before using it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from redviz.errors import Cancelled, RedvizError
from redviz.evaluation.conformance import checks_of_implicit, checks_of_steps, checks_of_tokens
from redviz.evaluation.conformance.checks import VERDICTS, Effort, Finding, Subject, subject
from redviz.evaluation.conformance.checks_of_pairs import orders_obvious_pairs
from redviz.evaluation.conformance.checks_of_scores import (
    batching,
    causality,
    own_score,
    padding,
    prefix_consistency,
    rounding,
    sums,
)
from redviz.evaluation.conformance.checks_of_text import (
    bos_tokens,
    closing_tokens,
    date,
    eos,
    family,
    pad_is_eos,
    trained_length,
    weights,
)
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.implicit import ImplicitReward
from redviz.models.kinds.process import ProcessModel
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.kinds.token_rewards import TokenRewards
from redviz.models.loading.precision import EIGHT_BITS
from redviz.models.running.budgets import Progress

NOT_IN_8_BITS = ("own_score", "causality", "batching", "padding", "prefix_consistency")  # rows that LLM.int8 breaks
Checks = Mapping[str, tuple[str, Callable[[Any], Finding]]]

CHECKS: dict[str, tuple[str, Callable[[Subject], Finding]]] = {
    "weights": ("All weights come from the checkpoint", weights),
    "own_score": ("Own score equals the model's own forward", own_score),
    "causality": ("Every token sees only what stands before it", causality),
    "batching": ("A batch of one equals a batch of many", batching),
    "padding": ("Left padding equals right padding", padding),
    "prefix_consistency": ("Prefix scores equal the scores of truncated texts", prefix_consistency),
    "sums": ("Reference + credits + residual = score", sums),
    "rounding": ("Rounding is small beside the credits", rounding),
    "family": ("How the model is built and read", family),
    "bos_tokens": ("One BOS token at most", bos_tokens),
    "pad_is_eos": ("The score is read at the last token", pad_is_eos),
    "closing_tokens": ("What the template writes after the response", closing_tokens),
    "eos": ("The EOS token stands behind the response", eos),
    "date": ("The template writes no date", date),
    "trained_length": ("Length the model was trained on", trained_length),
    "obvious_pairs": ("Obvious pairs are in the right order", orders_obvious_pairs),
}


@dataclass(frozen=True)
class Check:
    """One row of the card.

    Attributes
    ----------
    name, title
        A fixed key, and the claim in words.
    verdict
        "green"; "amber": the numbers are the model's, but know this; "red": they are not the model's, or noise.
    figure
        What was measured, in words.
    remedy
        What to do about it; "" where nothing is needed.
    """

    name: str
    title: str
    verdict: str
    figure: str
    remedy: str


@dataclass(frozen=True)
class ConformanceCard:
    """What :func:`check_model` found, with what identifies the model. Two runs on one machine give equal cards.

    Attributes
    ----------
    reading_column, reading_token
        Where the score is read, counted from the end of the text (-1 is the last token), and the token there.
    verified_length
        Tokens up to which prefix scores were compared with truncated texts and agreed.
    thorough
        Whether every check ran whole, whatever it took.
    """

    model: str
    revision: str
    fingerprint: str
    template_hash: str
    template: str
    reading_column: int
    reading_token: str
    verified_length: int
    max_length: int
    trained_length: int | None
    dtype: str
    device: str
    checks: tuple[Check, ...]
    versions: Mapping[str, str] = field(default_factory=dict)
    thorough: bool = False

    @property
    def verdict(self) -> str:
        """The worst of all checks."""
        return max((check.verdict for check in self.checks), key=VERDICTS.index)

    def __getitem__(self, name: str) -> Check:
        return next(check for check in self.checks if check.name == name)

    def to_dict(self) -> dict[str, Any]:
        """The card as plain JSON types."""
        return {
            **vars(self),
            "verdict": self.verdict,
            "checks": [vars(check) for check in self.checks],
            "versions": dict(self.versions),
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2)


def check_model(
    model: RewardModel | FunctionModel, progress: Progress | None = None, thorough: bool = False
) -> ConformanceCard:
    """Measure whether redviz reads this model right: named checks, each with a verdict, a figure and a remedy.

    Parameters
    ----------
    model
        From :func:`redviz.load_reward_model`; a function of text has nothing to check and is refused.
    progress
        Called with (checks done, checks in all) before each check, between the passes of long ones, and at the end; may raise to
        cancel.
    thorough
        Whether to run every check whole. Else each has a budget, so that the card of a model of 135 million parameters takes some
        fifteen seconds of a processor, and says what it left out.

    Returns
    -------
    ConformanceCard
        Deterministic: the texts are fixed, and nothing in it tells the time.

    Raises
    ------
    RedvizError
        Where not even a short text can be scored, and for a function of text.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")  # doctest: +SKIP
    >>> redviz.check_model(model).verdict  # doctest: +SKIP
    'green'
    """
    if isinstance(model, ProcessModel):
        steps, found = _checked(checks_of_steps.subject, checks_of_steps.CHECKS, model, progress, thorough)
        text = steps.marked[0]
        mark = model.tokenizer.decode([int(text.ids[text.columns[-1]])])
        return _card(model, checks_of_steps.CHECKS, found, int(text.columns[-1]) - len(text.ids), mark, thorough)
    if isinstance(model, ImplicitReward):
        about, found = _checked(checks_of_implicit.subject, checks_of_implicit.CHECKS, model, progress, thorough)
        return _card(model, checks_of_implicit.CHECKS, found, -1, about.encodings[0].pieces[-1], thorough)
    if isinstance(model, TokenRewards):
        tokens, found = _checked(checks_of_tokens.subject, checks_of_tokens.CHECKS, model, progress, thorough)
        last = tokens.encodings[0]
        place = last.read - len(last.ids)
        return _card(model, checks_of_tokens.CHECKS, found, place, last.pieces[last.read], thorough)
    if isinstance(model, FunctionModel):
        raise RedvizError(
            f"{model.name} is a function of text and has no weights, template or attention to check; its tests are its own."
        )
    given, found = _checked(subject, CHECKS, model, progress, thorough)
    first = given.encodings[0]
    return _card(model, CHECKS, found, first.read - len(first.ids), first.pieces[first.read], thorough)


def _checked(
    make: Callable[[Any, Effort], Any], checks: Checks, model: Any, progress: Progress | None, thorough: bool
) -> tuple[Any, dict[str, Finding]]:
    """What is checked of a model, and what every check found; progress hears of each check, and from within the long ones."""
    findings: dict[str, Finding] = {}

    def beat() -> None:
        if progress is not None:
            progress(len(findings), len(checks))

    given = make(model, Effort(thorough, beat))
    for name, (_, check) in checks.items():
        beat()
        finding = _guarded(check, given)
        mixed = given.model.source.dtype == "8bit" and name in NOT_IN_8_BITS and finding.verdict != "green"
        findings[name] = replace(finding, remedy=EIGHT_BITS) if mixed else finding
    beat()
    return given, findings


def _card(
    model: RewardModel | ProcessModel | TokenRewards | ImplicitReward,
    checks: Checks,
    findings: Mapping[str, Finding],
    column: int,
    token: str,
    thorough: bool,
) -> ConformanceCard:
    return ConformanceCard(
        checks=tuple(
            Check(name, f.title or checks[name][0], f.verdict, f.figure, f.remedy) for name, f in findings.items()
        ),
        model=model.source.model,
        revision=model.source.revision,
        fingerprint=model.source.fingerprint,
        template_hash=model.source.template_hash,
        template=model.source.template,
        reading_column=column,
        reading_token=token,
        verified_length=findings["prefix_consistency"].length,
        max_length=model.max_length,
        trained_length=model.trained_length,
        dtype=model.source.dtype,
        device=model.source.device,
        versions=model.source.versions,
        thorough=thorough,
    )


def _guarded(check: Callable[[Any], Finding], given: Any) -> Finding:
    """A check that cannot be made is a finding too."""
    try:
        return check(given)
    except Cancelled:
        raise
    except torch.OutOfMemoryError:
        return Finding(
            "amber", "not measured: memory ran out", "Use a smaller dtype or --max-length, or a larger machine."
        )
    except RedvizError as error:
        return Finding(
            "red", f"could not be measured: {error}", "Mend what the sentence names and run the check again."
        )
