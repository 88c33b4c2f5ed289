"""Many responses: padded batches of like length, in input order, and a bad example stops nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from redviz.analysis import DEFAULT_METHODS, Methods, as_example, check_model_given, observe_examples, with_credits
from redviz.credit.ingredients import Partners, check_partners
from redviz.credit.recipes import Recipe, recipes, stride_of
from redviz.errors import RedvizError, of_one_row
from redviz.models.running.budgets import at_once, within
from redviz.records import Analysis, Encoding, Example, Observation

if TYPE_CHECKING:
    from redviz.models.kinds.function import FunctionModel
    from redviz.models.kinds.policy import Policy
    from redviz.models.kinds.reward_model import RewardModel

    Model = RewardModel | FunctionModel

WINDOW = 128  # examples read ahead, so that batches hold texts of like length


def analyze_batch(
    model: Model,
    examples: Iterable[Example | Mapping[str, Any]],
    methods: Methods = DEFAULT_METHODS,
    batch_size: int | str = "auto",
    *,
    policy: Policy | None = None,
    reference: Policy | None = None,
    cost_model: Model | None = None,
) -> Iterator[Analysis]:
    """Analyze many responses in padded batches of like length, in input order.

    Parameters
    ----------
    examples
        :class:`Example` records or dicts with ``prompt``, ``response`` and, if you like, ``id``.
    batch_size
        Responses per forward pass; "auto" fills a number of tokens. A batch that does not fit memory is halved and run again.
    policy, reference, cost_model
        As in :func:`redviz.analyze`.

    Returns
    -------
    Iterator[Analysis]
        One per example, and the rest goes on where one is bad. An example that cannot be scored has ``error`` set, a nan score and
        no credits; where only some methods fail, it keeps its score and the other credits, and ``error`` says which failed and why.
    """
    check_batch_size(batch_size)
    check_model_given(model)
    wanted = recipes(methods)
    partners = Partners(policy, reference, cost_model)
    check_partners(wanted, partners)
    return _in_order(model, iter(examples), wanted, partners, batch_size)


def _in_order(
    model: Model, stream: Iterator[Any], wanted: Mapping[str, Recipe], partners: Partners, batch_size: int | str
) -> Iterator[Analysis]:
    while window := list(islice(stream, WINDOW)):
        results = dict(analyze_as_ready(model, window, wanted, partners, batch_size))
        for i in range(len(window)):
            yield results.pop(i)


def check_batch_size(batch_size: int | str) -> None:
    """A whole number from 1, or "auto"; RedvizError for anything else."""
    if batch_size != "auto" and (not isinstance(batch_size, int) or batch_size < 1):
        raise RedvizError(f'batch_size is {batch_size!r}; give a whole number from 1, or "auto".')


def analyze_as_ready(
    model: Model,
    window: Sequence[Example | Mapping[str, Any]],
    wanted: Mapping[str, Recipe],
    partners: Partners,
    batch_size: int | str = "auto",
    beat: Callable[[], None] | None = None,
) -> Iterator[tuple[int, Analysis]]:
    """The examples of one window as they get ready, shortest first: nothing is kept that was handed out.

    Parameters
    ----------
    window
        The examples that are batched with each other; some hundreds are enough for batches of like length.
    batch_size
        Responses per forward pass; "auto" fills a number of tokens. A batch that does not fit memory is halved and run again.
    beat
        Called between micro-batches, and by methods that call a model; may raise :class:`Cancelled`.

    Yields
    ------
    tuple[int, Analysis]
        The place in the window, and its analysis; a bad example has ``error`` set, as in :func:`analyze_batch`.
    """
    examples: list[Example] = []
    encodings: dict[int, Encoding] = {}
    for i, given in enumerate(window):
        example = Example("", "")
        try:
            example = as_example(given)
            encodings[i] = model.encode(example)
        except Exception as error:
            yield i, Analysis(example, model.source, None, error=str(of_one_row(error)))
        examples.append(example)
    beat = beat or _no_beat
    lengths = [len(encodings[i].ids) if i in encodings else 0 for i in range(len(examples))]
    fitting = within(lengths, at_once("responses", model.device))
    left = sorted(encodings, key=lambda i: lengths[i])
    while left:
        count = batch_size if isinstance(batch_size, int) else fitting(left)
        batch, left = left[:count], left[count:]
        beat()
        own = [examples[i] for i in batch], [encodings.pop(i) for i in batch]
        yield from zip(batch, _analyze_group(model, *own, wanted, partners, beat), strict=True)


def _no_beat() -> None:
    """Nobody listens."""


def _analyze_group(
    model: Model,
    examples: Sequence[Example],
    encodings: Sequence[Encoding],
    wanted: Mapping[str, Recipe],
    partners: Partners,
    beat: Callable[[], None],
) -> Iterator[Analysis]:
    observations: Sequence[Observation] = ()
    try:
        observations = observe_examples(
            model, encodings, stride=stride_of(wanted.values()) or 1, progress=lambda done, total: beat()
        )
    except Exception as error:
        problem = str(of_one_row(error))  # the error itself would hold what filled the memory
    if not observations and len(encodings) == 1:
        yield Analysis(examples[0], model.source, None, error=problem)
    elif not observations:
        half = len(encodings) // 2
        for part in (slice(half), slice(half, None)):  # a bad one must not take the others with it
            yield from _analyze_group(model, examples[part], encodings[part], wanted, partners, beat)
    for observation in observations:
        yield with_credits(model, observation, wanted, partners, lambda done, total: beat(), what_works=True)
