"""``redviz score``: the credits of every response of a data set, in a file; stopped at any time, the same command goes on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from redviz.cli.loading import Columns, Model, open_model, open_partners, tell_problems, with_model
from redviz.cli.options import MethodOptions, MethodsOfMany, mapping_of, methods_with_options
from redviz.cli.terminal import shown
from redviz.errors import Cancelled, RedvizError
from redviz.models.spec import NOBODY, PartnerSpecs
from redviz.text import duration

if TYPE_CHECKING:
    from redviz.runs.runs import Run, State

ENGINES = ("local", "ray")
AGAIN = "the same command goes on where it stopped"


@with_model
def score(
    model: Model,
    dataset: Annotated[str, typer.Option("--dataset", help="A file (.jsonl, .json, .parquet, .csv, …) or a Hub id.")],
    output: Annotated[Path, typer.Option("--output", help="The result: .parquet, .jsonl or .csv.")],
    methods: MethodsOfMany = "red,abc,ig",
    option: MethodOptions = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Rows of the data set to score at most.")] = None,
    column: Columns = None,
    batch_size: Annotated[
        str, typer.Option("--batch-size", help="Responses per forward pass, or auto: what fits the memory.")
    ] = "auto",
    chunk: Annotated[
        int | None,
        typer.Option("--chunk", help="Responses of a part: batched by length together, lost at most by a kill."),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help=" or ".join(ENGINES) + ".")] = "local",
    partners: PartnerSpecs = NOBODY,
) -> int:
    """Score a data set and split every score over its tokens; killed or stopped, the same command goes on."""
    if engine not in ENGINES:
        raise RedvizError(f"There is no engine {engine!r}; use one of {', '.join(ENGINES)}.")
    size = _batch_size(batch_size)
    wanted = methods_with_options(methods, option or [])
    mapping = mapping_of(column or [])
    from redviz.cli.ctrl_c import ctrl_c_between_steps
    from redviz.credit.ingredients import Partners
    from redviz.credit.recipes import recipes
    from redviz.data.results.row_files import check_can_write
    from redviz.data.sets.dataset import open_dataset
    from redviz.runs.local import run_parts, start_run
    from redviz.runs.parts import put_together
    from redviz.runs.ray_engine import check_ray, run_parts_on_ray
    from redviz.runs.run_folder import refuse_in_demo

    refuse_in_demo()
    if engine == "ray":
        check_ray()
    check_can_write(output)
    opened = open_dataset(dataset, mapping=mapping, limit=limit, whole=True)
    typer.echo(shown(opened.detected.sentence), err=True)
    loaded = open_model(model)
    beside = Partners(**open_partners(partners))
    how: dict[str, Any] = {"partners": beside, "max_length": model.max_length, "mapping": mapping, "chunk": chunk}
    how["template"] = model.template
    run = start_run(opened, dataset, loaded, recipes(wanted), **how)
    tell_problems(opened, "; the run's log lists more")
    typer.echo(f"run {run.id} in {shown(str(run.folder))}", err=True)
    bar = _Bar(run)

    def progress(done: int, total: int) -> None:
        heed()
        bar.show(done, total)

    try:
        with ctrl_c_between_steps() as heed:
            if engine == "ray":
                loading = {name: getattr(model, name) for name in ("device", "trust_remote_code", "allow_pickle")}
                state = run_parts_on_ray(run, loading=loading, batch_size=size, progress=progress)
            else:
                state = run_parts(loaded, run, dataset=opened, partners=beside, batch_size=size, progress=progress)
        count = put_together(run, output)
    except (KeyboardInterrupt, Cancelled):
        bar.close()
        typer.echo(f"redviz: Stopped; {AGAIN}.", err=True)
        return 1
    finally:
        bar.close()
    return _tell_result(run, state, output, count)


def _batch_size(text: str) -> int | str:
    if text == "auto":
        return text
    if not text.isdecimal() or int(text) < 1:
        raise RedvizError(f"--batch-size is {text}; give a whole number from 1, or auto.")
    return int(text)


def _tell_result(run: Run, state: State, output: Path, count: int) -> int:
    """One line on stdout, and the exit code: a run in which every row failed has failed."""
    failed = f", {state.failed} of them failed (see the column error)" if state.failed else ""
    typer.echo(f"{shown(str(output))}: {count} rows of {run.manifest.count} responses{failed}")
    if accuracy := _accuracy(run):
        typer.echo(accuracy, err=True)
    if state.failed < count:
        return 0
    typer.echo("redviz: Every row failed; the column error says why.", err=True)
    return 1


def _accuracy(run: Run) -> str:
    """How often the chosen responses are above the others, in a sentence; none where the rows hold no pairs."""
    from redviz.evaluation.statistics.intervals import share
    from redviz.evaluation.statistics.pairs import pairs_of_frame, wins
    from redviz.runs.parts import scores_of_parts

    try:
        pairs = pairs_of_frame(scores_of_parts(run))
    except RedvizError:  # no pair whose scores are all there
        return ""
    found = share(wins(pairs.chosen - pairs.rejected))
    interval = f" ({found.low:.1%} to {found.high:.1%})" if found.low == found.low else ""
    left = f"; {pairs.left_out:,} left out" if pairs.left_out else ""
    if pairs.responses is None:
        return f"accuracy {found.value:.1%}{interval}: chosen above rejected, in {len(pairs.ids):,} pairs{left}"
    coin = f"a coin reaches {pairs.responses.chance():.1%}"
    return (
        f"accuracy {found.value:.1%}{interval}: chosen above all others, in {len(pairs.ids):,} prompts ({coin}){left}"
    )


class _Bar:
    """A bar on stderr: items per second and the time left on a terminal, a line now and then in a pipe."""

    def __init__(self, run: Run) -> None:
        self.stream = typer.get_text_stream("stderr")
        self.terminal = self.stream.isatty()
        self.every = 0.2 if self.terminal else 30.0
        self.since, self.first, self.told = 0.0, 0, -1.0
        self.last = ""
        self.total = run.manifest.count

    def show(self, done: int, total: int) -> None:
        now = time.monotonic()
        if not self.since:
            self.since, self.first = now, done
        if done < total and now - self.told < self.every:
            return
        self.told = now
        rate = (done - self.first) / (now - self.since) if now > self.since else 0.0
        left = duration((total - done) / rate) if rate else "–"
        filled = 24 * done // max(1, total)
        text = f"{'█' * filled}{'░' * (24 - filled)} {done}/{total}  {rate:.1f} items/s  {left} left"
        if text != self.last:
            self.last = text
            self.stream.write(f"\r\x1b[2K{text}" if self.terminal else f"{text}\n")
            self.stream.flush()

    def close(self) -> None:
        if self.terminal and self.last:
            self.stream.write("\n")
        self.last = ""
