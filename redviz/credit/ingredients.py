"""What methods need beside the one observation, and one method's credits made from it.

Records are computed once and kept (a policy's log-probabilities, the cost model's observation); models are called again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.credit.from_records.abc import layers_that_attend
from redviz.credit.from_records.segments import segmented
from redviz.credit.recipes import METHODS, SEGMENTS, MethodInfo, Recipe
from redviz.errors import RedvizError, of_one_row
from redviz.models.running.budgets import Progress
from redviz.models.spec import LOADERS, NEEDED_FOR, PARTNERS
from redviz.observation import without_weights
from redviz.records import Credit, Observation

if TYPE_CHECKING:
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.policy import Policy
    from redviz.models.kinds.reward_model import RewardModel

Kept = Callable[[str, Callable[[], Any]], Any]  # a record by its name: the one at hand, or what is made now

STEPS = 1000  # of progress, for each part of a whole

LACKING = {
    "model": "calls the reward model again, and none is at hand here",
    "policy": "reads a policy; pass policy=redviz.load_policy('embedded:writer-dpo'), in a terminal --policy",
    "reference": "asks a reference language model; pass reference=redviz.load_policy('embedded:writer'), in a terminal --reference",
    "log_probs": "compares a policy with its reference; pass policy= and reference= (redviz.load_policy), "
    "in a terminal --policy and --reference",
    "cost": "adds a second reward model; pass cost_model=redviz.load_reward_model(…), in a terminal --cost-model",
}


KINDS = {  # role: the models that can play it
    "policy": ("Policy",),
    "reward": ("RewardModel", "FunctionModel", "ProcessModel", "TokenRewards", "ImplicitReward"),
}


@dataclass(frozen=True)
class Partners:
    """Models beside the reward model: a policy with its reference, and a cost model for two-model aggregation."""

    policy: Policy | None = None
    reference: Policy | None = None
    cost_model: RewardModel | FunctionModel | None = None

    def __post_init__(self) -> None:
        for partner, role in PARTNERS.items():
            given = getattr(self, partner)
            if given is not None and type(given).__name__ not in KINDS[role]:
                raise RedvizError(
                    f"{partner} is {type(given).__name__}, not a loaded model of that kind; give redviz.{LOADERS[role][1]}(…)."
                )


def needed_partners(wanted: Iterable[Recipe]) -> set[str]:
    """The partners that these recipes ask for."""
    return {partner for recipe in wanted for name in recipe.ingredients for partner in NEEDED_FOR.get(name, ())}


def check_partners(wanted: Mapping[str, Recipe], partners: Partners) -> None:
    """Refuse, before anything runs, recipes whose models were not given."""
    given = {partner for partner in PARTNERS if getattr(partners, partner) is not None}
    had = {"model", *(name for name, needed in NEEDED_FOR.items() if given.issuperset(needed))}
    for recipe in wanted.values():
        if lacking := [name for name in recipe.ingredients if name not in had]:
            raise RedvizError(f"{recipe.method} {LACKING[lacking[0]]}.")


def gather(
    model: RewardModel | FunctionModel,
    observation: Observation,
    wanted: Mapping[str, Recipe],
    partners: Partners,
    observe: Callable[..., Observation],
    kept: Kept,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Everything that the recipes ask for and that can be had: models as they are, records computed here where none is kept.

    A record that cannot be made (two tokenizers, say) is there as its error, so that only the methods that need it fail.
    """
    at_hand: dict[str, Any] = {"model": model}
    at_hand |= {role: beside for role in ("policy", "reference") if (beside := getattr(partners, role)) is not None}
    needed = {name for recipe in wanted.values() for name in recipe.ingredients}
    if "log_probs" in needed and partners.policy is not None and partners.reference is not None:
        from redviz.models.kinds.policy import log_probs

        pair = (partners.policy, partners.reference)
        at_hand["log_probs"] = _kept_or_error(
            kept, "log_probs", lambda: log_probs(*pair, observation.encoding, progress)
        )
    if "cost" in needed and (cost := partners.cost_model) is not None:
        at_hand["cost"] = _kept_or_error(kept, "cost", lambda: observe(cost, cost.encode(observation.encoding.example)))
    return at_hand


def made_anew(name: str, make: Callable[[], Any]) -> Any:
    """Nothing is kept: every record is made when it is asked for."""
    return make()


def _kept_or_error(kept: Kept, name: str, make: Callable[[], Any]) -> Any:
    """The record, or the :class:`RedvizError` that says why it could not be made."""
    try:
        with within_memory("a model beside the reward model"):
            return kept(name, make)
    except Exception as error:
        return of_one_row(error)


@contextmanager
def within_memory(what: str) -> Iterator[None]:
    """Say in one sentence that memory ran out, where a method did not make its batches smaller itself."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, without importing torch for arithmetic
            raise
        raise RedvizError(
            f"Memory ran out for {what}; use a shorter response, a smaller dtype or another device."
        ) from error


def credit_of(
    observation: Observation, recipe: Recipe, at_hand: Mapping[str, Any], progress: Progress | None = None
) -> Credit:
    """One method's credits.

    Parameters
    ----------
    observation
        The reward model's one forward pass.
    recipe
        The method and its options.
    at_hand
        Ingredients by name: "model", "policy", "reference" (models), "log_probs", "cost" (records). What the recipe does not need
        may be missing.
    progress
        Called with (done, total) by methods that call a model; may raise to cancel.

    Raises
    ------
    RedvizError
        Where an ingredient is missing, or the method is not defined for this model.
    """
    info = recipe.info
    if lacking := [name for name in recipe.ingredients if name not in at_hand]:
        raise RedvizError(f"{recipe.method} {LACKING[lacking[0]]}.")
    _check_defined(observation, recipe)
    if broken := [at_hand[name] for name in recipe.ingredients if isinstance(at_hand[name], RedvizError)]:
        raise broken[0]
    options = {name: value for name, value in recipe.options.items() if name in info.options}
    given = {name: at_hand[name] for name in recipe.ingredients} | options
    if not recipe.arithmetic:
        given["progress"] = progress
    with within_memory(recipe.method):
        if "model" in given:  # one whose objectives the prompt weighs gets this prompt's weights
            given["model"] = given["model"].for_prompt(observation.encoding)
        credit = info.credit(observation, **given)
    if not np.isfinite([*credit.values, *(v for v in (credit.total, credit.reference) if v is not None)]).all():
        raise RedvizError(
            f"{recipe.method} gives NaN or infinity here, which is no number; load the model with --dtype float32, or use "
            "another method."
        )
    chosen = {name: value for name, value in recipe.options.items() if name in SEGMENTS}
    told = options | ({} if chosen.get("segment", "token") == "token" else chosen)
    named = {"method": recipe.method, "options": told}
    if "log_probs" in recipe.ingredients:
        named |= dict(zip(("policy", "reference"), at_hand["log_probs"].names, strict=True))
    credit = replace(credit, meta={**named, **credit.meta})
    return segmented(credit, observation, **chosen) if chosen else credit


def share_of(progress: Progress | None, index: int, count: int) -> Progress | None:
    """The progress of part ``index`` of ``count`` as progress of the whole."""
    if progress is None:
        return None
    return lambda done, total: progress(index * STEPS + done * STEPS // max(1, total), count * STEPS)


def why_not(observation: Observation, recipe: Recipe) -> str:
    """Why a method is not defined for this model, in one sentence; "" where it is, as far as the observation shows."""
    try:
        _check_defined(observation, recipe)
    except RedvizError as error:
        return str(error)
    if recipe.info.needs == "attention" and observation.response_row is None:
        return f"{recipe.method} needs attention weights of one token that reads the score, and this model shows none."
    rows, layer = observation.response_row, recipe.options.get("layer")
    if recipe.info.needs == "attention" and rows is not None and layer is not None:
        those = layers_that_attend(rows)
        if -len(rows) <= layer < len(rows) and layer % len(rows) not in those:
            return f"{recipe.method}: {without_weights(layer % len(rows), those, 'this model')}"
    return ""


def _check_defined(observation: Observation, recipe: Recipe) -> None:
    """A function of text has no trunk: no hidden state to read at every token, no attention, no gradient."""
    scored = observation.step_scores is not None
    by_steps = scored and observation.encoding.unit == "step"
    known = by_steps or bool(np.isfinite(observation.prefix_scores).all())

    def defined(
        info: MethodInfo,
    ) -> bool:  # arithmetic on prefix scores needs every one, and "steps" the scores of steps
        return info.black_box or (scored if info.needs == "steps" else info.steps and known)

    if not observation.black_box or defined(recipe.info):
        return
    possible = ", ".join(name for name, info in METHODS.items() if defined(info))
    what = "this one is read after each step only" if by_steps else "this reward is a function of text"
    if scored and not known:
        what = "this one scores every token with the whole response in view"
    elif known and not by_steps:
        what = "this reward is a score at every token, with nothing inside to look at"
    raise RedvizError(f"{recipe.method} looks inside a model, and {what}; use one of {possible}.")
