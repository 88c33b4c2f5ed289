"""OpenRLHF's rollout worker, sampler and experience maker over a few prompts, with the example's reward function.

Run in the trainers' environment: ``python run_openrlhf.py EXAMPLE POLICY ROLLOUT`` reads a rollout (JSON: ``prompts``, the
``responses`` of ids that the engine gives one after another, ``most``, the tokens of prompt and response that OpenRLHF leaves) and
prints what the trainer would train on, and how often 48 requests at once loaded the reward model.
What is not OpenRLHF's: vLLM's engine, and DeepSpeed and flash-attn, which it imports and which nothing here calls (stand_ins/).
"""

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import ray
import torch
import vllm
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from openrlhf.trainer.ppo_utils.samples_generator import SamplesGenerator
from openrlhf.trainer.ray.vllm_engine import RolloutRayActor
from openrlhf.utils.agent import SingleTurnAgentExecutor
from transformers import AutoTokenizer

import redviz

example, policy, rollout = sys.argv[1:]
given = json.loads(Path(rollout).read_text())
tokenizer = AutoTokenizer.from_pretrained(policy)
each = len(given["responses"])
length = max(map(len, given["responses"]))
limits = {"max_len": given["most"], "max_new_tokens": length}


def space(**fields):
    return SimpleNamespace(**{name: space(**v) if isinstance(v, dict) else v for name, v in fields.items()})


args = space(
    rollout={"batch_size": len(given["prompts"]), "n_samples_per_prompt": each, "micro_batch_size": each},
    vllm={"enable_sleep": False},
    train={"dynamic_batch_enable": False},
    reward={
        "clip_range": None,
        "overlong_buffer_len": None,
        "overlong_penalty_factor": None,
        "stop_properly_penalty_coef": None,
    },
    algo={
        "dynamic_filtering_enable": False,
        "advantage": {"estimator": "rloo", "is_correction_level": "off", "gamma": 1.0, "lambd": 1.0},
    },
)


def experiences():
    """Of the real worker: it samples, asks the example for each response's reward, and its maker sets advantages."""
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    worker = RolloutRayActor.remote(
        responses=given["responses"], remote_rm_url=example, num_gpus=0, distributed_executor_backend="mp"
    )
    prompts = [(None, given["prompts"], given["prompts"], [None] * len(given["prompts"]))]
    sampler = SamplesGenerator(space(args=args), prompts, None, tokenizer, [worker])
    samples, *_ = sampler.generate_samples(**limits)
    ray.shutdown()
    maker = RemoteExperienceMaker(None, None, None, None, space(value=0.0), space(args=args), tokenizer)
    batches = maker.split_rollout_samples(samples)
    for batch in batches:
        batch.kl = torch.zeros_like(batch.action_mask, dtype=torch.float32)
    return maker.compute_advantages_and_returns(batches)


def loads_of(requests: int) -> int:
    """How often the example loads its model where its worker's threads ask for so many rewards at once."""
    load, loads = redviz.load_reward_model, []

    def counted(*arguments, **options):
        loads.append(arguments)
        return load(*arguments, **options)

    redviz.load_reward_model = counted
    executor = SingleTurnAgentExecutor(example)
    engine = vllm.AsyncLLMEngine(given["responses"])
    engine.generate = lambda ids, params, multi_modal_data=None: last(ids, params)
    generate = vllm.AsyncLLMEngine.generate

    async def last(ids, params):
        return [output async for output in generate(engine, ids, params, "")][-1]

    async def all_of_them():
        params = vllm.SamplingParams(max_tokens=length)
        asked = (given["prompts"][0], "", params, given["most"], tokenizer, engine)
        return await asyncio.gather(*(executor.execute(*asked) for _ in range(requests)))

    assert all(output["reward"] is not None for output in asyncio.run(all_of_them()))
    redviz.load_reward_model = load
    return len(loads)


def example_module():
    spec = importlib.util.spec_from_file_location("example", example)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


found = experiences()
rewards = [batch.rewards.tolist() for batch in found]
plain = [batch.advantages.tolist() for batch in found]
example_module().with_state_baseline(found)
batches = [
    {
        "sequences": batch.sequences.tolist(),
        "seen": batch.attention_mask.tolist(),
        "actions": batch.action_mask.int().tolist(),
        "rewards": reward,
        "red": torch.as_tensor(batch.info["red"]).tolist(),
        "plain": before,
        "advantages": batch.advantages.tolist(),
    }
    for batch, reward, before in zip(found, rewards, plain, strict=True)
]
print(json.dumps({"batches": batches, "loads": loads_of(48)}))
