"""``redviz lab``: the library's numbers, a run that goes on after an interrupt, and refusals of one sentence."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from redviz.cli.main import main
from redviz.lab.config import LabConfig
from redviz.lab.runs import list_lab_runs
from redviz.lab.steps import Step
from redviz.lab.training import Lab

ROOT = Path(__file__).parents[2]
SMALL = ("--steps", "2", "--seed", "3", "--batch-size", "8", "--num-generations", "2", "--micro-batches", "2")
FLAGS = (*SMALL, "--max-new-tokens", "6", "--device", "cpu", "--learning-rate", "1e-3")


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path))
    return tmp_path


def figures(step: Step) -> dict:
    return {name: value for name, value in step.to_dict().items() if name != "seconds"}


def test_the_command_gives_the_librarys_numbers(home, capsys):
    config = LabConfig(
        algorithm="rloo", method="red", options={"beta_c": 0.5}, steps=2, seed=3, batch=8, group=2, micro_batches=2,
        max_new_tokens=6, device="cpu", learning_rate=1e-3,
    )  # fmt: skip
    expected = [figures(step) for step in Lab(config).run()]
    flags = ["--algorithm", "rloo", "--method", "red", "--option", "red.beta_c=0.5", *FLAGS]
    assert main(["lab", *flags, "--lines", "--output", str(home / "run.json")]) == 0
    out, err = capsys.readouterr()
    written = json.loads((home / "run.json").read_text())
    assert [figures(Step(**step)) for step in written["steps"]] == expected
    assert LabConfig.from_dict(written["config"]) == config and written["id"] == config.id
    assert [line.split()[1] for line in err.splitlines() if line.startswith("step ")] == ["1", "2"]
    assert out.startswith("rloo red beta_c=0.5, seed 3, 2 steps: reward on held-out requests") and out.count("\n") == 1
    assert main(["lab", *flags, "--output", str(home / "run.csv")]) == 0  # done already: nothing is trained again
    rows = list(csv.DictReader((home / "run.csv").open()))
    assert [float(row["reward"]) for row in rows] == [step["reward"] for step in expected]
    assert {(row["algorithm"], row["method"], row["seed"]) for row in rows} == {("rloo", "red beta_c=0.5", "3")}
    assert "step" not in capsys.readouterr().err.replace("steps", "")


def interrupted(command):
    """Press Ctrl-C until the command ends, as a person does; what it still said."""
    for _ in range(12):
        command.send_signal(signal.SIGINT)
        try:
            return command.communicate(timeout=10)[1]
        except subprocess.TimeoutExpired:
            continue
    command.kill()
    return command.communicate()[1]


def test_an_interrupted_command_goes_on(home):
    command = [
        sys.executable,
        "-m",
        "redviz",
        "lab",
        "--method",
        "sparse",
        *FLAGS,
        "--steps",
        "2000",
        "--lines",
    ]  # never done before the signal comes
    environment = {**os.environ, "REDVIZ_HOME": str(home), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as started:
        for line in started.stderr:
            if line.startswith("step 2 "):
                break
        rest = interrupted(started)
        assert started.returncode == 1 and "the same command goes on" in rest and "Traceback" not in rest
    (run,) = list_lab_runs()
    assert run.state == "stopped" and 2 <= len(run.steps()) < 2000
    kept = len(run.steps())
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as again:
        line = next(line for line in again.stderr if line.startswith("step "))
        assert line.startswith(f"step {kept + 1} ")
        interrupted(again)
        assert again.returncode == 1


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--algorithm", "dqn"], "There is no algorithm 'dqn'"),
        (["--method", "random", "--option", "random.b=1"], "no options"),
        (["--method", "red", "--option", "red.beta=1"], "beta"),
        (["--batch-size", "30"], "multiple of 16"),
        (["--output", "x.txt"], "neither .json nor .csv"),
    ],
)
def test_a_wrong_flag_is_one_sentence(home, capsys, flags, told):
    assert main(["lab", *flags]) == 2
    err = capsys.readouterr().err
    assert told in err and err.count("\n") == 1 and not (home / "lab").exists()
