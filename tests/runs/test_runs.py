"""Run folders: one process at a time, whole parts or none, and every way in which a run can end and go on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

import redviz
from redviz.app.runs import jobs as runs_jobs
from redviz.app.worker import Job
from redviz.credit.ingredients import Partners
from redviz.credit.recipes import recipes
from redviz.data.sets.dataset import open_dataset
from redviz.errors import Cancelled, RedvizError
from redviz.models.kinds.policy import load_policy
from redviz.models.loading.files import EMBEDDED
from redviz.models.spec import ModelSpec
from redviz.runs.filling import fill
from redviz.runs.local import manifest_of, reopened, run_parts, specs_of, start_run
from redviz.runs.manifest import Manifest
from redviz.runs.parts import failed_in, put_together
from redviz.runs.run_folder import delete_run
from redviz.runs.runs import create_run, list_runs, open_run

LINES = [
    {"id": f"row{n}", "prompt": "How was it?", "response": "so " * (7 * n % 11) + "good", "subset": "ab"[n % 2]}
    for n in range(10)
]
WANTED = recipes(["sparse", "occlusion"])


def gives_length(prompt: str, response: str) -> float:
    return float(len(response))


def another(prompt: str, response: str) -> float:
    return -1.0


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def model():
    return redviz.reward_function(gives_length)


@pytest.fixture
def data(tmp_path) -> Path:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, LINES)))
    return path


@pytest.fixture
def run(model, data):
    return start_run(open_dataset(data), data, model, WANTED, chunk=4)


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_a_run_gives_every_row_in_input_order(run, model, tmp_path):
    seen = []
    state = run_parts(model, run, progress=lambda done, total: seen.append((done, total)))
    assert (state.state, state.done, state.total, state.failed) == ("done", 10, 10, 0)
    assert seen == sorted(seen) and seen[0] == (0, 10) and seen[-1] == (10, 10)
    assert [p.name for p in sorted((run.folder / "parts").iterdir())] == [
        "00000.parquet",
        "00001.parquet",
        "00002.parquet",
    ]
    assert put_together(run, tmp_path / "out.parquet") == 20
    found = rows(tmp_path / "out.parquet")
    assert [row["example_id"] for row in found] == [f"row{n}" for n in range(10) for _ in WANTED]
    assert [row["label"] for row in found] == list(WANTED) * 10
    assert [row["subset"] for row in found[::2]] == list("ab" * 5)
    assert all(
        row["score"] == len(row["response"]) and sum(row["credits"]) == pytest.approx(row["score"])
        for row in found[::2]
    )
    told = json.loads(pq.read_schema(tmp_path / "out.parquet").metadata[b"redviz"])
    assert told["dataset_fingerprint"] == run.manifest.dataset_fingerprint
    assert told["path"] == "rows.jsonl", "the folder is nobody's business"


def test_the_same_job_is_the_same_run_and_another_job_is_not(run, model, data):
    assert start_run(open_dataset(data), data, model, WANTED, chunk=4) == run
    others = [
        replace(run.manifest, chunk=5),
        replace(run.manifest, limit=3),
        replace(run.manifest, dtype="bfloat16"),
        replace(run.manifest, dataset_fingerprint="00"),
        replace(run.manifest, methods={"sparse": {"method": "sparse"}}),
        replace(run.manifest, methods=dict(reversed(run.manifest.methods.items()))),
        replace(run.manifest, model_fingerprint="00"),
        replace(run.manifest, dataset="rows.txt"),
    ]
    assert len({m.id for m in others} | {run.id}) == len(others) + 1
    assert replace(run.manifest, path="/elsewhere/rows.jsonl", device="cuda:0").id == run.id
    assert open_run(run.id) == run and list_runs() == [run]


def test_a_run_goes_on_where_its_data_set_was_moved_to(run, model, data, tmp_path):
    with pytest.raises(Cancelled):
        run_parts(model, run, progress=_stop_at(5))
    moved = tmp_path / "moved.jsonl"
    data.rename(moved)
    with pytest.raises(RedvizError, match="rows.jsonl is no file on this machine"):
        run_parts(model, open_run(run.id))
    again = start_run(open_dataset(moved), moved, model, WANTED, chunk=4)
    assert again.id == run.id and open_run(run.id) == again, "Ray's workers and Resume read it from the disk"
    assert (again.manifest.path, again.manifest.dataset) == (str(moved), "moved.jsonl")
    assert run_parts(model, open_run(run.id)).done == 10


def _stop_at(limit: int):
    def progress(done: int, total: int) -> None:
        if done >= limit:
            raise Cancelled("enough")

    return progress


def test_a_model_is_the_same_from_wherever_its_folder_is_named(data, tmp_path, monkeypatch):
    for name in ("sentiment", "writer"):
        shutil.copytree(EMBEDDED / name, tmp_path / "models" / name)

    def begun(place: str):
        model, policy = redviz.load_reward_model(f"{place}/sentiment"), load_policy(f"{place}/writer")
        partners = Partners(policy=policy)
        return start_run(open_dataset(data), data, model, WANTED, partners=partners, chunk=4), model, partners

    monkeypatch.chdir(tmp_path / "models")
    run, model, partners = begun(".")
    spec, others = specs_of(run.manifest)
    assert (spec.name, others["policy"].name) == ("./sentiment", "./writer"), "as they were named, where that holds"
    with pytest.raises(Cancelled):
        run_parts(model, run, partners=partners, progress=_stop_at(5))

    monkeypatch.chdir(tmp_path)
    for place in ("models", str(tmp_path / "models")):
        again, model, partners = begun(place)
        assert again.id == run.id
    spec, others = specs_of(open_run(run.id).manifest)
    assert (spec.name, others["policy"].name) == tuple(str(tmp_path / "models" / n) for n in ("sentiment", "writer"))
    assert run_parts(model, again, partners=partners).state == "done"
    put_together(again, tmp_path / "out.parquet")
    assert {row["model"] for row in rows(tmp_path / "out.parquet")} == {"./sentiment"}, "one name in all parts"
    assert str(tmp_path).encode() not in pq.read_schema(tmp_path / "out.parquet").metadata[b"redviz"]

    (tmp_path / "models").rename(tmp_path / "elsewhere")
    begun("elsewhere")
    assert specs_of(open_run(run.id).manifest)[0].name == str(tmp_path / "elsewhere" / "sentiment")


def test_counting_tells_how_far_it_is_and_can_be_stopped(model, tmp_path):
    path = tmp_path / "many.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": "p", "response": str(n)}) for n in range(700)))
    seen = []
    run = start_run(open_dataset(path), path, model, WANTED, progress=lambda done, total: seen.append((done, total)))
    assert run.manifest.count == 700 and seen == [(0, 700), (256, 700), (512, 700)]
    with pytest.raises(Cancelled):
        start_run(open_dataset(path, limit=600), path, model, WANTED, progress=_stop_at(256))
    assert list_runs() == [run]


def test_a_job_of_the_app_stops_while_it_counts(model, data, monkeypatch):
    job = Job(1, "Scoring a data set", 0, lambda job: None)

    def opened(*given, **options):
        job.stop.set()
        return open_dataset(*given, **options)

    monkeypatch.setattr(runs_jobs, "open_dataset", opened)
    engine = SimpleNamespace(partners=lambda specs: nullcontext({}))
    source = SimpleNamespace(content=data, name=data.name)
    with pytest.raises(Cancelled):
        runs_jobs._begun(engine, source, {}, None, WANTED, {}, set(), "")(model, job)
    assert list_runs() == [] and job.total == 10


def test_stopped_and_resumed_it_does_nothing_twice(run, model, tmp_path):
    def stop_in_the_second_part(done: int, total: int) -> None:
        if done > 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        run_parts(model, run, progress=stop_in_the_second_part)
    state = open_run(run.id).state()
    assert (state.state, state.done) == ("cancelled", 4)
    first = run.part(0).stat().st_mtime_ns
    assert not run.part(1).exists()
    with pytest.raises(RedvizError, match="Part 1 of run .* is not there yet"):
        put_together(run, tmp_path / "out.parquet")
    calls = model.forwards
    assert run_parts(model, run).state == "done"
    assert run.part(0).stat().st_mtime_ns == first
    again = model.forwards - calls
    assert run_parts(model, run).state == "done"
    assert model.forwards == calls + again, "a finished run asks the model nothing"
    assert "4 of 10 examples are there already" in (run.folder / "log.txt").read_text()


def test_stop_and_the_cancel_file_end_it_too(run, model):
    with pytest.raises(Cancelled):
        run_parts(model, run, stop=lambda: True)
    assert run.state().state == "cancelled"

    def cancelled_by_another(missing, beat):
        open_run(run.id).cancel()
        beat(0)
        raise AssertionError("the beat should have raised")

    with pytest.raises(Cancelled):
        fill(run, cancelled_by_another)
    assert run.state().state == "cancelled"
    assert run_parts(model, run).state == "done", "going on forgets the wish"


def test_a_run_that_waits_is_cancelled_at_once(run):
    assert run.state().state == "queued"
    run.cancel()
    assert run.state().state == "cancelled"


@pytest.mark.parametrize("damage", ["half", "flipped", "empty", "another's"])
def test_a_damaged_part_is_done_again(run, model, data, tmp_path, damage):
    run_parts(model, run)
    put_together(run, tmp_path / "whole.parquet")
    part, kept = run.part(1), run.part(2).stat().st_mtime_ns
    content = part.read_bytes()
    if damage == "another's":
        other = start_run(open_dataset(data), data, model, recipes(["uniform"]), chunk=4)
        run_parts(model, other)
        content = other.part(1).read_bytes()
    broken = {
        "half": content[: len(content) // 2],
        "flipped": content[:200] + bytes([content[200] ^ 255]) + content[201:],
    }
    part.write_bytes(broken.get(damage, content if damage == "another's" else b""))
    assert failed_in(run, 1) is None
    assert run_parts(model, run).state == "done"
    assert failed_in(run, 1) == 0 and run.part(2).stat().st_mtime_ns == kept
    put_together(run, tmp_path / "again.parquet")
    assert rows(tmp_path / "again.parquet") == rows(tmp_path / "whole.parquet")
    assert "part 1 is damaged" in (run.folder / "log.txt").read_text()


def test_what_a_killed_write_left_behind_counts_for_nothing(run, model):
    left = run.folder / "parts" / ".00000.parquet.999999.tmp"
    left.write_bytes(b"PAR1 half")
    assert run_parts(model, run).state == "done"
    assert failed_in(run, 0) == 0 and not left.exists()


HOLD = """
import sys, time
from redviz.runs.runs import open_run
run = open_run(sys.argv[1])
with run.held():
    run.set_state(state="running")
    print("held", flush=True)
    time.sleep(60)
"""


def test_two_processes_never_work_on_one_run_and_a_dead_one_does_not_block_it(run, model):
    other = subprocess.Popen([sys.executable, "-c", HOLD, run.id], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout is not None and other.stdout.readline() == "held\n"
        assert run.state().state == "running"
        with pytest.raises(RedvizError, match=f"is being worked on by process {other.pid}; wait for it or cancel it"):
            run_parts(model, run)
        with pytest.raises(RedvizError, match=f"is being worked on by process {other.pid}"):
            delete_run(run)
        assert create_run(replace(run.manifest, path="/elsewhere/rows.jsonl")) == run, "it is left as it is"
        assert run.state().state == "running" and list_runs() == [run], "the refused one changed nothing"
        kept = (run.folder / "manifest.json").rename(run.folder / "kept")  # as while the other one makes the folder
        with pytest.raises(RedvizError, match=f"is being worked on by process {other.pid}"):
            create_run(run.manifest)
        kept.rename(run.folder / "manifest.json")
        assert run.state().state == "running"
    finally:
        other.send_signal(signal.SIGKILL)
        other.wait()
    state = run.state()
    assert state.state == "failed" and "resume" in state.message
    assert run_parts(model, run).state == "done"
    assert run.state().pid == os.getpid()


def test_a_failed_row_is_there_with_its_error(model, tmp_path):
    def picky(prompt: str, response: str) -> float:
        if "bad" in response:
            raise ValueError("I do not like it")
        return 1.0

    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": "p", "response": r}) for r in ("fine", "bad", "well")))
    chosen = redviz.reward_function(picky)
    run = start_run(open_dataset(path), path, chosen, recipes(["sparse", "abc"]))
    state = run_parts(chosen, run)
    found = rows(run.part(0))
    assert [(row["example_id"], row["label"]) for row in found] == [
        ("1", "sparse"), ("1", "abc"), ("2", None), ("3", "sparse"), ("3", "abc"),
    ]  # fmt: skip
    assert [row["error"] is None for row in found] == [True, False, False, True, False]
    assert found[1]["method"] == "abc" and "looks inside a model" in found[1]["error"] and found[1]["score"] == 1.0
    assert "I do not like it" in found[2]["error"] and found[2]["score"] is None
    assert state.failed == failed_in(run, 0) == 3


def test_an_upload_is_kept_and_can_go_on_without_its_tab(model):
    content = "\n".join(map(json.dumps, LINES)).encode()
    run = start_run(open_dataset(content, "mine.jsonl"), content, model, WANTED)
    later = open_run(run.id)
    assert later.manifest.path == "" and reopened(later).fingerprint == run.manifest.dataset_fingerprint
    assert run_parts(model, later).done == 10


def test_a_changed_data_set_or_model_is_refused(run, model, data):
    with pytest.raises(RedvizError, match="The model is not the one that run"):
        run_parts(redviz.reward_function(another), run)
    data.write_text(data.read_text() + "\n")
    with pytest.raises(RedvizError, match="rows.jsonl has changed since run"):
        run_parts(model, run)
    assert run.state().state == "failed" and "has changed" in run.state().message


def test_a_failure_is_told_by_the_state_and_raised(run):
    def breaks(missing, beat):
        raise OSError("no space left")

    with pytest.raises(OSError):
        fill(run, breaks)
    assert (run.state().state, run.state().message) == ("failed", "OSError: no space left")

    with pytest.raises(RedvizError, match="Part 0 of run .* was not scored"):
        fill(run, lambda missing, beat: ())


def test_the_public_demo_writes_nothing(model, data, home, monkeypatch):
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    with pytest.raises(RedvizError, match="public demo"):
        start_run(open_dataset(data), data, model, WANTED)
    assert not home.exists()


def test_a_deleted_run_is_gone_and_the_same_job_begins_anew(run, model, data):
    run_parts(model, run)
    half = run.folder.with_name(".0123456789abcdef.0.deleted")
    (half / "parts").mkdir(parents=True)
    delete_run(run)
    assert list_runs() == [] and list(run.folder.parent.iterdir()) == [], "what a killed delete left is gone too"
    run.cancel()
    with pytest.raises(RedvizError, match=f"Run {run.id} was deleted"):
        delete_run(run)
    with pytest.raises(RedvizError, match=f"Run {run.id} was deleted"):
        run_parts(model, run)
    assert not run.folder.exists()
    again = start_run(open_dataset(data), data, model, WANTED, chunk=4)
    assert again.id == run.id and again.state().state == "queued"


def test_who_waited_for_a_run_that_is_deleted_does_not_work_on_it(run, monkeypatch):
    def deleted_by_who_held_it(handle: int, kind: int) -> bool:
        monkeypatch.undo()
        run.folder.replace(run.folder.with_name("moved"))
        run.folder.mkdir()
        (run.folder / "lock").touch()
        return True

    monkeypatch.setattr("redviz.runs.lock._taken", deleted_by_who_held_it)
    with pytest.raises(RedvizError, match="was deleted"), run.held():
        raise AssertionError("the lock of another folder was taken for this run's")


@pytest.mark.parametrize("name", ["../../etc", "x" * 16, "", "0123456789abcdef/..", "0" * 16])
def test_a_run_that_is_not_there(name):
    with pytest.raises(RedvizError, match="There is no run"):
        open_run(name)


def test_a_broken_run_folder_does_not_break_the_list(run):
    broken = run.folder.with_name("f" * 16)
    broken.mkdir()
    (broken / "manifest.json").write_text("{")
    assert list_runs() == [run]
    with pytest.raises(RedvizError, match="manifest of run"):
        open_run(broken.name)
    (run.folder / "state.json").write_text("[")
    assert (run.state().state, run.state().total) == ("queued", 10)


def test_nothing_to_score_is_said(run):
    with pytest.raises(RedvizError, match="gives no example"):
        create_run(replace(run.manifest, count=0))
    with pytest.raises(RedvizError, match="The chunk is 0"):
        manifest_of(reopened(run), "", redviz.reward_function(gives_length), WANTED, chunk=0)


def test_a_run_says_how_its_models_are_loaded_again():
    beside = {"policy": {"model": "embedded:writer-dpo", "fingerprint": "f", "dtype": "float32"}}
    manifest = Manifest("d", "d.csv", "0", 1, "owner/model", {}, "main", dtype="bfloat16", head="1-0", partners=beside)
    spec, others = specs_of(manifest)
    assert spec == ModelSpec("owner/model", dtype="bfloat16", revision="main", head="1-0")
    assert others == {"policy": ModelSpec("embedded:writer-dpo", dtype="float32", role="policy")}


def test_the_rate_counts_only_what_this_process_did(run, model):
    with pytest.raises(Cancelled):
        run_parts(model, run, stop=iter([False] * 5 + [True] * 99).__next__)
    before = time.monotonic()
    state = run_parts(model, run)
    assert state.rate >= (10 - 4) / (time.monotonic() - before) * 0.99
