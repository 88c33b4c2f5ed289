"""Result rows: one per response and method label, the same schema for every file that redviz writes."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

from redviz.records import Analysis

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = "1"


def rows(analysis: Analysis, version: str) -> list[dict[str, Any]]:
    """The rows of one analysis. A failed one gives one row with its ``error``; no row carries a time, so that runs compare equal."""
    record = analysis.to_dict()
    prompt = record["prompt"] if isinstance(record["prompt"], list) else [{"role": "user", "content": record["prompt"]}]
    source = analysis.source
    example_id, _, response_id = analysis.example.id.partition("/")
    shared = {
        "example_id": example_id,
        "response_id": response_id,
        "prompt": json.dumps(prompt, ensure_ascii=False),
        "response": analysis.response,
        **{
            name: record[name]
            for name in ("score", "base", "closing", "tokens", "token_ids", "offsets", "unit", "prefix_scores")
        },
        "truncated": analysis.truncated,
        "error": analysis.error,
        "model": source.model,
        "revision": source.revision,
        "fingerprint": source.fingerprint,
        "dtype": source.dtype,
        "template_hash": source.template_hash,
        "head": source.head,
        "read": source.read,
        "reading_column": record["reading_column"],
        "redviz_version": version,
    }
    empty: dict[str, Any] = {
        "label": None,
        "method": None,
        "options": None,
        "meta": None,
        "credits": [],
        "total": None,
        "reference": None,
        "residual": None,
    }
    found = [
        shared
        | {
            "label": label,
            "method": credit.meta.get("method", label),
            "options": json.dumps(dict(credit.meta.get("options", {})), sort_keys=True, default=list),
            "meta": json.dumps({k: v for k, v in credit.meta.items() if k not in ("method", "options")}, default=list),
            "credits": [float(v) for v in credit.values],
            "total": credit.total,
            "reference": credit.reference,
            "residual": credit.residual,
        }
        for label, credit in analysis.credits.items()
    ]
    return found or [shared | empty]


def schema() -> pa.Schema:
    """The types of the columns of :func:`rows`, the same for every file, so that files concatenate. Every column may be null."""
    import pyarrow as pa

    text, real, whole = pa.string(), pa.float64(), pa.int64()
    columns = {
        **dict.fromkeys(("example_id", "response_id", "prompt", "response"), text),
        **dict.fromkeys(("score", "base", "closing"), real),
        "tokens": pa.list_(text),
        "token_ids": pa.list_(whole),
        "offsets": pa.list_(pa.list_(pa.int32())),
        "unit": text,
        "prefix_scores": pa.list_(pa.float32()),
        "truncated": whole,
        **dict.fromkeys(("error", "model", "revision", "fingerprint", "dtype", "template_hash", "head", "read"), text),
        "reading_column": whole,
        **dict.fromkeys(("redviz_version", "label", "method", "options", "meta"), text),
        "credits": pa.list_(pa.float32()),
        **dict.fromkeys(("total", "reference", "residual"), real),
    }
    return pa.schema(columns, metadata={"schema_version": SCHEMA_VERSION})


def to_parquet(analysis: Analysis, version: str) -> bytes:
    """The rows as a Parquet file, ``schema_version`` in its metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows(analysis, version), schema=schema())
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def to_csv(analysis: Analysis) -> str:
    """One line per token (:meth:`Analysis.to_frame`) with where it came from in constant columns at the right."""
    frame: pd.DataFrame = analysis.to_frame()
    source = analysis.source
    read = analysis.observation.encoding.read if analysis.observation else None
    constant: dict[str, Any] = {
        "score": analysis.score,
        "model": source.model,
        "revision": source.revision,
        "fingerprint": source.fingerprint,
        "dtype": source.dtype,
        "template_hash": source.template_hash,
        "reading_column": read,
    }
    for name, value in constant.items():
        frame[name] = value
    return str(without_formulas(frame).to_csv(index=False))


def without_formulas(frame: pd.DataFrame) -> pd.DataFrame:
    """The same table with no cell or heading that a spreadsheet would run."""
    safe = frame.rename(columns=lambda name: _not_a_formula(str(name)))
    for name in safe.columns:
        if safe[name].dtype.kind not in "iuf":
            safe[name] = [_not_a_formula(cell) if isinstance(cell, str) else cell for cell in safe[name]]
    return safe


def _not_a_formula(text: str) -> str:
    """A spreadsheet must not run a token: a leading =, +, - or @ gets an apostrophe, as spreadsheets themselves write text."""
    return "'" + text if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
