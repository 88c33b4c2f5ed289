"""Result rows in and out of files as a stream: Parquet, JSONL and CSV of any size, a batch of rows in memory at a time."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from redviz.data.results.rows import Rows, schema, without_formulas
from redviz.data.sets.schemas import quoted
from redviz.data.whole_files import replace_file
from redviz.errors import RedvizError
from redviz.git_lfs import refuse_pointer

AT_ONCE = 1024  # rows in memory
GROUP = 8192  # rows of a row group: what a reader of Parquet fetches at least
LONGEST_CELL = 2**28
DISARMED = re.compile(r"'+[=+\-@\t\r]")  # an apostrophe before what a spreadsheet would run
NEEDED = ("response", "label", "credits")
NUMBERS = ("score", "base", "closing", "truncated", "reading_column", "total", "reference", "residual")
MAY_BE_NULL = (
    "label",
    "method",
    "options",
    "meta",
    "error",
    "subset",
    "template",
)  # texts: an empty cell of CSV means null in these


def read_rows(path: Path) -> Iterator[Rows]:
    """Batches of rows of a result file, as plain Python, in file order.

    Raises
    ------
    RedvizError
        Where the ending is not ``.parquet``, ``.jsonl`` or ``.csv``, or the content is a Git LFS pointer or no result rows.
    """
    read = _of_ending(path, READERS)
    try:
        refuse_pointer(path)
        yield from read(path)
    except OSError as error:
        said = error.strerror or str(error).splitlines()[0]
        raise RedvizError(f"{path} cannot be read ({said}); check the path and that the file is whole.") from None
    except UnicodeDecodeError:
        raise RedvizError(f"{path} is not UTF-8; export it again with redviz.") from None


def write_rows(path: Path, batches: Iterable[Rows], provenance: Mapping[str, str] | None = None) -> int:
    """Write rows under a temporary name of this call alone, and rename it once the disk has them; gives their number.

    Parameters
    ----------
    path
        Its ending is the format: ``.parquet``, ``.jsonl`` or ``.csv`` (lists as JSON text, formulas disarmed).
    batches
        Rows with the columns of :func:`schema`; what is missing is null.
    provenance
        Goes into the schema metadata of a Parquet file; the other two tell it in their rows only.
    """
    write = _of_ending(path, WRITERS)
    try:
        return replace_file(path, lambda file: write(file, batches, dict(provenance or {})))
    except OSError as error:
        raise RedvizError(f"{path} could not be written ({error.strerror or error}); give another path.") from None


def check_can_write(path: Path) -> None:
    """Refuse an output that would fail only after hours: a strange ending, or a folder that is not there."""
    _of_ending(path, WRITERS)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise RedvizError(f"{path} cannot be written: its folder is not there, or it is a folder; give another path.")
    if not os.access(path.absolute().parent, os.W_OK):
        raise RedvizError(f"{path} cannot be written: its folder is read-only; give another path.")


def provenance_of(path: Path) -> dict[str, str]:
    """What the schema metadata of a Parquet file says about it; nothing for the other formats."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix.lower() != ".parquet":
        return {}
    try:
        found = pq.read_schema(path).metadata or {}
        return {
            key.decode(): value.decode() for key, value in found.items() if not key.startswith((b"ARROW:", b"pandas"))
        }
    except (OSError, pa.ArrowException, UnicodeDecodeError):
        return {}


def _batches(rows: Iterator[Any]) -> Iterator[list[Any]]:
    while batch := list(islice(rows, AT_ONCE)):
        yield batch


def _of_ending(path: Path, table: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    if (chosen := table.get(path.suffix.lower())) is None:
        raise RedvizError(f"{path.name} has an ending that result rows are not kept in; use one of {', '.join(table)}.")
    return chosen


def _read_parquet(path: Path) -> Iterator[Rows]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(path, file.schema_arrow.names)
            known = [field for field in schema() if field.name in file.schema_arrow.names]
            for batch in file.iter_batches(AT_ONCE, columns=[field.name for field in known]):
                yield batch.select([field.name for field in known]).cast(pa.schema(known)).to_pylist()
    except pa.ArrowException as error:
        raise RedvizError(
            f"{path.name} holds no result rows ({_first_line(error)}); give a file that redviz wrote."
        ) from None


def _read_jsonl(path: Path) -> Iterator[Rows]:
    import pyarrow as pa

    with path.open(encoding="utf-8", newline="\n") as file:
        for numbered in _batches(((n, line) for n, line in enumerate(file, 1) if line.strip())):
            rows = []
            for number, line in numbered:
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise RedvizError(f"{path.name}, line {number}, is not JSON; is it a whole result file?") from None
                _check_columns(path, row if isinstance(row, dict) else ())
                rows.append(row)
            try:
                yield pa.Table.from_pylist(rows, schema=schema()).to_pylist()
            except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
                where = f"{path.name}, lines {numbered[0][0]} to {numbered[-1][0]}"
                raise RedvizError(
                    f"{where}: not result rows ({_first_line(error)}); give a file that redviz wrote."
                ) from None


def _read_csv(path: Path) -> Iterator[Rows]:
    import pyarrow as pa

    types = {field.name: field.type for field in schema()}
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            _check_columns(path, reader.fieldnames or ())
            for cells in _batches(reader):
                yield [{name: _value(row.get(name), name, types[name]) for name in types} for row in cells]
        except (csv.Error, ValueError, RecursionError, pa.ArrowException) as error:
            raise RedvizError(
                f"{path.name}, near line {reader.line_num}, is no result row ({_first_line(error)}); give a CSV that redviz wrote."
            ) from None


def _value(cell: str | None, name: str, kind: Any) -> Any:
    """A cell of CSV as the value that was written."""
    import pyarrow as pa

    if cell is None or (cell == "" and (name in MAY_BE_NULL or kind != pa.string())):
        return None
    if kind == pa.string():
        return cell[1:] if DISARMED.match(cell) else cell
    return json.loads(cell)


def _write_parquet(path: Path, batches: Iterable[Rows], provenance: Mapping[str, str]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = schema(provenance)
    count, held = 0, []
    with pq.ParquetWriter(path, types, compression="zstd", write_page_checksum=True) as writer:
        for rows in batches:
            held.append(pa.Table.from_pylist(rows, schema=types))
            count += len(rows)
            if sum(len(table) for table in held) >= GROUP:
                writer.write_table(pa.concat_tables(held))
                held = []
        if held:
            writer.write_table(pa.concat_tables(held))
    return count


def _write_jsonl(path: Path, batches: Iterable[Rows], provenance: Mapping[str, str]) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for rows in batches:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            count += len(rows)
    return count


def _write_csv(path: Path, batches: Iterable[Rows], provenance: Mapping[str, str]) -> int:
    import pandas as pd

    names, count = schema().names, 0
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerow(names)
        for rows in batches:
            table = {name: [row.get(name) for row in rows] for name in names}
            texts = {name: [_text(cell) for cell in cells] for name, cells in table.items() if name not in NUMBERS}
            table |= without_formulas(pd.DataFrame(texts)).to_dict("list")
            csv.writer(file).writerows(zip(*table.values(), strict=True))
            count += len(rows)
    return count


def _text(value: Any) -> str:
    if isinstance(value, list):
        return json.dumps(value, ensure_ascii=False)
    return "'" + value if value and DISARMED.match(value) else value or ""  # reading takes one off again


def _check_columns(path: Path, names: Iterable[str]) -> None:
    if missing := [name for name in NEEDED if name not in names]:
        raise RedvizError(
            f"{path.name} lacks the columns {quoted(missing)} of result rows; give a file that redviz score or the app wrote."
        )


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")


READERS: dict[str, Callable[[Path], Iterator[Rows]]] = {
    ".parquet": _read_parquet,
    ".jsonl": _read_jsonl,
    ".csv": _read_csv,
}
WRITERS: dict[str, Callable[..., int]] = {".parquet": _write_parquet, ".jsonl": _write_jsonl, ".csv": _write_csv}
