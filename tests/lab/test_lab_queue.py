"""Lab runs take turns: their order, pauses that hold, stops, folders that another server goes on with, and the terminal's call."""

import shlex
import time
from dataclasses import replace
from pathlib import Path

import pytest

from redviz.cli.main import main
from redviz.errors import RedvizError
from redviz.lab import queue as queueing
from redviz.lab.config import LabConfig
from redviz.lab.experiments import command, experiment_id, planned
from redviz.lab.queue import LabQueue
from redviz.lab.runs import create_lab_run, list_lab_runs, open_lab_run

TINY = LabConfig(
    batch=4, group=2, micro_batches=2, max_new_tokens=4, steps=2, learning_rate=1e-3, device="cpu", prompts=("It's \"how\"?",)
)  # fmt: skip
LONG = replace(TINY, steps=2000)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def queue():
    made = LabQueue()
    yield made
    made.stop(made.active())
    made.wait(120)


def until(true, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_an_experiment_shows_every_line_before_the_second_seed():
    configs = planned(TINY, [("red", {"beta_c": 0.5}), ("sparse", {})], 2)
    assert [(c.method, c.seed) for c in configs] == [("red", 0), ("sparse", 0), ("red", 1), ("sparse", 1)]
    assert len({experiment_id(c) for c in configs}) == 1
    assert (
        experiment_id(replace(TINY, kl_coef=0.1))
        != experiment_id(TINY)
        != experiment_id(replace(TINY, algorithm="ppo"))
    )


def test_runs_take_turns_and_leave_no_thread(home, queue):
    configs = planned(TINY, [("red", {}), ("sparse", {})], 1)
    queue.add(configs)
    assert queue.active() and {run.id for run in list_lab_runs()} == {c.id for c in configs}  # folders from the start
    queue.add(configs)  # twice asked for is once done
    queue.wait(240)
    assert queue.active() == [] and queue._server is None
    for config in configs:
        found = queue.standing(config, open_lab_run(config.id))
        assert (found.state, len(found.steps), set(found.evaluations)) == ("done", 2, {"before", "after"})
    assert LabQueue().standing(configs[0], open_lab_run(configs[0].id)).state == "done"


def test_a_pause_holds_the_runs_that_wait_too_and_a_stop_takes_them_out(home, queue):
    configs = [replace(LONG, seed=0), replace(LONG, seed=1)]
    queue.add(configs)
    until(lambda: queue.standing(configs[0]).steps)
    queue.pause(configs)
    assert [queue.standing(c).state for c in configs] == ["paused", "paused"]
    time.sleep(0.5)
    seen = len(queue.standing(configs[0]).steps)
    time.sleep(1)
    assert len(queue.standing(configs[0]).steps) == seen
    queue.resume(configs)
    until(lambda: len(queue.standing(configs[0]).steps) > seen)
    queue.stop(configs)
    queue.wait(240)
    runs = [open_lab_run(c.id) for c in configs]
    first, second = (queue.standing(c, run) for c, run in zip(configs, runs, strict=True))
    assert (first.state, second.state, len(second.steps)) == ("stopped", "stopped", 0) and len(first.steps) > seen
    assert LabQueue().standing(configs[0], runs[0]).state == "interrupted"  # as another server tells it
    queue.add(configs[:1])
    until(lambda: len(queue.standing(configs[0]).steps) > len(first.steps))  # it goes on, not anew
    assert queue.standing(configs[0]).steps[: len(first.steps)] == list(first.steps)


def test_a_paused_run_gives_up_its_turn_to_others(home, queue, monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE_HOLDS", 0.1)
    mine, other = replace(LONG, seed=0), replace(TINY, seed=1)
    queue.add([mine])
    until(lambda: queue.standing(mine).steps)
    queue.pause([mine])
    queue.add([other])
    until(lambda: queue.standing(other, open_lab_run(other.id)).state == "done")
    assert queue.standing(mine, open_lab_run(mine.id)).state == "stopped"


def test_what_fails_says_why_and_the_next_goes_on(home, queue):
    bad = replace(TINY, policy="embedded:nobody")
    queue.add([bad, TINY])
    queue.wait(240)
    assert queue.standing(bad, open_lab_run(bad.id)).state == "failed"
    assert "embedded:nobody" in queue.standing(bad, open_lab_run(bad.id)).error
    assert queue.standing(TINY, open_lab_run(TINY.id)).state == "done"


def test_a_public_server_keeps_runs_in_memory_alone(home, queue, monkeypatch):
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    with pytest.raises(RedvizError, match="public demo"):
        queue.add([TINY])
    queue.add([TINY], keep=False)
    queue.wait(240)
    found = queue.standing(TINY)
    assert (found.state, len(found.steps)) == ("done", 2) and list(home.iterdir()) == []


@pytest.mark.parametrize(
    "config",
    [
        replace(TINY, method="red", options={"beta_c": 0.5}, seed=3),
        replace(
            TINY, algorithm="ppo", method="abc", lam=0.9, clip=0.1, epochs=2, kl_estimator="k3", gamma=0.99, kl_coef=0.0
        ),
    ],
)
def test_the_terminals_call_is_the_very_run(home, config):
    assert main(shlex.split(command(config))[1:]) == 0
    assert [run.id for run in list_lab_runs()] == [config.id] == [create_lab_run(config).id]
