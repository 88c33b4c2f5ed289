"""Responses drawn from a policy, their token rewards, and their log-probabilities with a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from redviz import returns
from redviz.errors import RedvizError
from redviz.lab.config import LabConfig
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.policy import Policy
from redviz.models.kinds.reward_model import RewardModel, positions
from redviz.models.reading.rollouts import same_ids
from redviz.models.running.micro_batches import padded
from redviz.records import Array
from redviz.trainer import token_rewards


@dataclass(frozen=True)
class Rollout:
    """Responses as they were drawn, at temperature 1 from the whole distribution; B rows, n prompt columns, T response columns.

    Attributes
    ----------
    prompts
        The request of every row.
    ids, attention
        ``[B, n + T]`` int64, the prompt padded on its left and the response on its right.
    mask
        ``[B, T]`` int64, 1 at response tokens, the end of the turn among them.
    log_probs, entropy, kl
        ``[B, T]`` float32: log-probability of every drawn token under the policy that drew it, the entropy of the distribution it was
        drawn from, and that distribution's exact KL divergence from the reference's; 0 outside the mask.
    reference_log_probs
        ``[B, T]`` float32.
    states
        ``[B, T, D]`` float32, the policy's hidden state before each token.
    ended
        ``[B]`` bool: whether the response ended by itself.
    """

    prompts: tuple[str, ...]
    ids: Tensor
    attention: Tensor
    mask: Tensor
    log_probs: Tensor
    entropy: Tensor
    kl: Tensor
    reference_log_probs: Tensor
    states: Tensor
    ended: Tensor

    def rows(self, part: slice) -> tuple[Tensor, Tensor, Tensor]:
        """``ids``, ``attention`` and ``mask`` of some rows."""
        return self.ids[part], self.attention[part], self.mask[part]


def prompt_ids(policy: Policy, prompt: str) -> list[int]:
    """A request as the policy's chat template writes it, up to where its answer begins."""
    if policy.tokenizer.chat_template is None:
        return list(policy.tokenizer(prompt)["input_ids"])
    turn = [{"role": "user", "content": prompt}]
    text = policy.tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
    return list(policy.tokenizer(text, add_special_tokens=False)["input_ids"])


@torch.no_grad()
def draw(policy: Policy, reference: Policy, prompts: Sequence[str], length: int, generator: torch.Generator) -> Rollout:
    """One response to each request, of ``length`` tokens at most.

    The generator is the CPU's on every device. A token is drawn by the inverse of its distribution, so that policies which differ
    little draw the same tokens from the same generator.
    """
    end = policy.tokenizer.eos_token_id
    if end is None:
        raise RedvizError(f"{policy.name}'s tokenizer has no end-of-sequence token, so no response would ever end.")
    pad = policy.tokenizer.pad_token_id if policy.tokenizer.pad_token_id is not None else end
    known = {text: prompt_ids(policy, text) for text in set(prompts)}
    width = max(map(len, known.values()))
    if width + length > policy.max_length:
        raise RedvizError(f"A request and {length} tokens are longer than {policy.name} reads ({policy.max_length}).")
    ids, attention = (part.to(policy.device) for part in padded([known[p] for p in prompts], pad, "left"))  # [B, n]
    cache = DynamicCache()
    alive = torch.ones(len(ids), dtype=torch.bool, device=policy.device)  # [B]
    current, place = ids, positions(attention)
    chances = torch.rand((length, len(ids), 1), generator=generator).to(policy.device)  # [T, B, 1], one per token
    masks, taken, entropies, states, logs = [], [], [], [], []
    for chance in chances:
        output = policy.run(
            input_ids=current, attention_mask=attention, position_ids=place, past_key_values=cache, use_cache=True
        )
        state = output.last_hidden_state[:, -1]  # [B, D]
        log = policy.log_softmax(state)  # [B, V]
        share = log.exp()  # [B, V]
        up_to = share.cumsum(-1)  # [B, V]
        drawn = torch.searchsorted(up_to, chance * up_to[:, -1:], right=True).clamp(max=log.shape[1] - 1)  # [B, 1]
        drawn = torch.where(alive[:, None], drawn, pad)
        masks.append(alive.long())
        taken.append(log.gather(1, drawn)[:, 0])
        entropies.append(-(share * log).sum(-1))
        states.append(state.float())
        logs.append(log)
        current, place = drawn, place[:, -1:] + 1
        ids = torch.cat([ids, drawn], 1)
        attention = torch.cat([attention, alive.long()[:, None]], 1)
        alive = alive & (drawn[:, 0] != end)
        if not alive.any():
            break
    mask = torch.stack(masks, 1)  # [B, T]
    before = _reference(reference, ids, attention, torch.stack(logs, 1))  # log-probabilities and KL, [B, T] each
    kept = mask.bool()

    def counted(x: Tensor) -> Tensor:
        return torch.where(kept, x, 0.0)

    return Rollout(
        prompts=tuple(prompts),
        ids=ids,
        attention=attention,
        mask=mask,
        log_probs=counted(torch.stack(taken, 1)),
        entropy=counted(torch.stack(entropies, 1)),
        kl=counted(before[1]),
        reference_log_probs=counted(before[0]),
        states=torch.stack(states, 1),
        ended=~alive,
    )


def _reference(reference: Policy, ids: Tensor, attention: Tensor, logs: Tensor) -> tuple[Tensor, Tensor]:
    """The reference's log-probabilities of the drawn tokens, and KL(policy || reference) before each: ``[B, T]`` both."""
    pieces = []
    for row in range(0, len(ids), 16):  # pieces: the vocabulary is wide
        part = slice(row, row + 16)
        theirs, _ = log_probs(reference, ids[part], attention[part], logs.shape[1])  # [b, T, V]
        mine = logs[part]
        taken = theirs.gather(2, ids[part, -logs.shape[1] :, None])[..., 0]  # [b, T]
        pieces.append((taken, (mine.exp() * (mine - theirs)).sum(-1).clamp(min=0)))
    return torch.cat([a for a, _ in pieces]), torch.cat([b for _, b in pieces])


def log_probs(policy: Policy, ids: Tensor, attention: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Log-probabilities of every token of the vocabulary at the last ``length`` columns ``[B, T, V]``, and the states before them.

    The states, ``[B, T, D]``, are the policy's own last hidden ones. The gradient is kept where the caller records one.
    """
    states = policy.run(
        input_ids=ids, attention_mask=attention, position_ids=positions(attention), use_cache=False
    ).last_hidden_state[:, -length - 1 : -1]  # [B, T, D]
    return policy.log_softmax(states), states


@dataclass(frozen=True)
class Scored:
    """``scores`` ``[B]``, and ``rewards`` ``[B, T]``: the method's credits less the KL penalty; float64."""

    scores: Array
    rewards: Array


def score(
    config: LabConfig,
    model: RewardModel | FunctionModel,
    policy: Policy,
    rollout: Rollout,
    rng: np.random.Generator | None = None,
) -> Scored:
    """The reward model's score of every response, and its token rewards under the run's method.

    Parameters
    ----------
    config
        The method, its options and the KL penalty.
    model, policy
        Whose ids the rollout holds, and who scores them; a reward model with other tokens reads the decoded texts.
    rollout
        The responses.
    rng
        For the random control alone.
    """
    given = (rollout.ids.cpu(), rollout.attention.cpu(), rollout.mask.cpu())
    how = {} if same_ids(policy.tokenizer, model) else _texts(policy, rollout)
    mask = given[2].numpy().astype(np.float64)  # [B, T]
    penalty = returns.kl_penalty(
        rollout.log_probs.cpu().numpy(), rollout.reference_log_probs.cpu().numpy(), config.kl_estimator, mask
    )  # [B, T]
    whole = token_rewards(model, *given, **how, method="sparse").numpy().astype(np.float64)  # [B, T]
    scores = whole.sum(1)  # [B]
    if config.method == "random":
        if rng is None:
            raise RedvizError("The random control needs a generator; give rng.")
        weights = rng.exponential(size=mask.shape) * mask  # normalised: uniform over all ways to split
        split = scores[:, None] * weights / weights.sum(1, keepdims=True)
        return Scored(scores, split - config.kl_coef * penalty)
    if config.method == "sparse" and not config.options:
        return Scored(scores, whole - config.kl_coef * penalty)
    made = token_rewards(
        model, *given, **how, method=config.method, options=config.options, kl=torch.from_numpy(penalty), kl_coef=config.kl_coef
    )  # fmt: skip
    return Scored(scores, made.numpy().astype(np.float64))


def _texts(policy: Policy, rollout: Rollout) -> dict[str, Any]:
    templated = policy.tokenizer.chat_template is not None
    return {"policy_tokenizer": policy.tokenizer, **({"messages": list(rollout.prompts)} if templated else {})}


def texts(policy: Policy, rollout: Rollout) -> list[str]:
    """The responses as text, without the end of the turn."""
    length = rollout.mask.shape[1]
    return [
        str(policy.tokenizer.decode(row[mask.bool()], skip_special_tokens=True))
        for row, mask in zip(rollout.ids[:, -length:], rollout.mask, strict=True)
    ]
