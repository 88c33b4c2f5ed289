"""KL estimators without sampling: at every state of one response, their mean and spread over the whole vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from redviz.errors import RedvizError
from redviz.records import Array, Example
from redviz.returns import kl_penalty

if TYPE_CHECKING:
    from redviz.models.kinds.policy import Policy

ESTIMATORS = ("k1", "k2", "k3")


@dataclass(frozen=True)
class KLStates:
    """What the three estimators say at the N states of a response (before each token, and before the end-of-turn token).

    Attributes
    ----------
    estimates
        Estimator -> ``[N]``, at the token that the response has there.
    means, spreads
        Estimator -> ``[N]``, mean and standard deviation where the token is drawn from the policy.
    divergence
        ``[N]``, ``KL(pi || pi_ref)`` at the state: what the estimators are estimates of.
    """

    estimates: dict[str, Array]
    means: dict[str, Array]
    spreads: dict[str, Array]
    divergence: Array


def kl_states(policy: Policy, reference: Policy, example: Example) -> KLStates:
    """One forward pass of each, and sums over the vocabulary.

    Raises
    ------
    RedvizError
        Where the two read the response as different tokens.
    """
    import torch

    from redviz.models.kinds.policy import closes

    own, other = policy.encode(example), reference.encode(example)
    if own.ids.tolist() != other.ids.tolist():
        raise RedvizError(
            f"{policy.name} and {reference.name} read this example as different tokens; give two that share a tokenizer."
        )
    stop = own.stop + int(closes(policy, own))
    logits = []
    with torch.inference_mode():
        ids = torch.as_tensor(own.ids[None, :stop], device=policy.device)  # [1, n + N]
        for model in (policy, reference):
            hidden = model.run(input_ids=ids, use_cache=False).last_hidden_state[0, own.start - 1 : -1]  # [N, D]
            logits.append(model.log_softmax(hidden).double().cpu().numpy())  # [N, V]
    return over_vocabulary(logits[0], logits[1], own.ids[own.start : stop])


def over_vocabulary(log_policy: ArrayLike, log_reference: ArrayLike, tokens: ArrayLike) -> KLStates:
    """The same from log-probabilities ``[N, V]`` and the response's tokens ``[N]``.

    Examples
    --------
    >>> half, skewed = np.log([[0.5, 0.5]]), np.log([[0.9, 0.1]])
    >>> found = over_vocabulary(skewed, half, [0])
    >>> [round(float(found.means[k][0]), 4) for k in ESTIMATORS], round(float(found.divergence[0]), 4)
    ([0.3681, 0.285, 0.3681], 0.3681)
    """
    p, q, taken = np.asarray(log_policy, np.float64), np.asarray(log_reference, np.float64), np.asarray(tokens)
    chance = np.exp(p)
    chance /= chance.sum(axis=1, keepdims=True)  # float32 log-probabilities sum to 1 up to rounding only
    estimates, means, spreads = {}, {}, {}
    for name in ESTIMATORS:
        values = kl_penalty(p, q, name)  # type: ignore[arg-type]  # [N, V]
        estimates[name] = values[np.arange(len(values)), taken]
        means[name] = (chance * values).sum(axis=1)
        spreads[name] = np.sqrt((chance * (values - means[name][:, None]) ** 2).sum(axis=1))
    return KLStates(estimates, means, spreads, (chance * (p - q)).sum(axis=1))
