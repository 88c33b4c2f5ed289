"""``redviz export``: result rows from one format to another."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from redviz.cli.terminal import shown
from redviz.errors import RedvizError

MOST = 200  # responses of a gallery: a browser opens some hundreds well, not thousands


def export(
    source: Annotated[Path, typer.Argument(metavar="IN", help="Result rows: .parquet, .jsonl or .csv.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help=".parquet, .jsonl, .csv, or .html for a gallery.")],
    limit: Annotated[int | None, typer.Option("--limit", help=f"Responses of a gallery; {MOST} if not given.")] = None,
    granularity: Annotated[
        str, typer.Option("--granularity", help="Of the gallery: token, word or sentence.")
    ] = "token",
) -> None:
    """Convert result rows between Parquet, JSONL and CSV, or draw them as one HTML page that needs no network."""
    from redviz.data.results.row_files import check_can_write, provenance_of, read_rows, write_rows

    if source.absolute() == output.absolute():
        raise RedvizError(f"{output} is the input; give the output another name.")
    if output.suffix.lower() in (".html", ".htm"):
        _gallery(source, output, limit, granularity)
        return
    if limit is not None:
        raise RedvizError("--limit is for an .html gallery; the other formats take every row.")
    check_can_write(output)
    count = write_rows(output, read_rows(source), provenance_of(source))
    typer.echo(f"{shown(str(output))}: {count} rows")


def _gallery(source: Path, output: Path, limit: int | None, granularity: str) -> None:
    from redviz.cli.files import write_text
    from redviz.data.results.from_rows import analyses_of
    from redviz.data.results.row_files import read_rows
    from redviz.text import GRANULARITIES
    from redviz.view.report import reports

    most = MOST if limit is None else limit
    if most < 1:
        raise RedvizError(f"--limit is {limit}; give at least 1.")
    if granularity not in GRANULARITIES:
        raise RedvizError(f"There is no granularity {granularity!r}; use one of {', '.join(GRANULARITIES)}.")
    stream = analyses_of(row for rows in read_rows(source) for row in rows)
    drawn = list(islice(stream, most))
    if not drawn:
        raise RedvizError(f"{source.name} holds no rows; score a data set first.")
    write_text(output, reports(drawn, granularity=granularity))
    if next(stream, None) is not None:
        typer.echo(f"note: the gallery shows the first {most} responses; --limit changes that.", err=True)
    typer.echo(f"{shown(str(output))}: {len(drawn)} responses")
