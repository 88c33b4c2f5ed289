"""Result rows: one per response and method label, the same schema for every file that redviz writes."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from redviz import __version__
from redviz.records import Analysis, Credit

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SCHEMA_VERSION = "1"

Rows = list[dict[str, Any]]


NO_CREDIT: dict[str, Any] = {
    "label": None,
    "method": None,
    "options": None,
    "meta": None,
    "credits": [],
    "total": None,
    "reference": None,
    "residual": None,
}


def rows(analysis: Analysis, asked: Mapping[str, str] | None = None, subset: str = "") -> Rows:
    """The rows of one analysis; no row carries a time, so that runs compare equal.

    Parameters
    ----------
    analysis
        A failed one gives one row with its ``error``.
    asked
        Label -> method of what was asked for. A method that failed gets a row without credits that has the error, and the others'
        rows have none.
    subset
        The part of the data set that the example is from.
    """
    shared = _shared(analysis, subset)
    by_label = {label: shared | _of_credit(label, credit) for label, credit in analysis.credits.items()}
    if asked is None or analysis.observation is None or analysis.error is None:
        return list(by_label.values()) or [shared | NO_CREDIT]
    return [
        by_label[label] | {"error": None}
        if label in by_label
        else shared | NO_CREDIT | {"label": label, "method": method}
        for label, method in asked.items()
    ]


def _shared(analysis: Analysis, subset: str) -> dict[str, Any]:
    """What the rows of all methods say of the response."""
    record = analysis.to_dict()
    prompt = record["prompt"] if isinstance(record["prompt"], list) else [{"role": "user", "content": record["prompt"]}]
    example_id, _, response_id = analysis.example.id.partition("/")
    of_analysis = ("score", "base", "closing", "tokens", "token_ids", "offsets", "unit", "prefix_scores")
    of_source = ("model", "revision", "fingerprint", "dtype", "template_hash", "head", "read")
    return {
        "example_id": example_id,
        "response_id": response_id,
        "prompt": json.dumps(prompt, ensure_ascii=False),
        **{name: record[name] for name in (*of_analysis, "response", "truncated", "error", "reading_column")},
        **{name: record["source"][name] for name in of_source},
        "template": analysis.source.template or None,
        "redviz_version": __version__,
        "subset": subset or None,
    }


def _of_credit(label: str, credit: Credit) -> dict[str, Any]:
    about = {name: value for name, value in credit.meta.items() if name not in ("method", "options")}
    if credit.closing:  # screens draw it as a cell of its own
        about["closing"] = credit.closing
    return {
        "label": label,
        "method": credit.meta.get("method", label),
        "options": json.dumps(dict(credit.meta.get("options", {})), sort_keys=True, default=list),
        "meta": json.dumps(about, default=list),
        "credits": [float(v) for v in credit.values],
        "total": credit.total,
        "reference": credit.reference,
        "residual": credit.residual,
    }


def schema(provenance: Mapping[str, str] | None = None) -> pa.Schema:
    """The types of the columns of :func:`rows`, the same for every file, so that files concatenate. Every column may be null.

    ``provenance`` goes into its metadata, beside ``schema_version``.
    """
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
        "template": text,
        "reading_column": whole,
        **dict.fromkeys(("redviz_version", "label", "method", "options", "meta"), text),
        "credits": pa.list_(pa.float32()),
        **dict.fromkeys(("total", "reference", "residual"), real),
        "subset": text,
    }
    return pa.schema(columns, metadata={**(provenance or {}), "schema_version": SCHEMA_VERSION})


def write_parquet(file: Path | IO[bytes], rows: Rows, provenance: Mapping[str, str] | None = None) -> None:
    """Write rows that fit in memory as one Parquet file, with a checksum on every page."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows, schema=schema(provenance))
    pq.write_table(table, file, compression="zstd", write_page_checksum=True)


def to_parquet(analysis: Analysis) -> bytes:
    """The rows of one analysis as a Parquet file."""
    buffer = io.BytesIO()
    write_parquet(buffer, rows(analysis))
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
