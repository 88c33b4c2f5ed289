"""``redviz score`` and ``redviz export``: killed for real and gone on with, and the one sentence about every bad input."""

import gzip
import json
import os
import shutil
import signal
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tiny
import torch
from safetensors.torch import load_file

import redviz
from redviz.cli.main import main
from redviz.credit.table import METHODS
from redviz.data.results.from_rows import analyses_of
from redviz.data.results.result_files import open_results
from redviz.data.results.result_filters import Where
from redviz.data.results.row_files import read_rows
from redviz.data.results.rows import schema, to_parquet
from redviz.data.sets.dataset import Dataset
from redviz.data.sets.formats import BLOCK, Content
from redviz.runs import local
from redviz.runs.runs import list_runs

LINE = "the lead is superb but a dull and tedious plot moves slowly toward one glorious, funny and moving end"
REAL = ["score", "base", "closing", "prefix_scores", "credits", "total", "reference", "residual", "meta"]


def texts(count: int) -> "list[dict[str, object]]":
    """Prompts with two responses of different lengths."""
    drawn = np.random.default_rng(0)
    made = [" ".join(drawn.choice(LINE.split(), drawn.integers(1, 24))) for _ in range(2 * count)]
    return [
        {"id": f"r{n}", "prompt": "Review the film.", "chosen": made[2 * n] + ".", "rejected": made[2 * n + 1] + "!"}
        for n in range(count)
    ]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def data(tmp_path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, texts(6))))
    return path


@pytest.fixture
def run(capsys):
    def command(*args: object) -> "tuple[int, str, str]":
        code = main([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return command


def ask(data: Path, output: Path, *more: object) -> "list[str]":
    model = Path(tiny.model().name)
    given = (
        "score",
        "--dataset",
        data,
        "--model",
        model,
        "--output",
        output,
        "--methods",
        "red,abc",
        "--device",
        "cpu",
        *more,
    )
    return [str(part) for part in given]


def rows(path: Path) -> "list[dict]":
    return [row for batch in read_rows(path) for row in batch]


def same(found: "list[dict]", wanted: "list[dict]") -> None:
    """The same order, the same fields, and numbers within 1e-5 of the largest."""
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted, strict=True):
        assert {k: v for k, v in got.items() if k not in REAL} == {k: v for k, v in want.items() if k not in REAL}
        for name in ("score", "base", "closing", "prefix_scores", "credits", "total", "reference"):
            one, other = (np.asarray(row[name], float) for row in (got, want))  # null is nan
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * abs(want["score"]) + 1e-7)


def killed_at_its_fourth_part(command: list[str]) -> None:
    torch.set_num_threads(1)  # the threads of the process that this one was forked from are not here
    score_chunk, calls = local.score_chunk, []

    def killed(*args):
        calls.append(args)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return score_chunk(*args)

    local.score_chunk = killed
    main(command)


def test_killed_in_the_middle_the_same_command_gives_the_rows_of_an_uninterrupted_run(run, tmp_path, monkeypatch):
    data = tmp_path / "many.jsonl"
    data.write_text("\n".join(map(json.dumps, texts(30))))
    given = ["score", "--dataset", str(data), "--model", "embedded:sentiment", "--methods", "red,abc"]
    given += ["--chunk", "12", "--device", "cpu"]
    command = [*given, "--output", str(tmp_path / "killed.parquet")]
    process = get_context("fork").Process(target=killed_at_its_fourth_part, args=(command,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    parts = tmp_path / "home" / "runs"
    [begun] = list_runs()
    assert begun.manifest.count == 60
    finished = {path.name: path.stat().st_mtime_ns for path in parts.glob("*/parts/?????.parquet")}
    assert len(finished) == 3 < begun.manifest.parts, "it was to be killed in the middle"
    assert begun.state().state == "failed"
    assert not (tmp_path / "killed.parquet").exists()

    code, out, err = run(*command)
    assert code == 0 and "120 rows of 60 responses" in out
    assert "36/60" in err, "the bar starts where the killed run stood"
    assert {name: (begun.folder / "parts" / name).stat().st_mtime_ns for name in finished} == finished

    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "other"))
    assert run(*given, "--output", tmp_path / "whole.parquet")[0] == 0
    found, wanted = rows(tmp_path / "killed.parquet"), rows(tmp_path / "whole.parquet")
    same(found, wanted)
    ids = [(row["example_id"], row["response_id"], row["label"]) for row in wanted]
    sides, labels = ("chosen", "rejected"), ("red", "abc")
    assert ids == [(f"r{n}", side, label) for n in range(30) for side in sides for label in labels]


FEW = {"ig": {"steps": 2}, **dict.fromkeys(("gradient_shap", "lime", "kernel_shap"), {"samples": 8})}
REFUSED = ("process", "deeplift")  # by the embedded model


def test_what_inspect_offers_is_what_score_writes_and_both_reopen_with_their_closing(run, tmp_path):
    asked = {name: FEW.get(name, {}) for name in METHODS if name not in REFUSED}
    (tmp_path / "one.jsonl").write_text(json.dumps({"id": "r", "prompt": "Review it.", "response": "A superb film."}))
    partners = ("--policy", "embedded:writer-dpo", "--reference", "embedded:writer")
    told = ("--model", "embedded:sentiment", "--methods", json.dumps(asked), *partners, "--device", "cpu")
    assert run("score", "--dataset", tmp_path / "one.jsonl", "--output", tmp_path / "run.parquet", *told)[0] == 0

    policy, reference = (redviz.load_policy(name, device="cpu") for name in partners[1::2])
    model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    [shown] = redviz.analyze_batch(
        model,
        [{"id": "r", "prompt": "Review it.", "response": "A superb film."}],
        asked,
        policy=policy,
        reference=reference,
    )
    (tmp_path / "inspect.parquet").write_bytes(to_parquet(shown))
    files = [tmp_path / "run.parquet", tmp_path / "inspect.parquet"]
    assert [pq.read_schema(file).names for file in files] == [schema().names] * 2
    same(*map(rows, files))
    assert sum(credit.closing != 0 for credit in shown.credits.values()) > 5
    for file in files:
        [again] = analyses_of(rows(file))
        for label, credit in shown.credits.items():
            assert again.credits[label].closing == pytest.approx(credit.closing, abs=1e-6), label


def test_batches_and_chunks_change_no_number(run, data, tmp_path):
    for n, more in enumerate([(), ("--batch-size", 1, "--chunk", 5), ("--batch-size", 3, "--chunk", 2)]):
        methods = ("--methods", "red,abc,ig", "--option", "ig.steps=2")
        assert run(*ask(data, tmp_path / f"{n}.parquet", *methods, *more))[0] == 0
    for n in (1, 2):
        same(rows(tmp_path / f"{n}.parquet"), rows(tmp_path / "0.parquet"))


def test_what_it_says_and_writes(run, data, tmp_path):
    data.write_text(data.read_text() + '\n{"prompt": "x", "chosen": 3, "rejected": "y"}\nnot json\n')
    code, out, err = run(*ask(data, tmp_path / "out.jsonl", "--limit", 4))
    assert (code, out) == (0, f"{tmp_path / 'out.jsonl'}: 16 rows of 8 responses\n")
    assert "pairs of prompt, chosen and rejected" in err and "8/8" in err and "items/s" in err and "left" in err
    code, out, err = run(*ask(data, tmp_path / "out.csv"))
    assert "24 rows of 12 responses" in out
    assert "pairs.jsonl, line 7: left out (" in err and "pairs.jsonl, line 8: left out (" in err
    same(rows(tmp_path / "out.csv")[:16], rows(tmp_path / "out.jsonl"))
    [newest, _] = list_runs()
    assert "line 8" in (newest.folder / "log.txt").read_text()


def test_provenance_is_in_the_file(run, data, tmp_path):
    run(*ask(data, tmp_path / "out.parquet", "--option", "red.beta_c=0.5"))
    metadata = pq.read_schema(tmp_path / "out.parquet").metadata
    told = json.loads(metadata[b"redviz"])
    assert told["methods"]["red"]["beta_c"] == 0.5 and told["count"] == 12 and told["dtype"] == "float32"
    assert metadata[b"schema_version"] == b"1"
    row = rows(tmp_path / "out.parquet")[0]
    assert row["fingerprint"] == told["model_fingerprint"] and row["redviz_version"] == told["redviz_version"]


def test_columns_can_be_named(run, tmp_path):
    path = tmp_path / "strange.csv"
    path.write_text("q,a\nHow was it?,superb\nAnd then?,dull\n")
    code, _, _ = run(*ask(path, tmp_path / "out.jsonl", "--column", "prompt=q", "--column", "response=a"))
    assert code == 0
    assert [row["response"] for row in rows(tmp_path / "out.jsonl")[::2]] == ["superb", "dull"]


def test_a_failed_row_is_written_and_all_failed_is_a_failure(run, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "p", "response": "fine"}\n{"prompt": "' + "long " * 900 + '", "response": "x"}')
    code, out, _ = run(*ask(path, tmp_path / "out.jsonl"))
    assert code == 0 and "3 rows of 2 responses, 1 of them failed (see the column error)" in out
    assert [bool(row["error"]) for row in rows(tmp_path / "out.jsonl")] == [False, False, True]
    path.write_text(path.read_text().splitlines()[1])
    code, out, err = run(*ask(path, tmp_path / "out.jsonl"))
    assert code == 1 and "Every row failed" in err and len(rows(tmp_path / "out.jsonl")) == 1


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_is_one_sentence_and_the_same_command_goes_on(run, data, tmp_path, monkeypatch, presses):
    score_chunk, calls = local.score_chunk, []

    def interrupted(*args):
        calls.append(args)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)  # noted: an exception here could be lost
            if presses == 2:
                signal.raise_signal(signal.SIGINT)
                pytest.fail("the second press ends it wherever it comes")
        return score_chunk(*args)

    monkeypatch.setattr(local, "score_chunk", interrupted)
    code, out, err = run(*ask(data, tmp_path / "out.parquet", "--chunk", 4))
    assert (code, out) == (1, "") and err.endswith("redviz: Stopped; the same command goes on where it stopped.\n")
    assert list_runs()[0].state().state == "cancelled"
    assert run(*ask(data, tmp_path / "out.parquet", "--chunk", 4))[0] == 0
    assert len(calls) == 2 + 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--engine", "abacus"), "There is no engine 'abacus'; use"),
        (("--batch-size", "many"), "--batch-size is many; give a whole number"),
        (("--batch-size", "0"), "--batch-size is 0"),
        (("--chunk", "0"), "The chunk is 0 examples"),
        (("--limit", "0"), "The limit is 0"),
        (("--column", "prompt"), "--column prompt is not PART=COLUMN"),
        (("--column", "prompt=nowhere"), "no column 'nowhere'"),
        (("--methods", "reds"), "There is no method 'reds'"),
        (("--output", "out.xlsx"), "out.xlsx has an ending that result rows are not kept in"),
        (("--output", "/nowhere/out.csv"), "its folder is not there"),
        (("--dataset", "gone.jsonl"), "gone.jsonl is no file on this machine"),
    ],
)
def test_bad_input_is_one_sentence(run, data, tmp_path, more, said):
    code, out, err = run(*ask(data, tmp_path / "out.parquet", *more))
    assert (code, out) == (2, "") and said in err.splitlines()[-1] and "Traceback" not in err
    assert not (tmp_path / "out.parquet").exists()


def test_the_public_demo_scores_nothing(run, data, tmp_path, home, monkeypatch):
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    code, _, err = run(*ask(data, tmp_path / "out.parquet"))
    assert code == 2 and "public demo" in err and not home.exists()


def test_a_run_at_work_is_refused_in_one_sentence(run, data, tmp_path):
    run(*ask(data, tmp_path / "out.parquet"))
    with list_runs()[0].held():
        code, out, err = run(*ask(data, tmp_path / "out.parquet"))
    assert (code, out) == (2, "") and f"is being worked on by process {os.getpid()}" in err


# ---------------------------------------------------------------- export


def test_export_converts_and_draws(run, data, tmp_path):
    run(*ask(data, tmp_path / "out.parquet"))
    wanted = rows(tmp_path / "out.parquet")
    for name in ("a.csv", "b.jsonl", "c.parquet"):
        code, out, _ = run("export", tmp_path / "out.parquet", tmp_path / name)
        assert (code, out) == (0, f"{tmp_path / name}: 24 rows\n")
        assert rows(tmp_path / name) == wanted
    code, out, err = run("export", tmp_path / "a.csv", tmp_path / "gallery.html", "--limit", 5)
    page = (tmp_path / "gallery.html").read_text()
    assert code == 0 and "5 responses" in out and "shows the first 5 responses" in err
    assert page.count("<article") == 5 and "<script" not in page and "r0/chosen" in page and "r3/" not in page


def test_export_refuses_in_one_sentence(run, data, tmp_path):
    run(*ask(data, tmp_path / "out.jsonl"))
    for given, said in (
        ((data, tmp_path / "x.csv"), "lacks the columns"),
        ((tmp_path / "out.jsonl", tmp_path / "out.jsonl"), "is the input"),
        ((tmp_path / "out.jsonl", tmp_path / "x.pdf"), "has an ending"),
        ((tmp_path / "out.jsonl", tmp_path / "x.csv", "--limit", 3), "--limit is for an .html gallery"),
        ((tmp_path / "out.jsonl", tmp_path / "x.html", "--limit", 0), "give at least 1"),
        ((tmp_path / "out.jsonl", tmp_path / "x.html", "--granularity", "page"), "There is no granularity"),
        ((tmp_path / "none.parquet", tmp_path / "x.html"), "cannot be read"),
    ):
        code, out, err = run("export", *given)
        assert (code, out) == (2, "") and said in err and err.count("\n") == 1


def test_a_partner_is_loaded_with_the_same_trust_as_the_model(run, data, tmp_path):
    folder = shutil.copytree(Path(tiny.model().name), tmp_path / "cost")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    asked = ask(data, tmp_path / "out.jsonl", "--option", "red.alpha=0.5", "--cost-model", folder, "--limit", 1)
    assert run(*asked)[0] == 2
    assert run(*asked, "--allow-pickle")[0] == 0
    assert not any(row["error"] for row in rows(tmp_path / "out.jsonl"))


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv"])
def test_the_data_set_is_read_from_start_to_end_twice(ending, tmp_path, run, monkeypatch):
    rows = [row | {"note": "x" * 8_000 + str(n)} for n, row in enumerate(texts(400))]  # more than a sample reads
    path = tmp_path / f"pairs.{ending}"
    if ending == "csv":
        pd.DataFrame(rows).to_csv(path, index=False)
    else:
        with (gzip.open if ending.endswith("gz") else open)(path, "wt") as file:
            file.writelines(json.dumps(row) + "\n" for row in rows)
    whole = []

    def counting(dataset, rows_of=Dataset._rows):
        count = 0
        for row in rows_of(dataset):
            count += 1
            yield row
        whole.append(count)

    monkeypatch.setattr(Dataset, "_rows", counting)
    read, opened = [], Content.open
    monkeypatch.setattr(Content, "open", lambda content: Tallied(opened(content), read))
    score = "score", "--dataset", path, "--model", "rule:summary", "--output", tmp_path / "rows.jsonl"
    code, out, _ = run(*score, "--methods", "sparse")
    assert code == 0 and "800 rows" in out
    assert whole == [400, 400], "rows: once to count them, once to score them; samples stop early"
    if not ending.endswith("gz"):  # a sample of a file of kilobytes is all of it
        assert sum(read) < 2 * path.stat().st_size + 4 * BLOCK, "bytes"


class Tallied:
    """A file that notes how many bytes each read gave."""

    def __init__(self, file, sizes):
        self.file, self.sizes = file, sizes

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *raised):
        self.file.close()

    def read(self, size=-1):
        block = self.file.read(size)
        self.sizes.append(len(block))
        return block


def test_a_data_set_that_changes_while_it_is_scored_is_refused(tmp_path, run, data, monkeypatch):
    begun = local.start_run

    def start_and_change(*args, **how):
        started = begun(*args, **how)
        data.write_text(data.read_text().replace("superb", "dreary"))
        return started

    monkeypatch.setattr("redviz.runs.local.start_run", start_and_change)
    code, _, said = run(*ask(data, tmp_path / "rows.jsonl"))
    assert code == 2 and "pairs.jsonl has changed since run" in said


def test_credits_and_labels_go_to_annotation_tools(run, data, tmp_path):
    run(*ask(data, tmp_path / "out.parquet"))
    scored = {row["response"] for row in rows(tmp_path / "out.parquet")}
    labels = list(dict.fromkeys(row["label"] for row in rows(tmp_path / "out.parquet")))
    code, out, _ = run("export", tmp_path / "out.parquet", tmp_path / "tasks.json", "--for", "label_studio")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert code == 0 and f"{len(tasks)} responses" in out and {task["data"]["text"] for task in tasks} == scored
    assert len(tasks[0]["predictions"]) == len(labels) and not tasks[0]["annotations"]
    code, *_ = run("export", tmp_path / "out.parquet", tmp_path / "a.json", "--for", "argilla", "--method", labels[0])
    suggested = json.loads((tmp_path / "a.json").read_text())[0]["suggestions"]["spans"]
    assert code == 0 and suggested["agent"].startswith(f"redviz {labels[0]}")
    (tmp_path / "marks.jsonl").write_text('{"text": "A dull film.", "label": [[2, 6, "bad"]], "user": "ada"}')
    code, out, _ = run("export", tmp_path / "marks.jsonl", tmp_path / "b.json", "--for", "label_studio")
    [task] = json.loads((tmp_path / "b.json").read_text())
    assert code == 0 and task["annotations"][0]["result"][0]["value"]["text"] == "dull"
    for given, said in (
        (("out.parquet", "x.json", "--for", "brat"), "There is no tool 'brat'"),
        (("out.parquet", "x.csv", "--for", "argilla"), "imports a .json file"),
        (("out.parquet", "x.json", "--for", "argilla", "--method", "abcd"), "has no credits 'abcd'"),
        (("out.parquet", "x.json", "--for", "argilla", "--share", 2), "above 0 and at most 1"),
        (("out.parquet", "x.csv", "--share", 0.5), "--method and --share are for"),
    ):
        code, out, err = run(
            "export", *(tmp_path / one if "." in str(one) and str(one)[0] in "ox" else one for one in given)
        )
        assert (code, out) == (2, "") and said in err and err.count("\n") == 1


def test_the_summary_says_how_often_the_chosen_are_above_all_others(run, data, tmp_path):
    words = [row["chosen"] for row in texts(20)]
    best = [
        {"id": str(n), "prompt": "Review.", "chosen": words[n : n + 1 + n % 2], "rejected": words[n + 2 : n + 5]}
        for n in range(12)
    ]
    path, output = tmp_path / "best.jsonl", tmp_path / "out.parquet"
    path.write_text("\n".join(map(json.dumps, best)))
    code, _, err = run(*ask(path, output))
    found: dict[str, dict[str, float]] = {}
    for row in rows(output):
        found.setdefault(row["example_id"], {})[row["response_id"]] = row["score"]
    sides = [
        [[s for role, s in own.items() if role.startswith(side)] for side in ("chosen", "rejected")]
        for own in found.values()
    ]
    right = [min(chosen) > max(rejected) for chosen, rejected in sides]
    assert [len(chosen) for chosen, _ in sides] == [1, 2] * 6
    assert f"accuracy {np.mean(right):.1%} (" in err and 0 < sum(right) < 12
    assert "chosen above all others, in 12 prompts (a coin reaches 17.5%)" in err  # 1 of 4, 1 of 10
    results = open_results(output)
    table = results.responses(Where(pairs_only=True)).drop_duplicates("example_id")
    assert table["margin"].tolist() == pytest.approx([min(chosen) - max(rejected) for chosen, rejected in sides])
    code, _, err = run(*ask(data, tmp_path / "pairs.parquet"))
    assert code == 0 and "chosen above rejected, in 6 pairs" in err
