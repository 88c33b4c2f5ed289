"""A result file of a million rows: does it open, sort, filter and page without being loaded?

The file is synthetic but in the true schema (`redviz/data/results/rows.py`): pairs, two method labels, 72 tokens a row with ids, offsets,
prefix scores and credits; more than 1 GB, written a row group at a time into a temporary folder that is deleted at the end. Writing
runs in a process of its own, so that the peak memory printed is that of a process that only reads. Target: below 2 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WORDS = np.array(
    ["the", "film", "is", "long", "warm", "bright", "dull", "slow", "kind", "plain", "sharp", "calm", "odd", "neat"]
)
RARE = "a needle in the hay"


def write(path: Path, count: int, tokens: int, group: int) -> None:
    """Rows 0 .. count - 1: row i is label i % 2 of response (i // 2) % 2 of example i // 4."""
    from redviz.data.results.rows import schema

    random = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema()) as writer:
        for first in range(0, count, group):
            writer.write_table(_group(schema(), np.arange(first, min(first + group, count)), tokens, random))


def _group(schema: pa.Schema, index: np.ndarray, tokens: int, random: np.random.Generator) -> pa.Table:
    rows, example, role = len(index), index // 4, index // 2 % 2
    chosen = random.integers(0, len(WORDS), (rows, tokens))  # [row, token]
    words = WORDS[chosen]  # [row, token]
    steps = random.standard_normal((rows, tokens)).astype(np.float32)  # [row, token]
    prefix = np.concatenate([np.zeros((rows, 1), np.float32), steps.cumsum(1)], axis=1)  # [row, token + 1]
    responses = [" ".join(line) for line in words]
    responses[0] += f" {RARE}"
    ends = np.cumsum(np.char.str_len(words) + 1, axis=1)  # [row, token]
    offsets = np.stack([np.concatenate([np.zeros((rows, 1), int), ends[:, :-1]], axis=1), ends - 1], axis=2)
    pairs = pa.ListArray.from_arrays(_steps(rows * tokens, 2), pa.array(offsets.ravel().astype(np.int32)))
    score = prefix[:, -1].astype(np.float64)
    constant = {
        "closing": 0.0,
        "unit": "token",
        "truncated": 0,
        "model": "benchmark",
        "reading_column": tokens + 8,
        "redviz_version": "0",
        "read": "model",
        "options": "{}",
        "meta": "{}",
        "reference": 0.0,
        "residual": 0.0,
        "base": 0.0,
        "dtype": "float32",
    }
    columns: dict[str, object] = {
        "example_id": [str(n) for n in example],
        "response_id": np.where(role == 0, "chosen", "rejected"),
        "prompt": [json.dumps([{"role": "user", "content": f"Question {n}: how was it?"}]) for n in example],
        "response": responses,
        "score": score,
        "total": score,
        "tokens": _lists(pa.array(WORDS).take(pa.array(chosen.ravel())), rows, tokens),
        "token_ids": _lists(pa.array(random.integers(0, 32000, rows * tokens)), rows, tokens),
        "offsets": _lists(pairs, rows, tokens),
        "prefix_scores": _lists(pa.array(prefix.ravel()), rows, tokens + 1),
        "credits": _lists(pa.array(steps.ravel()), rows, tokens),
        "label": np.where(index % 2 == 0, "red", "abc"),
        "method": np.where(index % 2 == 0, "red", "abc"),
    }
    arrays = []
    for field in schema:
        given = columns.get(field.name, [constant.get(field.name)] * rows)
        arrays.append(given if isinstance(given, pa.Array) else pa.array(given, field.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _lists(values: pa.Array, rows: int, width: int) -> pa.ListArray:
    return pa.ListArray.from_arrays(_steps(rows, width), values)


def _steps(count: int, width: int) -> pa.Array:
    return pa.array(np.arange(count + 1) * width, pa.int32())


def times(path: Path) -> None:
    """Every figure once, in the order in which a person would cause it; the first open builds the index of keys."""
    from redviz.data.results.result_files import Where, open_results

    def timed(title: str, call: Callable[[], object]) -> None:
        start = time.perf_counter()
        found = call()
        print(f"{title:<46} {time.perf_counter() - start:8.3f} s   {found}")

    timed("open, first time (builds the index)", lambda: f"{open_results(path).total:,} rows")
    timed("open again", lambda: f"{open_results(path).total:,} rows")
    results = open_results(path)
    last = results.total - 50

    def best(columns: tuple[str, ...] | None) -> int:
        return results.page(order="score", descending=True, columns=columns)[0]["row"]

    timed("first page in file order", lambda: len(results.page()))
    timed("keys alone, sorted by score, highest first", lambda: best(()))
    timed("page sorted by score, highest first", lambda: best(None))
    timed("page sorted by largest credit, the last one", lambda: results.page(order="largest", offset=last)[0]["row"])
    timed("page sorted by example", lambda: results.page(order="example_id", offset=last // 2)[0]["row"])
    strict = Where(labels=("red",), score=(10.0, 12.0))
    timed("filter: label and score, count", lambda: f"{results.count(strict):,}")
    timed("filter: label and score, page by length", lambda: results.page(strict, order="length")[0]["row"])
    timed("filter: text in responses, count", lambda: results.count(Where(text=RARE)))
    timed("filter: the same text, page", lambda: results.page(Where(text=RARE), order="score")[0]["row"])
    timed("histogram of scores, 40 bins", lambda: results.histogram("score", 40).counts.max())
    timed("one row", lambda: results.row(results.total // 2)["row"])
    timed("pairs with their margins", lambda: f"{len(results.responses(Where(pairs_only=True))):,} responses")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"peak memory of the process: {peak / 10**6:,.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--tokens", type=int, default=72)
    parser.add_argument("--group", type=int, default=10_000, help="rows of one row group")
    parser.add_argument("--only", choices=("write", "times"), help="one half, on --path")
    parser.add_argument("--path", type=Path)
    given = parser.parse_args()
    if given.only == "write":
        write(given.path, given.rows, given.tokens, given.group)
    elif given.only == "times":
        times(given.path)
    else:
        with tempfile.TemporaryDirectory(prefix="redviz-benchmark-") as folder:
            path = Path(folder) / "results.parquet"
            sizes = ["--rows", str(given.rows), "--tokens", str(given.tokens), "--group", str(given.group)]
            environment = os.environ | {"REDVIZ_HOME": folder}
            for half in (["write", *sizes], ["times"]):
                subprocess.run(
                    [sys.executable, __file__, "--path", str(path), "--only", *half], env=environment, check=True
                )
                if half[0] == "write":
                    size = path.stat().st_size / 10**6
                    print(f"{given.rows:,} rows of {given.tokens} tokens, {size:,.0f} MB, groups of {given.group:,}")


if __name__ == "__main__":
    main()
