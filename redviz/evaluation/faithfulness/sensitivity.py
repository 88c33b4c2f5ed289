"""Max-sensitivity (Yeh et al. 2019) through Captum: how far credits move when the response's embeddings move a little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from captum.metrics import sensitivity_max
from torch import Tensor, nn

from redviz.credit.from_models.gradient_inputs import ResponseScore, gradient_inputs
from redviz.credit.ingredients import credit_of
from redviz.credit.recipes import METHODS, Recipe, recipes
from redviz.errors import Cancelled, RedvizError
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.budgets import Progress
from redviz.records import Analysis, Observation

RADIUS, SAMPLES = 0.02, 10  # the paper's, and Captum's

NOT_DEFINED = {
    "perturbation": "it removes whole units, and a unit cannot be removed by a little",
    "policy": "it is read from language models, which do not see the reward model's embeddings",
}
OTHERWISE = "it is made from the scores or the attention of whole tokens, and not from embeddings that could be moved"


@dataclass(frozen=True)
class Sensitivity:
    """Max-sensitivity of one method on one response; where it is not defined, nan and one sentence why.

    Attributes
    ----------
    value
        ``max ||a(x + d) - a(x)|| / ||a(x)||`` over the draws of d; lower is steadier.
    """

    value: float
    note: str = ""


def max_sensitivity(
    model: RewardModel | FunctionModel,
    analysis: Analysis,
    *,
    radius: float = RADIUS,
    samples: int = SAMPLES,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Sensitivity]:
    """Compute the gradient methods of an analysis again on embeddings moved by at most ``radius`` in every coordinate.

    A method is asked in its own code and with its own options, about a model whose embeddings of this response are moved. Prompt and
    template stay.

    Parameters
    ----------
    model, analysis
        The model and its analysis of one response.
    radius
        Of the L-infinity ball that moves are drawn from, evenly; in the embedding's unit.
    samples
        Moves; the same for all methods. Each costs what the method costs.
    seed
        Of the moves.
    progress
        Called with (credits computed, credits to compute); may raise to cancel.

    Returns
    -------
    dict[str, Sensitivity]
        One per label. Only the gradient family has one: the other methods do not start from embeddings.

    Raises
    ------
    RedvizError
        Where the analysis failed, or ``radius`` or ``samples`` is not positive.
    """
    if analysis.observation is None:
        raise RedvizError("This analysis failed, so there is nothing to check.")
    if not radius > 0 or samples < 1:
        raise RedvizError(f"radius is {radius} and samples is {samples}; give a positive number and at least one draw.")
    sensitivities = {
        label: _undefined(str(credit.meta.get("method", label))) for label, credit in analysis.credits.items()
    }
    asked = [label for label, one in sensitivities.items() if not one.note]
    if not asked or isinstance(model, FunctionModel):
        return sensitivities
    each = samples + 1
    for done, label in enumerate(asked):
        meta = analysis.credits[label].meta
        [recipe] = recipes({label: {"method": meta["method"], **meta.get("options", {})}}).values()
        counted = None if progress is None else _counted(progress, done * each, len(asked) * each)
        try:
            value = _of_recipe(model, analysis.observation, recipe, radius, samples, seed, counted)
        except Cancelled:
            raise
        except RedvizError as error:
            sensitivities[label] = Sensitivity(float("nan"), str(error))
        else:
            sensitivities[label] = Sensitivity(value)
    if progress is not None:
        progress(len(asked) * each, len(asked) * each)
    return sensitivities


def _undefined(method: str) -> Sensitivity:
    family = METHODS[method].family if method in METHODS else ""
    if family == "gradient":
        return Sensitivity(float("nan"))
    return Sensitivity(
        float("nan"), f"Max-sensitivity is not defined for {method}: {NOT_DEFINED.get(family, OTHERWISE)}."
    )


def _counted(progress: Progress, before: int, total: int) -> Callable[[int], None]:
    return lambda done: progress(before + done, total)


def _of_recipe(
    model: RewardModel,
    observation: Observation,
    recipe: Recipe,
    radius: float,
    samples: int,
    seed: int,
    counted: Callable[[int], None] | None,
) -> float:
    response = gradient_inputs(model, observation.encoding).response.float()  # [1, T, D]
    draws = torch.Generator().manual_seed(seed)
    done = 0

    def credits(embeddings: Tensor) -> Tensor:  # [B, T, D] -> [B, T]
        nonlocal done
        rows = []
        for one in embeddings:
            if counted is not None:
                counted(done)
            done += 1
            rows.append(_moved_credits(model, observation, recipe, one - response[0]))
        return torch.stack(rows)

    def explained(given: Tensor | tuple[Tensor, ...]) -> Tensor | tuple[Tensor, ...]:
        # A tuple that gets no tuple back is normalised token by token.
        return tuple(map(credits, given)) if isinstance(given, tuple) else credits(given)

    def nearby(embeddings: Tensor, within: float) -> Tensor:
        move = torch.empty(embeddings.shape).uniform_(-within, within, generator=draws)
        return embeddings + move.to(embeddings)

    found = sensitivity_max(
        explained, response, nearby, perturb_radius=radius, n_perturb_samples=samples, max_examples_per_batch=1
    )
    return float(found)


def _moved_credits(model: RewardModel, observation: Observation, recipe: Recipe, move: Tensor) -> Tensor:
    """The method's credits of the response with its embeddings moved by ``[T, D]``: ``[T]`` float64."""
    encoding = observation.encoding
    moved = replace(model, module=_Moved(model.module, encoding.ids[encoding.start :], move))
    with torch.enable_grad():  # Captum asks without
        given = gradient_inputs(moved, encoding)
        if not given.unread:  # else a response of padding alone, which the model does not read
            columns = observation.column_scores.copy()  # [L]
            with torch.no_grad():
                columns[encoding.read] = float(ResponseScore(moved, given)(given.response))
            observation = replace(observation, column_scores=columns)
        credit = credit_of(observation, recipe, {"model": moved})
    model.forwards = moved.forwards
    return torch.from_numpy(credit.values.astype("float64"))


class _Moved(nn.Module):
    """A model whose embeddings of one text are moved; in all else the one within. Weights and hooks are that one's own."""

    def __init__(self, within: Any, ids: Any, move: Tensor) -> None:
        super().__init__()
        self.within = within
        self.embeddings = (_MovedEmbeddings(within.get_input_embeddings(), torch.as_tensor(ids), move),)  # not a part

    @property
    def base_model(self) -> Any:
        return self.within.base_model

    @property
    def config(self) -> Any:
        return self.within.config

    def get_input_embeddings(self) -> _MovedEmbeddings:
        return self.embeddings[0]


@dataclass(frozen=True)
class _MovedEmbeddings:
    """The embedding layer, which moves the response where it is asked for the response with what follows it."""

    layer: Any
    ids: Tensor  # [>= S] from the first response token on
    move: Tensor  # [T, D]

    @property
    def weight(self) -> Tensor:
        weight: Tensor = self.layer.weight
        return weight

    def __call__(self, ids: Tensor) -> Tensor:
        found: Tensor = self.layer(ids)
        if ids.dim() == 2 and torch.equal(ids[0].cpu(), self.ids[: ids.shape[1]]):  # else the table, for a baseline
            length = len(self.move)
            found = torch.cat([found[:, :length] + self.move.to(found), found[:, length:]], 1)
        return found
