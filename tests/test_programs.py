"""Every program of benchmarks/, examples/, tools/ and training/ starts, and those that measure run at their smallest setting."""

import runpy
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
FOLDERS = ("benchmarks", "examples", "tools", "training")
FILES = [path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.py"))]
COMMANDS = [name for name in FILES if "ArgumentParser" in (ROOT / name).read_text()]
NEEDS = {"examples/trl_grpo.py": ("datasets", "trl")}
ELSEWHERE = {"examples/verl_reward_manager.py": "tests/test_examples.py gives it the one class of verl's that it needs"}

SMALL = "--layers 1 --hidden 64 --response 16 --repeats 1"
SMALLEST = {
    "benchmarks/closed_prefix.py": f"{SMALL} --prompts 8 --prefixes 2 --processes 0",
    "benchmarks/integrated_gradients.py": f"{SMALL} --prompt 8 --steps 2",
    "benchmarks/one_pass.py": "--layers 1 --hidden 64 --prompt 8 --lengths 16 --repeats 1 --prefixes 2 --processes 0",
    "benchmarks/perturbation.py": f"{SMALL} --prompt 8 --seeds 1",
}
SMALLEST_OF_THE_SLOW = {
    "benchmarks/throughput.py": "--responses 4 --size 2 --sample 2 --each 2 --repeats 1",
    "benchmarks/learn_knobs.py": "--scenes sparse-reward",
    "benchmarks/closed_prefix.py": f"{SMALL} --prompts 8 --prefixes 2 --processes 1",
    "benchmarks/one_pass.py": "--layers 1 --hidden 64 --prompt 8 --lengths 16 --repeats 1 --prefixes 2 --processes 1",
    "benchmarks/result_file.py": "--rows 200 --group 100",
    "examples/trl_grpo.py": "--steps 1",
}


@pytest.fixture
def start(monkeypatch, tmp_path, needed):
    """Run a program in this process as the terminal would, in a folder of its own."""
    threads = torch.get_num_threads()

    def run(name: str, arguments: str = "", run_name: str = "__main__") -> dict:
        for module in NEEDS.get(name, ()):
            needed(module)
        monkeypatch.setattr(sys, "argv", [name, *arguments.split()])
        monkeypatch.setattr(sys, "path", [str((ROOT / name).parent), *sys.path])
        monkeypatch.chdir(tmp_path)
        return runpy.run_path(str(ROOT / name), run_name=run_name)

    yield run
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_program_says_how_it_is_called(start, name, capsys):
    with pytest.raises(SystemExit) as ended:
        start(name, "--help")
    assert ended.value.code == 0
    assert Path(name).name in capsys.readouterr().out


@pytest.mark.parametrize("name", sorted(set(FILES) - set(COMMANDS) - set(ELSEWHERE)))
def test_a_program_without_arguments_can_be_imported(start, name):
    assert start(name, run_name="started")["__doc__"]


@pytest.mark.parametrize("name", SMALLEST)
def test_a_benchmark_runs_at_its_smallest(start, name, capsys):
    start(name, SMALLEST[name])
    assert capsys.readouterr().out.strip()


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST_OF_THE_SLOW)
def test_a_slow_program_runs_at_its_smallest(start, name, capfd):
    start(name, SMALLEST_OF_THE_SLOW[name])
    assert capfd.readouterr().out.strip()
