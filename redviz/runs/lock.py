"""A lock that is a file: held by one process at a time, and the kernel's, so that a dead process holds none."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redviz.errors import RedvizError

PATIENCE = 0.5  # seconds to try for a lock that a process which only looks may hold for a moment


@contextmanager
def held(lock: Path, what: str) -> Iterator[None]:
    """Hold a lock alone; ``what`` begins the sentence of a refusal.

    Raises
    ------
    RedvizError
        Where a living process holds it, or its folder was deleted.
    """
    try:
        opened = lock.open("a+")
    except FileNotFoundError:
        raise _deleted(what) from None
    with opened as file:
        until = time.monotonic() + PATIENCE
        while not _taken(file.fileno(), fcntl.LOCK_EX):
            if time.monotonic() > until:
                file.seek(0)
                who = file.read().strip() or "?"
                raise RedvizError(f"{what} is being worked on by process {who}; wait for it or cancel it.")
            time.sleep(0.02)
        if not _is_at(file.fileno(), lock):  # who held it before has moved it away with its folder
            raise _deleted(what)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def is_held(lock: Path) -> bool:
    """Whether a living process holds it."""
    try:
        with lock.open() as file:
            return not _taken(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False


def _taken(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def _deleted(what: str) -> RedvizError:
    return RedvizError(f"{what} was deleted; start it again from its data set.")
