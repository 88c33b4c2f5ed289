"""The rows of an Arrow file, which ``datasets`` writes: batch after batch, so that a file larger than memory is read as a stream."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from redviz.data.sets.arrow_values import BATCH, check_columns, first_line, objects_of
from redviz.errors import RedvizError

if TYPE_CHECKING:
    import pyarrow as pa

MAGIC = b"ARROW1"  # the file format; a stream, which datasets writes, has none


def arrow_rows(
    open_file: Callable[[], BinaryIO], name: str, wanted: Collection[str], counted: bool
) -> tuple[int | None, Callable[[], Iterator[tuple[int, Any]]], tuple[str, ...]]:
    """How many rows the file has, a function that reads their ``wanted`` columns, numbered from 1, and all its columns.

    Raises
    ------
    RedvizError
        If it is not Arrow, cut off, damaged, too wide or too deep.
    """
    with open_file() as file:
        columns = _batches(file, name)[0]
    count = sum(batch.num_rows for batch in _each(open_file, name)) if counted else None

    def read() -> Iterator[tuple[int, Any]]:
        number = 0
        kept = [column for column in columns if column in wanted]
        for batch in _each(open_file, name):
            chosen = batch.select(kept)
            for start in range(0, batch.num_rows, BATCH):
                for row in objects_of(chosen.slice(start, BATCH)):
                    number += 1
                    yield number, row

    return count, read, columns


def _each(open_file: Callable[[], BinaryIO], name: str) -> Iterator[pa.RecordBatch]:
    with open_file() as file:
        yield from _batches(file, name)[1]


def _batches(file: BinaryIO, name: str) -> tuple[tuple[str, ...], Iterator[pa.RecordBatch]]:
    import pyarrow as pa

    start = file.read(len(MAGIC))
    file.seek(0)
    try:
        if start == MAGIC:
            whole = pa.ipc.open_file(file)
            schema, batches = whole.schema, (whole.get_batch(n) for n in range(whole.num_record_batches))
        else:
            stream = pa.ipc.open_stream(file)
            schema, batches = stream.schema, iter(stream)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RedvizError(f"{name} is not an Arrow file ({first_line(error)}); fetch or save it again.") from None
    check_columns(schema, name)

    def each() -> Iterator[pa.RecordBatch]:
        n = 0
        try:
            for batch in batches:
                n += batch.num_rows
                yield batch
        except (pa.ArrowException, OSError) as error:
            raise RedvizError(
                f"{name} is damaged after row {n:,} ({first_line(error)}); fetch or save it again."
            ) from None

    return tuple(schema.names), each()
