"""What a result file is opened by: its footers, checked against the schema, and an index of the small keys of its rows."""

from __future__ import annotations

import atexit
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from redviz.data.results.rows import SCHEMA_VERSION, schema
from redviz.errors import RedvizError
from redviz.git_lfs import LONGEST, refuse_start
from redviz.settings import demo_mode, home

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

KEYS = (
    *("row", "example_id", "response_id", "subset", "label", "method", "score", "base", "closing", "total", "residual"),
    *("length", "truncated", "largest", "margin", "paired", "failed"),
)
INDEX_VERSION = 2
KEPT_INDEXES = 24
DAY = 86_400  # seconds
MOST_FOOTER = 256 * 2**20  # bytes of Parquet metadata
LATER_COLUMNS = ("meta", "subset", "template")  # files of this schema_version may lack them
MEMORY = "512MB"

_one_build = Lock()


@dataclass(frozen=True)
class Footers:
    """What the metadata of the files says."""

    counts: tuple[int, ...]  # rows of each file
    columns: tuple[str, ...]
    digest: str


def read_footers(files: Sequence[Path]) -> Footers:
    """Read the metadata of every file and check that they are result files of this version with the same columns."""
    counts: list[int] = []
    columns: tuple[str, ...] | None = None
    digest = hashlib.sha256()
    for file in files:
        name = shown_name(file)
        footer, found, count = _footer(file, name)
        digest.update(footer)
        own = _checked_columns(found, name)
        if columns is not None and own != columns:
            raise RedvizError(
                f"{name} has other columns than the files beside it; put the results of one run in a folder."
            )
        columns = own
        counts.append(count)
    return Footers(tuple(counts), columns or (), digest.hexdigest())


def _footer(file: Path, name: str) -> tuple[bytes, pa.Schema, int]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not file.is_file():
        raise RedvizError(f"{name} is not a file; name a Parquet file of results.")
    try:
        with file.open("rb") as opened:
            refuse_start(opened.read(LONGEST), name)
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - 8))
            tail = opened.read(8)
            length = int.from_bytes(tail[:4], "little")
            if tail[4:] != b"PAR1" or not 0 < length <= min(MOST_FOOTER, size - 12):
                raise RedvizError(f"{name} is not a whole Parquet file; write it again with redviz score or export.")
            opened.seek(size - 8 - length)
            footer = opened.read(length)
        metadata = pq.read_metadata(file)
        return footer, metadata.schema.to_arrow_schema(), metadata.num_rows
    except (OSError, pa.ArrowException) as error:  # what Arrow cannot read is an OSError without a number
        if isinstance(error, OSError) and error.strerror:
            raise RedvizError(f"{name} cannot be read ({error.strerror}); check its path and permissions.") from None
        raise RedvizError(
            f"{name} is damaged ({_first_line(error)}); write it again with redviz score or export."
        ) from None


def _checked_columns(in_file: pa.Schema, name: str) -> tuple[str, ...]:
    version = (in_file.metadata or {}).get(b"schema_version", b"").decode("utf-8", "replace")[:20]
    if not version:
        raise RedvizError(f"{name} is Parquet but no result file of redviz; open it as a data set.")
    if version != SCHEMA_VERSION:
        raise RedvizError(
            f"{name} has schema_version {version!r}, and this redviz reads {SCHEMA_VERSION!r}; write it again with redviz score."
        )
    if doubled := [column for column in in_file.names if in_file.names.count(column) > 1]:
        raise RedvizError(f"{name} has the column {doubled[0]!r} twice; write it again with redviz score or export.")
    present = []
    for field in schema():
        if field.name in in_file.names:
            if _kind(in_file.field(field.name).type) != _kind(field.type):
                kind = str(in_file.field(field.name).type)[:60]
                raise RedvizError(
                    f"{name} has {field.name} as {kind}, expected {field.type}; write it again with redviz score or export."
                )
            present.append(field.name)
        elif field.name not in LATER_COLUMNS:
            raise RedvizError(f"{name} has no column {field.name!r}; write it again with redviz score or export.")
    return tuple(present)


_TEXTS = ("string", "large_string", "string_view")


def _kind(given: Any) -> str:
    """A type as DuckDB sees it: large and plain texts and lists are the same, whatever their items are called."""
    text = str(given)
    if text in _TEXTS:
        return "text"
    return f"list of {_kind(given.value_type)}" if text.startswith(("list<", "large_list<")) else text


def built_index(
    name: str, files: Sequence[Path], starts: Sequence[int], total: int, columns: Sequence[str], fingerprint: str
) -> Path:
    """The path of the index of keys, built if it is not there: a Parquet file of one line per row."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        folder = cache_folder() / "results"
        folder.mkdir(parents=True, exist_ok=True)
        index = folder / f"{fingerprint}-{INDEX_VERSION}.parquet"
        with _one_build:
            try:
                if pq.read_metadata(index).num_rows == total:
                    os.utime(index)
                    return index
            except (OSError, pa.ArrowException):
                pass  # not there, or cut short by a full disk: build it
            handle, partial = tempfile.mkstemp(suffix=".partial", dir=folder)
            os.close(handle)
            try:
                _write_index(name, files, starts, columns, Path(partial))
                os.replace(partial, index)
            finally:
                Path(partial).unlink(missing_ok=True)
            _drop_old(folder)
    except OSError as error:
        raise RedvizError(
            f"The index of {name} cannot be written ({error.strerror}); free disk space or set REDVIZ_HOME to a folder you may write."
        ) from None
    return index


def _write_index(name: str, files: Sequence[Path], starts: Sequence[int], columns: Sequence[str], target: Path) -> None:
    known = [column for column in KEYS if column in columns and column not in ("score", "base", "closing", "subset")]
    subset = "subset" if "subset" in columns else "NULL::VARCHAR"
    # What is no finite number has no place in an order or a histogram: NULL, which comes last.
    reals = [f"CASE WHEN isfinite({real}) THEN {real} END AS {real}" for real in ("score", "base", "closing")]
    with cursor(name) as duck:
        duck.execute(
            "COPY (WITH keys AS (SELECT list_extract(?, (file_index + 1)::BIGINT) + file_row_number AS row, "
            f"{', '.join([*known, *reals])}, {subset} AS subset, len(token_ids) AS length, "
            "greatest(list_max(credits), -list_min(credits)) AS peak, "
            "CASE WHEN isfinite(peak) THEN peak END AS largest, error IS NOT NULL AS failed "
            "FROM read_parquet(?, file_row_number = true, hive_partitioning = false)), "
            "sides AS (SELECT example_id, score, regexp_extract(response_id, '^(chosen|rejected)(-[0-9]+)?$', 1) AS side "
            "FROM keys WHERE example_id IS NOT NULL), "
            # Of several chosen or rejected responses (best of n) the lowest and the highest decide.
            "pairs AS (SELECT example_id, CASE WHEN bool_and(score IS NOT NULL) THEN min(score) FILTER (side = 'chosen') "
            "- max(score) FILTER (side = 'rejected') END AS margin, "
            "bool_or(side = 'chosen') AND bool_or(side = 'rejected') AS paired "
            "FROM sides WHERE side != '' GROUP BY example_id) "
            "SELECT keys.* EXCLUDE (peak), margin, coalesce(paired, false) AS paired "
            "FROM keys LEFT JOIN pairs USING (example_id) ORDER BY row) TO ? (FORMAT parquet)",
            [list(starts), [escaped(file) for file in files], str(target)],
        )


def _drop_old(folder: Path) -> None:
    """Keep the latest indexes, and nothing of a build that was killed a day ago; another process may be at it too."""
    with suppress(OSError):
        kept = sorted(folder.glob("*.parquet"), key=lambda file: file.stat().st_mtime, reverse=True)
        left = [file for file in folder.glob("*.partial") if file.stat().st_mtime < time.time() - DAY]
        for file in kept[KEPT_INDEXES:] + left:
            file.unlink(missing_ok=True)


def cache_folder() -> Path:
    """``REDVIZ_HOME/cache``; on a public server, where visitors leave nothing behind, a folder that goes with the process."""
    return Path(_passing_folder().name) if demo_mode() else home() / "cache"


@lru_cache(maxsize=1)
def _passing_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="redviz-")


@lru_cache(maxsize=4)
def _database(temporary: str) -> tuple[duckdb.DuckDBPyConnection, Lock]:
    """One database in memory for the process, so that all files and sessions together stay within one limit."""
    try:
        import duckdb
    except ImportError:
        raise RedvizError(
            "Result files are read with DuckDB, which is not installed: pip install 'redviz[app]'."
        ) from None
    settings: dict[str, Any] = {
        "memory_limit": MEMORY,
        "threads": 2,
        "temp_directory": temporary,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    atexit.register(_database.cache_clear)  # DuckDB complains of what is still open when Python ends
    return duckdb.connect(":memory:", config=settings), Lock()


@contextmanager
def cursor(name: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection of one's own to the process's database; what DuckDB finds wrong becomes one sentence about the file."""
    database, lock = _database(str(cache_folder() / "duckdb"))
    import duckdb

    with lock:
        own = database.cursor()
    try:
        yield own
    except duckdb.OutOfMemoryException:
        raise RedvizError(
            f"{name} needs more than the {MEMORY} kept for reading it; ask for fewer rows or write it in smaller row groups."
        ) from None
    except duckdb.Error as error:
        raise RedvizError(
            f"{name} cannot be read ({_first_line(error)}); write it again with redviz score or export."
        ) from None
    finally:
        own.close()


def escaped(path: Path) -> str:
    """A path as DuckDB reads it: a star, a question mark or a bracket in a name is itself, not a pattern."""
    text = str(path)
    if not any(sign in text for sign in "*?["):
        return text
    if "\\" in text:
        raise RedvizError(f"{shown_name(path)} has a backslash and a pattern sign in its path; rename it.")
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)


def shown_name(path: Path) -> str:
    """A file's name as it may stand in a sentence."""
    return _printable(path.name[:120] or str(path)[:120])


def _first_line(error: Exception) -> str:
    return _printable((str(error).strip().splitlines() or [type(error).__name__])[0][:200].rstrip("."))


def _printable(text: str) -> str:
    """What does not print is written as an escape."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)
