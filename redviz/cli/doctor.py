"""``redviz doctor``: the conformance card of a model, and whether it can be split."""

from __future__ import annotations

import json as json_text
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redviz.cli.ctrl_c import ctrl_c_between_steps
from redviz.cli.files import write_text
from redviz.cli.loading import Columns, Model, open_model, tell_problems, with_model
from redviz.cli.options import mapping_of
from redviz.cli.splitting_text import split_text, tried_text
from redviz.cli.terminal import VERDICT_COLOURS, WIDTH, has_colour, shown
from redviz.errors import RedvizError

if TYPE_CHECKING:
    from redviz.data.sets.dataset import DataItem, Dataset
    from redviz.evaluation.conformance.conformance import ConformanceCard
    from redviz.evaluation.conformance.text_report import TextReport
    from redviz.evaluation.statistics.splitting import SplitReport
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel

TOLD_FROM = 5.0  # seconds


@with_model
def doctor(
    model: Model,
    file: Annotated[Path | None, typer.Argument(help="Where --json writes; stdout if not given.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The card as JSON, to stdout or to FILE.")] = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            help="Preference pairs (a file or a Hub id): which text was it trained on, and can its score be split?",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Rows of the data set to score at most.")] = None,
    column: Columns = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Run every check whole, whatever it takes: longer texts, all pairs.")
    ] = False,
) -> None:
    """Check whether redviz reads a model right; on pairs also in which text it was trained, and whether its score can be split.

    Exit code 1 if a check is red.
    """
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
    if opened is None:
        written, texts = card.to_json(), [card_text(card, has_colour())]
    else:
        report, unstated = _split_report(loaded, opened)
        tried = _text_report(loaded, opened)
        card = replace(card, checks=(*card.checks, tried.check))
        found = card.to_dict() | {"dataset": _provenance(opened, unstated), "split": report.to_dict()}
        written = json_text.dumps(found | {"texts": tried.to_dict()}, ensure_ascii=False, indent=2)
        texts = [card_text(card, has_colour()), tried_text(tried, opened.name), split_text(report, opened.name)]
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


def _text_report(model: RewardModel | FunctionModel, dataset: Dataset) -> TextReport:
    """The usual texts on the first pairs; what takes more than some seconds is told before."""
    from redviz.evaluation.agreement.preferences import stated_pairs
    from redviz.evaluation.conformance.text_cost import MOST_PAIRS
    from redviz.evaluation.conformance.trained_text import cost_on, trained_text

    pairs = list(islice(stated_pairs(dataset.items()), MOST_PAIRS))
    expected = cost_on(model, pairs)
    told = expected.seconds >= TOLD_FROM
    if told:
        typer.echo(f"Which text was it trained on? Trying {expected.sentence}.", err=True)
    with ExitStack() as held:
        heed = held.enter_context(ctrl_c_between_steps())
        stderr = typer.get_text_stream("stderr")
        bar = (
            held.enter_context(typer.progressbar(length=expected.responses, label="responses", file=stderr))
            if told
            else None
        )

        def progress(done: int, total: int) -> None:
            heed()
            if bar is not None:
                bar.length = total
                bar.update(done - bar.pos)

        return trained_text(model, pairs, progress)


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
