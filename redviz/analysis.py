"""From a prompt and a response to credits: the only chain encode -> observe -> credit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from redviz.credit.ingredients import (
    Kept,
    Partners,
    Progress,
    check_partners,
    credit_of,
    gather,
    made_anew,
    share_of,
    why_not,
)
from redviz.credit.recipes import Recipe, recipes, stride_of
from redviz.errors import RedvizError, of_one_row
from redviz.messages import as_prompt, with_tools
from redviz.models.kinds.function import FunctionModel
from redviz.records import Analysis, Credit, Encoding, Example, Message, Observation

if TYPE_CHECKING:
    from redviz.models.kinds.policy import Policy
    from redviz.models.kinds.reward_model import RewardModel

Methods = Sequence[str] | Mapping[str, Mapping[str, Any]]

DEFAULT_METHODS = ("red", "abc", "ig")
ALONE = Partners()  # no model beside the reward model


def analyze(
    model: RewardModel | FunctionModel,
    prompt: str | Sequence[Message],
    response: str,
    methods: Methods = DEFAULT_METHODS,
    *,
    policy: Policy | None = None,
    reference: Policy | None = None,
    cost_model: RewardModel | FunctionModel | None = None,
    progress: Progress | None = None,
) -> Analysis:
    """Score one response and split the score over its tokens.

    Parameters
    ----------
    model
        From :func:`redviz.load_reward_model` or :func:`redviz.reward_function`.
    prompt
        Text, or a list of ``{"role", "content"}`` messages, with what else chat templates read (``tool_calls``, ``tool_call_id``,
        ``name``, ``reasoning_content``; the first may hold ``tools``). One that ends in the assistant's turn begins the response's.
    response
        The response to explain.
    methods
        Names, or label -> options: ``{"red": {"beta_c": 0.5}, "abc L2": {"method": "abc", "layer": 2}}``. Of the default ones, those
        that are not defined for this model are left out, and a notice says so.
    policy, reference, cost_model
        Models beside the reward model, for the methods that need them: a policy and its reference from
        :func:`redviz.load_policy`, and a second reward model whose score is a cost.
    progress
        Called with (done, total) by methods that take long.

    Returns
    -------
    Analysis
        ``prefix_scores`` ``[T+1]`` and each credit's ``values`` ``[T]`` are float32, in the model's own unit of score.

    Raises
    ------
    RedvizError
        For an empty response, a prompt that fills the context, an unknown method or option, a method whose ingredients are missing.

    Examples
    --------
    >>> import redviz
    >>> model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    >>> analysis = redviz.analyze(model, "Review the film.", "A superb, moving film.", methods=["red"])
    >>> bool(abs(analysis.credits["red"].residual) < 1e-4)
    True
    """
    wanted: Mapping[str, Recipe] = recipes(methods)
    partners = Partners(policy, reference, cost_model)
    check_model_given(model)
    check_partners(wanted, partners)
    example = as_example({"prompt": prompt, "response": response})
    observation = observe_examples(
        model, [model.encode(example)], stride=stride_of(wanted.values()) or 1, progress=progress
    )[0]
    if tuple(methods) == DEFAULT_METHODS and not (isinstance(methods, Mapping) and any(methods.values())):
        observation, wanted = _with_defaults(observation, wanted)
    return with_credits(model, observation, wanted, partners, progress)


def _with_defaults(observation: Observation, wanted: Mapping[str, Recipe]) -> tuple[Observation, Mapping[str, Recipe]]:
    """Nobody asked for the default methods by name: those that this model refuses are told and left out. Where it refuses all of
    them, its own scores of steps or tokens take their place.
    """
    refused = {label: why for label, recipe in wanted.items() if (why := why_not(observation, recipe))}
    if not refused:
        return observation, wanted
    notices = (*observation.encoding.notices, *(f"Left out: {why}" for why in refused.values()))
    told = replace(observation, encoding=replace(observation.encoding, notices=notices))
    left = {label: recipe for label, recipe in wanted.items() if label not in refused}
    return told, left or {label: r for label, r in recipes(("process",)).items() if not why_not(observation, r)}


def check_model_given(model: Any) -> None:
    """Refuse what is no loaded model, such as its name."""
    if isinstance(model, str):
        raise RedvizError(f"model is the text {model!r}, not a loaded model; give redviz.load_reward_model({model!r}).")


def as_example(given: Example | Mapping[str, Any]) -> Example:
    """Check what was given and make it an :class:`Example`; a mapping may hold ``tools`` beside prompt and response."""
    if isinstance(given, Example):
        given = {"prompt": given.prompt, "response": given.response, "id": given.id}
    if not isinstance(given, Mapping) or "prompt" not in given or "response" not in given:
        found = ", ".join(map(str, given)) if isinstance(given, Mapping) else type(given).__name__
        raise RedvizError(f"An example needs a prompt and a response; found {found or 'nothing'}.")
    response = given["response"]
    if not isinstance(response, str):
        raise RedvizError(f"The response is {type(response).__name__}, not text; give a string.")
    return Example(with_tools(as_prompt(given["prompt"]), given.get("tools")), response, str(given.get("id", "")))


def observe_examples(
    model: RewardModel | FunctionModel,
    encodings: Sequence[Encoding],
    *,
    prefixes: bool = True,
    stride: int = 1,
    progress: Progress | None = None,
) -> list[Observation]:
    """One padded forward pass; when memory runs out, several of half the size.

    Parameters
    ----------
    prefixes, stride, progress
        For a model that looks both ways, where every prefix takes a pass of its own: whether to score prefixes at all, every how
        many tokens, and what is called with (prefixes done, prefixes).
    """
    if isinstance(model, FunctionModel):
        return model.observe_all(encodings)
    from redviz.models.running.micro_batches import micro_batches
    from redviz.models.running.observe import observe

    options = {"prefixes": prefixes, "stride": stride, "progress": progress}
    passes = micro_batches(
        range(len(encodings)),
        len,
        lambda rows: observe(model, [encodings[row] for row in rows], **options),  # type: ignore[arg-type]
        lambda row: (
            f"Memory ran out on one response of {len(encodings[row].ids)} tokens; lower --max-length or use a smaller dtype."
        ),
    )
    return [one for _, observations in passes for one in observations]


def with_credits(
    model: RewardModel | FunctionModel,
    observation: Observation,
    wanted: Mapping[str, Recipe],
    partners: Partners = ALONE,
    progress: Progress | None = None,
    *,
    part: tuple[int, int] | None = None,
    what_works: bool = False,
    kept: Kept = made_anew,
) -> Analysis:
    """An analysis with every credit asked for: the one way from an observation to credits.

    Parameters
    ----------
    model, observation
        A model, and what its forward pass showed of one response.
    wanted, partners
        Recipes by label, and the models beside the reward model that they may ask.
    progress
        Called with (done, total) of each method that calls a model, one after another; may raise to cancel.
    part
        (number, count) where this is one of several responses: progress is then that of all methods on all of them.
    what_works
        Whether a method that fails is named in ``error`` while the others go on; else its error is raised.
    kept
        Asked for every record of a model beside, by name, with the function that makes it.
    """
    at_hand = gather(model, observation, wanted, partners, observe_one, kept, None if part else progress)
    credits: dict[str, Credit] = {}
    failed = []
    for place, (label, recipe) in enumerate(wanted.items()):
        whole = progress if part is None else share_of(progress, part[0] * len(wanted) + place, part[1] * len(wanted))
        try:
            credits[label] = credit_of(observation, recipe, at_hand, whole)
        except Exception as error:
            if not what_works:
                raise
            failed.append(f"{label}: {str(of_one_row(error)).rstrip('.')}")
    error_text = "; ".join(failed) + "." if failed else None
    return Analysis(observation.encoding.example, model.source, observation, credits, error=error_text)


def observe_one(model: RewardModel | FunctionModel, encoding: Encoding) -> Observation:
    """One example's forward pass."""
    return observe_examples(model, [encoding])[0]
