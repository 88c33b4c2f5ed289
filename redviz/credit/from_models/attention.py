"""Attention-based credits that ask a model again: rollout, value-weighted norms, and the policy's own attention (ABC-D)."""

from __future__ import annotations

import numpy as np
import torch

from redviz.credit.choices import GENERATION_STEPS
from redviz.credit.from_records.abc import check_row, response_shares
from redviz.errors import RedvizError
from redviz.models.kinds.policy import Policy
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.reading.alignment import check_same_tokens
from redviz.models.running.attention_flow import Progress, carried_norms, head_mean_rows, kept_pass, rolled
from redviz.models.running.layer_kinds import layer_kinds
from redviz.records import Array, Credit, Encoding, Observation


def rollout(
    observation: Observation,
    model: RewardModel,
    *,
    row: str = "response",
    residual: float = 0.5,
    progress: Progress | None = None,
) -> Credit:
    """Split the score over the response by attention rollout (Abnar and Zuidema 2020, arXiv 2005.00928, section 3).

    The product over layers of ``(1 - residual) * head-mean attention + residual * identity`` follows attention through every layer
    down to the tokens; one row of it, renormalised over the response, shares out the score. Memory grows with the length, not its
    square.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example; one more pass keeps every layer's queries and keys.
    row
        "response": the row of the last response token. "pooling": of the token where the score is read.
    residual
        The share of a layer's output that is taken to pass it by, 0 to 1; the paper's choice is 0.5.
    progress
        Called with (layers done, layers) between blocks of rows; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to the score and shares its sign. ``meta`` has ``layers``.

    Raises
    ------
    RedvizError
        Where the model shows no attention weights, or not in every layer.
    """
    if not 0.0 <= residual <= 1.0:
        raise RedvizError(
            f"residual is {residual}; it is the share that passes a layer by, so give a number from 0 to 1."
        )
    column = _column(model, observation.encoding, row)
    kept = kept_pass(model, observation.encoding)
    depth = model.module.config.get_text_config().num_hidden_layers
    if "hybrid" in layer_kinds(model.module):
        raise RedvizError(
            f"{model.name} has layers that attend and carry a state side by side, so attention is not all that flows through them; "
            "use abc or red."
        )
    if kept.passed != depth:
        raise RedvizError(
            f"{model.name} shows attention weights in {kept.passed} of its {depth} layers, so nothing can be rolled out through "
            "the others; use abc or red."
        )
    with torch.inference_mode():
        flow = rolled(kept, column, residual, progress).cpu().numpy()  # [L]
    return _shared(flow, observation, {"layers": depth})


def attention_norm(
    observation: Observation,
    model: RewardModel,
    *,
    layer: int = -1,
    row: str = "response",
    progress: Progress | None = None,
) -> Credit:
    """Split the score by value-weighted attention (Kobayashi et al. 2020, Attention is Not Only a Weight, arXiv 2004.10102).

    A token's weight is the norm of what the heads of one layer carry from it to the reading row, ``||sum_h alpha_hj W_O^h v_hj||``,
    so attention to a token with nothing to say counts for nothing. Biases are left out: those of the output projection belong to no
    token.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example; one more pass keeps one layer's queries, keys and values.
    layer
        Which layer; -1 is the last.
    row
        "response": the row of the last response token. "pooling": of the token where the score is read.
    progress
        Called with (passes done, 1); may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to the score and shares its sign.

    Raises
    ------
    RedvizError
        Where the model shows no attention weights, or its attention has no output projection that redviz knows, or gates its heads.
    """
    column = _column(model, observation.encoding, row)
    if progress is not None:
        progress(0, 1)
    norms = carried_norms(model, observation.encoding, layer, column).cpu().numpy()  # [L]
    if progress is not None:
        progress(1, 1)
    return _shared(norms, observation, {})


def abc_d(
    observation: Observation,
    policy: Policy,
    *,
    layer: int = -1,
    steps: str = "all",
    progress: Progress | None = None,
) -> Credit:
    """Split the reward model's score by the policy's own attention: ABC-D of Dense Reward for Free (arXiv 2402.00782).

    With A the head-mean attention of one layer of the policy, read in one teacher-forced pass, token j weighs the mean of ``A[i, j]``
    over the response tokens i that can see it (weight above zero: ``i >= j``, and within the window where there is one). Rows are not
    renormalised one by one, only the T weights are at the end. The authors' code does the same on the steps of its generation, which
    has no row for the last token because that is never read back, and books every weight one token later, so that its first token
    always gets zero; here a weight stays with the token it was paid to.

    Parameters
    ----------
    policy
        A causal language model whose response tokens stand for the same characters as the reward model's.
    observation
        The reward model's forward pass over the example.
    layer
        Which layer of the policy; -1 is the last, the paper's choice.
    steps
        "all": the mean above. "last": the row of the last token only.
    progress
        Called with (rows done, rows) between blocks of rows; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to the score and shares its sign. ``meta`` has ``policy``.

    Raises
    ------
    RedvizError
        Where the policy cuts the response into other tokens, or shows no attention weights.
    """
    if steps not in GENERATION_STEPS:
        raise RedvizError(f"steps is {steps!r}; use one of {', '.join(GENERATION_STEPS)}.")
    encoding = policy.encode(observation.encoding.example)
    check_same_tokens(encoding, encoding, observation.encoding, (policy.name, policy.name))
    length = observation.encoding.stop - observation.encoding.start
    own = slice(encoding.start, encoding.start + length)  # as many as the reward model read
    kept = kept_pass(policy, encoding, layer)
    rows = torch.arange(own.start if steps == "all" else own.stop - 1, own.stop)
    device = kept.layers[0].query.device
    paid, seen, done = torch.zeros(length, device=device), torch.zeros(length, device=device), 0  # [T], [T]
    with torch.inference_mode():
        for block, weights in head_mean_rows(kept.layers[0], rows):
            if progress is not None:
                progress(done, len(rows))
            paid += weights[:, own].sum(0)  # [T]
            seen += (weights[:, own] > 0).sum(0)  # [T]
            done += len(block)
    if progress is not None:
        progress(len(rows), len(rows))
    mean = (paid / seen.clamp(min=1)).cpu().numpy()  # [T]
    flow = np.zeros(len(observation.encoding.ids))  # [L] of the reward model
    flow[observation.encoding.start : observation.encoding.stop] = mean
    return _shared(flow, observation, {"policy": policy.name})


def _column(model: RewardModel, encoding: Encoding, row: str) -> int:
    """The query column of one of the two rows."""
    check_row(row)
    if model.own_forward:
        raise RedvizError(
            f"{model.name} is a {type(model.module).__name__}, whose head reads more than one row of attention; use red or ig."
        )
    if model.pooled:
        raise RedvizError(
            f"{model.name} scores the mean of all tokens, which no row of attention makes; use red or ig."
        )
    return encoding.stop - 1 if row == "response" else encoding.read


def _shared(weights: Array, observation: Observation, meta: dict[str, object]) -> Credit:
    """The score, shared out by the response's part of one weight per column (``[L]``)."""
    values = observation.score * response_shares(weights, observation.encoding)  # [T]
    return Credit(values.astype(np.float32), observation.score, 0.0, meta=meta)
