"""``redviz doctor``: the conformance card of a model, and whether it can be split."""

from __future__ import annotations

import json as json_text
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redviz.cli.files import write_text
from redviz.cli.loading import Columns, Model, open_model, tell_problems, with_model
from redviz.cli.options import mapping_of
from redviz.cli.splitting_text import split_text
from redviz.cli.terminal import VERDICT_COLOURS, WIDTH, has_colour, shown
from redviz.errors import RedvizError

if TYPE_CHECKING:
    from redviz.data.sets.dataset import DataItem, Dataset
    from redviz.evaluation.conformance.conformance import ConformanceCard
    from redviz.evaluation.statistics.splitting import SplitReport
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel


@with_model
def doctor(
    model: Model,
    file: Annotated[Path | None, typer.Argument(help="Where --json writes; stdout if not given.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The card as JSON, to stdout or to FILE.")] = False,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", help="Preference pairs (a file or a Hub id): can this model's score be split?"),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Rows of the data set to score at most.")] = None,
    column: Columns = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Run every check whole, whatever it takes: longer texts, all pairs.")
    ] = False,
) -> None:
    """Check whether redviz reads a model right, and on pairs whether its score can be split. Exit code 1 if a check is red."""
    if file is not None and not json:
        raise RedvizError(f"{file} is given without --json; write --json {file}.")
    if limit is not None and dataset is None:
        raise RedvizError("--limit is given without --dataset; name a file of preference pairs.")
    if column and dataset is None:
        raise RedvizError("--column is given without --dataset; name a file of preference pairs.")
    opened = None
    if dataset is not None:  # before the model, which takes longer
        from redviz.data.sets.dataset import open_dataset

        opened = open_dataset(dataset, mapping=mapping_of(column or []), limit=limit)
    loaded = open_model(model)
    from redviz.evaluation.conformance.conformance import check_model

    card = check_model(loaded, thorough=thorough)
    report, unstated = (None, 0) if opened is None else _split_report(loaded, opened)
    written = card.to_json()
    texts = [card_text(card, has_colour())]
    if opened is not None and report is not None:
        found = card.to_dict() | {"dataset": _provenance(opened, unstated), "split": report.to_dict()}
        written = json_text.dumps(found, ensure_ascii=False, indent=2)
        texts.append(split_text(report, opened.name))
    if file is not None:
        write_text(file, written + "\n")
    typer.echo(written if json and file is None else "\n\n".join(texts))
    if card.verdict == "red":
        raise typer.Exit(1)


def _split_report(model: RewardModel | FunctionModel, dataset: Dataset) -> tuple[SplitReport, int]:
    """The report, and how many items stated no preference; what is left out is told on stderr."""
    from redviz.evaluation.agreement.preferences import analyzed_pairs, stated_pair
    from redviz.evaluation.statistics.splitting import split_report

    if not any(stated_pair(item) for item in dataset.items()):
        raise RedvizError(
            f"{dataset.name} holds no preferences ({dataset.detected.sentence.rstrip('.')}); give rows with chosen and rejected "
            "responses, or with ratings that differ."
        )
    unstated = 0

    def items() -> Iterator[DataItem]:
        nonlocal unstated
        for item in dataset.items():
            unstated += stated_pair(item) is None
            yield item

    report = split_report(analyzed_pairs(model, items()))
    tell_problems(dataset)
    if unstated:
        said = "1 item states" if unstated == 1 else f"{unstated:,} items state"
        typer.echo(f"{shown(dataset.name)}: {said} no preference, left out of the pairs.", err=True)
    return report, unstated


def _provenance(dataset: Dataset, unstated: int) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "detected": dataset.detected.sentence,
        "limit": dataset.limit,
        "rows_left_out": dataset.skipped,
        "items_without_preference": unstated,
    }


def card_text(card: ConformanceCard, colour: bool) -> str:
    """The card for a person: one verdict word, claim, figure and remedy per check."""
    lines = [
        f"{card.model}  {card.dtype} on {card.device}",
        f"weights {card.fingerprint}  template {_template(card)}",
        f"last read at column {card.reading_column} of the text ({shown(card.reading_token)!r})"
        + (
            f"; prefix scores verified up to {card.verified_length} of {card.max_length} tokens"
            if card.verified_length
            else ""
        ),
        "",
    ]
    for check in card.checks:
        lines += [f"{_word(check.verdict, colour)}  {check.title}", *_indented(check.figure)]
        lines += _indented(f"→ {check.remedy}") if check.remedy else []
    return "\n".join([*lines, "", f"{_word(card.verdict, colour)}  over all"])


def _template(card: ConformanceCard) -> str:
    """The hash of the template, after what was asked for."""
    return " ".join([*([shown(card.template)] if card.template else []), card.template_hash or "(none)"])


def _word(verdict: str, colour: bool) -> str:
    word = f"{verdict:<5}"
    return typer.style(word, fg=VERDICT_COLOURS[verdict], bold=True) if colour else word


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * 7, subsequent_indent=" " * 7, break_long_words=False)
