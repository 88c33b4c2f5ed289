"""``redviz causal``: whether the model's changes follow the credits, over a file of responses."""

from __future__ import annotations

import csv
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from redviz.cli.loading import Model, open_model, open_partners, with_model
from redviz.cli.options import Granularity, MethodOptions, MethodsOfMany, methods_with_options
from redviz.cli.terminal import column, table
from redviz.credit.ingredients import Partners, check_partners
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.models.spec import NOBODY, PartnerSpecs
from redviz.text import GRANULARITIES


@with_model
def causal(
    model: Model,
    dataset: Annotated[Path, typer.Option("--dataset", help="Prompts and responses: .jsonl, .json, .csv or .txt.")],
    methods: MethodsOfMany = "red,abc,ig",
    option: MethodOptions = None,
    top: Annotated[int, typer.Option("--top", help="Most credited spans per method and response.")] = 8,
    operator: Annotated[str, typer.Option("--operator", help="delete, or pad.")] = "delete",
    granularity: Granularity = "word",
    limit: Annotated[int | None, typer.Option("--limit", help="Responses to read at most.")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="Write every span as CSV.")] = None,
    partners: PartnerSpecs = NOBODY,
) -> None:
    """Take the most credited spans away, and correlate the predicted with the actual change, per method."""
    if granularity not in GRANULARITIES:
        raise RedvizError(f"There is no granularity {granularity!r}; use one of {', '.join(GRANULARITIES)}.")
    if top < 1:
        raise RedvizError(f"--top is {top}; give at least 1.")
    if operator not in ("delete", "pad"):
        raise RedvizError(f"--operator is {operator!r}; use delete or pad.")
    if limit is not None and limit < 1:
        raise RedvizError(f"--limit is {limit}; give at least 1 response.")
    if output is not None and not output.parent.is_dir():
        raise RedvizError(f"There is no folder {output.parent} to write {output.name} into; make it first.")
    wanted = methods_with_options(methods, option or [])
    from redviz.data.sets.readers import read_examples

    examples, problems = read_examples(dataset, dataset.name)
    for problem in problems:
        typer.echo(f"{dataset.name}, line {problem.line}: left out ({problem.reason})", err=True)
    examples = examples[:limit]
    if not examples:
        raise RedvizError(f"{dataset} holds no prompt with a response; check its columns.")
    loaded = open_model(model)
    beside = open_partners(partners)
    check_partners(recipes(wanted), Partners(**beside))
    from redviz.evaluation.faithfulness.causal_agreement import causal_agreement, causal_over

    with typer.progressbar(length=len(examples), label="responses", file=typer.get_text_stream("stderr")) as bar:
        points, failed = causal_over(
            loaded,
            examples,
            wanted,
            top=top,
            operator=operator,
            granularity=granularity,
            progress=lambda done, total: bar.update(done - bar.pos),
            total=len(examples),
            **beside,
        )
        bar.update(len(examples) - bar.pos)
    for sentence in failed:
        typer.echo(f"note: {sentence}", err=True)
    if not points:
        raise RedvizError("No response could be checked; the notes above say why.")
    if output is not None:
        with output.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(points[0])))
            writer.writeheader()
            writer.writerows(asdict(point) for point in points)
    agreement = causal_agreement(points)
    between = ["" if a.interval is None else f"{a.interval[0]:+.2f} to {a.interval[1]:+.2f}" for a in agreement]
    typer.echo(
        table(
            [
                column("method", [a.label for a in agreement]),
                column("responses", [str(a.responses) for a in agreement], right=True),
                column("spans", [str(a.spans) for a in agreement], right=True),
                column("Pearson", [f"{a.pearson:+.3f}" for a in agreement], right=True),
                column("95 % interval", between),
                column("Spearman", [f"{a.spearman:+.3f}" for a in agreement], right=True),
                column(
                    "same sign",
                    ["" if a.same_sign != a.same_sign else f"{a.same_sign:.2f}" for a in agreement],
                    right=True,
                ),
            ]
        )
    )
