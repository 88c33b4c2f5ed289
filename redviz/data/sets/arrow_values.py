"""Values of Arrow, which Parquet and ``datasets`` share, as the plain rows that were written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from redviz.data.sets.schema import MAX_COLUMNS
from redviz.data.sets.values import BadValue, parsed
from redviz.errors import RedvizError

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 512
MAX_DEPTH = 32
CALLS = ("tool_calls", "function_call", "tools")


def check_columns(columns: pa.Schema, name: str) -> None:
    """Refuse too many columns, and columns that nest too deep."""
    if len(columns) > MAX_COLUMNS:
        raise RedvizError(
            f"{name} has {len(columns):,} columns, more than the {MAX_COLUMNS:,} read here; keep those with text."
        )
    if any(_depth(field.type) > MAX_DEPTH for field in columns):
        raise RedvizError(
            f"{name} nests its columns more than {MAX_DEPTH} deep; keep columns of text, messages or lists."
        )


def objects_of(batch: pa.RecordBatch) -> Iterator[Any]:
    """The rows of a batch as plain Python; one that cannot be read is a ``BadValue`` among them."""
    special = {field.name: field.type for field in batch.schema if _is_special(field.name, field.type)}
    for row in _plain(batch):
        if special and isinstance(row, dict):
            row |= {name: _as_written(row[name], kind, name in CALLS) for name, kind in special.items()}
        yield row


def _plain(batch: pa.RecordBatch) -> Iterator[Any]:
    try:
        yield from batch.to_pylist()
    except (ValueError, OverflowError, RecursionError):  # text that is not UTF-8, or a date beyond Python's
        for n in range(batch.num_rows):
            try:
                yield from batch.slice(n, 1).to_pylist()
            except (ValueError, OverflowError, RecursionError) as error:
                yield BadValue(f"a value that cannot be read ({first_line(error)})")


def _is_special(name: str, kind: pa.DataType) -> bool:
    """Whether a column holds JSON that ``datasets`` keeps as text, or calls of functions, whose keys differ by row."""
    import pyarrow as pa

    waiting = [(name, kind)]
    while waiting:
        name, kind = waiting.pop()
        if name in CALLS or isinstance(kind, pa.JsonType):
            return True
        waiting += [(kind.field(n).name, kind.field(n).type) for n in range(kind.num_fields)]
    return False


def _as_written(value: Any, kind: pa.DataType, call: bool) -> Any:
    """A value as it was before Arrow: JSON parsed, and no null for a key that only the calls of other rows have."""
    import pyarrow as pa

    if isinstance(kind, pa.JsonType):
        found = parsed(value) if isinstance(value, str) else value
        return value if isinstance(found, BadValue) else found
    if isinstance(value, list):
        return [_as_written(entry, kind.field(0).type, call) for entry in value]
    if isinstance(value, dict):
        types = {kind.field(n).name: kind.field(n).type for n in range(kind.num_fields)}
        written = {name: _as_written(entry, types[name], call or name in CALLS) for name, entry in value.items()}
        return {name: entry for name, entry in written.items() if not (call and entry is None)}
    return value


def _depth(kind: pa.DataType) -> int:
    """How deep a type nests, walked without recursion."""
    deepest, waiting = 0, [(kind, 1)]
    while waiting:
        kind, depth = waiting.pop()
        deepest = max(deepest, depth)
        if depth <= MAX_DEPTH:
            waiting += [(kind.field(n).type, depth + 1) for n in range(kind.num_fields)]
    return deepest


def first_line(error: BaseException) -> str:
    """What an error of Arrow says, short enough for a sentence."""
    return (str(error).splitlines() or [type(error).__name__])[0][:120].rstrip(".")
