"""``redviz lab``: the library's numbers, a run that goes on after an interrupt, and refusals of one sentence."""

import csv
import json
import signal
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from redviz.cli.main import main
from redviz.lab.config import LabConfig
from redviz.lab.runs import list_lab_runs
from redviz.lab.steps import Step
from redviz.lab.training import Lab

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


def test_an_interrupted_command_goes_on(home, capsys, monkeypatch):
    """One press in the middle of a step, where an exception would be dropped: the command ends after that step."""
    draw, drawn = Lab.draw, []

    def pressed(lab, *given):
        drawn.append(lab.done + 1)
        if drawn[-1] in (3, 4):
            with suppress(KeyboardInterrupt):  # as a callback of C code does
                signal.raise_signal(signal.SIGINT)
        return draw(lab, *given)

    monkeypatch.setattr(Lab, "draw", pressed)
    command = ["lab", "--method", "sparse", *FLAGS, "--steps", "2000", "--lines"]
    for kept in (3, 4):
        assert main(command) == 1
        err = capsys.readouterr().err
        assert err.endswith("redviz: Stopped; the same command goes on where it stopped.\n") and "Traceback" not in err
        assert drawn.pop() == kept and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        (run,) = list_lab_runs()
        assert run.state == "stopped" and len(run.steps()) == kept
    assert err.count("step 4 ") == 1 and "step 3 " not in err, (
        "the second command went on after the first one's last step"
    )


def test_a_second_press_ends_the_command_at_once(home, capsys, monkeypatch):
    def pressed(lab, *given):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")

    monkeypatch.setattr(Lab, "draw", pressed)
    assert main(["lab", "--method", "sparse", *FLAGS]) == 1
    assert "Stopped; the same command goes on" in capsys.readouterr().err


def test_an_interrupt_between_steps_leaves_no_lock_that_close_waits_for(monkeypatch):
    """Condition's ``__exit__`` is Python code: a KeyboardInterrupt on its first line leaves the lock taken, and close() hung."""
    lab = Lab(LabConfig(method="sparse", batch=4, group=2, micro_batches=2, max_new_tokens=2, steps=2, device="cpu"))

    def interrupted(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Condition, "__exit__", interrupted)
        next(lab.run())
    assert not lab._going._cond._lock.locked()
    lab.close()


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
