"""Compare: two to six responses to one prompt on one scale, or one response under two models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from redviz.analysis import DEFAULT_METHODS, Methods, analyze, as_example, observe_examples, with_credits
from redviz.credit.from_records.margin import Shares, margin_shares, shared_tokens
from redviz.credit.from_records.two_models import ModelComparison
from redviz.credit.ingredients import Partners, Progress, share_of
from redviz.credit.recipes import recipes, stride_of
from redviz.errors import RedvizError
from redviz.models.kinds.function import FunctionModel
from redviz.models.kinds.pair_scorer import PairScorer
from redviz.models.kinds.pair_scores import PairScores
from redviz.records import Analysis, Array, Encoding, Message, Observation

if TYPE_CHECKING:
    import pandas as pd

    from redviz.models.kinds.policy import Policy
    from redviz.models.kinds.reward_model import RewardModel

MOST = 6  # responses on one screen that can still be told apart
FAR_APART = 1.5  # the longest has so many times the tokens of the shortest: worth a remark in any case
TELLING = 1.2  # less than that, and which of two is longer says nothing


@dataclass(frozen=True)
class Part:
    """Where a response parts from another: its first token that differs, and the character at which that token begins."""

    token: int
    character: int


@dataclass(frozen=True)
class Comparison:
    """Responses to one prompt under one model. Responses are counted from 0, in the order given."""

    analyses: tuple[Analysis, ...]

    @property
    def parts(self) -> tuple[Part, ...]:
        """For each response, where it parts from the first one; for the first, where it parts from the first of the others."""
        shared = [shared_tokens(self.analyses[0], other) for other in self.analyses[1:]]
        counts = [min(shared), *shared]
        return tuple(_part(analysis, count) for analysis, count in zip(self.analyses, counts, strict=True))

    @property
    def positions(self) -> tuple[Array, ...]:
        """Where on a common axis each response's prefix scores stand, ``[T+1]`` int64 each: tokens since the prompt.

        Responses have the same x for what they share, and the same prefix scores there, so their curves lie on one another.
        """
        return tuple(np.arange(len(analysis.prefix_scores)) for analysis in self.analyses)

    def margin(self, i: int, j: int) -> float:
        """By how much response i is scored above response j."""
        return self._at(i).score - self._at(j).score

    def probability(self, i: int, j: int) -> float:
        """How likely the model holds response i to be preferred to response j: sigmoid(margin) (Bradley & Terry 1952)."""
        return 0.5 * (1.0 + math.tanh(self.margin(i, j) / 2))

    def shares(self, i: int, j: int, label: str = "red", granularity: str = "word") -> Shares:
        """How much of the margin of response i over response j each span earns (:func:`.margin_shares`).

        Raises
        ------
        RedvizError
            For a response or a label that is not there, one response twice, or a method that promises no sum.
        """
        if i == j:
            raise RedvizError(f"A response has no margin over itself ({i} and {j}); name two responses.")
        return margin_shares(self._at(i), self._at(j), label, granularity, (i, j))

    @property
    def length_remark(self) -> str:
        """A sentence where length alone would rank the responses as the model does, or as it never does, or differs much."""
        lengths = [len(analysis.tokens) for analysis in self.analyses]
        told = f"{', '.join(map(str, lengths[:-1]))} and {lengths[-1]} tokens"
        ratio = max(lengths) / max(1, min(lengths))
        pairs = [(self.margin(i, j), lengths[i] - lengths[j]) for i, j in combinations(range(len(lengths)), 2)]
        wins = {longer > 0 if margin > 0 else longer < 0 for margin, longer in pairs if margin and longer}
        decided = all(margin and longer for margin, longer in pairs)
        if decided and len(wins) == 1 and (len(pairs) > 1 or ratio >= TELLING):
            which = "longer" if wins == {True} else "shorter"
            always = "always " if len(pairs) > 1 else ""
            return f"The {which} response {always}wins ({told}): a score of length alone would rank them {_likewise(which)}."
        if ratio >= FAR_APART:
            return f"The lengths differ much ({told}): some of the margin may be length."
        return ""

    def to_dict(self, granularity: str = "word") -> dict[str, Any]:
        """Plain JSON types: the analyses, margins and probabilities as tables, and the shares of :meth:`to_frame`."""
        count = range(len(self.analyses))
        return {
            "analyses": [analysis.to_dict() for analysis in self.analyses],
            "scores": [analysis.score for analysis in self.analyses],
            "margins": [[self.margin(i, j) for j in count] for i in count],
            "probabilities": [[self.probability(i, j) for j in count] for i in count],
            "parts": [asdict(part) for part in self.parts],
            "positions": [[int(x) for x in positions] for positions in self.positions],
            "length_remark": self.length_remark,
            "shares": [shares.to_dict() for shares in self.all_shares(granularity)],
        }

    def to_frame(self, granularity: str = "word") -> pd.DataFrame:
        """One row per span: the shares of the first response's margin over each other one, under every method with a sum."""
        import pandas as pd

        columns = ["label", "first", "second", "kind", "response", "text", "start", "end", "value"]
        rows = [
            {"label": shares.label, "first": shares.first, "second": shares.second, **asdict(row)}
            for shares in self.all_shares(granularity)
            for row in shares.rows
        ]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.astype({"response": "Int64"})

    def all_shares(self, granularity: str = "word") -> list[Shares]:
        """The shares of the first response's margin over each other one, for every label whose credits promise a sum."""
        able = [label for label, credit in self.analyses[0].credits.items() if credit.residual is not None]
        return [self.shares(0, j, label, granularity) for j in range(1, len(self.analyses)) for label in able]

    def _at(self, i: int) -> Analysis:
        if not 0 <= i < len(self.analyses):
            raise RedvizError(f"There is no response {i}; they are counted from 0 to {len(self.analyses) - 1}.")
        return self.analyses[i]


def _likewise(which: str) -> str:
    return "the same way" if which == "longer" else "the other way round"


def _part(analysis: Analysis, token: int) -> Part:
    offsets = analysis.offsets
    return Part(token, offsets[token][0] if token < len(offsets) else offsets[-1][1])


@overload
def compare(
    model: PairScorer,
    prompt: str | Sequence[Message],
    responses: Sequence[str],
    methods: Methods = ...,
    *,
    progress: Progress | None = None,
) -> PairScores: ...


@overload
def compare(
    model: RewardModel | FunctionModel,
    prompt: str | Sequence[Message],
    responses: Sequence[str],
    methods: Methods = DEFAULT_METHODS,
    *,
    policy: Policy | None = None,
    reference: Policy | None = None,
    cost_model: RewardModel | FunctionModel | None = None,
    progress: Progress | None = None,
) -> Comparison: ...


def compare(
    model: RewardModel | FunctionModel | PairScorer,
    prompt: str | Sequence[Message],
    responses: Sequence[str],
    methods: Methods = DEFAULT_METHODS,
    *,
    policy: Policy | None = None,
    reference: Policy | None = None,
    cost_model: RewardModel | FunctionModel | None = None,
    progress: Progress | None = None,
) -> Comparison | PairScores:
    """Score two to six responses to one prompt, and split each score over its tokens.

    What the responses share, the prompt and their common beginning, runs once for all of them.

    Parameters
    ----------
    model, prompt, methods, policy, reference, cost_model
        As in :func:`redviz.analyze`. A model that scores pairs (:func:`redviz.load_pair_scorer`) takes no models beside,
        and of the methods ``occlusion`` alone.
    responses
        Two to six texts, no two the same.
    progress
        Called with (done, total) by methods that take long; the total is over all responses and methods.

    Returns
    -------
    Comparison
        With an analysis for each response, in order; margins, probabilities and shares are in the model's own unit of score.
        Of a model that scores pairs, a :class:`redviz.models.kinds.pair_scores.PairScores`: margins in both orders and a ranking.

    Raises
    ------
    RedvizError
        For fewer than two responses or more than six, two that are the same, and all that :func:`redviz.analyze` refuses.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> found = compare(model, "Review the film.", ["A superb film.", "A superb cast, and a dull film."], ["red"])
    >>> found.margin(0, 1) > 0, [row.text for row in found.shares(0, 1).rows if row.kind == "span"][:1]
    (True, [' film'])
    """
    if isinstance(model, PairScorer):
        words = tuple(methods) == ("occlusion",) and not (isinstance(methods, Mapping) and methods["occlusion"])
        if (methods is not DEFAULT_METHODS and not words) or policy or reference or cost_model:
            raise RedvizError(
                f'{model.name} judges pairs; leave methods and the models beside it out, or ask for the method "occlusion" alone.'
            )
        asked = [as_example({"prompt": prompt, "response": response}) for response in _checked(responses)]
        return model.compare(asked[0].prompt, [example.response for example in asked], words, progress)
    wanted = recipes(methods)
    examples = [as_example({"prompt": prompt, "response": response}) for response in _checked(responses)]
    observations = observe_together(
        model,
        [model.encode(example) for example in examples],
        stride=stride_of(wanted.values()) or 1,
        progress=progress,
    )
    partners = Partners(policy, reference, cost_model)
    return Comparison(
        tuple(
            with_credits(model, observation, wanted, partners, progress, part=(number, len(observations)))
            for number, observation in enumerate(observations)
        )
    )


def _checked(responses: Any) -> list[str]:
    """Two to six texts that differ."""
    if isinstance(responses, str) or not isinstance(responses, Sequence):
        raise RedvizError(f"responses is {type(responses).__name__}; give a list of two to {MOST} texts.")
    if not 2 <= len(responses) <= MOST:
        count = "1 response" if len(responses) == 1 else f"{len(responses)} responses"
        raise RedvizError(f"There {'is' if len(responses) == 1 else 'are'} {count} to compare; give two to {MOST}.")
    for number, response in enumerate(responses, 1):
        if not isinstance(response, str):
            raise RedvizError(f"Response {number} is {type(response).__name__}, not text; give a string.")
        if not response:
            raise RedvizError(f"Response {number} is empty; give at least one character to score.")
        if response in responses[: number - 1]:
            same = responses.index(response) + 1
            raise RedvizError(f"Responses {same} and {number} are the same text; give responses that differ.")
    return list(responses)


def observe_together(
    model: RewardModel | FunctionModel,
    encodings: Sequence[Encoding],
    *,
    stride: int = 1,
    progress: Progress | None = None,
) -> list[Observation]:
    """Observations of responses to one prompt, what they share computed once; in smaller passes where memory runs out.

    A model that looks both ways shares nothing; ``stride`` and ``progress`` are for it (:func:`redviz.analysis.observe_examples`).
    """
    if isinstance(model, FunctionModel) or model.both_ways:
        return observe_examples(model, encodings, stride=stride, progress=progress)
    import torch

    from redviz.models.running.shared_prompt import observe_responses

    model = model.for_prompt(encodings[0])
    try:
        return observe_responses(model, encodings)
    except torch.OutOfMemoryError:
        pass  # outside of the block, whose error holds what filled the memory
    return observe_examples(model, encodings)


# ---------------------------------------------------------------- one response under two models


def compare_models(
    model_a: RewardModel | FunctionModel,
    model_b: RewardModel | FunctionModel,
    prompt: str | Sequence[Message],
    response: str,
    methods: Methods = DEFAULT_METHODS,
    *,
    policy: Policy | None = None,
    reference: Policy | None = None,
    cost_model: RewardModel | FunctionModel | None = None,
    progress: Progress | None = None,
) -> ModelComparison:
    """Analyze one response under two models and match their tokens by characters.

    Parameters
    ----------
    model_a, model_b
        Two reward models; their tokenizers and templates may differ.
    prompt, response, methods, policy, reference, cost_model, progress
        As in :func:`redviz.analyze`.

    Returns
    -------
    ModelComparison
        With both analyses, prefix scores at the same characters, and spans with both models' credits.

    Raises
    ------
    RedvizError
        For all that :func:`redviz.analyze` refuses of either model.
    """
    one, two = (
        analyze(
            model,
            prompt,
            response,
            methods,
            policy=policy,
            reference=reference,
            cost_model=cost_model,
            progress=share_of(progress, index, 2),
        )
        for index, model in enumerate((model_a, model_b))
    )
    return ModelComparison((one, two))
