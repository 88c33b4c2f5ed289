"""``redviz what-if``: what edits of a response do to its score, for one response or on the average over a data set."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from redviz.cli.analyze import prompt_of, response_of
from redviz.cli.loading import Columns, Model, open_model, tell_problems, with_model
from redviz.cli.options import AsJson, Messages, Prompt, PromptFile, mapping_of
from redviz.cli.terminal import column, numbers, shown, table
from redviz.errors import RedvizError

if TYPE_CHECKING:
    from redviz.evaluation.edits.edit_effects import EditEffects
    from redviz.evaluation.edits.edits import WhatIf
    from redviz.evaluation.edits.text_edits import Edit
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel
    from redviz.records import Example


@with_model
def what_if(
    model: Model,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    messages: Messages = None,
    response: Annotated[str | None, typer.Option("--response", help="The response to edit.")] = None,
    response_file: Annotated[
        Path | None, typer.Option("--response-file", help="A text file with the response; - is stdin.")
    ] = None,
    new_response: Annotated[
        list[str] | None, typer.Option("--new-response", help="Another text to score in its place, as often as needed.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="A file of prompts and responses, or a Hub id: averages over all.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Responses of the data set to edit at most.")] = None,
    column: Columns = None,
    edits: Annotated[
        str | None,
        typer.Option("--edits", help="Names with commas, such as praise,upper; all ready edits if not given."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Edit a response and score it again: repeat a sentence, praise, pad, shout, and see which of it the model rewards."""
    single = any(given is not None for given in (prompt, prompt_file, messages, response, response_file, new_response))
    if dataset is not None and single:
        raise RedvizError("Give one response (--prompt and --response) or a data set (--dataset), not both.")
    if dataset is None and limit is not None:
        raise RedvizError("--limit goes with --dataset; leave it out for one response.")
    if dataset is None and column:
        raise RedvizError("--column goes with --dataset; leave it out for one response.")
    if limit is not None and limit < 1:
        raise RedvizError(f"--limit is {limit}; give 1 or more.")
    chosen = _chosen(edits, new_response or [])
    examples = None if dataset is None else _Examples(dataset, mapping_of(column or []), limit)
    asked, answer = (
        ("", "") if dataset else (prompt_of(prompt, prompt_file, messages), response_of(response, response_file))
    )
    loaded = open_model(model)
    if examples is not None:
        effects = _over(loaded, examples, chosen)
        typer.echo(jsonlib.dumps(effects.to_dict(), ensure_ascii=False) if json else effects_text(effects))
        return
    from redviz.analysis import analyze
    from redviz.credit.recipes import recipes
    from redviz.evaluation.edits import edits as evaluation

    analysis = analyze(loaded, asked, answer, [])
    assert analysis.observation is not None
    if evaluation.is_split(loaded, analysis.observation, recipes(["red"])["red"]):
        analysis = analyze(loaded, asked, answer, ["red"])
    found = evaluation.what_if(loaded, analysis, chosen)
    told = {"before": analysis.to_dict(), "edits": [one.to_dict() for one in found]}
    typer.echo(jsonlib.dumps(told, ensure_ascii=False) if json else edits_text(found))


def _chosen(listed: str | None, texts: Sequence[str]) -> list[Edit]:
    """New texts first, then the ready edits that were named; all ready edits where neither was given."""
    from redviz.evaluation.edits.text_edits import READY_EDITS, rewrite

    own = [replace(rewrite(text), title=f"new response {i}") for i, text in enumerate(texts, 1)]
    if listed is None:
        return own or list(READY_EDITS.values())
    names = [name.strip() for name in listed.split(",") if name.strip()]
    unknown = [name for name in names if name not in READY_EDITS]
    if unknown or not names:
        said = f"There is no edit {unknown[0]!r}" if unknown else "--edits names none"
        raise RedvizError(f"{said}; use some of {', '.join(READY_EDITS)}.")
    return own + [READY_EDITS[name] for name in names]


class _Examples:
    """The responses of a data set: counted once, for the bar, and then read as they are scored."""

    def __init__(self, dataset: str, mapping: dict[str, str], limit: int | None) -> None:
        from redviz.data.sets.dataset import open_dataset

        self._opened, self._limit = open_dataset(dataset, mapping=mapping), limit
        self.count = sum(1 for _ in self)
        tell_problems(self._opened)
        if not self.count:
            raise RedvizError(f"{self._opened.name} holds no prompt with a response; name its columns with --column.")

    def __iter__(self) -> Iterator[Example]:
        return islice(chain.from_iterable(item.examples for item in self._opened.items()), self._limit)


def _over(model: RewardModel | FunctionModel, examples: _Examples, chosen: Sequence[Edit]) -> EditEffects:
    from redviz.evaluation.edits.edit_effects import edit_effects

    with typer.progressbar(length=examples.count, label="responses", file=typer.get_text_stream("stderr")) as bar:
        effects = edit_effects(
            model, examples, chosen, progress=lambda done, total: bar.update(done - bar.pos), total=examples.count
        )
    for sentence in effects.problems:
        typer.echo(f"note: {shown(sentence)}", err=True)
    if not effects.changes:
        raise RedvizError("No response could be scored; the notes above say why.")
    return effects


def edits_text(found: Sequence[WhatIf]) -> str:
    """The score before, and a line per edit: what raises the score most stands first."""
    before = found[0].before
    ordered = sorted(found, key=lambda one: (one.after.observation is None, -one.change))
    heading = f"{before.source.model}  score {before.score:+.4g}  {len(before.tokens)} tokens"
    columns = [
        column("edit", [one.edit.name for one in ordered]),
        column("change", numbers(one.change for one in ordered), right=True),
        column("score", numbers(one.after.score for one in ordered), right=True),
        column("tokens", [str(len(one.after.tokens)) if one.after.tokens else "" for one in ordered], right=True),
        column("what was done", [_remark(one) for one in ordered]),
    ]
    return "\n".join([heading, "", table(columns)])


def _remark(one: WhatIf) -> str:
    if one.error:
        return shown(one.error)
    return one.edit.title if one.changes else f"{one.edit.title} (this changes nothing here)"


def effects_text(effects: EditEffects) -> str:
    """A line per edit: what raises the score most on the average stands first."""
    rows = sorted(effects.rows, key=lambda row: (not row.responses, -row.mean))
    low, high = numbers(row.low for row in rows), numbers(row.high for row in rows)
    columns = [
        column("edit", [row.name for row in rows]),
        column("mean change", numbers(row.mean for row in rows), right=True),
        column("95 % interval", [f"{a} to {b}" if a and b else "" for a, b in zip(low, high, strict=True)]),
        column("rises", [f"{row.rises:.0%}" if row.responses else "" for row in rows], right=True),
        column("responses", [str(row.responses) for row in rows], right=True),
        column("unchanged", [str(row.unchanged) for row in rows], right=True),
        column("failed", [str(row.failed) for row in rows], right=True),
        column("what was done", [row.title for row in rows]),
    ]
    return table(columns)
