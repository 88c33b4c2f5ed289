"""Credit by truncation: the response cut after every unit, each cut encoded and closed anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from redviz.credit.from_models.coalitions import Model, players_of, scores_of_texts, spread
from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.reward_model import RewardModel
from redviz.models.running.both_ways import Row, rows_scores
from redviz.models.running.budgets import Progress, at_once
from redviz.models.running.closed import closing_ids
from redviz.models.running.micro_batches import in_batches
from redviz.models.running.observe import observe
from redviz.records import Credit, Encoding, Example, Observation


def truncation(
    observation: Observation, model: Model, *, players: str = "token", progress: Progress | None = None
) -> Credit:
    """What each unit adds to the score when the response is cut after it instead of before it.

    The prefix difference of RED (Li et al. 2024, arXiv 2411.08302) on texts: every cut response is encoded anew, so that its tokens
    and the template's closing are what the model would read if the response ended there.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    players
        Where cuts are made: after each "token", "word" or "sentence". A unit's credit is spread evenly over its tokens.
    progress
        Called with (cuts scored, cuts) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - Q_0``, the score of the empty response with the template's closing tokens after it (a function is
        asked about the empty text). ``meta["prefix_scores"]`` has the ``P + 1`` scores.

    Raises
    ------
    RedvizError
        For an unknown kind of player, a function that has no score of the empty text, or where one response does not fit memory.
    """
    units = players_of(observation, players)
    example = observation.encoding.example
    texts = [
        example.response[: unit.end] for unit in units[:-1]
    ]  # P - 1; the last cut is the response that was observed
    if isinstance(model, FunctionModel):
        inner = scores_of_texts(model, example, ["", *texts], progress).tolist()
    else:
        inner = _scores_of_cuts(model, observation, texts, progress)
    scores = np.array([*inner, observation.score])  # [P+1]
    values = spread(np.diff(scores), units).astype(np.float32)  # [T]
    meta = {"players": players, "prefix_scores": scores.tolist()}
    return Credit(values, observation.score, float(scores[0]), meta=meta)


def _empty(encoding: Encoding) -> Encoding | None:
    """The prompt with the closing tokens and nothing between them; None where nothing follows a response."""
    closing = closing_ids(encoding)  # [s]
    if not len(closing):
        return None
    ids = np.concatenate([encoding.ids[: encoding.start], closing])
    return replace(encoding, ids=ids, read=len(ids) - 1)


def _scores_of_cuts(
    model: RewardModel, observation: Observation, texts: Sequence[str], progress: Progress | None
) -> list[float]:
    """The scores of the empty response and of cut ones, each encoded anew: ``[1 + len(texts)]``."""
    scores = np.full(len(texts) + 1, float(observation.prefix_scores[0]))
    encodings = {0: closed} if (closed := _empty(observation.encoding)) else {}
    trimmed = []
    for at, text in enumerate(texts, 1):
        try:
            encodings[at] = model.encode(Example(observation.encoding.example.prompt, text))
        except RedvizError:
            if text.strip():
                raise
            trimmed.append(at)  # of blanks alone, which the template trims away
    if model.both_ways:
        encodings.pop(0, None)  # the empty prefix is closed, and was scored with the response
        rows = [Row.of(model, encoding) for encoding in encodings.values()]
        scores[list(encodings)] = rows_scores(model, rows, progress)
        scores[trimmed] = scores[0]
        return list(map(float, scores))
    cuts = list(encodings)
    scores[cuts] = in_batches(
        [len(encodings[at].ids) for at in cuts],
        at_once("forward", model.device),
        lambda batch: [one.score for one in observe(model, [encodings[cuts[i]] for i in batch], attention=False)],
        lambda _: "Memory ran out on a single cut response; use a shorter one or a smaller dtype.",
        progress,
    )
    scores[trimmed] = scores[0]
    return list(map(float, scores))
