"""GRPO with one advantage per token, from a reward model's own prefix scores. Read and run against TRL 1.16.0.

    python examples/trl_grpo.py --steps 200

trains the writer that ships with redviz against the sentiment model that ships with redviz, on a CPU. For models of your own,
change the two lines that load them.
"""

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor
from trl import GRPOConfig, GRPOTrainer

import redviz


def advantages(rewards: Tensor, totals: Tensor, first: int, group: int) -> Tensor:
    """Return to go less the mean of the others to the same prompt: ``[B, T]``.

    With RED that is ``R - P_{t-1}`` less the mean of the others' ``R_j - P_0``: no baseline depends on token t, so the gradient
    stays unbiased.

    Parameters
    ----------
    rewards
        Token rewards of this process, ``[B, T]``, 0 outside the response.
    totals
        Their sums over all processes, ``[N]``, the responses to one prompt next to each other.
    first
        Where this process's rows begin among them.
    group
        Responses per prompt.
    """
    to_go = rewards.flip(1).cumsum(1).flip(1)  # [B, T]
    grouped = totals.view(-1, group)  # [N / group, group]
    others = (grouped.sum(1, keepdim=True) - grouped) / max(group - 1, 1)
    return to_go - others.reshape(-1)[first : first + len(rewards), None]


class TokenGRPOTrainer(GRPOTrainer):
    """GRPO whose advantages are ``[B, T]``: TRL's loss takes them from a subclass as they are."""

    def __init__(self, *args: Any, reward_model: Any, method: str = "red", **kwargs: Any) -> None:
        super().__init__(*args, reward_funcs=self.score, **kwargs)
        self.token_reward_model, self.method = reward_model, method

    def score(self, prompts: Sequence[Any], completions: Sequence[Any], **_: Any) -> list[float | None]:
        """What TRL logs as the reward: the score of each response; the advantages that it makes of it are replaced."""
        pairs = [{"prompt": p, "response": c[0]["content"]} for p, c in zip(prompts, completions, strict=True)]
        found = redviz.analyze_batch(self.token_reward_model, pairs, methods=[])
        return [
            None if analysis.error else analysis.score for analysis in found
        ]  # an empty response has no score of its own

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        mask = batch["completion_mask"]  # [B, T]
        rewards = redviz.token_rewards(
            self.token_reward_model,
            torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1),
            torch.cat([batch["prompt_mask"], mask], 1),
            mask,
            # for a reward model with another tokenizer or chat template than the policy's:
            # policy_tokenizer=self.processing_class,
            # messages=[row["prompt"] for row in inputs],
            method=self.method,
        )  # [B, T]
        totals = self.accelerator.gather(rewards.sum(1))  # [N]
        group = self.num_generations if self.model.training else self.num_generations_eval
        first = self.accelerator.process_index * len(rewards)
        batch["advantages"] = advantages(rewards, totals, first, group) * mask
        return batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--output", default="grpo-writer", help="folder for the trained writer")
    asked = parser.parse_args()
    policy = redviz.load_policy("embedded:writer", dtype="float32", device="cpu")
    reward_model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    policy.module.set_attn_implementation("sdpa")  # a policy that trains needs no attention to be read
    requests = ["Write a film review.", "Write a positive film review.", "Write a short review of a comedy."]
    prompts = [[{"role": "user", "content": text}] for text in requests]
    trainer = TokenGRPOTrainer(
        model=policy.module.train().requires_grad_(True),
        processing_class=policy.tokenizer,
        reward_model=reward_model,
        train_dataset=Dataset.from_dict({"prompt": prompts * 50}),
        args=GRPOConfig(
            output_dir=asked.output,
            max_steps=asked.steps,
            per_device_train_batch_size=8,
            num_generations=4,
            max_completion_length=48,
            learning_rate=1e-4,
            loss_type="dr_grpo",  # a loss divided by the response's length would divide the verdict on its last token
            logging_steps=1,
            report_to="none",
            use_cpu=True,
        ),
    )
    trainer.train()


if __name__ == "__main__":
    main()
