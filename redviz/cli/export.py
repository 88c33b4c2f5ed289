"""``redviz export``: result rows from one format to another, and rows or labels to annotation tools."""

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
    tool: Annotated[
        str | None,
        typer.Option(
            "--for", help="label_studio, doccano or argilla: IN is labels, or rows whose credits are pre-annotations."
        ),
    ] = None,
    method: Annotated[
        str | None, typer.Option("--method", help="With --for and rows: one method's label only.")
    ] = None,
    share: Annotated[
        float | None, typer.Option("--share", help="With --for and rows: the share of the words that is marked; 0.2.")
    ] = None,
) -> None:
    """Convert result rows between Parquet, JSONL and CSV, draw them as one HTML page, or write what annotation tools import."""
    from redviz.data.results.row_files import check_can_write, provenance_of, read_rows, write_rows

    if source.absolute() == output.absolute():
        raise RedvizError(f"{output} is the input; give the output another name.")
    if tool is not None:
        _for_tool(source, output, tool, method, share)
        return
    if method is not None or share is not None:
        raise RedvizError("--method and --share are for the pre-annotations of --for.")
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


def _for_tool(source: Path, output: Path, tool: str, method: str | None, share: float | None) -> None:
    from redviz.cli.files import write_text
    from redviz.data.labels.label_sets import open_labels
    from redviz.data.labels.predictions import SHARE, predicted
    from redviz.data.labels.tool_files import FILES, Exported, tool_file
    from redviz.data.results.from_rows import analyses_of
    from redviz.data.results.row_files import read_rows

    if tool not in FILES:
        raise RedvizError(f"There is no tool {tool!r}; use one of {', '.join(FILES)}.")
    ending = FILES[tool][1]
    if output.suffix.lower() != ending:
        raise RedvizError(f"{tool} imports a {ending} file; give OUT that ending.")
    try:
        rows = [row for batch in read_rows(source) for row in batch]
    except RedvizError as no_rows:
        if method is not None or share is not None:
            raise
        try:
            labels = open_labels(source)
        except RedvizError as no_labels:
            raise RedvizError(f"{no_rows} As labels: {no_labels}") from None
        for problem in labels.problems:
            typer.echo(f"{shown(labels.name)}, line {problem.line}: left out ({shown(problem.reason)})", err=True)
        responses = [Exported(item) for item in labels.items]
    else:
        wanted = () if method is None else (method,)
        scored = [analysis for analysis in analyses_of(rows) if analysis.credits]
        responses = [predicted(analysis, wanted, SHARE if share is None else share) for analysis in scored]
    if not responses:
        raise RedvizError(f"{source.name} holds neither labels nor credits; score a data set first.")
    write_text(output, tool_file(tool, responses))
    typer.echo(f"{shown(str(output))}: {len(responses)} responses")
