"""What README.md and docs/ say to type runs as it stands there."""

import json
import re
import shlex
from pathlib import Path

import pytest
import torch

import redviz
from redviz.cli.main import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAIRS = [
    {"id": "1", "prompt": "Review it.", "chosen": "A superb film.", "rejected": "A dull film."},
    {"id": "2", "prompt": "Review it.", "chosen": "Moving and funny.", "rejected": "I was bored."},
]


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, code) of every fenced block of a language; "" is what is typed in a terminal."""
    fenced = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    every_block = [(page.name, *match) for page in PAGES for match in fenced.findall(page.read_text())]
    return [(page, code) for page, own, code in every_block if own == language]


def typed() -> list[str]:
    """The lines that call redviz, comments apart."""
    lines = [re.sub(r"\s+#.*", "", line) for _, code in blocks("") for line in code.splitlines()]
    return [line for line in lines if line.startswith("redviz ")]


def test_blocks_are_of_the_kinds_that_are_run():
    every_language = {own for page in PAGES for own in re.findall(r"^```(\w+)$", page.read_text(), re.MULTILINE)}
    assert every_language == {"python"}
    assert {page for page, _ in blocks("python")} == {"README.md", "methods.md"}
    other = {line.split()[0] for _, code in blocks("") for line in code.splitlines()} - {"redviz"}
    assert other == {"make", "python3", "pip", "streamlit"}  # these install or serve: CI does the first two


@pytest.mark.parametrize(("page", "code"), blocks("python"), ids=[page for page, _ in blocks("python")])
def test_python_runs_as_written(page, code):
    model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    encoding = model.encode(redviz.Example("Review the film.", "Superb."))
    ids = torch.as_tensor(encoding.ids)[None]
    place = torch.arange(ids.shape[1])[None]
    given = {  # what the reader of the page has already
        "redviz": redviz,
        "examples": [{"prompt": "Review the film.", "response": "Superb."}],
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "response_mask": (place >= encoding.start) & (place < encoding.stop),
    }
    exec(code, given)
    assert isinstance(given["analysis"], redviz.Analysis)


ONLY_READ = {  # lines of which the options alone are checked, by --help behind them
    "redviz score … --engine ray": "a shortened line; tests/runs/test_ray.py runs it",
    "redviz doctor --model path/to/your/checkpoint": "names a folder that the reader has",
    "redviz serve": "serves until it is stopped; tests/cli/test_serve.py starts it",
    "redviz serve --demo": "the same",
}
SMALLER = {"lab": "--steps 1 --batch-size 16 --max-new-tokens 4"}
SECONDS = ("agree", "causal", "compare", "doctor", "lab", "what-if")  # commands that take some


def marked(line: str) -> object:
    command = line.split()[1]
    return pytest.param(line, marks=pytest.mark.slow if command in SECONDS and line not in ONLY_READ else ())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the reader types, with the files that the lines name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    rows = {
        "pairs.jsonl": PAIRS,
        "rows.jsonl": [{"prompt": pair["prompt"], "response": pair["chosen"]} for pair in PAIRS],
        "labels.jsonl": [{"text": pair["chosen"], "label": [[0, pair["chosen"].index(" "), "good"]]} for pair in PAIRS],
    }
    for name, lines in rows.items():
        (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def run(line: str) -> None:
    words = shlex.split(line)[1:]
    extra = ["--help"] if line in ONLY_READ else shlex.split(SMALLER.get(words[0], ""))
    assert main([word for word in words if word != "…"] + extra) == 0


@pytest.mark.parametrize("line", [marked(line) for line in typed()])
def test_a_command_runs_as_written(folder, line, capsys):
    words = shlex.split(line)
    written = words[words.index("--output") + 1] if "--output" in words else None
    for earlier in typed()[: typed().index(line)]:
        if earlier.endswith("--output rows.parquet") and "rows.parquet" in words:
            run(earlier)
    run(line)
    assert capsys.readouterr().out.strip()
    assert all((folder / name).exists() for name in [written] if name and line not in ONLY_READ)


def test_lines_that_are_not_run_are_in_the_readme():
    assert set(ONLY_READ) <= set(typed())
