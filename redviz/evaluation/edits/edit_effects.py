"""What each edit does on the average over many responses: where a reward model can be had by form alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.batches import analyze_batch
from redviz.credit.ingredients import Progress
from redviz.errors import Cancelled, RedvizError
from redviz.evaluation.edits.edits import Edits, WhatIf, as_edits, what_if
from redviz.evaluation.edits.text_edits import READY_EDITS, Edit
from redviz.evaluation.statistics.intervals import mean, resampling
from redviz.records import Example

if TYPE_CHECKING:
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.reward_model import RewardModel


@dataclass(frozen=True)
class ResponseChange:
    """One edit of one response; ``score`` and ``change`` are None where it failed, and ``changes`` tells whether it does anything."""

    response: str
    edit: str
    before: float
    score: float | None
    change: float | None
    changes: bool
    error: str | None = None


@dataclass(frozen=True)
class EditEffect:
    """One edit over all responses that it changes.

    Attributes
    ----------
    name, title, looks_for
        Of the edit.
    responses
        How many responses the figures come from.
    mean, low, high
        The mean change of the score and its 95 % bootstrap interval over examples: responses whose ids agree up to ``/`` (to one
        prompt) are drawn together. nan where there are none, the interval also where there is one.
    rises, falls
        Shares of these responses.
    unchanged, failed
        Responses that the edit leaves as they are, and that could not be edited or scored: in none of the figures.
    """

    name: str
    title: str
    looks_for: str
    responses: int
    mean: float
    low: float
    high: float
    rises: float
    falls: float
    unchanged: int
    failed: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types: what is not known is None."""
        return {
            key: None if isinstance(value, float) and np.isnan(value) else value for key, value in asdict(self).items()
        }


@dataclass(frozen=True)
class EditEffects:
    """The average of every edit in the order asked for, every single change, and a sentence for each response that gave none."""

    rows: tuple[EditEffect, ...]
    changes: tuple[ResponseChange, ...]
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "edits": [row.to_dict() for row in self.rows],
            "changes": [asdict(change) for change in self.changes],
            "problems": list(self.problems),
        }


def edit_effects(
    model: RewardModel | FunctionModel,
    examples: Iterable[Example | Mapping[str, Any]],
    edits: Edits = tuple(READY_EDITS),
    *,
    progress: Progress | None = None,
    total: int = 0,
) -> EditEffects:
    """Edit every response of a data set in the same ways, and average the changes of the score.

    Parameters
    ----------
    model
        The model.
    examples
        :class:`Example` records or dicts with ``prompt`` and ``response``, streamed.
    edits
        As in :func:`redviz.what_if`.
    progress, total
        Called with (responses done, ``total``); may raise to cancel.

    Returns
    -------
    EditEffects
        A response that cannot be scored is one sentence among its ``problems``, and the rest goes on.

    Raises
    ------
    RedvizError
        For an unknown edit.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.reward_function(lambda prompt, response: len(response.split()), name="length")
    >>> rows = edit_effects(model, [{"prompt": "Who?", "response": "Me. You."}], ["duplicate", "upper"]).rows
    >>> [(row.name, row.mean) for row in rows]
    [('duplicate', 2.0), ('upper', 0.0)]
    """
    chosen = as_edits(edits)
    problems: list[str] = []
    changes: list[ResponseChange] = []
    kinds: list[int] = []  # of each change: the place of its edit among those chosen
    done = 0
    for done, analysis in enumerate(analyze_batch(model, examples, {}), 1):
        if progress is not None:
            progress(done - 1, total)
        name = analysis.example.id or f"response {done}"
        try:
            if analysis.error:
                raise RedvizError(analysis.error)
            edited = what_if(model, analysis, chosen)
        except Cancelled:
            raise
        except RedvizError as error:
            problems.append(f"{name}: {error}")
            continue
        changes += _of_response(name, edited)
        kinds += range(len(chosen))
    if progress is not None and done:
        progress(done, total)
    rows = (
        _effect(edit, [c for c, kind in zip(changes, kinds, strict=True) if kind == i]) for i, edit in enumerate(chosen)
    )
    return EditEffects(tuple(rows), tuple(changes), tuple(problems))


def _of_response(name: str, found: Sequence[WhatIf]) -> Iterator[ResponseChange]:
    for one in found:
        known = one.after.observation is not None
        score, change = (one.after.score, one.change) if known else (None, None)
        yield ResponseChange(name, one.edit.name, one.before.score, score, change, one.changes, one.error)


def _effect(edit: Edit, changes: Sequence[ResponseChange]) -> EditEffect:
    known = [(c.response.partition("/")[0], c.change) for c in changes if c.change is not None and c.changes]
    moved = np.array([change for _, change in known], dtype=np.float64)  # [N]
    failed = sum(c.change is None for c in changes)
    average = low = high = rises = falls = float("nan")
    if len(moved):
        average, rises, falls = (float(np.mean(x)) for x in (moved, moved > 0, moved < 0))
        names = {name: place for place, name in enumerate(dict.fromkeys(name for name, _ in known))}
        sums = np.zeros((len(names), 2))  # [example, (count, sum)]
        np.add.at(sums, [names[name] for name, _ in known], np.stack([np.ones_like(moved), moved], 1))
        estimate = resampling(len(names)).estimate(sums, mean)
        low, high = estimate.low, estimate.high
    unchanged = len(changes) - failed - len(moved)
    about = (edit.name, edit.title, edit.looks_for)
    return EditEffect(*about, len(moved), average, low, high, rises, falls, unchanged, failed)
