"""``redviz doctor``: the conformance card of a model."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redviz.cli.files import write_text
from redviz.cli.loading import (
    AllowPickle,
    Device,
    Dtype,
    Head,
    MaxLength,
    Model,
    Read,
    Revision,
    TrustRemoteCode,
    open_model,
)
from redviz.cli.terminal import VERDICT_COLOURS, has_colour, shown
from redviz.errors import RedvizError

if TYPE_CHECKING:
    from redviz.evaluation.conformance import ConformanceCard

WIDTH = 96


def doctor(
    model: Model,
    file: Annotated[Path | None, typer.Argument(help="Where --json writes; stdout if not given.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The card as JSON, to stdout or to FILE.")] = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    revision: Revision = None,
    head: Head = None,
    max_length: MaxLength = None,
    read: Read = "model",
    trust_remote_code: TrustRemoteCode = False,
    allow_pickle: AllowPickle = False,
) -> None:
    """Check whether redviz reads a model right. Exit code 1 if a check is red."""
    if file is not None and not json:
        raise RedvizError(f"{file} is given without --json; write --json {file}.")
    loaded = open_model(
        model,
        device=device,
        dtype=dtype,
        revision=revision,
        head=head,
        max_length=max_length,
        read=read,
        trust_remote_code=trust_remote_code,
        allow_pickle=allow_pickle,
    )
    from redviz.evaluation.conformance import check_model

    card = check_model(loaded)
    if file is not None:
        write_text(file, card.to_json() + "\n")
    typer.echo(card.to_json() if json and file is None else card_text(card, has_colour()))
    if card.verdict == "red":
        raise typer.Exit(1)


def card_text(card: ConformanceCard, colour: bool) -> str:
    """The card for a person: one verdict word, claim, figure and remedy per check."""
    lines = [
        f"{card.model}  {card.dtype} on {card.device}",
        f"weights {card.fingerprint}  template {card.template_hash or '(none)'}",
        f"score read at column {card.reading_column} of the text ({shown(card.reading_token)!r}); "
        f"prefix scores verified up to {card.verified_length} of {card.max_length} tokens",
        "",
    ]
    for check in card.checks:
        lines += [f"{_word(check.verdict, colour)}  {check.title}", *_indented(check.figure)]
        lines += _indented(f"→ {check.remedy}") if check.remedy else []
    return "\n".join([*lines, "", f"{_word(card.verdict, colour)}  over all"])


def _word(verdict: str, colour: bool) -> str:
    word = f"{verdict:<5}"
    return typer.style(word, fg=VERDICT_COLOURS[verdict], bold=True) if colour else word


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=" " * 7, subsequent_indent=" " * 7, break_long_words=False)
