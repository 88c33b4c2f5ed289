"""The parts of a run: a chunk of examples scored, its rows written at once or not at all, and all of them put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redviz.batches import analyze_as_ready
from redviz.credit.ingredients import Partners
from redviz.credit.recipes import Recipe
from redviz.data.results.row_files import read_rows, write_rows
from redviz.data.results.rows import Rows, rows, write_parquet
from redviz.data.whole_files import replace_file
from redviz.errors import RedvizError
from redviz.models.reading.templates import names_file
from redviz.records import Analysis, Example
from redviz.runs.manifest import Manifest
from redviz.runs.runs import Run

if TYPE_CHECKING:
    import pandas as pd

    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel

    Model = RewardModel | FunctionModel


ALONE = Partners()  # no model beside the reward model


@dataclass(frozen=True)
class RunExample:
    """One example of a run, the subset of the data set that it is from, and why its row cannot be read, if it cannot."""

    example: Example
    subset: str = ""
    problem: str = ""


def score_chunk(
    model: Model,
    chunk: Sequence[RunExample],
    wanted: Mapping[str, Recipe],
    partners: Partners = ALONE,
    batch_size: int | str = "auto",
    beat: Callable[[int], None] | None = None,
) -> Rows:
    """The rows of a chunk, in its order. An analysis is made rows as soon as it is there, so its attention is not kept.

    Parameters
    ----------
    beat
        Called with the number of examples that are ready, between micro-batches; may raise to stop.
    """
    ready: dict[int, Rows] = {}
    pulse = (lambda: beat(len(ready))) if beat is not None else None
    asked = {label: recipe.method for label, recipe in wanted.items()}
    for i, one in enumerate(chunk):
        if one.problem:
            ready[i] = rows(Analysis(one.example, model.source, None, error=one.problem), asked, one.subset)
    readable = [i for i, one in enumerate(chunk) if not one.problem]
    examples = [chunk[i].example for i in readable]
    for place, analysis in analyze_as_ready(model, examples, wanted, partners, batch_size, pulse):
        ready[readable[place]] = rows(analysis, asked, chunk[readable[place]].subset)
    return [row for i in range(len(chunk)) for row in ready[i]]


def write_part(run: Run, number: int, found: Rows) -> int:
    """Write a part; gives how many of its rows failed. Its rows name the model as the run does, from wherever it was loaded."""
    found = [row | {"model": run.manifest.model} for row in found]
    failed = sum(row["error"] is not None for row in found)
    told = {"run": run.id, "examples": str(run.manifest.size(number)), "failed": str(failed)}
    replace_file(run.part(number), lambda file: write_parquet(file, found, told))
    return failed


def failed_in(run: Run, number: int) -> int | None:
    """How many rows of a finished part failed; None where the part is not there, is another's or is damaged, and must be redone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(run.part(number), page_checksum_verification=True) as file:
            told = {key.decode(): value.decode() for key, value in (file.schema_arrow.metadata or {}).items()}
            if (told.get("run"), told.get("examples")) != (run.id, str(run.manifest.size(number))):
                return None
            read = sum(len(batch) for batch in file.iter_batches())  # every page, with its checksum
            return int(told["failed"]) if read == file.metadata.num_rows else None
    except (OSError, ValueError, KeyError, pa.ArrowException):
        return None


def put_together(run: Run, output: Path) -> int:
    """Write the rows of all parts to one file (``.parquet``, ``.jsonl`` or ``.csv``), in input order; gives their number.

    Raises
    ------
    RedvizError
        Where a part is not there yet, or the file cannot be written.
    """
    missing = next((n for n in range(run.manifest.parts) if not run.part(n).exists()), None)
    if missing is not None:
        raise RedvizError(f"Part {missing} of run {run.id} is not there yet; resume the run first.")
    return write_rows(output, _rows_of_parts(run), provenance(run.manifest))


def scores_of_parts(run: Run) -> pd.DataFrame:
    """The score and the length of every response of a finished run, once per method, in input order: no text, no credits."""
    import pandas as pd
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    found = []
    for number in range(run.manifest.parts):
        table = pq.read_table(run.part(number), columns=["example_id", "response_id", "score", "token_ids", "subset"])
        lengths = pc.list_value_length(table["token_ids"])
        found.append(table.drop_columns(["token_ids"]).append_column("length", lengths).to_pandas())
    return pd.concat(found, ignore_index=True)


def provenance(manifest: Manifest) -> dict[str, str]:
    """What a result file says about itself: the manifest as JSON, without the folders it was read from."""
    asked = manifest.template
    template = Path(asked).name if asked and names_file(asked) else asked
    shown = replace(manifest, path=Path(manifest.path).name, load_from={}, template=template)
    return {"redviz": shown.to_json()}


def _rows_of_parts(run: Run) -> Iterator[list[dict[str, Any]]]:
    for number in range(run.manifest.parts):
        yield from read_rows(run.part(number))
