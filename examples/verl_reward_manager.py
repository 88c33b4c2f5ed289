"""A reward manager for verl that gives every token its own reward. Read and run against verl 0.9.1.

What was run, by tests/beside/: verl's loader, its reward workers, and the rewards and advantages of its default trainer, in these
settings; not its server of the reward model, its queue, or a training step, which need GPUs.

Settings (Hydra), beside those of the run:

    reward.reward_manager.source=importlib
    reward.reward_manager.name=RedvizRewardManager
    reward.reward_manager.module.path=/path/to/verl_reward_manager.py
    reward.reward_model.enable=True  reward.reward_model.enable_resource_pool=False
    reward.reward_model.model_path=MODEL            # read by redviz; verl also starts its own server of it
    reward.custom_reward_function.path=/path/to/verl_reward_manager.py   # else verl asks that server, not this manager
    algorithm.adv_estimator=gae                     # or reinforce_plus_plus; grpo and rloo add token rewards up again

Rewards that verl streams during the rollout (no reward model, or one in a pool of its own) are one number per response, so the
manager refuses to start there. verl asks Ray for no GPU for its reward workers; set ``reward.num_workers`` to what the CPUs carry.
"""

from typing import Any

import torch
from torch import Tensor
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

import redviz


class RedvizRewardManager(RewardManagerBase):
    """Token rewards of the reward model at ``reward.reward_model.model_path``.

    Its tokenizer and chat template may differ from the policy's: the response is encoded anew, credits are mapped by bytes.
    """

    method = "red"
    options: dict[str, Any] = {}

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ) -> None:
        super().__init__(config, tokenizer, compute_score)
        settings = config.reward.reward_model
        if not settings.enable or settings.enable_resource_pool or not config.reward.custom_reward_function.path:
            raise ValueError(
                "verl would reduce the rewards to one number per response; use the settings this file begins with."
            )
        self.reward_model = redviz.load_reward_model(settings.model_path)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """One response's token rewards, in place of its one score; ``assemble_rm_scores`` receives them."""
        item = data[-1]
        rewards = redviz.token_rewards(
            self.reward_model,
            torch.cat([item.batch["prompts"], item.batch["responses"]])[None],  # [1, P + T]
            item.batch["attention_mask"][None],  # [1, P + T]
            self.response_mask(item)[None],  # [1, T]
            policy_tokenizer=self.tokenizer,
            messages=[list(item.non_tensor_batch["raw_prompt"])],
            method=self.method,
            options=self.options,
        )[0]  # [T]
        return {"reward_score": rewards.tolist(), "reward_extra_info": {"redviz_total": float(rewards.sum())}}

    def response_mask(self, item: Any) -> Tensor:
        """What the policy wrote, ``[T]``: verl's own mask where it is handed over, else the whole response.

        verl's default trainer hands over none, and then tool output cannot be told from what the policy wrote: a response that
        goes on behind an EOS is refused.
        """
        responses = item.batch["responses"]  # [T]
        mask: Tensor | None = item.batch.get("response_mask", None)
        if mask is None:
            mask = item.batch["attention_mask"][-len(responses) :]  # [T]
            if (responses[mask.bool()][:-1] == self.tokenizer.eos_token_id).any():
                raise ValueError(
                    "A response goes on behind its EOS, as one with tool output does, and verl hands over no response_mask to say "
                    "which of its tokens the policy wrote; use verl's single_turn_agent."
                )
        return mask

    @classmethod
    def assemble_rm_scores(cls, data: Any, scores: list[list[float]]) -> Tensor:
        """The batch's ``rm_scores``, ``[B, T]`` float32: a row of token rewards for every response."""
        responses = data.batch["responses"]  # [B, T]
        return torch.tensor(scores, dtype=torch.float32, device=responses.device).view(responses.shape)


compute_score = RedvizRewardManager  # the name under which verl looks for a custom_reward_function, which it must find
