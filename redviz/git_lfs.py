"""Git LFS pointers: the few lines that a clone without Git LFS leaves in place of a large file."""

from __future__ import annotations

import re
from pathlib import Path

from redviz.errors import RedvizError

LONGEST = 1024  # bytes; the specification keeps pointers shorter
FIRST_LINE = re.compile(rb"(?:\xef\xbb\xbf)?version https?://(?:git-lfs|hawser)\.github\.com/spec/v\d")


def is_pointer(start: bytes) -> bool:
    r"""Whether a file that starts so is a Git LFS pointer.

    >>> is_pointer(b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 134217728\n"), is_pointer(b"PAR1")
    (True, False)
    """
    return FIRST_LINE.match(start) is not None


def refuse_pointer(path: Path, name: str | None = None) -> None:
    """Refuse a file that is a Git LFS pointer; ``name`` is what a person calls it, else its path.

    Raises
    ------
    RedvizError
        Where it is one.
    """
    if not path.is_file() or path.stat().st_size > LONGEST:
        return
    with path.open("rb") as file:
        refuse_start(file.read(LONGEST), name or str(path))


def refuse_start(start: bytes, name: str) -> None:
    """:func:`refuse_pointer` of a file whose first bytes were read already."""
    if is_pointer(start):
        raise RedvizError(
            f"{name} is a Git LFS pointer and not the file that it stands for; run `git lfs pull` in the clone, or download "
            "the file itself."
        )
