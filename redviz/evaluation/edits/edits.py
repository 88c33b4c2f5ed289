"""What if the response were another: edit it, score it again, and run only what follows the first change."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os.path import commonprefix
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz.analysis import with_credits
from redviz.credit.ingredients import Progress, why_not
from redviz.credit.recipes import Recipe, recipes
from redviz.errors import RedvizError, of_one_row
from redviz.evaluation.edits.text_edits import READY_EDITS, Edit, rewrite
from redviz.models.kinds.function import FunctionModel
from redviz.records import Analysis, Credit, Encoding, Example, Observation

if TYPE_CHECKING:
    from redviz.models.kinds.reward_model import RewardModel

Edits = str | Edit | Sequence[str | Edit]

NAME = re.compile(r"[a-z]+(_[a-z]+)*")  # what the name of a ready edit looks like
NOTHING_LEFT = "Nothing is left of the response; choose an edit that leaves some text."


@dataclass(frozen=True)
class WhatIf:
    """One edit of a response, and what the model makes of it.

    Attributes
    ----------
    edit
        What was done.
    before, after
        The analyses of the response and of the edited one. ``after`` carries the credits of ``before`` that are arithmetic on the
        one forward pass, recomputed with the same options; where the edit failed it has ``error`` set and a nan score.
    first_character
        Where the texts first differ; the response's length where the edit only adds or changes nothing.
    first_token
        The response token from which on ids differ, as the model reads them: at or before that character.
    kept
        How many first columns of the conversation were taken from the original; 0 where nothing could be.
    """

    edit: Edit
    before: Analysis
    after: Analysis
    first_character: int
    first_token: int
    kept: int

    @property
    def text(self) -> str:
        """The edited response."""
        return self.after.response

    @property
    def change(self) -> float:
        """The score after minus the score before; nan where the edit failed."""
        return self.after.score - self.before.score

    @property
    def changes(self) -> bool:
        """Whether the edit changes this response at all."""
        return self.text != self.before.response

    @property
    def error(self) -> str | None:
        return self.after.error

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; the analysis before is left out, as it is the same for every edit."""
        known = self.after.observation is not None
        return {
            "edit": self.edit.name,
            "title": self.edit.title,
            "text": self.text,
            "before": self.before.score,
            "score": self.after.score if known else None,
            "change": self.change if known else None,
            "changes": self.changes,
            "first_character": self.first_character,
            "first_token": self.first_token,
            "kept": self.kept,
            "error": self.error,
            "after": self.after.to_dict(),
        }


def is_split(model: RewardModel | FunctionModel, observation: Observation, recipe: Recipe) -> bool:
    """Whether a method can split edited responses as it splits this one: not where a plain function of text scores them."""
    return type(model) is not FunctionModel and not why_not(observation, recipe)


def what_if(
    model: RewardModel | FunctionModel,
    analysis: Analysis,
    edits: Edits = tuple(READY_EDITS),
    *,
    progress: Progress | None = None,
) -> list[WhatIf]:
    """Score edits of a response, and split the new scores as the old one was split.

    What an edit leaves unchanged at the beginning runs once for all edits; each then runs from its first changed token.

    Parameters
    ----------
    model
        The model of the analysis.
    analysis
        From :func:`redviz.analyze`.
    edits
        Names of ready edits (``text_edits.READY_EDITS``; all by default), :class:`Edit` records (``delete_span``,
        ``replace_span``, ``repeat_span``, your own), new texts of the response, or one of these.
    progress
        Called with (edits done, edits); may raise to cancel.

    Returns
    -------
    list[WhatIf]
        One per edit, in order. An edit that leaves nothing, or that the model cannot read, has ``error`` set, and the others go on.

    Raises
    ------
    RedvizError
        For an unknown name, no edits, an analysis that failed, or one by another model.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> analysis = redviz.analyze(model, "Review the film.", "A superb film. I laughed.", methods=["red"])
    >>> shouted, new = what_if(model, analysis, ["upper", "A superb film. I was bored."])
    >>> shouted.text, new.change < 0, new.first_character, new.kept > 10
    ('A SUPERB FILM. I LAUGHED.', True, 17, True)
    """
    chosen = as_edits(edits)
    if analysis.observation is None:
        raise RedvizError("This analysis failed, so there is nothing to edit; analyze a response that can be scored.")
    if not analysis.source.reads_as(model.source):
        raise RedvizError(
            f"The analysis is by {analysis.source.model}, and the model is {model.name}; analyze the response with it first."
        )
    texts: dict[int, str] = {}
    failed: dict[int, str] = {}
    for i, edit in enumerate(chosen):
        try:
            texts[i] = edit.apply(analysis.response)
        except RedvizError as error:
            texts[i], failed[i] = analysis.response, str(error)
    encodings = _encoded(model, analysis, texts, failed)
    observed = _observed(model, analysis.observation, encodings, failed, progress)
    wanted = repeatable(analysis.credits)
    edited = []
    for i, edit in enumerate(chosen):
        example = replace(analysis.example, response=texts[i], id="")
        if i in failed:
            after = Analysis(example, model.source, None, error=failed[i])
        elif texts[i] == analysis.response:
            after = replace(
                analysis, credits={label: c for label, c in analysis.credits.items() if label in wanted}, error=None
            )
        else:
            after = with_credits(model, observed[i][0], wanted, what_works=True)
        edited.append(_compared(edit, analysis, after, observed[i][1] if i in observed else 0))
    return edited


def as_edits(given: Edits) -> list[Edit]:
    """Edits from names, records and new texts.

    A text that looks like a name has to be the name of a ready edit, so that a slip of the pen is not scored as a response.
    """
    listed = [given] if isinstance(given, (str, Edit)) else list(given)
    if not listed:
        raise RedvizError(f"There is no edit to try; name some of {', '.join(READY_EDITS)}, or give a new text.")
    edits = []
    for one in listed:
        if isinstance(one, str) and (one in READY_EDITS or NAME.fullmatch(one)):
            if one not in READY_EDITS:
                raise RedvizError(
                    f"There is no edit {one[:60]!r}; use one of {', '.join(READY_EDITS)}, or text_edits.rewrite for a text."
                )
            edits.append(READY_EDITS[one])
        elif isinstance(one, (str, Edit)):
            edits.append(rewrite(one) if isinstance(one, str) else one)
        else:
            raise RedvizError(f"An edit is {type(one).__name__}; give a name, a new text or an Edit.")
    return edits


def repeatable(credits: Mapping[str, Credit]) -> dict[str, Recipe]:
    """The recipes of those credits that are arithmetic on the one observation, so that an edit has them too for nothing."""
    named = {
        label: {"method": credit.meta["method"], **credit.meta.get("options", {})}
        for label, credit in credits.items()
        if "method" in credit.meta
    }
    return {label: recipe for label, recipe in recipes(named).items() if not recipe.ingredients}


def _encoded(
    model: RewardModel | FunctionModel, analysis: Analysis, texts: Mapping[int, str], failed: dict[int, str]
) -> dict[int, Encoding]:
    """The edited conversations that differ from the original and can be read; why not, in ``failed``."""
    encodings = {}
    for i, text in texts.items():
        if i in failed or text == analysis.response:
            continue
        try:
            if not text.strip():
                raise RedvizError(NOTHING_LEFT)
            encodings[i] = model.encode(Example(analysis.prompt, text))
        except Exception as error:
            failed[i] = str(of_one_row(error))
    return encodings


def _observed(
    model: RewardModel | FunctionModel,
    original: Observation,
    encodings: Mapping[int, Encoding],
    failed: dict[int, str],
    progress: Progress | None,
) -> dict[int, tuple[Observation, int]]:
    """What the model says of each, and how many columns were kept. Equal texts run once."""
    first = {encoding.example.response: i for i, encoding in reversed(list(encodings.items()))}
    alone = {i: encoding for i, encoding in encodings.items() if first[encoding.example.response] == i}
    if isinstance(model, FunctionModel):
        made = _by_function(model, original, alone, failed, progress)
    elif alone:
        made = _by_model(model, original, alone, failed, progress)
    else:
        made = {}
    for i, encoding in encodings.items():
        same = first[encoding.example.response]
        if same in failed:
            failed[i] = failed[same]
        else:
            made[i] = made[same]
    return made


def _by_model(
    model: RewardModel,
    original: Observation,
    encodings: Mapping[int, Encoding],
    failed: dict[int, str],
    progress: Progress | None,
) -> dict[int, tuple[Observation, int]]:
    """All at once; where that fails, each alone, so that a bad text takes no other with it."""
    from redviz.models.running.suffix import observe_edited

    try:
        found = observe_edited(model, original, list(encodings.values()), progress)
        return {i: (one.observation, one.kept) for i, one in zip(encodings, found, strict=True)}
    except Exception as error:
        problem = str(of_one_row(error))
    if len(encodings) == 1:
        failed[next(iter(encodings))] = problem
        return {}
    alone = [_by_model(model, original, {i: encoding}, failed, progress) for i, encoding in encodings.items()]
    return {i: one for made in alone for i, one in made.items()}


def _by_function(
    model: FunctionModel,
    original: Observation,
    encodings: Mapping[int, Encoding],
    failed: dict[int, str],
    progress: Progress | None,
) -> dict[int, tuple[Observation, int]]:
    """A call per text; ``P_0`` belongs to the prompt, so it is the original's."""
    made: dict[int, tuple[Observation, int]] = {}
    for done, (i, encoding) in enumerate(encodings.items()):
        if progress is not None:
            progress(done, len(encodings))
        columns = np.full(len(encoding.ids), np.nan, np.float32)  # [T+1]
        columns[0] = original.column_scores[0]
        try:
            if type(model) is not FunctionModel:  # it scores steps or tokens itself: one pass, as for the original
                made[i] = model.observe(encoding), 0
                continue
            columns[encoding.read] = model.score_texts(encoding.example.prompt, [encoding.example.response])[0]
        except Exception as error:
            failed[i] = str(of_one_row(error))
            continue
        noted = replace(encoding, notices=original.encoding.notices)
        made[i] = Observation(noted, columns, black_box=True), 0
    return made


def _compared(edit: Edit, before: Analysis, after: Analysis, kept: int) -> WhatIf:
    character = len(commonprefix([before.response, after.response]))
    token = 0
    if before.observation is not None and after.observation is not None:
        one, two = before.observation.encoding, after.observation.encoding
        # A function's tokens have places for ids; only their texts can differ.
        pair = (one.pieces, two.pieces) if before.observation.black_box else (one.ids.tolist(), two.ids.tolist())
        shared = next((i for i, (a, b) in enumerate(zip(*pair, strict=False)) if a != b), min(map(len, pair)))
        token = max(0, min(shared, one.stop) - one.start)
    return WhatIf(edit, before, after, character, token, kept)
