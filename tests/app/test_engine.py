"""The worker and the engine: order, progress, cancelling, caching, models in and out of memory."""

import gc
import threading
import weakref

import numpy as np
import pytest
import tiny
import torch

from redviz.app.engine import Engine
from redviz.app.results import Results
from redviz.app.worker import IDLE, KEPT_RESULTS, LONG, SHORT, Worker
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.models.spec import ModelSpec
from redviz.records import Example

EXAMPLE = Example("Review the film.", "A superb, moving film.\nBut dull.")
WAIT = 120


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return [tiny.save(root / name, name) for name in ("Llama", "GPT2")]


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.close()


@pytest.fixture
def worker():
    made = Worker()
    yield made
    made.close()


def hold(worker):
    """Keep the worker busy until the returned event is set."""
    release, running = threading.Event(), threading.Event()

    def work(job):
        running.set()
        release.wait(WAIT)

    job = worker.submit("holding", work, SHORT)
    assert running.wait(WAIT)
    return release, job


def test_short_jobs_go_ahead_of_long_and_long_of_idle(worker):
    release, _ = hold(worker)
    order = []
    jobs = [
        worker.submit(name, lambda job, n=name: order.append(n), p)
        for name, p in (("idle", IDLE), ("long", LONG), ("short", SHORT))
    ]
    release.set()
    for job in jobs:
        job.wait(WAIT)
    assert order == ["short", "long", "idle"]


def test_a_running_long_job_lets_a_short_one_pass_at_its_next_step(worker):
    order, entered = [], threading.Event()
    step = threading.Event()

    def long(job):
        entered.set()
        step.wait(WAIT)
        job.progress(1, 2)
        order.append("long")

    running = worker.submit("long", long, LONG)
    entered.wait(WAIT)
    short = worker.submit("short", lambda job: order.append("short"), SHORT)
    also_long = worker.submit("also long", lambda job: order.append("also long"), LONG)
    step.set()
    for job in (running, short, also_long):
        job.wait(WAIT)
    assert order == ["short", "long", "also long"]


def test_cancel_reaches_a_running_job_at_its_next_step_and_a_waiting_one_before_it_starts(worker):
    entered, step = threading.Event(), threading.Event()
    reached = []

    def work(job):
        entered.set()
        step.wait(WAIT)
        job.progress(1, 2)
        reached.append("past the cancel")

    running = worker.submit("running", work)
    entered.wait(WAIT)
    waiting = worker.submit("waiting", lambda job: reached.append("waiting ran"))
    running.cancel()
    waiting.cancel()
    step.set()
    for job in (running, waiting):
        with pytest.raises(RedvizError, match="cancelled"):
            job.wait(WAIT)
        assert job.state == "cancelled"
    assert reached == []


def test_the_same_key_while_pending_is_one_job_and_afterwards_a_new_one(worker):
    release, _ = hold(worker)
    first = worker.submit("a", lambda job: 1, key="k")
    assert worker.submit("a", lambda job: 2, key="k") is first
    release.set()
    assert first.wait(WAIT) == 1
    assert worker.submit("a", lambda job: 2, key="k").wait(WAIT) == 2


def test_a_cancelled_job_is_not_handed_to_the_next_asker(worker):
    release, _ = hold(worker)
    first = worker.submit("a", lambda job: 1, key="k")
    first.cancel()
    assert first.state == "cancelled" and first.finished.is_set()  # at once, the worker is still busy
    second = worker.submit("a", lambda job: 2, key="k")
    assert second is not first and worker.submit("a", lambda job: 3, key="k") is second
    release.set()
    assert second.wait(WAIT) == 2


def test_a_cancelled_job_takes_no_other_job_of_its_key_with_it(worker):
    release, _ = hold(worker)
    first = worker.submit("a", lambda job: 1, key="k")
    first.cancel()
    second = worker.submit("a", lambda job: 2, LONG, key="k")
    between = []
    worker.submit("asks", lambda job: between.append(worker.submit("a", lambda job: 3, key="k")), SHORT)
    release.set()
    assert second.wait(WAIT) == 2
    assert between == [second]  # the first was already taken from the queue


def test_only_the_last_jobs_hold_what_they_made(worker):
    made = weakref.ref(first := worker.submit("array", lambda job: np.ones(3)).wait(WAIT))
    jobs = [worker.submit(str(i), lambda job, i=i: i) for i in range(KEPT_RESULTS)]
    assert [job.wait(WAIT) for job in jobs] == list(range(KEPT_RESULTS))
    del first
    gc.collect()
    assert made() is None
    worker.submit("one more", lambda job: 0).wait(WAIT)
    with pytest.raises(RedvizError, match="no longer kept"):
        jobs[0].wait(WAIT)


def test_an_unexpected_error_is_one_sentence_and_the_worker_goes_on(worker):
    job = worker.submit("Scoring", lambda job: 1 / 0)
    with pytest.raises(RedvizError, match=r"Scoring failed inside redviz \(ZeroDivisionError\)"):
        job.wait(WAIT)
    assert worker.submit("next", lambda job: "on").wait(WAIT) == "on"


def test_results_drop_the_least_recently_used_beyond_their_bytes():
    kept = Results(limit=100)
    for name in "ab":
        kept.put(name, name, 50)
    assert kept.get("a") == "a"
    kept.put("c", "c", 50)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == ("a", None, "c")
    kept.drop("a")
    kept.put("d", "d", 50)
    assert kept.get("c") == "c"


def test_sliders_never_run_the_model_again(engine, folders):
    spec = ModelSpec(str(folders[0]), device="cpu")
    assert engine.cached(spec, EXAMPLE, recipes(["red"])) == (None, recipes(["red"]), {})
    engine.observe(spec, EXAMPLE).wait(WAIT)
    passes = engine.runs
    assert passes == 1
    for beta in (0.0, 0.5, 1.0):
        wanted = recipes({"red": {"beta_c": beta}, "abc": {"layer": 1, "heads": [0]}, "sparse": {}, "ig": {"steps": 2}})
        analysis, missing, refused = engine.cached(spec, EXAMPLE, wanted)
        assert set(analysis.credits) == {"red", "abc", "sparse"} and set(missing) == {"ig"} and not refused
        assert abs(analysis.credits["red"].reference - beta * analysis.base) < 1e-6
    engine.observe(spec, EXAMPLE).wait(WAIT)
    assert engine.runs == passes


def test_a_credit_that_needs_the_model_is_kept_and_reports_progress(engine, folders):
    spec = ModelSpec(str(folders[0]), device="cpu")
    wanted = recipes({"ig": {"steps": 4}})
    job = engine.credit(spec, EXAMPLE, "IG", wanted["ig"])
    credit = job.wait(WAIT)
    assert (job.done, job.total) == (4, 4)
    passes = engine.runs
    analysis, missing, _ = engine.cached(spec, EXAMPLE, wanted)
    assert missing == {} and analysis.credits["ig"] is credit
    assert engine.credit(spec, EXAMPLE, "IG", wanted["ig"]).wait(WAIT) is credit
    assert engine.runs == passes


def test_a_method_that_refuses_says_why_and_the_others_are_drawn(engine, folders):
    spec = ModelSpec(str(folders[0]), device="cpu")
    engine.observe(spec, EXAMPLE).wait(WAIT)
    analysis, missing, refused = engine.cached(spec, EXAMPLE, recipes({"red": {}, "abc": {"layer": 40}}))
    assert set(analysis.credits) == {"red"} and not missing
    assert "layers 0 to 2" in refused["abc"]


def test_a_bad_model_fails_its_job_with_the_remedy(engine, tmp_path):
    job = engine.observe(ModelSpec(str(tmp_path), device="cpu"), EXAMPLE)
    with pytest.raises(RedvizError, match=r"no config.json"):
        job.wait(WAIT)
    assert job.state == "failed" and engine.loaded() == []


def test_loading_another_model_releases_the_first_where_both_do_not_fit(folders):
    engine = Engine(memory_limit=1)
    try:
        seen = []
        for folder in folders:
            spec = ModelSpec(str(folder), device="cpu")
            engine.with_model(spec, "look", lambda model, job: seen.append(weakref.ref(model)), key=str(folder)).wait(
                WAIT
            )
            assert [state.spec for state in engine.loaded()] == [spec]
        gc.collect()
        assert seen[0]() is None and seen[1]() is not None
    finally:
        engine.close()


def test_two_models_stay_where_they_fit_and_unload_frees_one(engine, folders):
    specs = [ModelSpec(str(folder), device="cpu") for folder in folders]
    for spec in specs:
        engine.observe(spec, EXAMPLE).wait(WAIT)
    assert [state.spec for state in engine.loaded()] == specs
    passes = engine.runs
    engine.unload(specs[0]).wait(WAIT)
    assert [state.spec for state in engine.loaded()] == specs[1:]
    assert engine.runs == passes  # what has run stays counted


def test_a_model_stays_while_a_job_that_was_overtaken_uses_it(folders):
    engine = Engine(memory_limit=1)
    try:
        one, two = (ModelSpec(str(folder), device="cpu") for folder in folders)
        entered, step = threading.Event(), threading.Event()
        seen = []

        def long(model, job):
            entered.set()
            step.wait(WAIT)
            job.progress(1, 2)  # the other model is loaded and run here
            seen.append([state.spec for state in engine.loaded()])
            model.forwards += 100

        first = engine.with_model(one, "long", long, key="k", priority=LONG)
        assert entered.wait(WAIT)
        second = engine.observe(two, EXAMPLE)
        step.set()
        first.wait(WAIT), second.wait(WAIT)
        engine.worker.submit("after", lambda job: None).wait(WAIT)
        assert seen == [[one, two]]
        assert [state.spec for state in engine.loaded()] == [one]
        assert engine.runs == 101  # also those of the model that had to go
    finally:
        engine.close()


def test_unloading_waits_for_the_jobs_before_it(engine, folders):
    spec = ModelSpec(str(folders[0]), device="cpu")
    engine.observe(spec, EXAMPLE).wait(WAIT)
    release, _ = hold(engine.worker)
    order = []
    long = engine.with_model(spec, "long", lambda model, job: order.append(model.forwards), key="k", priority=LONG)
    unload = engine.unload(spec)
    release.set()
    long.wait(WAIT), unload.wait(WAIT)
    assert order == [1] and engine.loaded() == []  # not loaded anew for the long job


def test_where_memory_runs_out_the_others_go_and_it_is_tried_once_more(engine, folders, monkeypatch):
    from redviz.models.loading import found

    one, two = (ModelSpec(str(folder), device="cpu") for folder in folders)
    engine.observe(one, EXAMPLE).wait(WAIT)
    whole, held = found.pretrained, []

    def full(*args):
        held.append([state.spec for state in engine.loaded()])
        if len(held) == 2 and not always:
            return whole(*args)
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(found, "pretrained", full)
    always = False
    engine.observe(two, EXAMPLE).wait(WAIT)
    assert held == [[one], []]
    always = True
    with pytest.raises(RedvizError, match=r"Memory ran out while .* was loaded on cpu; use"):
        engine.observe(one, EXAMPLE).wait(WAIT)
    assert len(held) == 4


def test_kept_arrays_count_with_their_size(engine, folders):
    spec = ModelSpec(str(folders[0]), device="cpu")
    array = np.zeros(1000, np.float64)
    engine.with_model(spec, "map", lambda model, job: {"rows": [array]}, key="k").wait(WAIT)
    assert engine._results._held == 65536 + 8000


def test_torch_runs_only_in_the_worker(engine, folders, monkeypatch):
    from redviz.models.kinds.reward_model import RewardModel

    threads = []
    run = RewardModel.run
    monkeypatch.setattr(
        RewardModel, "run", lambda self, **k: (threads.append(threading.current_thread().name), run(self, **k))[1]
    )
    spec = ModelSpec(str(folders[0]), device="cpu")
    engine.observe(spec, EXAMPLE).wait(WAIT)
    engine.credit(spec, EXAMPLE, "IG", recipes(["ig"])["ig"]).wait(WAIT)
    engine.cached(spec, EXAMPLE, recipes(["red", "abc", "ig"]))
    assert set(threads) == {"redviz-worker"}
