"""``redviz agree``: whether people agree about tokens, which credits predict what they marked, and whether the model bears them out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redviz.cli.agreement_labels import labels_of
from redviz.cli.agreement_text import between_text, faithfulness_text, methods_text, people_text, ranking_text
from redviz.cli.files import write_text
from redviz.cli.loading import LISTED, open_model, open_partners, with_model
from redviz.cli.options import Granularity, MethodOptions, MethodsOfMany, methods_with_options
from redviz.cli.terminal import shown
from redviz.credit.ingredients import Partners, check_partners
from redviz.credit.recipes import recipes, spelled_out
from redviz.errors import RedvizError
from redviz.models.spec import NOBODY, ModelSpec, PartnerSpecs
from redviz.text import GRANULARITIES

if TYPE_CHECKING:
    from redviz.data.labels.labels import LabelledItem, LabelSet
    from redviz.evaluation.agreement.agreement import Agreement


@with_model
def agree(
    project: Annotated[str | None, typer.Option("--project", help="An annotation project, by its name or id.")] = None,
    dataset: Annotated[str | None, typer.Option("--dataset", help="Existing labels: a file or a Hub id.")] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="The form of the labels, such as doccano; told from the rows if not given."),
    ] = None,
    model: Annotated[
        ModelSpec | None,
        typer.Option("--model", help="The model whose credits are judged: embedded:sentiment, a folder, a Hub id."),
    ] = None,
    methods: MethodsOfMany = "red,abc,ig",
    option: MethodOptions = None,
    no_methods: Annotated[
        bool, typer.Option("--no-methods", help="People among themselves only; needs no model.")
    ] = False,
    granularity: Granularity = "word",
    level: Annotated[
        str, typer.Option("--level", help="Of alpha per person: nominal, ordinal or interval.")
    ] = "ordinal",
    metric: Annotated[
        str,
        typer.Option("--metric", help="Orders the methods and is tested for differences, such as auroc or token_f1."),
    ] = "average_precision",
    threshold: Annotated[
        float, typer.Option("--threshold", help="A unit is marked where its mean grade is further from 0 than this.")
    ] = 0.0,
    faithfulness: Annotated[
        bool, typer.Option("--faithfulness", help="Also remove units in the order of every method's credits.")
    ] = False,
    faithfulness_limit: Annotated[
        int, typer.Option("--faithfulness-limit", help="Responses to remove units of, at most.")
    ] = 100,
    operator: Annotated[
        str | None, typer.Option("--operator", help="How units are removed: pad, mean, mask or delete.")
    ] = None,
    sensitivity: Annotated[
        int,
        typer.Option(
            "--sensitivity", help="Moves of max-sensitivity in --faithfulness (the paper: 10); 0 leaves it out."
        ),
    ] = 0,
    limit: Annotated[int | None, typer.Option("--limit", help="Judged responses to take at most.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of ties, random orders and bootstrap draws.")] = 0,
    output: Annotated[Path | None, typer.Option("--output", help="Write every report as one JSON file.")] = None,
    partners: PartnerSpecs = NOBODY,
) -> None:
    """Measure how far people agree about tokens, and how well each method's credits predict what they marked."""
    _check(
        project,
        dataset,
        kind,
        granularity,
        level,
        metric,
        threshold,
        faithfulness,
        faithfulness_limit,
        sensitivity,
        limit,
        seed,
        output,
    )
    wanted = {} if no_methods else methods_with_options(methods, option or [])
    asked = {
        "granularity": granularity, "level": level, "metric": metric, "threshold": threshold, "limit": limit, "seed": seed,
        "methods": spelled_out(recipes(wanted)),
    }  # fmt: skip
    labels, ranking = labels_of(project, dataset, kind, seed)
    from redviz.evaluation.agreement.agreement import Agreement, judged

    if ranking is not None:
        name, sentence = labels.name, labels.sentence
        _finish(Agreement(name, "maps", sentence, ranking.items, {"seed": seed}, preferences=ranking), output)
        return
    items = judged(labels.items)[:limit]
    if wanted and model is None:
        raise RedvizError(
            "Methods are judged by the credits of a model; name it with --model, or give --no-methods for people alone."
        )
    people, notes = _people(items, level, granularity, seed, labels, alone=not wanted)
    agreement = Agreement(labels.name, labels.scale, labels.sentence, len(items), asked, people=people, notes=notes)
    if model is not None and wanted:
        loaded, beside = open_model(model), open_partners(partners)
        check_partners(recipes(wanted), Partners(**beside))
        agreement = _with_methods(agreement, loaded, beside, items, wanted)
        if faithfulness:
            agreement = _with_faithfulness(
                agreement, loaded, beside, items[:faithfulness_limit], wanted, operator, sensitivity
            )
    _finish(agreement, output)


def _check(
    project: str | None,
    dataset: str | None,
    kind: str | None,
    granularity: str,
    level: str,
    metric: str,
    threshold: float,
    faithfulness: bool,
    faithfulness_limit: int,
    sensitivity: int,
    limit: int | None,
    seed: int,
    output: Path | None,
) -> None:
    from redviz.evaluation.agreement.ranking_figures import FIGURES
    from redviz.evaluation.statistics.coincidences import LEVELS

    if (project is None) == (dataset is None):
        raise RedvizError("Give the labels once: --project NAME, an annotation project, or --dataset FILE.")
    if kind is not None and dataset is None:
        raise RedvizError("--kind is given without --dataset; a project's labels have one form.")
    for name, value, allowed in (
        ("--granularity", granularity, tuple(GRANULARITIES)), ("--level", level, tuple(LEVELS)), ("--metric", metric, FIGURES),
    ):  # fmt: skip
        if value not in allowed:
            raise RedvizError(f"{name} is {value!r}; use one of {', '.join(allowed)}.")
    for name, number in (("--limit", limit), ("--faithfulness-limit", faithfulness_limit)):
        if number is not None and number < 1:
            raise RedvizError(f"{name} is {number}; give at least 1 response.")
    if not threshold >= 0:
        raise RedvizError(f"--threshold is {threshold}; give 0 or more, in grades.")
    if sensitivity < 0:
        raise RedvizError(f"--sensitivity is {sensitivity}; give 0 or more moves.")
    if sensitivity and not faithfulness:
        raise RedvizError("--sensitivity is a part of --faithfulness; give that too.")
    if seed < 0:
        raise RedvizError(f"--seed is {seed}; give 0 or more.")
    if output is not None and not output.parent.is_dir():
        raise RedvizError(f"There is no folder {output.parent} to write {output.name} into; make it first.")


def _people(
    items: Sequence[LabelledItem], level: str, granularity: str, seed: int, labels: LabelSet, alone: bool
) -> tuple[Any, tuple[str, ...]]:
    from redviz.evaluation.agreement.agreement import judged_twice
    from redviz.evaluation.agreement.people import among_people

    if judged_twice(items):
        return among_people(items, level, granularity, seed=seed), ()
    note = f"No response of {labels.name} was judged by two people, so there is no agreement among people to measure."
    if alone:
        raise RedvizError(f"{note} Leave --no-methods out to measure methods.")
    return None, (note,)


def _with_methods(
    agreement: Agreement,
    model: Any,
    partners: Mapping[str, Any],
    items: Sequence[LabelledItem],
    wanted: Mapping[str, Any],
) -> Agreement:
    from dataclasses import replace

    from redviz.evaluation.agreement.against_people import against_people
    from redviz.evaluation.agreement.agreement import score_labelled
    from redviz.evaluation.agreement.between_methods import between_methods

    asked = agreement.options
    with _bar("credits", len(items)) as tell:
        scored = score_labelled(model, items, recipes(wanted), progress=tell, **partners)
    _tell_problems(scored.problems)
    report = against_people(
        scored.pairs, asked["granularity"], asked["seed"], metric=asked["metric"], threshold=asked["threshold"]
    )
    between, notes = None, agreement.notes
    if len(wanted) > 1:
        between = between_methods((a for _, a in scored.pairs), asked["granularity"], seed=asked["seed"])
    else:
        notes = (*notes, "One method was asked for, so there are no methods to compare with each other.")
    sources = {"model": scored.source, **{role: partner.source for role, partner in partners.items()}}
    return replace(
        agreement,
        sources=sources,
        methods=report,
        between=between,
        notes=(*notes, *_counted(scored.problems, "scored")),
    )


def _with_faithfulness(
    agreement: Agreement,
    model: Any,
    partners: Mapping[str, Any],
    items: Sequence[LabelledItem],
    wanted: Mapping[str, Any],
    operator: str | None,
    sensitivity: int,
) -> Agreement:
    from dataclasses import replace

    from redviz.evaluation.faithfulness.faithfulness_report import faithfulness_over
    from redviz.models.kinds.function import FunctionModel

    asked = agreement.options
    removal = operator or ("delete" if isinstance(model, FunctionModel) else "pad")
    with _bar("faithfulness", len(items)) as tell:
        report = faithfulness_over(
            model, [item.example for item in items], wanted, operator=removal, granularity=asked["granularity"],
            seed=asked["seed"], sensitivity_samples=sensitivity, progress=tell, total=len(items), **partners,
        )  # fmt: skip
    _tell_problems(report.problems)
    options = {**asked, "operator": report.operator, "faithfulness_limit": len(items), "sensitivity": sensitivity}
    return replace(agreement, options=options, faithfulness=report)


def _tell_problems(problems: Sequence[str]) -> None:
    for problem in problems[:LISTED]:
        typer.echo(f"note: {shown(problem)}", err=True)
    if len(problems) > LISTED:
        typer.echo(f"note: {len(problems):,} responses in all.", err=True)


def _counted(problems: Sequence[str], done: str) -> tuple[str, ...]:
    many = "1 response was" if len(problems) == 1 else f"{len(problems):,} responses were"
    return (f"{many} not {done}, or not by all methods.",) if problems else ()


@contextmanager
def _bar(label: str, total: int) -> Iterator[Callable[[int, int], None]]:
    with typer.progressbar(length=total, label=label, file=typer.get_text_stream("stderr")) as bar:
        yield lambda done, _: bar.update(done - bar.pos)
        bar.update(total - bar.pos)


def _finish(agreement: Agreement, output: Path | None) -> None:
    """The tables on stdout, and the file."""
    texts = [f"{shown(agreement.name)}: {agreement.sentence}", *agreement.notes]
    if source := agreement.sources.get("model"):
        texts.append(f"{shown(source.model)}  {source.dtype} on {source.device}, weights {source.fingerprint}")
    texts += [
        *([people_text(agreement.people)] if agreement.people else []),
        *([methods_text(agreement.methods)] if agreement.methods else []),
        *([between_text(agreement.between)] if agreement.between else []),
        *([faithfulness_text(agreement.faithfulness)] if agreement.faithfulness else []),
        *([ranking_text(agreement.preferences)] if agreement.preferences else []),
    ]
    if output is not None:
        write_text(output, json.dumps(agreement.to_dict(), ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    typer.echo("\n\n".join(texts))
