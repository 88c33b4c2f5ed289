"""The lab on the embedded models: determinism, pause and stop, going on, learning, folders, and nothing left behind."""

import gc
import json
import math
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny_lm
import torch

import redviz
from redviz.errors import RedvizError
from redviz.lab import rollouts, runs
from redviz.lab.config import LabConfig
from redviz.lab.forms import advantages
from redviz.lab.steps import Step
from redviz.lab.training import Lab
from redviz.lab.working import LabThread, work
from redviz.models.kinds.policy import load_policy
from redviz.runs.run_folder import delete_run

TINY = LabConfig(
    method="red", batch=8, group=2, micro_batches=2, max_new_tokens=8, steps=3, learning_rate=1e-3, device="cpu", seed=5
)  # fmt: skip


@pytest.fixture(scope="module")
def models(sentiment):
    return {
        "policy": load_policy("embedded:writer", device="cpu"),
        "reward_model": sentiment,
    }


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path))
    return tmp_path


def figures(steps: list[Step]) -> list[dict]:
    return [{name: value for name, value in step.to_dict().items() if name != "seconds"} for step in steps]


def weights(lab: Lab) -> torch.Tensor:
    return torch.cat([w.detach().reshape(-1) for w in lab.weights]).clone()


# ---------------------------------------------------------------- one batch


def test_red_in_the_labs_own_arrays_is_the_score_less_the_prefix_score(models):
    config = replace(TINY, kl_coef=0.0, max_new_tokens=16)
    lab = Lab(config, **models)
    rollout = lab.draw(["Write a film review."] * 4 + ["Was it any good?"] * 4, torch.Generator().manual_seed(1))
    scored = rollouts.score(config, lab.reward_model, lab.policy, rollout)
    made = advantages(config, scored.rewards, rollout.mask.numpy())
    texts = rollouts.texts(lab.policy, rollout)
    assert rollout.ended.any() and not rollout.ended.all()
    for row, (prompt, text) in enumerate(zip(rollout.prompts, texts, strict=True)):
        length = int(rollout.mask[row].sum())
        ids = [int(i) for i in rollout.ids[row, -rollout.mask.shape[1] :][:length]]
        body = ids[:-1] if rollout.ended[row] else ids
        if lab.policy.tokenizer(text, add_special_tokens=False)["input_ids"] != body:
            continue  # drawn tokens that the tokenizer would not choose
        seen = redviz.analyze(models["reward_model"], prompt, text, methods=["red"])
        walk = np.append(seen.prefix_scores, seen.score) if rollout.ended[row] else seen.prefix_scores
        assert scored.scores[row] == pytest.approx(walk[-1], abs=1e-4)
        np.testing.assert_allclose(made.returns[row, :length], walk[-1] - walk[:-1], atol=1e-4)  # R - P_{t-1}
        break
    else:
        pytest.fail("no row to compare")


def test_what_was_drawn_is_what_the_models_own_forward_says(models):
    lab = Lab(TINY, **models)
    next(lab.run())  # another policy than the reference
    rollout = lab.draw(["Thoughts?", "Write a review of a comedy."], torch.Generator().manual_seed(3))
    for row in range(2):
        ids = rollout.ids[row][rollout.attention[row].bool()][None]
        length = int(rollout.mask[row].sum())
        with torch.no_grad():
            mine, theirs = (
                p.module(ids).logits[0, -length - 1 : -1].log_softmax(-1) for p in (lab.policy, lab.reference)
            )
        taken = ids[0, -length:, None]
        close = {"atol": 2e-5, "rtol": 1e-4}
        np.testing.assert_allclose(rollout.log_probs[row, :length], mine.gather(1, taken)[:, 0], **close)
        np.testing.assert_allclose(rollout.reference_log_probs[row, :length], theirs.gather(1, taken)[:, 0], **close)
        np.testing.assert_allclose(rollout.entropy[row, :length], -(mine.exp() * mine).sum(-1), **close)
        np.testing.assert_allclose(rollout.kl[row, :length], (mine.exp() * (mine - theirs)).sum(-1), **close)
        assert float(rollout.kl[row, :length].sum()) > 0.01


def test_tokens_are_drawn_as_often_as_the_policy_says(models):
    lab = Lab(replace(TINY, max_new_tokens=1), **models)
    rollout = lab.draw(["Write a film review."] * 1000, torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = lab.reference.module(rollout.ids[:1, :-1]).logits[0, -1]
    share = logits.softmax(-1)
    likely = share.topk(5).indices
    seen = torch.bincount(rollout.ids[:, -1], minlength=len(share))[likely] / 1000
    np.testing.assert_allclose(seen, share[likely], atol=4 * float((share[likely] / 1000).max().sqrt()))


@pytest.mark.parametrize("method", ["sparse", "uniform", "abc", "random"])
def test_token_rewards_add_up_to_the_score_less_the_penalty(models, method):
    config = replace(TINY, method=method, kl_coef=0.3)
    lab = Lab(config, **models)
    list(replace_steps(lab, 1))
    rollout = lab.draw(["Thoughts?"] * 4, torch.Generator().manual_seed(2))
    scored = rollouts.score(config, lab.reward_model, lab.policy, rollout, np.random.default_rng(0))
    ratio = (rollout.log_probs - rollout.reference_log_probs).numpy().sum(1)
    assert np.abs(ratio).max() > 0.01
    np.testing.assert_allclose(scored.rewards.sum(1), scored.scores - 0.3 * ratio, atol=1e-4)


def replace_steps(lab: Lab, count: int):
    for step, _ in zip(lab.run(), range(count), strict=False):
        yield step


def test_random_credit_is_another_in_every_step_and_the_same_for_a_seed(models):
    lab = Lab(replace(TINY, method="random", kl_coef=0.0), **models)
    rollout = lab.draw(["Thoughts?"] * 4, torch.Generator().manual_seed(2))
    one, again, other = (
        rollouts.score(lab.config, lab.reward_model, lab.policy, rollout, lab._random(step, 2)).rewards
        for step in (1, 1, 2)
    )
    assert (one == again).all() and not np.allclose(one, other)


def test_a_policy_with_other_tokens_is_read_as_text(models):
    policy = tiny_lm.policy("Llama")
    lab = Lab(replace(TINY, steps=1), policy=policy, reward_model=models["reward_model"])
    (step,) = lab.run()
    assert math.isfinite(step.reward) and step.gradient_norm > 0


# ---------------------------------------------------------------- the course of a run


@pytest.mark.parametrize("algorithm", ["reinforce", "rloo", "grpo", "ppo"])
def test_a_run_that_goes_on_from_disk_is_the_run_that_was_never_interrupted(models, home, algorithm):
    more = {"epochs": 2, "clip": 0.1} if algorithm in ("grpo", "ppo") else {}
    config = replace(TINY, algorithm=algorithm, method="random", **more)
    whole = Lab(config, **models)
    expected = list(whole.run())
    run = runs.create_lab_run(config)
    first = Lab(config, **models)
    work(first, run, on_step=lambda step: first.stop() if step.step == 2 else None, repeats=1)
    assert run.state == "stopped" and len(run.steps()) == 2 and set(run.evaluations()) == {"before"}
    second = Lab(config, **models)
    work(second, runs.open_lab_run(run.id), repeats=1)
    assert figures(run.steps()) == figures(expected)
    assert torch.equal(weights(second), weights(whole))
    assert run.state == "done" and set(run.evaluations()) == {"before", "after"}
    assert not torch.equal(weights(whole), weights(Lab(config, **models)))


def test_steps_after_the_last_checkpoint_are_made_again(models, home):
    run = runs.create_lab_run(TINY)
    lab = Lab(TINY, **models)
    work(lab, run, on_step=lambda step: lab.stop() if step.step == 1 else None, repeats=1)
    (kept,) = run.steps()
    run.add(replace(kept, step=2, reward=99.0))  # a process that was killed before it kept its state
    with (run.folder / "steps.jsonl").open("a") as file:
        file.write('{"step": 3, "rew')
    work(Lab(TINY, **models), run, repeats=1)
    assert [step.step for step in run.steps()] == [1, 2, 3]
    assert max(step.reward for step in run.steps()) < 50


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(models):
    one, two, other = (list(Lab(replace(TINY, seed=seed), **models).run()) for seed in (5, 5, 6))
    assert figures(one) == figures(two)
    assert one[0].reward != other[0].reward
    assert all(step.gradient_variance > 0 and step.gradient_norm > 0 for step in one)


def test_methods_differ_in_credit_only_so_their_first_batch_is_one(models):
    first = [next(Lab(replace(TINY, method=method), **models).run()) for method in ("sparse", "red", "random")]
    assert len({(step.reward, step.length, step.entropy) for step in first}) == 1
    assert len({step.gradient_norm for step in first}) == 3


def test_a_stop_inside_a_step_leaves_the_policy_as_the_last_whole_step_left_it(models):
    lab = Lab(TINY, **models)
    next(lab.run())
    before = weights(lab)
    breaths = []
    breathe = lab._breathe

    def stop_at_the_fourth(may_stop: bool = True) -> None:
        breaths.append(may_stop)
        if len(breaths) == 4:
            lab.stop()
        breathe(may_stop)

    lab._breathe = stop_at_the_fourth
    assert list(lab.run()) == []
    assert lab.done == 1 and torch.equal(weights(lab), before)


def test_a_paused_run_waits_and_then_gives_what_it_would_have_given(models):
    thread = LabThread(replace(TINY, steps=4), **models, repeats=1)
    thread.pause()
    until = time.monotonic() + 60
    while thread.state == "loading" and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(1.0)
    seen = len(thread.steps)
    assert thread.state == "paused" and seen < 4
    time.sleep(0.5)
    assert len(thread.steps) <= seen + 1  # at most the step that was under way is never more than one
    thread.resume()
    thread.wait(300)
    assert thread.state == "done"
    assert figures(thread.steps) == figures(list(Lab(replace(TINY, steps=4), **models).run()))


def test_the_reward_rises_and_the_kl_with_it(models):
    config = LabConfig(
        algorithm="reinforce", method="red", group=1, batch=16, micro_batches=2, max_new_tokens=8, steps=8, kl_coef=0.0,
        learning_rate=3e-3, seed=0, device="cpu", prompts=("Write a film review.",),
    )  # fmt: skip
    lab = Lab(config, **models)
    before = lab.evaluate(8)
    steps = list(lab.run())
    after = lab.evaluate(8)
    assert np.mean([s.reward for s in steps[-3:]]) > np.mean([s.reward for s in steps[:3]]) + 0.5
    assert after.reward > before.reward + 3 * math.hypot(before.reward_error, after.reward_error)
    assert steps[0].kl < 1e-4 < 1.0 < steps[-1].kl
    assert [s.prompt for s in before.samples] == [s.prompt for s in after.samples]


def test_ppos_critic_starts_at_zero_and_learns(models):
    config = replace(
        TINY, algorithm="ppo", steps=6, learning_rate=1e-6, critic_learning_rate=3e-2, batch=16, method="sparse"
    )
    lab = Lab(config, **models)
    assert not lab.critic.weight.any()
    losses = [step.value_loss for step in lab.run()]
    assert lab.critic.weight.any() and all(math.isfinite(loss) for loss in losses)


# ---------------------------------------------------------------- folders


def test_runs_are_listed_exported_and_deleted(models, home):
    run = runs.create_lab_run(TINY)
    assert runs.create_lab_run(TINY) == run and run.state == "new"
    work(Lab(TINY, **models), run, repeats=1)
    assert [found.id for found in runs.list_lab_runs()] == [run.id]
    written = json.loads(runs.export_json(run.config, run.steps(), run.evaluations()))
    assert LabConfig.from_dict(written["config"]) == TINY and len(written["steps"]) == 3
    assert written["evaluations"]["after"]["samples"][0]["prompt"]
    head, *lines = runs.export_csv(run.config, run.steps()).splitlines()
    assert len(lines) == 3 and all(len(line.split(",")) == len(head.split(",")) for line in lines)
    with run.held(), pytest.raises(RedvizError, match="being worked on"):
        work(Lab(TINY, **models), run)
    delete_run(run)
    assert runs.list_lab_runs() == [] and list((home / "lab").iterdir()) == []
    with pytest.raises(RedvizError, match="no lab run"):
        runs.open_lab_run("../../etc")


def test_a_public_server_keeps_nothing(models, home, monkeypatch):
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    with pytest.raises(RedvizError, match="public demo"):
        runs.create_lab_run(TINY)
    thread = LabThread(replace(TINY, steps=1), **models, repeats=1)
    thread.wait(300)
    assert thread.state == "done" and list(home.iterdir()) == []


def test_a_broken_checkpoint_is_one_sentence(models, home):
    run = runs.create_lab_run(TINY)
    (run.folder / "checkpoint").write_bytes(b"not one")
    with pytest.raises(RedvizError, match="cannot be read"):
        work(Lab(TINY, **models), run)


def test_a_thread_says_what_went_wrong(home):
    thread = LabThread(replace(TINY, policy="embedded:nobody"))
    thread.wait(60)
    assert thread.state == "failed" and "embedded:nobody" in thread.error and not thread.alive


# ---------------------------------------------------------------- nothing left


def test_a_run_that_is_stopped_leaves_no_thread_no_handle_and_no_memory(models, home):
    process = psutil.Process()
    handles, threads, sizes, modules = [], [], [], []
    for seed in range(3):
        config = replace(TINY, seed=seed, steps=50)
        thread = LabThread(config, runs.create_lab_run(config), **models, repeats=1)
        until = time.monotonic() + 120
        while not thread.steps and time.monotonic() < until:
            time.sleep(0.02)
        lab = thread._lab
        assert lab is not None
        modules.append(weakref.ref(lab.policy.module))
        del lab
        thread.pause()
        thread.resume()
        thread.stop()
        assert thread.state == "stopped" and 0 < len(thread.steps) < 50 and not thread.alive
        gc.collect()
        handles.append(process.num_fds())
        threads.append({t.name for t in threading.enumerate()})
        sizes.append(tensors())
    assert len(set(handles[1:])) == 1, handles
    assert len({frozenset(names) for names in threads}) == 1 and not any("redviz-lab" in n for n in threads[-1])
    assert [ref() for ref in modules] == [None] * 3
    assert len(set(sizes)) == 1, sizes


def tensors() -> int:
    """Numbers held by all tensors that are alive."""
    held = {}
    for found in gc.get_objects():
        if type(found) in (torch.Tensor, torch.nn.Parameter):
            held[found.untyped_storage().data_ptr()] = found.untyped_storage().nbytes()
    return sum(held.values())
