"""The examples for RL trainers: TRL's is really run; the others get the objects that their interfaces document.

tests/beside/ drives those with the real packages.
"""

import asyncio
import importlib.util
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import redviz
from redviz import returns
from redviz.models.kinds.policy import load_policy

EXAMPLES = Path(__file__).parent.parent / "examples"
PROMPT = [{"role": "user", "content": "Write a film review."}]
RESPONSES = ["A superb film, moving and funny.", "Dull.", "I did not like it at all, 🎬 but the music is lovely."]


def load(name: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def model(sentiment):
    return sentiment


@pytest.fixture(scope="module")
def tokenizer():
    return load_policy("embedded:writer", device="cpu").tokenizer


def test_examples_are_short_and_say_what_they_were_read_against():
    for path in EXAMPLES.glob("*.py"):
        lines = path.read_text().splitlines()
        assert len(lines) < 120, path.name
        begun = " ".join(lines[:4])
        assert "run against" in begun


# ---------------------------------------------------------------- TRL


def test_grpo_trains_on_token_advantages(model, tmp_path, needed):
    datasets, trl = needed("datasets"), needed("trl")
    example = load("trl_grpo")
    policy = load_policy("embedded:writer", dtype="float32", device="cpu")
    policy.module.set_attn_implementation("sdpa")
    torch.manual_seed(0)
    seen = []

    class Watched(example.TokenGRPOTrainer):
        def _generate_and_score_completions(self, inputs):
            batch = super()._generate_and_score_completions(inputs)
            seen.append({name: value.clone() for name, value in batch.items() if isinstance(value, torch.Tensor)})
            return batch

        def _compute_loss(self, model, inputs):
            assert inputs["advantages"].shape == inputs["completion_mask"].shape  # [B, T] reaches the loss
            return super()._compute_loss(model, inputs)

    trainer = Watched(
        model=policy.module.train().requires_grad_(True),
        processing_class=policy.tokenizer,
        reward_model=model,
        train_dataset=datasets.Dataset.from_dict({"prompt": [PROMPT] * 8}),
        args=trl.GRPOConfig(
            output_dir=str(tmp_path),
            max_steps=2,
            per_device_train_batch_size=4,
            num_generations=4,
            max_completion_length=24,
            learning_rate=1e-3,
            save_strategy="no",
            logging_steps=1,
            report_to="none",
            disable_tqdm=True,
            use_cpu=True,
        ),
    )
    before = policy.module.get_input_embeddings().weight.detach().clone()
    trainer.train()
    assert trainer.state.global_step == 2
    assert not torch.equal(policy.module.get_input_embeddings().weight, before)
    assert len(seen) == 2
    assert "rewards/score/mean" in trainer.state.log_history[0]
    for batch in seen:
        check_advantages(model, batch)


def check_advantages(model, batch):
    """A_t = R_i - P_{t-1} - mean over the others of (R_j - P_0), every P from the model's own head over the sampled ids."""
    rows = []
    for row in range(len(batch["completion_ids"])):
        parts = [(batch[f"{part}_ids"][row], batch[f"{part}_mask"][row].bool()) for part in ("prompt", "completion")]
        before, after = (ids[mask] for ids, mask in parts)
        with torch.inference_mode():
            hidden = model.module.base_model(input_ids=torch.cat([before, after])[None]).last_hidden_state
            rows.append(model.module.score(hidden)[0, len(before) - 1 :, 0])  # P_0 .. P_T
    totals = torch.stack([scores[-1] - scores[0] for scores in rows])
    for row, scores in enumerate(rows):
        wanted = scores[-1] - scores[:-1] - (totals.sum() - totals[row]) / (len(rows) - 1)
        mask = batch["completion_mask"][row].bool()
        np.testing.assert_allclose(batch["advantages"][row][mask], wanted, atol=1e-3)
        assert (batch["advantages"][row][~mask] == 0).all()


def test_the_group_baseline_is_that_of_rloo(needed):
    needed("trl")
    example = load("trl_grpo")
    rewards = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0], [1.0, -0.5, 0.0], [2.0, 0.25, 0.25]])
    totals = rewards.sum(1)
    found = example.advantages(rewards, totals, 0, 4)
    np.testing.assert_allclose(found[:, 0], returns.rloo(totals.numpy()), atol=1e-6)  # of RED's totals: plain RLOO
    np.testing.assert_allclose(found[:, 1] - found[:, 0], -rewards[:, 0], atol=1e-6)
    second = example.advantages(rewards[2:], totals, 2, 2)  # another process holds the first group
    np.testing.assert_allclose(second[:, 0], [-2.0, 2.0], atol=1e-6)


# ---------------------------------------------------------------- verl


class Item:
    """One row of a DataProto, as verl hands it out."""

    def __init__(self, batch, non_tensor_batch):
        self.batch, self.non_tensor_batch = batch, non_tensor_batch


class Data:
    """verl's DataProto as far as a reward manager sees it: tensors by name, arrays of objects by name, rows by index."""

    def __init__(self, batch, non_tensor_batch):
        self.batch, self.non_tensor_batch = batch, non_tensor_batch

    def __getitem__(self, at):
        if isinstance(at, slice):
            return Data(*({k: v[at] for k, v in x.items()} for x in (self.batch, self.non_tensor_batch)))
        return Item(*({k: v[at] for k, v in x.items()} for x in (self.batch, self.non_tensor_batch)))


@pytest.fixture
def verl(monkeypatch):
    """The one class that a reward manager inherits from."""

    class RewardManagerBase:
        def __init__(self, config, tokenizer, compute_score):
            self.config, self.tokenizer, self.compute_score = config, tokenizer, compute_score

    path = "verl.experimental.reward_loop.reward_manager.base"
    parts = path.split(".")
    for i in range(1, len(parts) + 1):
        monkeypatch.setitem(sys.modules, ".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    sys.modules[path].RewardManagerBase = RewardManagerBase
    return load("verl_reward_manager")


def rollout(tokenizer, width=64):
    """Prompts padded on the left, responses ending with the EOS and padded on the right."""
    header = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, tokenize=False)
    before = tokenizer(header, add_special_tokens=False)["input_ids"]
    rows = [tokenizer(r, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for r in RESPONSES]
    pad = tokenizer.pad_token_id
    prompts = torch.tensor([[pad] * 3 + before] * len(rows))
    responses = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    response_mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    seen = torch.cat([(prompts != pad).long(), response_mask], 1)
    return prompts, responses, response_mask, seen


def settings(**changes):
    reward_model = {"enable": True, "enable_resource_pool": False, "model_path": "embedded:sentiment"} | changes
    path = SimpleNamespace(path=reward_model.pop("path", "this.py"))
    return SimpleNamespace(
        reward=SimpleNamespace(reward_model=SimpleNamespace(**reward_model), custom_reward_function=path)
    )


@pytest.mark.parametrize("trainer", ["default", "legacy"])
def test_verl_gets_a_reward_for_every_token(verl, model, tokenizer, trainer):
    prompts, responses, response_mask, seen = rollout(tokenizer)
    batch = {
        "prompts": prompts,
        "responses": responses,
        "response_mask": response_mask,
        "input_ids": torch.cat([prompts, responses], 1),
        "attention_mask": seen,
    }
    raw = np.empty(len(responses), dtype=object)
    raw[:] = [PROMPT] * len(responses)
    if trainer == "default":
        batch = {name: batch[name] for name in ("prompts", "responses", "attention_mask")}
    data = Data(batch, {"raw_prompt": raw})
    manager = verl.RedvizRewardManager(
        config=settings(),
        tokenizer=tokenizer,
        compute_score=None,
        reward_router_address=None,
        reward_model_tokenizer=None,
    )
    with ThreadPoolExecutor(1) as alone:  # where no other test's event loop runs
        outputs = [
            alone.submit(asyncio.run, manager.run_single(data[i : i + 1])).result() for i in range(len(responses))
        ]
    found = verl.RedvizRewardManager.assemble_rm_scores(data, [output["reward_score"] for output in outputs])
    assert (found.shape, found.dtype) == (responses.shape, torch.float32)
    assert (found[response_mask == 0] == 0).all()
    for row, response in enumerate(RESPONSES):
        credit = redviz.analyze(model, PROMPT, response, methods=["red"]).credits["red"]
        own = found[row][response_mask[row] == 1].numpy()
        np.testing.assert_allclose(own, [*credit.own, credit.closing], atol=1e-4)
        assert outputs[row]["reward_extra_info"]["redviz_total"] == pytest.approx(float(credit.values.sum()), abs=1e-4)


def test_what_a_tool_wrote_is_not_taken_for_the_policys_where_verl_gives_no_mask(verl, tokenizer):
    prompts, responses, response_mask, seen = rollout(tokenizer)
    end = int(response_mask[0].sum())
    responses[0, end : end + 3] = responses[0, :3]  # behind its EOS
    seen[0, prompts.shape[1] + end : prompts.shape[1] + end + 3] = 1
    data = Data({"prompts": prompts, "responses": responses, "attention_mask": seen}, {"raw_prompt": [PROMPT] * 3})
    manager = verl.RedvizRewardManager(settings(), tokenizer)
    with ThreadPoolExecutor(1) as alone, pytest.raises(ValueError, match="no response_mask"):
        alone.submit(asyncio.run, manager.run_single(data[:1])).result()


def test_what_a_tool_wrote_gets_no_reward_where_verl_gives_its_mask(verl, model, tokenizer):
    prompts, responses, response_mask, seen = rollout(tokenizer)
    response_mask[0, 2:4] = 0
    batch = {"prompts": prompts, "responses": responses, "attention_mask": seen, "response_mask": response_mask}
    data = Data(batch, {"raw_prompt": [PROMPT] * 3})
    manager = verl.RedvizRewardManager(settings(), tokenizer)
    with ThreadPoolExecutor(1) as alone:
        found = alone.submit(asyncio.run, manager.run_single(data[:1])).result()["reward_score"]
    assert found[2:4] == [0.0, 0.0]
    analysis = redviz.analyze(model, PROMPT, RESPONSES[0], methods=[])
    assert sum(found) == pytest.approx(analysis.score - analysis.base, abs=1e-3)


def test_verl_finds_every_name_that_the_settings_ask_for(verl):
    assert verl.compute_score is verl.RedvizRewardManager  # the default name of a custom_reward_function


@pytest.mark.parametrize("change", [{"enable": False}, {"enable_resource_pool": True}, {"path": None}])
def test_verl_settings_that_would_lose_the_token_rewards_are_refused(verl, tokenizer, change):
    with pytest.raises(ValueError, match="one number per response"):
        verl.RedvizRewardManager(settings(**change), tokenizer)


# ---------------------------------------------------------------- OpenRLHF


def test_openrlhf_gets_one_reward_per_response(model, tokenizer):
    example = load("openrlhf_reward")
    header = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, tokenize=False)
    queries = [header + response + tokenizer.eos_token for response in RESPONSES]
    found = example.reward_func(queries, [header] * 3, ["", "", ""], unknown=1)
    assert set(found) == {"rewards", "scores", "extra_logs"}
    analyses = [redviz.analyze(model, PROMPT, response, methods=["red"]) for response in RESPONSES]
    np.testing.assert_allclose(found["rewards"], [a.score for a in analyses], atol=1e-4)
    np.testing.assert_allclose(found["extra_logs"]["red"], [a.score - a.base for a in analyses], atol=1e-4)
    assert ((found["scores"] > 0) & (found["scores"] < 1)).all()
    for log in found["extra_logs"].values():
        assert log.shape == (3,)
    for analysis, share in zip(analyses, found["extra_logs"]["last_share"], strict=True):
        parts = np.abs([*analysis.credits["red"].own, analysis.closing])
        assert float(share) == pytest.approx(parts[-1] / parts.sum(), abs=1e-3)
    with pytest.raises(ValueError, match="does not begin with its prompt"):
        example.reward_func(["other"], [header], [""])


@pytest.mark.parametrize("cut", ["between words", "through a character"])
def test_openrlhf_keeps_the_reward_of_a_prompt_that_it_cut_on_the_left(model, tokenizer, cut):
    example = load("openrlhf_reward")
    content = (
        "🎬 Write a film review, please." if cut == "through a character" else "Write a film review, please. Be kind."
    )
    header = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    ids = tokenizer(header, add_special_tokens=False)["input_ids"]
    dropped = (
        next(n for n in range(1, len(ids)) if tokenizer.decode(ids[n:]).startswith("\ufffd")) if "🎬" in content else 4
    )
    left = tokenizer.decode(ids[dropped:], skip_special_tokens=False)
    found = example.reward_func([left + RESPONSES[0] + tokenizer.eos_token], [header], [""])
    whole = left.lstrip("\ufffd")
    assert header.endswith(whole) and not header.startswith(left)
    row = tokenizer(whole + RESPONSES[0] + tokenizer.eos_token, add_special_tokens=False, return_tensors="pt")[
        "input_ids"
    ]
    with torch.inference_mode():
        scores = model.module.score(model.module.base_model(input_ids=row).last_hidden_state)[0, :, 0]
    assert float(found["rewards"][0]) == pytest.approx(float(scores[-1]), abs=1e-4)
    before = len(tokenizer(whole, add_special_tokens=False)["input_ids"])
    assert float(found["extra_logs"]["red"][0]) == pytest.approx(float(scores[-1] - scores[before - 1]), abs=1e-4)


def test_openrlhf_loads_the_model_once_for_all_threads_of_its_pool(model, tokenizer, monkeypatch):
    example = load("openrlhf_reward")
    together, loads = Barrier(4), []

    def slow(name):
        loads.append(name)
        time.sleep(0.05)
        return model

    def ask(_):
        together.wait(10)
        return float(example.reward_func([header + RESPONSES[0]], [header], [""])["rewards"][0])

    monkeypatch.setattr(example.redviz, "load_reward_model", slow)
    header = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, tokenize=False)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, range(4)))
    assert len(loads) == 1
    assert len(set(found)) == 1


def test_openrlhf_advantages_become_those_of_red(model, tokenizer):
    example = load("openrlhf_reward")
    prompts, responses, response_mask, seen = rollout(tokenizer)
    prompts, seen = prompts[:, 3:], seen[:, 3:]  # OpenRLHF pads on the right only
    sequences = torch.cat([prompts, responses], 1)  # [B, S]
    action_mask = torch.cat([torch.zeros_like(prompts), response_mask], 1)[:, 1:]  # [B, S - 1]
    analyses = [redviz.analyze(model, PROMPT, response, methods=["red"]) for response in RESPONSES]
    scores = torch.tensor([a.score for a in analyses])
    plain = (scores - (scores.sum() - scores) / 2)[:, None] * action_mask  # its rloo, without a KL term
    experience = SimpleNamespace(
        sequences=sequences,
        attention_mask=seen,
        action_mask=action_mask.bool(),
        advantages=plain,
        returns=plain.clone(),
    )
    assert example.with_state_baseline([experience]) == [experience]
    for row, analysis in enumerate(analyses):
        others = np.mean([a.score - a.base for a in analyses if a is not analysis])
        wanted = analysis.score - analysis.prefix_scores - others  # one for every token and one for the EOS
        found = experience.advantages[row][experience.action_mask[row]].numpy()
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert (experience.advantages[~experience.action_mask] == 0).all()
    assert torch.equal(experience.advantages, experience.returns)
