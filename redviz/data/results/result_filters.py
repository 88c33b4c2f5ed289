"""Which rows of a result file a person asks for, as SQL conditions over its index with bound values."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.data.results.result_index import escaped
from redviz.errors import RedvizError
from redviz.records import Array

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Where:
    """Which rows: every condition that is given must hold.

    Attributes
    ----------
    text
        Part of the response or of a message of the prompt, in upper or lower case alike.
    score
        Least and largest score, inclusive; None leaves that end open. Rows without a score are left out.
    labels, subsets, examples
        One of these method labels, subsets, ``example_id``.
    errors_only
        Only rows with an error.
    pairs_only
        Only rows of examples that have a chosen and a rejected response.
    """

    text: str = ""
    score: tuple[float | None, float | None] = (None, None)
    labels: tuple[str, ...] = ()
    subsets: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    errors_only: bool = False
    pairs_only: bool = False


ANY_ROW = Where()


def conditions(where: Where) -> tuple[list[str], list[Any]]:
    """The conditions on the keys, to be joined by AND, and their bound values; the text is left to :func:`rows_with_text`."""
    parts: list[str] = ["TRUE"]
    values: list[Any] = []
    for bound, sign in zip(where.score, (">=", "<="), strict=True):
        if bound is None:
            continue
        if math.isnan(bound):
            raise RedvizError("A bound of the score is not a number; give one, or leave it open.")
        parts.append(f"score {sign} ?")
        values.append(float(bound))
    for column, chosen in (("label", where.labels), ("subset", where.subsets), ("example_id", where.examples)):
        if chosen:
            parts.append(f"{column} IN (SELECT unnest(?))")
            values.append(list(chosen))
    parts += ["failed"] if where.errors_only else []
    parts += ["paired"] if where.pairs_only else []
    return parts, values


def rows_with_text(duck: duckdb.DuckDBPyConnection, files: Sequence[Path], starts: Sequence[int], text: str) -> Array:
    """Numbers of the rows whose prompt or response contains the text, ``[matching]``: a scan of these two columns alone."""
    # The prompt is JSON: a quick look at its text as it is written, then at its messages alone ("role" is no content).
    written = json.dumps(text, ensure_ascii=False)[1:-1]
    contents = "array_to_string(TRY(json_extract_string(prompt, '$[*].content')), chr(10))"
    matching = duck.execute(
        "SELECT list_extract(?, (file_index + 1)::BIGINT) + file_row_number AS row "
        "FROM read_parquet(?, file_row_number = true, hive_partitioning = false) "
        "WHERE contains(lower(response), lower(?)) "
        f"OR (contains(lower(prompt), lower(?)) AND contains(lower({contents}), lower(?)))",
        [list(starts), [escaped(path) for path in files], text, written, text],
    )
    return np.asarray(matching.fetchnumpy()["row"], np.int64)
