"""Browse Parquet result files of any size: sort and filter a small index of keys, then fetch only the rows of one page.

DuckDB reads under a memory limit shared by the whole process. Values are bound parameters; column names come from this module alone.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.data.results.result_filters import ANY_ROW, Where, conditions, rows_with_text
from redviz.data.results.result_index import KEYS, built_index, cursor, escaped, read_footers, shown_name
from redviz.errors import RedvizError
from redviz.records import Array

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

MOST_ROWS = 5_000  # of one page
MOST_BINS = 1_000
REMEMBERED_SEARCHES = 8
NUMBERS = ("score", "base", "closing", "total", "residual", "length", "truncated", "largest", "margin")
CHOICES = ("label", "method", "subset", "response_id")


@dataclass(frozen=True)
class Histogram:
    """Counts between edges; the last bin includes its upper edge. ``missing`` rows have no such number."""

    edges: Array  # [bins + 1] float64
    counts: Array  # [bins] int64
    missing: int


@dataclass(frozen=True)
class ResultFile:
    """An opened result file (or a folder of parts), made by :func:`open_results`. Every call may come from any thread.

    Attributes
    ----------
    name
        Its name, safe to show.
    files, starts
        The files it consists of, and the number of the first row of each.
    total
        Rows in all.
    columns
        Columns that its rows have: those of :func:`redviz.data.results.rows.schema`; older files lack some.
    fingerprint
        Hash of size, time of change and Parquet metadata.
    """

    name: str
    files: tuple[Path, ...]
    starts: tuple[int, ...]
    total: int
    columns: tuple[str, ...]
    fingerprint: str
    stamps: tuple[tuple[int, int], ...] = field(repr=False)  # size and time of change of each file when it was opened
    index: Path = field(repr=False)
    _searches: OrderedDict[str, Array] = field(default_factory=OrderedDict, repr=False, compare=False)
    _lock: Any = field(default_factory=Lock, repr=False, compare=False)

    def count(self, where: Where = ANY_ROW) -> int:
        """How many rows match."""
        with self._reading() as duck:
            condition, values = self._condition(duck, where)
            found = duck.execute(f"SELECT count(*) FROM read_parquet(?) WHERE {condition}", values)
            return int(found.fetchall()[0][0])

    def page(
        self,
        where: Where = ANY_ROW,
        order: str = "row",
        descending: bool = False,
        offset: int = 0,
        limit: int = 50,
        columns: Sequence[str] | None = None,
    ) -> list[dict[str, Any]]:
        """The rows of one page.

        Parameters
        ----------
        order
            "row" (file order) or another key of the index: ``KEYS`` lists them. Equal keys keep file order; rows without that key
            come last either way.
        offset, limit
            The first row of the page and how many; at most ``MOST_ROWS``.
        columns
            Columns to fetch from the file beside the keys; all of them if None, ``()`` for the keys alone.

        Returns
        -------
        list
            One dict per row: its keys ("row" is its number in the file) and its columns.

        Raises
        ------
        RedvizError
            For an unknown key or column, numbers out of range, a file that changed or is damaged.
        """
        if order not in KEYS:
            raise RedvizError(f"Rows cannot be ordered by {order!r}; use one of {', '.join(KEYS)}.")
        if offset < 0 or not 1 <= limit <= MOST_ROWS:
            raise RedvizError(
                f"A page of {limit} rows from {offset} is out of range; ask for 1 to {MOST_ROWS} from 0 on."
            )
        wanted = [name for name in self.columns if name not in KEYS] if columns is None else list(columns)
        if unknown := [name for name in wanted if name not in self.columns]:
            raise RedvizError(f"{self.name} has no column {unknown[0]!r}; it has {', '.join(self.columns)}.")
        way = "DESC" if descending else "ASC"
        with self._reading() as duck:
            condition, values = self._condition(duck, where)
            keys = _dicts(
                duck.execute(
                    f"SELECT {', '.join(KEYS)} FROM read_parquet(?) WHERE {condition} "
                    f"ORDER BY {order} {way} NULLS LAST, row LIMIT ? OFFSET ?",
                    [*values, limit, offset],
                )
            )
            return self._with_columns(duck, keys, wanted)

    def row(self, number: int) -> dict[str, Any]:
        """One row by its number in the file, from 0."""
        if not 0 <= number < self.total:
            raise RedvizError(f"{self.name} has no row {number}; its rows are 0 to {self.total - 1}.")
        with self._reading() as duck:
            key = _dicts(
                duck.execute(
                    f"SELECT {', '.join(KEYS)} FROM read_parquet(?) WHERE row = ?", [escaped(self.index), number]
                )
            )
            return self._with_columns(duck, key, [name for name in self.columns if name not in KEYS])[0]

    def histogram(self, column: str, bins: int = 40, where: Where = ANY_ROW) -> Histogram:
        """Counts of one of the index's numbers in bins of equal width between its least and its largest value."""
        if column not in NUMBERS:
            raise RedvizError(f"There is no histogram of {column!r}; use one of {', '.join(NUMBERS)}.")
        if not 1 <= bins <= MOST_BINS:
            raise RedvizError(f"A histogram of {bins} bins is out of range; ask for 1 to {MOST_BINS}.")
        with self._reading() as duck:
            condition, values = self._condition(duck, where)
            found = duck.execute(f"SELECT {column}::DOUBLE AS x FROM read_parquet(?) WHERE {condition}", values)
            given = np.ma.filled(found.fetchnumpy()["x"], np.nan)  # [row]: 8 bytes for each of a million is little
        known = given[np.isfinite(given)]
        counts, edges = np.histogram(known, bins)
        return Histogram(edges, counts, len(given) - len(known))

    def choices(self, column: str, most: int = 200) -> dict[str, int]:
        """The values of ``label``, ``method``, ``subset`` or ``response_id`` and their rows, the most frequent first."""
        if column not in CHOICES:
            raise RedvizError(f"There is no list of values of {column!r}; use one of {', '.join(CHOICES)}.")
        with self._reading() as duck:
            return dict(
                duck.execute(
                    f"SELECT {column}, count(*) AS n FROM read_parquet(?) WHERE {column} IS NOT NULL "
                    f"GROUP BY {column} ORDER BY n DESC, {column} LIMIT ?",
                    [escaped(self.index), most],
                ).fetchall()
            )

    def responses(self, where: Where = ANY_ROW) -> pd.DataFrame:
        """One line per response instead of per label: what :func:`.pairs_of_frame` reads, in file order."""
        with self._reading() as duck:
            condition, values = self._condition(duck, where)
            return duck.execute(
                "SELECT min(row) AS row, example_id, response_id, arg_min(score, row) AS score, "
                "arg_min(length, row) AS length, arg_min(subset, row) AS subset, arg_min(margin, row) AS margin "
                f"FROM read_parquet(?) WHERE {condition} GROUP BY example_id, response_id ORDER BY min(row)",
                values,
            ).df()

    @contextmanager
    def _reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        if _stamps(self.files) != self.stamps:
            raise RedvizError(f"{self.name} was changed since it was opened; open it again.")
        if not self.index.exists():  # others were opened since, and only the latest indexes are kept
            built_index(self.name, self.files, self.starts, self.total, self.columns, self.fingerprint)
        with cursor(self.name) as duck:
            yield duck

    def _condition(self, duck: duckdb.DuckDBPyConnection, where: Where) -> tuple[str, list[Any]]:
        """What follows WHERE, and the bound values, the index's path first."""
        parts, values = conditions(where)
        if where.text:
            import pyarrow as pa

            duck.register("found_rows", pa.table({"found": self._found(duck, where.text)}))
            parts.append("row IN (SELECT found FROM found_rows)")
        return " AND ".join(parts), [escaped(self.index), *values]

    def _found(self, duck: duckdb.DuckDBPyConnection, text: str) -> Array:
        """The rows that contain the text; the latest searches are remembered, since a page and its count ask for the same."""
        with self._lock:
            if text in self._searches:
                self._searches.move_to_end(text)
                return self._searches[text]
        rows = rows_with_text(duck, self.files, self.starts, text)  # [matching]
        with self._lock:
            self._searches[text] = rows
            while len(self._searches) > REMEMBERED_SEARCHES:
                self._searches.popitem(last=False)
        return rows

    def _with_columns(
        self, duck: duckdb.DuckDBPyConnection, keys: list[dict[str, Any]], columns: Sequence[str]
    ) -> list[dict[str, Any]]:
        """The keys with the columns of their rows, from the row groups that hold them and no others."""
        if not columns:
            return keys
        rows = np.array([key["row"] for key in keys], np.int64)  # [page]
        part = np.searchsorted(self.starts, rows, side="right") - 1  # [page]
        names = ", ".join(f'"{name}"' for name in columns)  # each is in self.columns, which the schema bounds
        fetched: dict[int, dict[str, Any]] = {}
        for number in np.unique(part):
            start = self.starts[number]
            relation = duck.execute(
                f"SELECT file_row_number AS place, {names} "
                "FROM read_parquet(?, file_row_number = true, hive_partitioning = false) "
                "WHERE file_row_number IN (SELECT unnest(?))",
                [escaped(self.files[number]), (rows[part == number] - start).tolist()],
            )
            fetched |= {start + values.pop("place"): values for values in _dicts(relation)}
        if len(fetched) < len(keys):
            raise RedvizError(f"{self.name} is damaged (rows are missing); write it again with redviz score or export.")
        return [key | fetched[key["row"]] for key in keys]


def open_results(path: str | Path) -> ResultFile:
    """Open a result file, or a folder of such files, by its metadata and an index of its keys.

    The index is built on the first opening by one pass over the small columns, and kept in ``REDVIZ_HOME/cache``.

    Raises
    ------
    RedvizError
        If it is not there, no Parquet, damaged, or has another schema or ``schema_version``.

    Examples
    --------
    >>> import tempfile
    >>> import pyarrow.parquet as pq
    >>> from redviz.data.results.rows import schema
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pq.write_table(schema().empty_table(), f"{folder}/scores.parquet")
    ...     results = open_results(f"{folder}/scores.parquet")
    ...     results.page(Where(labels=("red",)), order="score", descending=True), results.count()
    ([], 0)
    """
    given = Path(path).expanduser().absolute()
    name = shown_name(given)
    files = tuple(sorted(given.glob("*.parquet"))) if given.is_dir() else (given,)
    if not files:
        raise RedvizError(f"{name} is a folder without .parquet files; name a result file or the folder of its parts.")
    stamps = _stamps(files)
    footers = read_footers(files)
    starts = np.concatenate([[0], np.cumsum(footers.counts)]).tolist()
    text = repr((footers.digest, stamps, [file.name for file in files]))
    fingerprint = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    index = built_index(name, files, starts[:-1], starts[-1], footers.columns, fingerprint)
    return ResultFile(name, files, tuple(starts[:-1]), starts[-1], footers.columns, fingerprint, stamps, index)


def _stamps(files: Sequence[Path]) -> tuple[tuple[int, int], ...]:
    try:
        found = [file.stat() for file in files]
    except OSError as error:
        name = shown_name(Path(error.filename or files[0]))
        raise RedvizError(f"{name} cannot be opened ({error.strerror}); check its path and permissions.") from None
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in found)


def _dicts(found: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    names = [column[0] for column in found.description or ()]
    return [dict(zip(names, values, strict=True)) for values in found.fetchall()]
