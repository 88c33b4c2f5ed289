"""verl's reward loop and the advantages of its default trainer over one batch, with the settings that the example begins with.

Run in the trainers' environment: ``python run_verl.py EXAMPLE POLICY MODEL ROLLOUT`` reads a rollout (JSON: ``conversations``,
``prompts`` and ``responses`` of ids) and prints the batch's fields as the trainer gets them from its queue.
What is not verl's: the queue (stand_ins/transfer_queue) and the server of the reward model, which vLLM would run.
"""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import ray
import torch
import transfer_queue
from hydra import compose, initialize_config_module
from verl.experimental.reward_loop import reward_loop
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync
from verl.utils import hf_tokenizer, tensordict_utils

example, policy, model, rollout = sys.argv[1:]
given = json.loads(Path(rollout).read_text())


class NoServer:
    """Where the example is asked for rewards, nothing asks verl's own server of the reward model."""

    def __init__(self, config, resource_pool=None):
        pass

    def get_router_address(self):
        return "nowhere"

    def wake_up(self):
        pass

    sleep = wake_up


def settings() -> list[str]:
    """Of the example's first lines, with its places filled in."""
    said = Path(example).read_text().split('"""')[1]
    found = re.findall(r"^ {4}(\S+=.*)$", said, re.MULTILINE)
    pairs = [pair for line in found for pair in line.split("#")[0].split()]
    return [pair.replace("/path/to/verl_reward_manager.py", example).replace("=MODEL", f"={model}") for pair in pairs]


with initialize_config_module("verl.trainer.config", version_base=None):
    config = compose(
        "ppo_trainer",
        [
            *settings(),
            f"actor_rollout_ref.model.path={policy}",
            "actor_rollout_ref.rollout.name=vllm",
            "reward.reward_model.rollout.name=vllm",
            "reward.num_workers=2",
        ],
    )
assert config.trainer.use_v1
reward_loop.RewardModelManager = NoServer
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
trainer = SimpleNamespace(
    config=config,
    tokenizer=hf_tokenizer(policy),
    reward_loop_manager=reward_loop.RewardLoopManager(config),
    _lengths_to_mask=PPOTrainerSync._lengths_to_mask,
)
assert (
    trainer.reward_loop_manager.reward_loop_worker_handles is None
)  # the rewards are computed by the trainer, once a batch


def nested(rows, dtype=torch.long):
    return torch.nested.as_nested_tensor([torch.tensor(row, dtype=dtype) for row in rows], layout=torch.jagged)


ones = [[1] * len(row) for row in given["responses"]]
zeros = [[0.0] * len(row) for row in given["responses"]]
batch = transfer_queue.kv_batch_put(
    keys=[f"{row}_0_0" for row in range(len(ones))],
    partition_id="train",
    fields=tensordict_utils.get_tensordict(
        {
            "uid": [str(row) for row in range(len(ones))],
            "raw_prompt": given["conversations"],
            "prompts": nested(given["prompts"]),
            "responses": nested(given["responses"]),
            "response_mask": nested(given.get("masks", ones)),
            "values": nested(zeros, torch.float32),
        }
    ),
)
PPOTrainerSync._compute_reward_colocate(trainer, batch)
PPOTrainerSync._compute_advantage(trainer, batch, {})
fields = {name: transfer_queue.FIELDS[name] for name in ("rm_scores", "returns")}
fields = {name: [row.tolist() for row in rows.unbind()] for name, rows in fields.items()}
print(json.dumps(fields | {"redviz_total": transfer_queue.FIELDS["redviz_total"].tolist()}))
ray.shutdown()
