"""Files that a command reads and writes; what goes wrong is one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

from redviz.errors import RedvizError


def read_text(path: Path) -> str:
    """A UTF-8 text file, or stdin for "-", without the line break that ends its last line."""
    try:
        raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise RedvizError(f"{path} is not UTF-8 text; save it in that encoding.") from None
    except OSError as error:
        raise RedvizError(f"{path} could not be read ({error.strerror}); check the path.") from None
    return text.removesuffix("\n").removesuffix("\r")


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RedvizError(f"{path} could not be written ({error.strerror}); give another path.") from None
