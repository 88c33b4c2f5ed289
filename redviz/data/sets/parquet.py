"""The rows of a Parquet file, in batches that are small however much one of its cells holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from redviz.data.sets.arrow_values import BATCH, check_columns, first_line, objects_of
from redviz.errors import RedvizError

if TYPE_CHECKING:
    import pyarrow.parquet as pq

BUDGET = 2**29  # bytes that one batch may take if every row held the largest value of its row group
MAX_RATIO = 300
FREE = 256 * 2**20
FREE_VALUES, MAX_VALUES = 2**20, 1_000  # entries that the lists of a row group may have: a run of nulls takes no space
MAGIC = b"PAR1"


def parquet_rows(
    open_file: Callable[[], BinaryIO], size: int, name: str, wanted: Collection[str]
) -> tuple[int, Callable[[], Iterator[tuple[int, Any]]], tuple[str, ...]]:
    """How many rows the file has, a function that reads their ``wanted`` columns, numbered from 1, and all its columns.

    Raises
    ------
    RedvizError
        If it is not Parquet, cut off, damaged, too wide, too deep, or far larger inside than out.
    """
    with open_file() as file:
        opened = _opened(file, size, name)
        count, columns = opened.metadata.num_rows, tuple(opened.schema_arrow.names)

    def read() -> Iterator[tuple[int, Any]]:
        with open_file() as file:
            yield from _rows(_opened(file, size, name), [column for column in columns if column in wanted], name)

    return count, read, columns


def _opened(file: BinaryIO, size: int, name: str) -> pq.ParquetFile:
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = file.read(4)
    file.seek(max(0, size - 4))
    end = file.read(4)
    file.seek(0)
    if start != MAGIC:
        raise RedvizError(f"{name} is not a Parquet file (it does not start with PAR1); name it by what it is.")
    if end != MAGIC or size < 12:
        raise RedvizError(f"{name} is a Parquet file that was cut off (its end is missing); fetch it again.")
    try:
        opened = pq.ParquetFile(file, thrift_string_size_limit=64 * 2**20, thrift_container_size_limit=10**6)
        columns = opened.schema_arrow
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        raise RedvizError(f"{name} is a damaged Parquet file ({first_line(error)}); fetch it again.") from None
    check_columns(columns, name)
    groups = [opened.metadata.row_group(n) for n in range(opened.metadata.num_row_groups)]
    if sum(group.total_byte_size for group in groups) > max(FREE, MAX_RATIO * size):
        raise RedvizError(
            f"{name} holds more than {MAX_RATIO} times its size, which no text does; check what it holds."
        )
    return opened


def _rows(opened: pq.ParquetFile, columns: list[str], name: str) -> Iterator[tuple[int, Any]]:
    import pyarrow as pa

    number = 0
    for group in range(opened.metadata.num_row_groups):
        size = _batch_size(opened.metadata.row_group(group), columns, name)
        try:
            for batch in opened.iter_batches(size, row_groups=[group], columns=columns, use_threads=False):
                for row in objects_of(batch):
                    number += 1
                    yield number, row
        except (pa.ArrowException, OSError) as error:
            raise RedvizError(
                f"{name} is damaged after row {number:,} ({first_line(error)}); fetch it again."
            ) from None


def _batch_size(group: pq.RowGroupMetaData, columns: list[str], name: str) -> int:
    """Rows per batch. A dictionary can repeat one huge value in every row, so the largest chunk is taken for one cell."""
    chunks = [group.column(n) for n in range(group.num_columns)]
    chunks = [chunk for chunk in chunks if chunk.path_in_schema.partition(".")[0] in columns]
    if any(chunk.num_values > FREE_VALUES + MAX_VALUES * group.num_rows for chunk in chunks):
        raise RedvizError(
            f"{name} has lists of more than {MAX_VALUES:,} entries in every row; keep columns of text or messages."
        )
    largest = max((chunk.total_uncompressed_size for chunk in chunks if chunk.has_dictionary_page), default=0)
    return max(1, min(BATCH, BUDGET // max(1, largest)))
