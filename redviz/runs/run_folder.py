"""A run as a folder ``REDVIZ_HOME/<place>/<run id>``: held by one process, opened by its id, listed, deleted."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar
from uuid import uuid4

from redviz.errors import RedvizError
from redviz.runs.lock import held, is_held
from redviz.settings import demo_mode, home


@dataclass(frozen=True)
class RunFolder:
    """A run folder. Any process may read it; only the one that holds its lock writes.

    A kind of run says where its folders stand, what it is called in a sentence, and which file says what is run.
    """

    folder: Path

    place: ClassVar[str]
    called: ClassVar[str]
    told_in: ClassVar[str]

    @property
    def id(self) -> str:
        return self.folder.name

    @property
    def is_held(self) -> bool:
        """Whether a living process works on it."""
        return is_held(self.folder / "lock")

    def held(self) -> AbstractContextManager[None]:
        """Hold the run alone.

        Raises
        ------
        RedvizError
            Where a living process holds it, or it was deleted.
        """
        return held(self.folder / "lock", f"{self.called.capitalize()} {self.id}")


R = TypeVar("R", bound=RunFolder)


def refuse_in_demo() -> None:
    """A public server writes nothing."""
    if demo_mode():
        raise RedvizError(
            "This is a public demo, which writes nothing to disk; run redviz on your own machine for data sets."
        )


@contextmanager
def written(run: RunFolder) -> Iterator[None]:
    """What goes wrong while a new folder is written, as one sentence."""
    try:
        yield
    except OSError as error:
        raise RedvizError(
            f"The {run.called} could not be written to {run.folder} ({error.strerror}); set REDVIZ_HOME to a folder of yours."
        ) from None


def folder_of(kind: type[RunFolder], run_id: str) -> Path:
    """The folder of a run by its id; RedvizError where there is none."""
    folder = home() / kind.place / run_id
    if not re.fullmatch(r"[0-9a-f]{16}", run_id) or not folder.is_dir():
        raise RedvizError(f"There is no {kind.called} {run_id[:40]!r} in {folder.parent}; look at the list of runs.")
    return folder


def newest_first(kind: type[R], opened: Callable[[str], R]) -> list[R]:
    """All runs of a kind that can be read, the newest first."""
    dated = []
    for folder in (home() / kind.place).glob("*/"):
        with suppress(RedvizError, FileNotFoundError):  # deleted while we look
            dated.append(((folder / kind.told_in).stat().st_mtime, opened(folder.name)))
    return [run for _, run in sorted(dated, key=lambda each: each[0], reverse=True)]


def delete_run(run: RunFolder) -> None:
    """Remove a run and all it holds: moved away at once, so that it is there whole or not at all, then taken off the disk.

    Raises
    ------
    RedvizError
        On a public server, where a living process works on it, where it is gone already, or where it cannot be moved.
    """
    refuse_in_demo()
    try:
        with run.held():
            run.folder.replace(run.folder.with_name(f".{run.id}.{uuid4().hex}.deleted"))
    except OSError as error:
        raise RedvizError(
            f"{run.called.capitalize()} {run.id} could not be deleted ({error.strerror}); "
            f"check who may write to {run.folder.parent}."
        ) from None
    for moved in run.folder.parent.glob(".*.deleted"):  # those too that a killed process left half removed
        shutil.rmtree(moved, ignore_errors=True)
