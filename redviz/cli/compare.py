"""``redviz compare``: responses to one prompt side by side, and what earns the margin; or one response under two models."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from redviz.cli.analyze import prompt_of
from redviz.cli.comparison_text import comparison_text, models_text
from redviz.cli.files import read_text
from redviz.cli.loading import Model, open_model, open_pair_scorer, open_partners, with_model
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
from redviz.cli.pairs_text import pairs_text
from redviz.errors import OnlyPairs, RedvizError
from redviz.models.spec import NOBODY, PartnerSpecs
from redviz.text import GRANULARITIES

METHODS = "red,abc"


@with_model
def compare(
    model: Model,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    messages: Messages = None,
    response: Annotated[
        list[str] | None, typer.Option("--response", help="A response; two to six of them, or one with --model2.")
    ] = None,
    response_file: Annotated[
        list[Path] | None, typer.Option("--response-file", help="A text file with a response, as often as needed.")
    ] = None,
    chosen: Annotated[str | None, typer.Option("--chosen", help="The preferred response of a pair.")] = None,
    rejected: Annotated[str | None, typer.Option("--rejected", help="The other response of the pair.")] = None,
    model2: Annotated[
        str | None, typer.Option("--model2", help="A second model, to see one response under both.")
    ] = None,
    revision2: Annotated[str | None, typer.Option("--revision2", help="The second model's revision.")] = None,
    head2: Annotated[str | None, typer.Option("--head2", help="The second model's head.")] = None,
    template2: Annotated[
        str | None, typer.Option("--template2", help="The text the second model was trained on.")
    ] = None,
    methods: Methods = METHODS,
    option: MethodOptions = None,
    granularity: Granularity = "word",
    top: Annotated[int, typer.Option("--top", help="Spans to show of each method and pair; 0 shows all.")] = 10,
    json: AsJson = False,
    partners: PartnerSpecs = NOBODY,
) -> None:
    """Compare responses to one prompt: scores, margins, where they part, and what each span earns of the margin."""
    if granularity not in GRANULARITIES:
        raise RedvizError(f"There is no granularity {granularity!r}; use one of {', '.join(GRANULARITIES)}.")
    if top < 0:
        raise RedvizError(f"--top is {top}; give a number of spans, or 0 for all.")
    wanted = methods_with_options(methods, option or [])
    asked = prompt_of(prompt, prompt_file, messages)
    from redviz import comparison

    names, answers = _responses(response or [], response_file or [], chosen, rejected, model2 is not None)

    try:
        loaded = open_model(model)
    except OnlyPairs:
        if model2 is not None:
            raise
        words = methods == "occlusion"
        flags = {
            "--methods": methods != METHODS and not words,
            "--option": option,
            "--head": model.head,
            "--read": model.read != "model",
            "--template": model.template,
            "--granularity": granularity != "word",
            "--trust-remote-code": model.trust_remote_code,
            "--allow-pickle": model.allow_pickle,
            **{f"--{partner.replace('_', '-')}": True for partner in partners},
        }
        scorer = open_pair_scorer(model, flags)
        scores = comparison.compare(scorer, asked, answers, ["occlusion"] if words else comparison.DEFAULT_METHODS)
        told = {"names": names, **scores.to_dict()}
        typer.echo(jsonlib.dumps(told, ensure_ascii=False) if json else pairs_text(scores, names, top))
        return
    second = (
        None
        if model2 is None
        else open_model(replace(model, name=model2, revision=revision2, head=head2, template=template2))
    )
    beside = open_partners(partners)
    if second is not None:
        both = comparison.compare_models(loaded, second, asked, answers[0], wanted, **beside)
        told = both.to_dict(granularity)
        text = models_text(both, granularity)
    else:
        found = comparison.compare(loaded, asked, answers, wanted, **beside)
        told = {"names": names, **found.to_dict(granularity)}
        text = comparison_text(found, names, granularity, top)
    typer.echo(jsonlib.dumps(told, ensure_ascii=False) if json else text)


def _responses(
    given: Sequence[str], files: Sequence[Path], chosen: str | None, rejected: str | None, two_models: bool
) -> tuple[list[str], list[str]]:
    """The responses with a name for each: their number, or "chosen" and "rejected"."""
    pair = chosen is not None or rejected is not None
    if pair and (given or files):
        raise RedvizError("Give the responses once: --response as often as needed, or --chosen with --rejected.")
    if pair and (chosen is None or rejected is None):
        raise RedvizError("A pair needs both --chosen and --rejected.")
    if chosen is not None and rejected is not None:
        names, answers = ["chosen", "rejected"], [chosen, rejected]
    else:
        answers = [*given, *map(read_text, files)]
        names = [str(number) for number in range(1, len(answers) + 1)]
    if two_models and len(answers) != 1:
        raise RedvizError(f"--model2 compares two models on one response, and there are {len(answers)}; give one.")
    if not two_models and not answers:
        raise RedvizError("Give the responses: --response TEXT as often as needed, or --chosen TEXT --rejected TEXT.")
    return names, answers
