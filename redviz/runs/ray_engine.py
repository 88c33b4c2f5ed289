"""Runs on many machines: the parts of a run that are missing, scored by Ray Data on a pool of actors.

The run folder is the one of the local runner, so a run begun here can be finished there and the other way round. On a cluster of
several machines REDVIZ_HOME, the data set and a model given as a folder must be on a file system that all of them share, under the
same paths, and redviz must be installed on each. A worker writes its part itself and sends back its number and how many rows failed.
"""

from __future__ import annotations

import logging
import os
import queue
import socket
import threading
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

from redviz.batches import check_batch_size
from redviz.credit.ingredients import Progress
from redviz.errors import Cancelled, RedvizError
from redviz.runs.filling import end_attempts, fill
from redviz.runs.ray_worker import STOPPED, PartWorker
from redviz.runs.runs import Run, State
from redviz.settings import PACKAGE, home

CPU_SHARE = 4  # cores of a worker on a machine without a GPU
STORE = 128 * 2**20  # bytes of a local object store: only part numbers travel
RETRIES = 3  # deaths of its worker that a part survives: one that kills every worker must not go round for ever
RESTARTS = 5  # of a worker: one that dies while it loads the model must not go round for ever either
BLOCKS = 1024  # units that Ray schedules
LOOK_EVERY = 0.2  # seconds between two looks for a wish to stop while workers work
STOP_WITHIN = 30.0  # seconds to wait for workers that were asked to stop
SEEN_WITHIN = 90.0  # seconds until a part that another machine wrote is seen here: network file systems look late

MISSING = (
    "Ray is not installed; install it with: pip install 'redviz[ray]' (in a checkout: pip install -r requirements-ray.txt), "
    'or use the engine "local".'
)


def check_ray() -> None:
    """RedvizError where Ray is not installed."""
    try:
        import ray.data  # noqa: F401
    except ImportError:
        raise RedvizError(MISSING) from None


def run_parts_on_ray(
    run: Run,
    *,
    loading: Mapping[str, Any] | None = None,
    workers: int | None = None,
    batch_size: int | str = "auto",
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
) -> State:
    """Score the parts of a run that are not there yet, on the cluster that ``RAY_ADDRESS`` names, else on a local one.

    Parameters
    ----------
    run
        Its folder, which every worker must see under the same path.
    loading
        What of the models' specs the manifest does not know: ``device``, ``trust_remote_code``, ``allow_pickle``.
    workers
        By default one per GPU, and without GPUs one per four cores.
    batch_size, progress, stop
        As :func:`redviz.runs.local.run_parts` takes them; ``progress`` counts finished parts.

    Returns
    -------
    State
        Done.

    Raises
    ------
    Cancelled
        Where it was stopped; workers stop at their next micro-batch.
    RedvizError
        Where Ray is not installed or not reached, where another process works on the run, where a worker cannot see the run
        folder, or loads another model than the run began with, or fails.
    """
    check_batch_size(batch_size)
    if workers is not None and workers < 1:
        raise RedvizError(f"{workers} workers were asked for; give at least 1.")
    check_ray()
    how = (run.id, str(home().absolute()), loading or {}, batch_size)

    def scored(missing: Collection[int], beat: Callable[[int], None]) -> Iterator[tuple[int, int]]:
        run.set_state(message=f"On Ray: counted by whole parts of {run.manifest.chunk} responses.")
        with _cluster(run):
            yield from _finished(run, sorted(missing), how, workers, beat)
        _wait_until_seen(run, missing, beat)

    return fill(run, scored, progress=progress, stop=stop)


@contextmanager
def _cluster(run: Run) -> Iterator[None]:
    """A connection to Ray; one that was there before is left as it is."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # else its C++ side writes through the bar
    import ray

    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    address = os.environ.get("RAY_ADDRESS")
    try:
        if address:
            _knock(address)
            ray.init(address, **quiet)
        else:
            path = os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH")]))
            ray.init(
                "local",
                num_cpus=len(os.sched_getaffinity(0)),
                object_store_memory=STORE,
                include_dashboard=False,
                runtime_env={"env_vars": {"PYTHONPATH": path}},
                **quiet,
            )
    except (ray.exceptions.RayError, RuntimeError, ValueError, OSError) as error:
        where = f"The Ray cluster at {address}" if address else "A local Ray cluster"
        remedy = 'use the engine "local"'
        if address:
            remedy = (
                "check RAY_ADDRESS, set RAY_AUTH_MODE=token where it asks for one, or unset both to use this machine"
            )
        raise RedvizError(f"{where} could not be reached ({_first_line(error)}); {remedy}.") from None
    run.log(f"Ray {ray.__version__} at {address or 'this machine'}")
    try:
        yield
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """OSError where nobody listens: Ray itself would try for minutes. Only host:port can be tried."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _finished(
    run: Run, missing: list[int], how: tuple[Any, ...], workers: int | None, beat: Callable[[int], None]
) -> Iterator[tuple[int, int]]:
    """Number and failed rows of parts as workers finish them. Ray waits in a thread, so that a wish to stop is heard at once.

    In a cluster that stays, workers may outlive this: they look for their attempt's file, which is not there for them again.
    """
    attempt = run.folder / f"attempt-{uuid4().hex}"
    attempt.touch()
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    waits = threading.Thread(target=_consume, args=(run, missing, (*how, attempt.name), workers, told), daemon=True)
    waits.start()
    try:
        while True:
            try:
                got = told.get(timeout=LOOK_EVERY)
            except queue.Empty:
                beat(0)
                continue
            if got is None:
                return
            if isinstance(got, BaseException):
                raise got
            yield got
    finally:
        end_attempts(run)  # the workers look for it between micro-batches
        waits.join(timeout=STOP_WITHIN)


def _wait_until_seen(run: Run, missing: Collection[int], beat: Callable[[int], None]) -> None:
    until = time.monotonic() + SEEN_WITHIN
    while unseen := [number for number in sorted(missing) if not run.part(number).exists()]:
        if time.monotonic() > until:
            raise RedvizError(
                f"A worker wrote part {unseen[0]} of run {run.id}, but {run.part(unseen[0]).parent} here does not have it; "
                "put REDVIZ_HOME on a file system that all machines share."
            )
        beat(0)
        time.sleep(LOOK_EVERY)


def _consume(
    run: Run, missing: list[int], how: tuple[Any, ...], workers: int | None, told: queue.SimpleQueue[Any]
) -> None:
    """Let Ray Data work; tell every part, then None, or what went wrong."""
    import ray

    try:
        for row in _dataset(missing, how, workers).iter_rows():
            if row["refusal"]:
                told.put((Cancelled if row["refusal"] == STOPPED else RedvizError)(row["refusal"]))
                return
            told.put((int(row["number"]), int(row["failed"])))
        told.put(None)
    except ray.exceptions.RayError as error:
        run.log(f"Ray: {error}")
        told.put(
            RedvizError(f"A worker failed ({_first_line(error)}); the run's log says more, finished parts are kept.")
        )
    except Exception as error:  # a thread's error is nobody's unless it is handed over
        told.put(error)


def _dataset(missing: list[int], how: tuple[Any, ...], workers: int | None) -> Any:
    import ray

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    there = ray.cluster_resources()
    gpus, cpus = int(there.get("GPU", 0)), there.get("CPU", 1.0)
    on_gpu = gpus > 0 and how[2].device.partition(":")[0] in ("auto", "cuda")
    count = min(workers or (gpus if on_gpu else max(1, int(cpus // CPU_SHARE))), len(missing))
    share: dict[str, Any] = (
        {"num_gpus": min(1.0, gpus / count)} if on_gpu else {"num_cpus": min(float(CPU_SHARE), cpus / count)}
    )
    if share.get("num_cpus", 0) > 1:
        share["num_cpus"] = float(int(share["num_cpus"]))
    numbers = ray.data.from_items([{"number": n} for n in missing], override_num_blocks=min(len(missing), BLOCKS))
    numbers.context.enable_progress_bars = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Ray 2.60 has no other way to bound what it redoes
        return numbers.map_batches(
            PartWorker,
            batch_size=1,
            fn_constructor_args=how,
            compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=1),
            max_restarts=RESTARTS,
            max_task_retries=RETRIES,
            **share,
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200].rstrip(".")
