"""From a prompt and a response to credits: the only chain encode -> observe -> credit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from redviz import returns
from redviz.errors import RedvizError
from redviz.methods import Recipe, recipes
from redviz.records import Analysis, Array, Credit, Encoding, Example, Message, Observation, Prompt

if TYPE_CHECKING:
    from redviz.models.reward_model import RewardModel

Methods = Sequence[str] | Mapping[str, Mapping[str, Any]]
Progress = Callable[[int, int], None]

BASELINES = ("zero", "constant", "prefix score")
DEFAULT_METHODS = ("red", "abc", "ig")
WINDOW = 128  # examples read ahead, so that batches hold texts of like length
TOKENS_AT_ONCE = {"cpu": 8192, "cuda": 65536, "mps": 16384}  # of one padded batch


def analyze(
    model: RewardModel,
    prompt: str | Sequence[Message],
    response: str,
    methods: Methods = DEFAULT_METHODS,
    *,
    policy: Any = None,
    reference: Any = None,
    cost_model: Any = None,
    progress: Progress | None = None,
) -> Analysis:
    """Score one response and split the score over its tokens.

    Parameters
    ----------
    model
        From :func:`redviz.load_reward_model`.
    prompt
        Text, or a list of ``{"role", "content"}`` messages.
    response
        The response to explain.
    methods
        Names, or label -> options: ``{"red": {"beta_c": 0.5}, "abc L2": {"method": "abc", "layer": 2}}``.
    policy, reference, cost_model
        Ingredients of policy-ratio and two-model methods; none of the present methods takes them.
    progress
        Called with (done, total) by methods that take long.

    Returns
    -------
    Analysis
        ``prefix_scores`` ``[T+1]`` and each credit's ``values`` ``[T]`` are float32, in the model's own unit of score.

    Raises
    ------
    RedvizError
        For an empty response, a prompt that fills the context, an unknown method or option.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> analysis = redviz.analyze(model, "Review the film.", "A superb, moving film.", methods=["red"])
    >>> bool(abs(analysis.credits["red"].residual) < 1e-4)
    True
    """
    if policy is not None or reference is not None or cost_model is not None:
        raise RedvizError(
            "policy, reference and cost_model serve policy-ratio and two-model methods; none of the methods asked for takes them."
        )
    wanted = recipes(methods)
    example = as_example({"prompt": prompt, "response": response})
    observation = observe_examples(model, [model.encode(example)])[0]
    return with_credits(model, example, observation, wanted, progress)


def analyze_batch(
    model: RewardModel,
    examples: Iterable[Example | Mapping[str, Any]],
    methods: Methods = DEFAULT_METHODS,
    batch_size: int | str = "auto",
) -> Iterator[Analysis]:
    """Analyze many responses in padded batches of like length, in input order.

    Parameters
    ----------
    examples
        :class:`Example` records or dicts with ``prompt``, ``response`` and, if you like, ``id``.
    batch_size
        Responses per forward pass; "auto" fills a number of tokens. A batch that does not fit memory is halved and run again.

    Yields
    ------
    Analysis
        One per example, and the rest goes on where one is bad. An example that cannot be scored has ``error`` set, a nan score and
        no credits; where only some methods fail, it keeps its score and the other credits, and ``error`` says which failed and why.
    """
    if batch_size != "auto" and (not isinstance(batch_size, int) or batch_size < 1):
        raise RedvizError(f'batch_size is {batch_size!r}; give a whole number from 1, or "auto".')
    wanted = recipes(methods)
    stream = iter(examples)
    while window := list(islice(stream, WINDOW)):
        yield from _analyze_window(model, window, wanted, batch_size)


def as_example(given: Example | Mapping[str, Any]) -> Example:
    """Check what was given and make it an :class:`Example`."""
    if isinstance(given, Example):
        given = {"prompt": given.prompt, "response": given.response, "id": given.id}
    if not isinstance(given, Mapping) or "prompt" not in given or "response" not in given:
        found = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise RedvizError(f"An example needs a prompt and a response; found {found or 'nothing'}.")
    response = given["response"]
    if not isinstance(response, str):
        raise RedvizError(f"The response is {type(response).__name__}, not text; give a string.")
    return Example(as_prompt(given["prompt"]), response, str(given.get("id", "")))


def as_prompt(prompt: Any) -> Prompt:
    """Text as it is, messages as a tuple of role and content."""
    if isinstance(prompt, str):
        return prompt
    if not isinstance(prompt, Sequence):
        raise RedvizError(
            "The prompt is neither text nor a list of messages; give a string or [{'role': 'user', 'content': '…'}]."
        )
    for message in prompt:
        if (
            not isinstance(message, Mapping)
            or not isinstance(message.get("role"), str)
            or not isinstance(message.get("content"), str)
        ):
            raise RedvizError(f"A message needs a role and a content, both text; found {str(message)[:80]!r}.")
    return tuple({"role": m["role"], "content": m["content"]} for m in prompt)


def observe_examples(model: RewardModel, encodings: Sequence[Encoding]) -> list[Observation]:
    """One padded forward pass; when memory runs out, two of half the size."""
    import torch

    from redviz.models.observe import observe

    try:
        return observe(model, encodings)
    except torch.OutOfMemoryError:
        if len(encodings) == 1:
            raise RedvizError(
                f"Memory ran out on one response of {len(encodings[0].ids)} tokens; lower --max-length or use a smaller dtype."
            ) from None
    half = len(encodings) // 2
    return observe_examples(model, encodings[:half]) + observe_examples(model, encodings[half:])


def credit_of(
    model: RewardModel | None, observation: Observation, recipe: Recipe, progress: Progress | None = None
) -> Credit:
    """One method's credits. The model is called only where the method needs it; elsewhere it may be None."""
    if recipe.info.needs == "model":
        if model is None:
            raise RedvizError(f"{recipe.method} calls the model again, and none is at hand here.")
        credit = recipe.info.credit(model, observation, progress=progress, **recipe.options)
    else:
        credit = recipe.info.credit(observation, **recipe.options)
    return replace(credit, meta={"method": recipe.method, "options": dict(recipe.options), **credit.meta})


def with_credits(
    model: RewardModel,
    example: Example,
    observation: Observation,
    wanted: Mapping[str, Recipe],
    progress: Progress | None = None,
) -> Analysis:
    """The finished record: observation, credits and source."""
    credits = {label: credit_of(model, observation, recipe, progress) for label, recipe in wanted.items()}
    return Analysis(example, model.source, observation, credits)


@dataclass(frozen=True)
class ReturnCurves:
    """One method's credits as token rewards, and what reinforcement learning makes of them; all arrays ``[T]`` float64.

    Attributes
    ----------
    rewards, returns, values, advantages
        ``r_t``, ``G_t``, ``V(s_t)`` before token t, and ``A_t`` (GAE).
    cautions
        Sentences to show where the combination loses a guarantee.
    """

    rewards: Array
    returns: Array
    values: Array
    advantages: Array
    cautions: tuple[str, ...]


def return_curves(
    analysis: Analysis,
    label: str,
    *,
    gamma: float = 1.0,
    lam: float = 1.0,
    baseline: str = "zero",
    constant: float = 0.0,
) -> ReturnCurves:
    """Returns and advantages of one method's token rewards.

    Parameters
    ----------
    analysis, label
        Which credits are the rewards.
    gamma, lam
        Discount, and lambda of generalised advantage estimation (1 is Monte Carlo: ``A_t = G_t - V_t``).
    baseline, constant
        What stands for ``V(s_t)``: "zero", a "constant", or the "prefix score" ``P_{t-1}`` of the reward model itself.
    """
    if baseline not in BASELINES:
        raise RedvizError(f"There is no baseline {baseline!r}; use one of {', '.join(BASELINES)}.")
    credit = analysis.credits[label]
    rewards = credit.values.astype(np.float64)  # [T]
    before = analysis.prefix_scores[:-1].astype(np.float64)  # [T], P_{t-1}
    values = {"zero": np.zeros_like(rewards), "constant": np.full_like(rewards, constant), "prefix score": before}[
        baseline
    ]
    cautions = []
    differences = credit.meta.get("method") == "red" and credit.meta["options"]["beta_c"] > 0
    if differences and baseline == "prefix score":
        cautions.append(
            "RED's returns already carry the prefix score as baseline; subtracting it again counts it twice."
        )
    if differences and gamma < 1:
        cautions.append(
            "With γ < 1 prefix differences are no longer potential-based shaping: the best policy may change."
        )
    made = returns.monte_carlo(rewards, gamma)
    return ReturnCurves(rewards, made, values, returns.gae(rewards, values, gamma, lam), tuple(cautions))


def _analyze_window(
    model: RewardModel, window: Sequence[Any], wanted: Mapping[str, Recipe], batch_size: int | str
) -> Iterator[Analysis]:
    examples: list[Example] = []
    encodings: dict[int, Encoding] = {}
    results: dict[int, Analysis] = {}
    for i, given in enumerate(window):
        example = Example("", "")
        try:
            example = as_example(given)
            encodings[i] = model.encode(example)
        except RedvizError as error:
            results[i] = Analysis(example, model.source, None, error=str(error))
        examples.append(example)
    order = sorted(encodings, key=lambda i: len(encodings[i].ids))
    for batch in _batches(order, encodings, batch_size, TOKENS_AT_ONCE[model.device.type]):
        for i, result in zip(
            batch,
            _analyze_group(model, [examples[i] for i in batch], [encodings[i] for i in batch], wanted),
            strict=True,
        ):
            results[i] = result
    for i in range(len(window)):
        yield results[i]


def _batches(
    order: Sequence[int], encodings: Mapping[int, Encoding], batch_size: int | str, budget: int
) -> Iterator[list[int]]:
    """Runs of like length, each within the batch size or the token budget."""
    batch: list[int] = []
    for i in order:  # lengths only grow, so the new one sets the width
        full = (
            len(batch) >= batch_size
            if isinstance(batch_size, int)
            else (len(batch) + 1) * len(encodings[i].ids) > budget
        )
        if batch and full:
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


def _analyze_group(
    model: RewardModel, examples: Sequence[Example], encodings: Sequence[Encoding], wanted: Mapping[str, Recipe]
) -> Iterator[Analysis]:
    try:
        observations = observe_examples(model, encodings)
    except RedvizError as error:
        if len(encodings) == 1:
            yield Analysis(examples[0], model.source, None, error=str(error))
            return
        for part in (
            slice(len(encodings) // 2),
            slice(len(encodings) // 2, None),
        ):  # one too long must not take the others with it
            yield from _analyze_group(model, examples[part], encodings[part], wanted)
        return
    for example, observation in zip(examples, observations, strict=True):
        yield _with_what_works(model, example, observation, wanted)


def _with_what_works(
    model: RewardModel, example: Example, observation: Observation, wanted: Mapping[str, Recipe]
) -> Analysis:
    credits: dict[str, Credit] = {}
    failed = []
    for label, recipe in wanted.items():
        try:
            credits[label] = credit_of(model, observation, recipe)
        except RedvizError as error:
            failed.append(f"{label}: {str(error).rstrip('.')}")
    return Analysis(example, model.source, observation, credits, error="; ".join(failed) + "." if failed else None)
