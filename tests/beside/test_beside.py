"""redviz beside the trainers: its wheel in environments of their own, and the examples driven by the real verl and OpenRLHF.

`make test-slow` makes the environments with tools/beside_trainers.py; BESIDE=FOLDER names others. The right values are
Transformers' and redviz's own here, in another environment with another Transformers.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import redviz
from redviz.models.kinds.policy import load_policy

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
FOLDER = Path(os.environ.get("BESIDE", ROOT / ".venv" / "beside"))
POLICY, MODEL = (ROOT / "redviz" / "embedded" / name for name in ("writer", "sentiment"))
PROMPT = [{"role": "user", "content": "Write a film review."}]
LONG = [{"role": "user", "content": "Write a long and very careful review of the film, please. " * 5}]
RESPONSES = ["A superb film, moving and funny.", "Dull.", "I did not like it at all, 🎬 but the music is lovely."]
MOST = 64  # tokens of prompt and response


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    left_out = shutil.ignore_patterns(".venv", ".git", "build", ".*_cache")
    clone = shutil.copytree(ROOT, folder / "clone", ignore=left_out)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(clone)]
    subprocess.run(command, check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def beside(wheel, tmp_path_factory):
    """Run Python in the environment of a name, with today's wheel in it."""
    ready = {}

    def run(name: str, *arguments: object) -> str:
        python = FOLDER / name / "bin" / "python"
        if not python.exists():
            missing = pytest.fail if os.environ.get("CI") else pytest.skip
            missing(f"no {python}: run tools/beside_trainers.py")
        home = ready.get(name)
        if home is None:
            home = ready[name] = tmp_path_factory.mktemp(name)
            pip = [python, "-m", "pip", "--disable-pip-version-check"]
            subprocess.run([*pip, "uninstall", "-q", "-y", "redviz"], check=True)
            subprocess.run([*pip, "install", "-q", wheel], check=True)  # with what its core asks for
        environment = os.environ | {
            "HOME": str(home),
            "REDVIZ_HOME": str(home / "redviz"),
            "PYTHONPATH": str(HERE / "stand_ins"),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "RAY_AUTH_MODE": "disabled",
        }
        command = [str(argument) for argument in (python, *arguments)]
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout

    return run


# ---------------------------------------------------------------- redviz beside another Transformers

CORE = """
import json, sys
import numpy as np, redviz, transformers
model = redviz.load_reward_model("embedded:sentiment", device="cpu")
found = {}
for method in ("red", "abc", "ig", "shapley"):
    analysis = redviz.analyze(model, "Review the film.", sys.argv[1], methods=[method])
    found[method] = [float(x) for x in analysis.credits[method].values]
encoding = model.encode(redviz.Example("Review the film.", sys.argv[1]))
mask = np.zeros_like(encoding.ids[None])
mask[:, encoding.start : encoding.stop] = 1
rewards = redviz.token_rewards(model, encoding.ids[None], np.ones_like(mask), mask)
extras = [name for name in ("streamlit", "scipy", "sqlalchemy", "duckdb", "plotly") if name in sys.modules]
print(json.dumps(found | {"rewards": rewards[mask == 1].tolist(), "is": transformers.__version__, "extras": extras}))
"""


def test_the_core_alone_analyzes_scores_and_gives_token_rewards(beside, sentiment, tmp_path):
    response = "A superb film. I did not like it."
    found = json.loads(beside("core", "-c", CORE, response).splitlines()[-1])
    assert (found["is"], found["extras"]) == ("5.10.4", [])
    for method in ("red", "abc", "ig", "shapley"):
        here = redviz.analyze(sentiment, "Review the film.", response, methods=[method]).credits[method]
        np.testing.assert_allclose(found[method], here.values, atol=1e-4)
    np.testing.assert_allclose(found["rewards"], found["red"], atol=1e-4)

    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text(json.dumps({"prompt": "Review it.", "chosen": "Superb.", "rejected": "Dull."}) + "\n")
    rows = tmp_path / "rows.jsonl"
    flags = ("--model", "embedded:sentiment", "--dataset", pairs, "--methods", "red,abc", "--output", rows)
    beside("core", "-m", "redviz", "score", *flags)
    found = [json.loads(line) for line in rows.read_text().splitlines()]
    assert {(row["response"], row["method"]) for row in found} == {
        (r, m) for r in ("Superb.", "Dull.") for m in ("red", "abc")
    }
    for row in found:
        here = redviz.analyze(sentiment, "Review it.", row["response"], methods=[row["method"]])
        assert row["score"] == pytest.approx(here.score, abs=1e-4)
        np.testing.assert_allclose(row["credits"], here.credits[row["method"]].values, atol=1e-4)


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [("serve", "streamlit", "app"), ("agree --dataset no.jsonl --no-methods", "scipy", "evaluation")],
)
def test_a_command_that_needs_an_extra_says_which(beside, command, package, extra):
    call = f"import sys; from redviz.cli.main import main; sys.stderr = sys.stdout; print(main({command.split()}))"
    told = f"redviz: This needs {package}, which is not installed: pip install 'redviz[{extra}]'."
    assert beside("core", "-c", call).splitlines() == [told, "2"]


@pytest.mark.parametrize("name", ["core", "trainers"])
def test_nothing_that_redviz_asks_for_disagrees_with_what_is_there(beside, name):
    check = "import subprocess, sys; print(subprocess.run([sys.executable, '-m', 'pip', 'check'], capture_output=True).stdout.decode())"
    told = [line for line in beside(name, "-c", check).splitlines() if line and "No broken" not in line]
    assert [
        line for line in told if not line.startswith("openrlhf ")
    ] == []  # of OpenRLHF nothing that it asks for is there


# ---------------------------------------------------------------- the trainers


@pytest.fixture(scope="module")
def tokenizer():
    return load_policy("embedded:writer", device="cpu").tokenizer


def ids_of(tokenizer, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False)["input_ids"]


def header(tokenizer, messages) -> str:
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)


def test_verl_trains_on_a_reward_for_every_token(beside, sentiment, tokenizer, tmp_path):
    rollout = tmp_path / "rollout.json"
    given = {
        "conversations": [PROMPT] * 3,
        "prompts": [ids_of(tokenizer, header(tokenizer, PROMPT))] * 3,
        "responses": [[*ids_of(tokenizer, text), tokenizer.eos_token_id] for text in RESPONSES],
    }
    rollout.write_text(json.dumps(given))
    example = ROOT / "examples" / "verl_reward_manager.py"
    found = json.loads(beside("trainers", HERE / "run_verl.py", example, POLICY, MODEL, rollout).splitlines()[-1])
    for row, response in enumerate(RESPONSES):
        analysis = redviz.analyze(sentiment, PROMPT, response, methods=["red"])
        credit = analysis.credits["red"]
        np.testing.assert_allclose(found["rm_scores"][row], [*credit.own, credit.closing], atol=1e-3)
        np.testing.assert_allclose(found["returns"][row], analysis.score - analysis.prefix_scores, atol=1e-3)
        assert found["redviz_total"][row] == pytest.approx(analysis.score - analysis.base, abs=1e-3)


def test_openrlhf_keeps_every_reward_and_loads_the_model_once(beside, sentiment, tokenizer, tmp_path):
    rollout = tmp_path / "rollout.json"
    prompts = [header(tokenizer, PROMPT), header(tokenizer, LONG)]
    responses = [[*ids_of(tokenizer, text), tokenizer.eos_token_id] for text in RESPONSES]
    rollout.write_text(json.dumps({"prompts": prompts, "responses": responses, "most": MOST}))
    example = ROOT / "examples" / "openrlhf_reward.py"
    found = json.loads(beside("trainers", HERE / "run_openrlhf.py", example, POLICY, rollout).splitlines()[-1])
    assert found["loads"] == 1
    kept = {len(row) - max(map(len, responses)) for batch in found["batches"] for row in batch["sequences"]}
    assert kept == {len(ids_of(tokenizer, prompts[0])), MOST - max(map(len, responses))}
    assert len(ids_of(tokenizer, prompts[1])) > MOST  # so that the second was cut
    for batch in found["batches"]:
        check_batch(sentiment, batch)


def check_batch(model, batch):
    """R and P_t from the model's own head over the ids that OpenRLHF trains on; advantages are R - P_{t-1} less the others' mean."""
    rows = []
    for ids, seen, actions in zip(batch["sequences"], batch["seen"], batch["actions"], strict=True):
        ids, first, count = torch.tensor(ids)[: sum(seen)], actions.index(1) + 1, sum(actions)
        with torch.inference_mode():
            hidden = model.module.base_model(input_ids=ids[None]).last_hidden_state
            rows.append(model.module.score(hidden)[0, first - 1 : first + count, 0].numpy())  # P_0 .. P_T
    scores, totals = [row[-1] for row in rows], [row[-1] - row[0] for row in rows]
    np.testing.assert_allclose(batch["rewards"], scores, atol=1e-3)
    np.testing.assert_allclose(batch["red"], totals, atol=1e-3)
    for i, row in enumerate(rows):
        mask = np.array(batch["actions"][i], bool)
        others = (sum(scores) - scores[i]) / (len(rows) - 1)
        np.testing.assert_allclose(np.array(batch["plain"][i])[mask], scores[i] - others, atol=1e-3)
        others = (sum(totals) - totals[i]) / (len(rows) - 1)
        np.testing.assert_allclose(np.array(batch["advantages"][i])[mask], row[-1] - row[:-1] - others, atol=1e-3)
