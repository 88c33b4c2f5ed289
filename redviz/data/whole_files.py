"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

Written = TypeVar("Written")


def replace_file(path: Path, write: Callable[[Path], Written], sync: bool = True) -> Written:
    """Write a file under a temporary name and rename it: a reader sees the old content or the new, never a part of it.

    Gives what ``write`` gives. The temporary name is no other thread's, process's or machine's on a shared folder; of several
    writers the last one stands.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex}.tmp")
    try:
        written = write(temporary)
        if sync:
            _sync(temporary)
        temporary.replace(path)
        if sync:
            with suppress(OSError):  # a folder that one may write to and not read
                _sync(path.absolute().parent)  # else the new name may not outlast a power cut
        return written
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder; only for one that nobody else writes to."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
