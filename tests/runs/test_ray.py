"""The Ray engine: the local runner's rows in the local runner's folder, whichever worker dies and whoever began."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from threading import Event

import psutil
import pyarrow.parquet as pq
import pytest

import redviz
from redviz.credit.recipes import recipes
from redviz.data.sets.dataset import open_dataset
from redviz.errors import Cancelled, RedvizError
from redviz.runs import ray_engine
from redviz.runs.local import run_parts, start_run
from redviz.runs.parts import put_together
from redviz.runs.ray_engine import check_ray, run_parts_on_ray
from redviz.runs.ray_worker import PartWorker
from redviz.runs.runs import Run

WANTED = recipes(["red", "abc"])
COUNT = 150


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def model():
    return redviz.load_reward_model("embedded:sentiment")


@pytest.fixture(scope="module")
def cluster(needed):
    """Two cores for all tests of this file; the tests that ask for it are slow, since only `make test-slow` installs Ray."""
    ray = needed("ray")
    needed("ray.data")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    root = str(Path(redviz.__file__).parent.parent)
    ray.init(
        "local",
        num_cpus=2,
        object_store_memory=100 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}},
    )
    yield
    ray.shutdown()


def job(folder: Path, model, count: int = COUNT, wanted=WANTED) -> Run:
    """A run of 15 parts over made-up rows; another folder is another run of the same rows."""
    path = folder / "rows.jsonl"
    path.parent.mkdir(exist_ok=True)
    lines = (
        {
            "id": f"row{n}",
            "prompt": "How was the film?",
            "response": "It was " + "very " * (7 * n % 23) + ("good" if n % 3 else "dull") + ".",
            "subset": "ab"[n % 2],
        }
        for n in range(count)
    )
    path.write_text("\n".join(map(json.dumps, lines)))
    return start_run(open_dataset(path), path, model, wanted, chunk=10)


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def assert_same_rows(given: list[dict], wanted: list[dict]) -> None:
    """The same order and fields; floats within 1e-5, relative to the largest of their list."""
    assert len(given) == len(wanted)
    for one, other in zip(given, wanted, strict=True):
        assert one.keys() == other.keys()
        for name in other:
            assert_same(one[name], other[name], f"{other['response_id']}/{other['label']}: {name}")


def assert_same(given, wanted, name: str) -> None:
    if name.endswith(": meta") and wanted is not None:
        given, wanted = json.loads(given), json.loads(wanted)
        assert given.keys() == wanted.keys(), name
        for key in wanted:
            assert_same(given[key], wanted[key], f"{name}.{key}")
    elif isinstance(wanted, list) and wanted and isinstance(wanted[0], float):
        assert given == pytest.approx(wanted, rel=1e-5, abs=1e-5 * max(map(abs, wanted))), name
    elif isinstance(wanted, float):
        assert given == pytest.approx(wanted, rel=1e-5, abs=1e-6), name
    else:
        assert given == wanted, name


def by_local(model, run: Run, folder: Path, monkeypatch) -> list[dict]:
    """The rows of the same job from the local runner, in a home of its own."""
    with monkeypatch.context() as patch:
        patch.setenv("REDVIZ_HOME", str(folder / "other-home"))
        path = Path(run.manifest.path)
        other = start_run(open_dataset(path), path, model, WANTED, chunk=run.manifest.chunk)
        assert other.id == run.id and other.folder != run.folder
        run_parts(model, other)
        put_together(other, folder / "local.parquet")
    return rows(folder / "local.parquet")


def workers_of_ray() -> list[psutil.Process]:
    """The processes in which parts are scored."""
    found = []
    for process in psutil.Process().children(recursive=True):
        try:
            if re.search(r"PartWorker", " ".join(process.cmdline())):
                found.append(process)
        except psutil.Error:
            pass
    return found


def parts_of(run: Run) -> int:
    return len(list((run.folder / "parts").glob("*.parquet")))


@pytest.mark.slow
def test_workers_write_the_parts_and_nobody_writes_them_again(cluster, model, tmp_path, monkeypatch):
    def not_here(*given) -> None:
        raise AssertionError("a part was written by the driver")

    run = job(tmp_path, model, count=20)
    with monkeypatch.context() as patch:
        patch.setattr("redviz.runs.parts._write", not_here)
        state = run_parts_on_ray(run, workers=1, loading={"device": "cpu"})
    assert (state.state, state.done, state.failed) == ("done", 20, 0)
    put_together(run, tmp_path / "ray.parquet")
    assert_same_rows(rows(tmp_path / "ray.parquet"), by_local(model, run, tmp_path, monkeypatch))


@pytest.mark.slow
def test_a_killed_worker_costs_no_row(cluster, model, tmp_path, monkeypatch):
    run = job(tmp_path, model)
    killed = []

    def kill_one(done: int, total: int) -> None:
        if not killed and parts_of(run) >= 3:  # the files, since Ray tells of them later on a busy machine
            killed.append(workers_of_ray()[0])
            os.kill(killed[0].pid, signal.SIGKILL)

    state = run_parts_on_ray(run, workers=2, loading={"device": "cpu"}, progress=kill_one)
    assert killed, "nobody was killed"
    assert (state.state, state.done, state.failed) == ("done", COUNT, 0)
    put_together(run, tmp_path / "ray.parquet")
    assert_same_rows(rows(tmp_path / "ray.parquet"), by_local(model, run, tmp_path, monkeypatch))


@pytest.mark.slow
def test_a_run_passes_from_one_engine_to_the_other_and_back(cluster, model, tmp_path, monkeypatch):
    def stop_at(limit: int):
        def progress(done: int, total: int) -> None:
            if done >= limit:
                raise Cancelled("enough")

        return progress

    run = job(tmp_path, model, count=80)
    with pytest.raises(Cancelled):
        run_parts(model, run, progress=stop_at(20))
    first = run.part(0).stat().st_mtime_ns
    with pytest.raises(Cancelled):
        run_parts_on_ray(run, workers=1, progress=stop_at(40))
    assert run.state().state == "cancelled" and 40 <= run.state().done < 80
    written = {path.name: path.stat().st_mtime_ns for path in (run.folder / "parts").iterdir()}
    assert run_parts(model, run).state == "done"
    assert run.part(0).stat().st_mtime_ns == first
    assert {name: (run.folder / "parts" / name).stat().st_mtime_ns for name in written} == written
    put_together(run, tmp_path / "both.parquet")
    assert_same_rows(rows(tmp_path / "both.parquet"), by_local(model, run, tmp_path, monkeypatch))


@pytest.mark.slow
def test_a_cancelled_run_stops_and_the_next_finishes_it(cluster, model, tmp_path):
    run = job(tmp_path, model)

    def cancel_once(done: int, total: int) -> None:
        if parts_of(run) and not run.is_cancelled():
            run.cancel()

    with pytest.raises(Cancelled):
        run_parts_on_ray(run, workers=1, progress=cancel_once)
    assert run.state().state == "cancelled"
    assert run_parts_on_ray(run, workers=1).state == "done"
    assert run_parts_on_ray(run).done == COUNT, "a finished run asks no cluster"


@pytest.mark.slow
def test_what_a_worker_refuses_is_one_sentence(cluster, model, tmp_path):
    run = job(tmp_path, model, count=20)
    path = Path(run.manifest.path)
    path.write_text(path.read_text() + "\n")
    with pytest.raises(RedvizError, match=r"rows.jsonl has changed since run"):
        run_parts_on_ray(run, workers=1)
    assert run.state().state == "failed" and "has changed" in run.state().message


def test_a_worker_that_cannot_see_the_run_folder_says_so(tmp_path):
    worker = PartWorker("0" * 16, str(tmp_path / "elsewhere"), {}, "auto")
    answer = worker({"number": [0]})
    assert answer["number"] == [0]
    assert "cannot see the run folder" in answer["refusal"][0] and "share" in answer["refusal"][0]


def test_a_worker_does_a_part_once_and_takes_up_what_another_left(model, tmp_path):
    run = job(tmp_path, model, count=40)
    worker = PartWorker(run.id, os.environ["REDVIZ_HOME"], {"device": "cpu"}, "auto")
    for number in (2, 0, 3, 1):  # forwards, back, forwards
        assert worker({"number": [number]}) == {"number": [number], "failed": [0], "refusal": [""]}
    written = run.part(2).stat().st_mtime_ns
    assert worker({"number": [2]}) == {"number": [2], "failed": [0], "refusal": [""]}
    assert run.part(2).stat().st_mtime_ns == written
    assert put_together(run, tmp_path / "out.parquet") == 80
    (run.folder / "cancel").touch()
    run.part(0).unlink()
    assert worker({"number": [0]})["refusal"] == ["The run was cancelled."] and not run.part(0).exists()


def test_a_worker_stops_when_its_attempt_is_over_and_the_next_one_takes_no_wish_back(model, tmp_path):
    run = job(tmp_path, model, count=30)
    attempt = run.folder / "attempt-1"
    attempt.touch()
    worker = PartWorker(run.id, os.environ["REDVIZ_HOME"], {"device": "cpu"}, "auto", attempt.name)
    assert worker({"number": [0]})["refusal"] == [""]
    assert run_parts(model, run).state == "done" and not run.is_cancelled()
    run.part(1).unlink()
    assert worker({"number": [1]})["refusal"] == ["The run was cancelled."] and not run.part(1).exists()


def test_a_stopped_attempt_is_over_for_workers_that_ray_keeps_alive(model, tmp_path, monkeypatch):
    run, seen = job(tmp_path, model, count=30), []

    def consume(run: Run, missing: list[int], how: tuple, workers: int | None, told) -> None:
        seen.append((run.folder / how[-1], (run.folder / how[-1]).is_file()))
        over.wait(60)

    def stop(ready: int) -> None:
        raise Cancelled("enough")

    over = Event()
    monkeypatch.setattr(ray_engine, "_consume", consume)
    monkeypatch.setattr(ray_engine, "STOP_WITHIN", 0.0)
    with pytest.raises(Cancelled):
        list(ray_engine._finished(run, [0, 1, 2], (run.id, "", {}, "auto"), 1, stop))
    ((attempt, was_there),) = seen
    assert was_there and not attempt.exists()
    over.set()


def test_make_installs_ray_before_the_slow_tests():
    root = Path(redviz.__file__).parent.parent
    told = subprocess.run(
        ["make", "-n", "-W", "requirements-ray.txt", "test-slow"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert 0 < told.index("-r requirements-ray.txt") < told.index("pytest -m")


def test_what_is_not_installed_fails_in_ci_and_skips_elsewhere(needed, monkeypatch):
    assert needed("json", "dumps").dumps([]) == "[]"
    for said, missing in (("true", pytest.fail.Exception), ("", pytest.skip.Exception)):
        monkeypatch.setenv("CI", said)
        for module, name in (("no_such_module.inside", ""), ("json", "no_such_name")):
            with pytest.raises((pytest.fail.Exception, pytest.skip.Exception), match=f"no {module}.* requir") as told:
                needed(module, name)
            assert told.type is missing


def test_a_worker_tells_how_many_rows_failed_when_it_scores_a_part_and_when_it_finds_it(model, tmp_path):
    run = job(tmp_path, model, count=10, wanted=recipes(["red", "dpo"]))
    for _ in range(2):
        worker = PartWorker(run.id, os.environ["REDVIZ_HOME"], {"device": "cpu"}, "auto")
        assert worker({"number": [0]}) == {"number": [0], "failed": [10], "refusal": [""]}


def test_a_part_that_only_the_worker_sees_is_no_finished_part(model, tmp_path, monkeypatch):
    run = job(tmp_path, model, count=10)
    monkeypatch.setattr(ray_engine, "SEEN_WITHIN", 0.0)
    with pytest.raises(RedvizError, match="put REDVIZ_HOME on a file system that all machines share"):
        ray_engine._wait_until_seen(run, {0}, lambda ready: None)
    run_parts(model, run)
    ray_engine._wait_until_seen(run, {0}, lambda ready: None)


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_refused_at_once(needed, model, tmp_path, monkeypatch):
    ray = needed("ray")
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # held, and nobody listens
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(RedvizError, match="could not be reached .*; check RAY_ADDRESS"):
            run_parts_on_ray(job(tmp_path, model, count=10))


def test_without_ray_it_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(RedvizError, match=r"requirements-ray\.txt"):
        check_ray()


def test_the_engine_is_imported_without_ray():
    code = "import sys, redviz.runs.ray_engine; print('ray' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_no_workers_are_no_answer(model, tmp_path):
    with pytest.raises(RedvizError, match="0 workers"):
        run_parts_on_ray(job(tmp_path, model, count=10), workers=0)
