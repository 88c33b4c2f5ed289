"""``redviz analyze``: the credits of one response, as a table, as JSON or as a page."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from redviz.cli.files import read_text, write_text
from redviz.cli.loading import Model, open_model, open_partners, with_model
from redviz.cli.options import (
    AsJson,
    Granularity,
    Messages,
    MethodOptions,
    Methods,
    Prompt,
    PromptFile,
    methods_with_options,
)
from redviz.cli.terminal import BAR, bars, column, has_colour, numbers, shown, table
from redviz.errors import RedvizError
from redviz.models.spec import NOBODY, PartnerSpecs
from redviz.records import Analysis, Credit
from redviz.text import GRANULARITIES, pool, units
from redviz.view.remarks import instructions, remarks


@with_model
def analyze(
    model: Model,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    messages: Messages = None,
    response: Annotated[str | None, typer.Option("--response", help="The response to explain.")] = None,
    response_file: Annotated[
        Path | None, typer.Option("--response-file", help="A text file with the response; - is stdin.")
    ] = None,
    methods: Methods = "red,abc,ig",
    option: MethodOptions = None,
    granularity: Granularity = "token",
    json: AsJson = False,
    html: Annotated[Path | None, typer.Option("--html", help="Also write a page that needs no network.")] = None,
    figure: Annotated[
        Path | None, typer.Option("--figure", help="Also write the strips as .svg, or as .png (Kaleido and a Chrome).")
    ] = None,
    partners: PartnerSpecs = NOBODY,
) -> None:
    """Score one response and split its score over its tokens."""
    if granularity not in GRANULARITIES:
        raise RedvizError(f"There is no granularity {granularity!r}; use one of {', '.join(GRANULARITIES)}.")
    if figure is not None and figure.suffix.lower() not in (".svg", ".png"):
        raise RedvizError(f"--figure {figure.name} has another ending; use .svg or .png.")
    wanted = methods_with_options(methods, option or [])
    asked = prompt_of(prompt, prompt_file, messages)
    answer = response_of(response, response_file)
    loaded = open_model(model)
    from redviz.analysis import analyze as run

    analysis = run(loaded, asked, answer, wanted, **open_partners(partners))
    if html is not None:
        from redviz.view.report import report

        write_text(html, report(analysis, granularity=granularity))
    if figure is not None:
        _write_figure(figure, analysis, granularity)
    typer.echo(analysis.to_json() if json else analysis_text(analysis, granularity, has_colour()))


def _write_figure(path: Path, analysis: Analysis, granularity: str) -> None:
    from redviz.view.png import svg_to_png
    from redviz.view.svg import strips_svg

    svg = strips_svg(analysis, granularity=granularity)
    if path.suffix.lower() == ".svg":
        write_text(path, svg)
        return
    made = svg_to_png(svg)
    try:
        path.write_bytes(made)
    except OSError as error:
        raise RedvizError(f"{path} cannot be written ({error.strerror}); check its folder.") from None


def prompt_of(prompt: str | None, file: Path | None, messages: str | None) -> str | list[dict[str, str]]:
    if sum(given is not None for given in (prompt, file, messages)) != 1:
        raise RedvizError("Give the prompt once: --prompt TEXT, --prompt-file FILE or --messages FILE.")
    if file is not None:
        return read_text(file)
    if messages is None:
        return prompt or ""
    try:
        found: Any = jsonlib.loads(messages if messages.lstrip().startswith("[") else read_text(Path(messages)))
    except ValueError as error:
        raise RedvizError(f"{messages} is not JSON ({error}); write a list of role and content.") from None
    if not isinstance(found, list):
        raise RedvizError(f"{messages} holds {type(found).__name__}; write a list of role and content.")
    return found


def response_of(response: str | None, file: Path | None) -> str:
    if (response is None) == (file is None):
        raise RedvizError("Give the response once: --response TEXT or --response-file FILE.")
    return read_text(file) if file is not None else response or ""


def analysis_text(analysis: Analysis, granularity: str, colour: bool) -> str:
    """The analysis for a person: a row per unit, a sums line per method, and what should be known beside it."""
    source = analysis.source
    heading = f"{source.model}  {source.dtype} on {source.device}  score {analysis.score:+.4g}  {len(analysis.tokens)} {analysis.unit}s"
    notices = [f"note: {notice}" for notice in analysis.notices]
    return "\n".join([heading, "", _rows(analysis, granularity, colour), "", *_sums(analysis), *notices])


def _rows(analysis: Analysis, granularity: str, colour: bool) -> str:
    """Before the response, its units, and the template's closing tokens where they add something."""
    groups = units(analysis.response, analysis.offsets, granularity)
    closes = analysis.observation is not None and analysis.observation.has_end
    names = ["(before)", *(shown(unit.text) for unit in groups), *(["(end)"] if closes else [])]
    prefix = [
        analysis.base,
        *(analysis.prefix_scores[unit.last] for unit in groups),
        *([analysis.score] if closes else []),
    ]
    columns = [
        column("unit" if granularity == "token" else granularity, names),
        column("P_t", numbers(prefix), right=True),
    ]
    for label, credit in analysis.credits.items():
        values = [*pool(credit.own, groups), *([credit.closing] if closes else [])]
        blank = closes and not credit.closing  # a method that gives the closing tokens nothing
        texts = ["", *numbers(values)]
        columns.append(column(shown(label), [*texts[:-1], ""] if blank else texts, right=True))
        if colour:
            columns.append([" " * BAR, " " * BAR, *bars(values)])
    return table(columns)


def _sums(analysis: Analysis) -> list[str]:
    """Reference + credits + residual = total, a line per method."""
    lines = []
    for label, credit in analysis.credits.items():
        added = float(credit.values.sum(dtype=float))
        if credit.total is None or credit.reference is None or credit.residual is None:
            lines.append(f"{shown(label)}: credits {added:+.4g}; this method promises no sum{_remarks(credit)}")
            continue
        reference, credits, total = numbers([credit.reference, added, credit.total])
        parts = f"reference {reference} + credits {credits} + residual {credit.residual:+.1e}"
        lines.append(f"{shown(label)}: {parts} = total {total}{_remarks(credit)}")
    return lines


def _remarks(credit: Credit) -> str:
    told = [*remarks(credit), *filter(None, [instructions(credit)])]
    return f"  ({shown('; '.join(told))})" if told else ""
