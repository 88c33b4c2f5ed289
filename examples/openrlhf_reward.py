"""Rewards for OpenRLHF: one per response where its interface takes one, one per token where its code has a place for them.

Read and run against OpenRLHF 0.11.2. What was run, by tests/beside/: its loader, its rollout worker and threads, its sampler and its
advantages; not vLLM's engine or a training step, which need GPUs.

    --reward.remote_url /path/to/openrlhf_reward.py        # one reward per response: reward_func
    REDVIZ_REWARD_MODEL=MODEL                              # in the environment; the policy's tokenizer and template must be its own

OpenRLHF's reward functions see text and return one number per response, and no setting leads token rewards into it. To use them,
end ``RemoteExperienceMaker.compute_advantages_and_returns`` (openrlhf/trainer/ppo_utils/experience_maker.py) with

    return with_state_baseline(experiences)

for ``--algo.advantage.estimator rloo`` or ``dr_grpo``; the others scale or whiten advantages, and the shift is in units of reward.
"""

import os
from collections.abc import Sequence
from functools import cache
from threading import RLock
from typing import Any

import torch
from torch import Tensor

import redviz

ONE_AT_A_TIME = RLock()  # OpenRLHF calls from a pool of threads: one of them loads, and one at a time reads


@cache
def loaded() -> Any:
    return redviz.load_reward_model(os.environ.get("REDVIZ_REWARD_MODEL", "embedded:sentiment"))


def reward_model() -> Any:
    with ONE_AT_A_TIME:
        return loaded()


def taken_apart(query: str, prompt: str) -> tuple[str, str]:
    """Prompt and response of a query, which is decoded ids: where OpenRLHF cut the prompt's on the left, what it left of it."""
    if query.startswith(prompt):
        return prompt, query[len(prompt) :]
    tokenizer = reward_model().tokenizer
    said = tokenizer.decode(tokenizer(prompt, add_special_tokens=False)["input_ids"], skip_special_tokens=False)
    whole = query.lstrip("\N{REPLACEMENT CHARACTER}")  # the cut may have gone through a character
    for stop in range(min(len(whole), len(said)), 0, -1):
        if said.endswith(whole[:stop]):
            return whole[:stop], whole[stop:]
    raise ValueError(f"A query does not begin with its prompt, nor with the end of it: {query[:80]!r}")


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **kwargs: Any) -> dict[str, Any]:
    """The interface of ``--reward.remote_url FILE.py``.

    Parameters
    ----------
    queries
        Prompt and response as text, special tokens included; what OpenRLHF cut from a prompt is not read.
    prompts
        The prompts alone, as the chat template wrote them.

    Returns
    -------
    dict
        ``rewards`` ``[B]``: the score R. ``scores`` ``[B]``: its sigmoid, in (0, 1), for dynamic filtering. ``extra_logs``:
        ``red`` ``[B]``, R - P_0, and ``last_share`` ``[B]``, the part of |credit| on the last token; near 1, token rewards say
        no more than the score.
    """
    encode = reward_model().tokenizer
    rows = []
    for query, prompt in zip(queries, prompts, strict=True):
        before, after = (encode(text, add_special_tokens=False)["input_ids"] for text in taken_apart(query, prompt))
        rows.append((before + after, [0] * len(before) + [1] * len(after)))
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])  # [B, S]
    seen = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows])  # [B, S]
    mask = torch.tensor([mask + [0] * (width - len(mask)) for _, mask in rows])  # [B, S]
    with ONE_AT_A_TIME:
        scores = redviz.token_rewards(reward_model(), ids, seen, mask, method="sparse").sum(1)  # [B]
        credits = redviz.token_rewards(reward_model(), ids, seen, mask)  # [B, S]
    last = credits.gather(1, (mask * torch.arange(width)).argmax(1, keepdim=True))[:, 0]  # [B]
    share = last.abs() / credits.abs().sum(1).clamp(min=1e-9)
    return {
        "rewards": scores,
        "scores": scores.sigmoid(),
        "extra_logs": {"red": credits.sum(1), "last_share": share},
    }


def token_rewards(experience: Any, method: str = "red", **options: Any) -> Tensor:
    """Token rewards of one ``Experience``: ``[B, S - 1]`` float32, as its ``action_mask``.

    ``sequences`` and ``attention_mask`` are ``[B, S]``; ``action_mask`` leaves out the first column, which no action stands on.
    """
    return redviz.token_rewards(
        reward_model(),
        experience.sequences,
        experience.attention_mask,
        experience.action_mask,
        method=method,
        options=options,
    )


def with_state_baseline(experiences: Sequence[Any]) -> Sequence[Any]:
    """Turn each token's return from ``R - b`` into ``R - P_{t-1} - (b - P_0)``: RED's return to go under the same group baseline.

    P_0 is the prompt's, the same for the whole group, so the group's baseline of scores becomes one of ``R - P_0`` by itself.
    """
    for experience in experiences:
        rewards = token_rewards(experience)  # [B, S - 1]
        shift = (rewards - rewards.cumsum(1)) * experience.action_mask  # P_0 - P_{t-1}
        experience.advantages = experience.advantages + shift
        experience.returns = experience.returns + shift
    return experiences
