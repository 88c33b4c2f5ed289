"""Token rewards for RL trainers: tensors of a rollout in, one reward per response token out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from redviz.credit.from_records.segments import segmented
from redviz.credit.ingredients import credit_of
from redviz.credit.recipes import METHODS, SEGMENTS, Recipe, recipes, stride_of
from redviz.errors import RedvizError
from redviz.messages import as_prompt
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.reading.rollouts import from_ids, from_text, prompt_text, response_run, same_ids
from redviz.models.running.budgets import at_once, within
from redviz.models.running.micro_batches import micro_batches
from redviz.models.running.observe import observe
from redviz.records import Array, Credit, Encoding, Message, Observation

log = logging.getLogger("redviz")

ONE_MODEL = ("observation", "attention", "model")  # what a method may need here
WHOLE = {"sparse": "", "red": "beta_c", "red_closed": "beta_c", "abc": "b"}  # the option that says how much is split
EVEN = ("uniform",)  # each token gets the same, whatever it says
OF_TEXTS = ("truncation",)  # score texts of their own, so ids alone are not enough


@dataclass(frozen=True)
class _Job:
    """One row: what the reward model reads, and where its credits go."""

    row: int
    columns: Array  # [T] int64: columns of the result
    encoding: Encoding  # T' response tokens of the reward model
    target: Array  # [T'] int64: which of the row's T tokens gets the credit of each
    holes: bool = False  # whether some of the T' are the environment's


def token_rewards(
    model: RewardModel | FunctionModel,
    input_ids: Any,
    attention_mask: Any,
    response_mask: Any,
    *,
    policy_tokenizer: Any = None,
    messages: Sequence[str | Sequence[Message]] | None = None,
    method: str = "red",
    options: Mapping[str, Any] | None = None,
    kl: Any = None,
    kl_coef: float = 0.0,
) -> Any:
    """Split the score of every response of a rollout over its tokens.

    Parameters
    ----------
    model
        From :func:`redviz.load_reward_model`; with ``policy_tokenizer`` also from :func:`redviz.reward_function`.
    input_ids, attention_mask
        The policy's rollout, ``[B, L]``, padded on either side; torch tensors or arrays.
    response_mask
        1 at the response's tokens, ``[B, L]``, with holes where the environment wrote (the output of tools). ``[B, T]`` with fewer
        columns stands for the last T: TRL's ``completion_mask``, verl's ``response_mask`` and OpenRLHF's ``action_mask`` fit as
        they are.
    policy_tokenizer
        The tokenizer of the ids, where it is not the reward model's. The response is then decoded, encoded anew with the reward
        model's template, and its credits are mapped back by bytes.
    messages
        The conversation before each response, messages or text, to be rendered by the reward model's template; one that ends in
        the assistant's turn is gone on with by the response. Needed with a policy tokenizer that has a chat template; without a
        template the prompt's ids are decoded, as many as the trainer left of them.
    method, options
        Any method of :func:`redviz.methods` that promises a sum and needs the reward model alone: red, red_closed, truncation (only
        with texts: ``policy_tokenizer`` or ``messages``), abc, rollout, attention_norm, ig, gradient_shap, p2t, shapley,
        kernel_shap, sparse, uniform.
    kl, kl_coef
        A KL term per token, of ``response_mask``'s shape (k1: the policy's log-probability less the reference's);
        ``kl_coef`` times it is taken from every reward.

    Returns
    -------
    torch.Tensor or numpy array
        float32 of ``response_mask``'s shape, on its device; 0 outside the mask. A row's sum is that of the method's credits
        (``red``: R - P_0) less the penalty. What the text in a hole earns stands on the policy's next token, whose state it is in.
        What the template's closing tokens earn, and what a method leaves on the last token (``sparse``; ``beta_c`` or ``b`` below
        1), stands on the row's last token: the EOS, where the mask holds one. Rows without response tokens are 0. The same call
        gives the same numbers.

    Raises
    ------
    RedvizError
        For shapes that disagree, a response with nothing before it, a row that the model cannot read, turns of a tool in a row that
        is read anew as one text, a method without a sum or with needs of its own.

    Notes
    -----
    Ids of the reward model's own tokenizer are scored as they are: nothing is encoded anew, an EOS inside the mask is a response
    token, and the score is read at the row's last attended column (where ``model.read`` is "model": the last that is not the
    model's pad id, as its own forward reads). Mapped by bytes, token t of the policy gets the credits of the reward model's tokens
    that end within its bytes; what ends a row beyond its text, such as a special token, has no bytes.
    Source: RED (arXiv 2411.08302), equation 6; the mapping is redviz's.

    Examples
    --------
    >>> import numpy as np, redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> encoding = model.encode(redviz.Example("Review the film.", "A superb, moving film."))
    >>> ids = encoding.ids[None]
    >>> mask = np.zeros_like(ids)
    >>> mask[:, encoding.start : encoding.stop] = 1
    >>> rewards = redviz.token_rewards(model, ids, np.ones_like(ids), mask)
    >>> analysis = redviz.analyze(model, "Review the film.", "A superb, moving film.", methods=["red"])
    >>> bool(np.allclose(rewards[mask == 1], analysis.credits["red"].values, atol=1e-5))
    True
    """
    recipe = _recipe(method, options)
    ids, seen = _matrix("input_ids", input_ids), _switches("attention_mask", attention_mask)
    mask = _switches("response_mask", response_mask)
    penalty = _penalty(kl, kl_coef, mask)
    if ids.shape != seen.shape or len(mask) != len(ids) or mask.shape[1] > ids.shape[1]:
        raise RedvizError(
            f"input_ids {ids.shape}, attention_mask {seen.shape} and response_mask {mask.shape} do not fit together; "
            "give [B, L], [B, L] and [B, L], or [B, T] for the last T columns."
        )
    if messages is not None and len(messages) != len(ids):
        raise RedvizError(f"There are {len(messages)} conversations for {len(ids)} rows; give one per row.")
    jobs = _jobs(model, ids, seen, mask, recipe, policy_tokenizer, messages)
    if cut := sum(job.encoding.truncated > 0 for job in jobs):
        log.warning("%d of %d responses were cut to the %d tokens of %s", cut, len(ids), model.max_length, model.name)
    rewards = np.zeros(mask.shape, np.float32)  # [B, T]
    for job, observation in _observed(model, [job for job in jobs if len(job.target)], recipe):
        rewards[job.row, job.columns] = _values(model, recipe, observation, job)
    rewards -= penalty
    tensor = next((x for x in (response_mask, input_ids) if isinstance(x, torch.Tensor)), None)
    return rewards if tensor is None else torch.from_numpy(rewards).to(tensor.device)


def _recipe(method: str, options: Mapping[str, Any] | None) -> Recipe:
    """The method with checked options; RedvizError for one that a trainer cannot use here."""
    recipe = recipes({"rewards": {**(options or {}), "method": method}})["rewards"]
    possible = [name for name, info in METHODS.items() if info.additive and info.needs in ONE_MODEL]
    if not recipe.info.additive:
        raise RedvizError(
            f"{method} promises no sum, so its credits are no share of the reward; use one of {', '.join(possible)}."
        )
    if recipe.info.needs not in ONE_MODEL:
        raise RedvizError(
            f"{method} reads more than the reward model, and token_rewards has only that; use one of {', '.join(possible)}."
        )
    if more := [name for name in recipe.ingredients if name not in ONE_MODEL]:
        remedy = (
            "give kl and kl_coef to token_rewards itself" if "log_probs" in more else "call it for each reward model"
        )
        raise RedvizError(f"These options of {method} read more than the reward model; {remedy}.")
    return recipe


def _jobs(
    model: RewardModel | FunctionModel,
    ids: Array,
    seen: Array,
    mask: Array,
    recipe: Recipe,
    policy_tokenizer: Any,
    messages: Sequence[str | Sequence[Message]] | None,
) -> list[_Job]:
    """One job for every row that has response tokens."""
    anew = messages is not None or not (policy_tokenizer is None or same_ids(policy_tokenizer, model))
    tokenizer = policy_tokenizer if policy_tokenizer is not None else getattr(model, "tokenizer", None)
    if recipe.method in OF_TEXTS and not anew:
        raise RedvizError(f"{recipe.method} scores texts of its own, not ids; give messages, or use red_closed.")
    words = recipe.options.get("players", "token") != "token" or recipe.options["segment"] != "token"
    jobs = []
    for row in range(len(ids)):
        try:
            run = response_run(seen[row], mask[row])
            if run.start == run.stop:
                continue
            own_ids, start, stop = ids[row, run.attended], run.start, run.stop
            if anew and tokenizer is not None:
                given = prompt_text(tokenizer, own_ids[:start]) if messages is None else as_prompt(messages[row])
                encoding, target = from_text(model, tokenizer, given, own_ids[start:stop], run.own)
            elif isinstance(model, RewardModel):
                closed = recipe.method == "red_closed"
                encoding, target = from_ids(model, own_ids, start, stop, closed=closed, offsets=words)
            else:
                raise RedvizError(
                    f"{model.name} reads text, not ids; give policy_tokenizer, so that they can be decoded."
                )
        except RedvizError as error:
            raise RedvizError(f"Row {row}: {error}") from error
        columns = run.attended[start:stop][run.own] - (seen.shape[1] - mask.shape[1])  # [T]
        jobs.append(_Job(row, columns, encoding, run.next_own[target], not run.own.all()))
    return jobs


def _matrix(name: str, given: Any) -> Array:
    """What was given as an array ``[B, L]``."""
    if isinstance(given, torch.Tensor):
        given = given.detach().cpu()
        given = given.float().numpy() if given.is_floating_point() else given.numpy()
    try:
        matrix: Array = np.asarray(given)
    except ValueError:  # lists of unequal length
        raise RedvizError(f"{name} has rows of unequal length; pad them and give masks.") from None
    if matrix.ndim != 2:
        raise RedvizError(f"{name} has shape {matrix.shape}; give one row per response, [B, L].")
    if matrix.dtype.kind not in ("iu" if name == "input_ids" else "iufb"):
        raise RedvizError(f"{name} holds {matrix.dtype}; give {'whole numbers' if name == 'input_ids' else 'numbers'}.")
    return matrix


def _switches(name: str, given: Any) -> Array:
    found = _matrix(name, given)
    if not np.isin(found, (0, 1)).all():
        raise RedvizError(
            f"{name} holds something other than 0 and 1; give 1 at the tokens that count and 0 elsewhere."
        )
    return found.astype(bool)


def _penalty(kl: Any, coefficient: float, mask: Array) -> Array:
    """What the KL term takes from every reward: float32 of the mask's shape."""
    if kl is None:
        if coefficient:
            raise RedvizError(f"kl_coef is {coefficient} and there is no kl; give the KL term of every token.")
        return np.zeros(mask.shape, np.float32)
    found = _matrix("kl", kl)
    if found.shape != mask.shape:
        raise RedvizError(f"kl has shape {found.shape} and response_mask {mask.shape}; give one number per token.")
    counted = np.where(mask, found, 0.0)
    if not np.isfinite(counted).all():
        raise RedvizError("kl holds NaN or infinity at a response token; correct the log-probabilities.")
    return (coefficient * counted).astype(np.float32)


def _observed(
    model: RewardModel | FunctionModel, jobs: Sequence[_Job], recipe: Recipe
) -> Iterator[tuple[_Job, Observation]]:
    """Padded passes over rows of like length, as many at once as a budget of tokens holds."""
    if isinstance(model, FunctionModel):
        yield from ((job, model.observe(job.encoding)) for job in jobs)
        return
    attention, stride = recipe.info.needs == "attention", stride_of([recipe]) or 1
    lengths = [len(job.encoding.ids) for job in jobs]
    passes = micro_batches(
        sorted(range(len(jobs)), key=lambda i: lengths[i])[::-1],  # the longest first: it is the width of its batch
        within(lengths, at_once("responses", model.device)),
        lambda batch: observe(model, [jobs[i].encoding for i in batch[::-1]], attention=attention, stride=stride),
        lambda i: f"Memory ran out on one row of {lengths[i]} tokens; shorten it or use a smaller dtype.",
    )
    for batch, observations in passes:  # no observation is kept longer than its batch
        yield from zip([jobs[i] for i in batch[::-1]], observations, strict=True)


def _values(model: RewardModel | FunctionModel, recipe: Recipe, observation: Observation, job: _Job) -> Array:
    """The row's rewards at its tokens: ``[T]`` float32, their sum that of the credits."""
    chosen = {name: value for name, value in recipe.options.items() if name in SEGMENTS}
    plain = Recipe(recipe.method, {**recipe.options, "segment": "token"})
    credit = credit_of(observation, plain, {"model": model})
    credit = replace(credit, closing=credit.closing + _kept_whole(recipe) * observation.score)
    credit = segmented(credit, observation, **chosen)
    return _at_tokens(credit, job, job.holes and recipe.method in EVEN)


def _kept_whole(recipe: Recipe) -> float:
    """The share of the score that the method leaves on the last token as an outcome reward."""
    if recipe.method not in WHOLE:
        return 0.0
    split = WHOLE[recipe.method]
    return 1.0 - float(recipe.options[split]) if split else 1.0


def _at_tokens(credit: Credit, job: _Job, even: bool = False) -> Array:
    sums = np.bincount(job.target, credit.own, minlength=len(job.columns))  # [T] float64
    sums[-1] += credit.closing
    if even:  # among the policy's tokens alone
        sums[:] = sums.mean()
    values = np.zeros(len(sums), np.float32)
    left = 0.0  # what rounding to float32 leaves is carried on, so that sums are kept
    for t in np.flatnonzero(sums):
        left += float(sums[t])
        values[t] = left
        left -= float(values[t])
    return values
