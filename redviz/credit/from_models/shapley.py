"""Shapley and Owen values of a response's units: exact where they are few, else by Captum's permutation sampling in pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations
from math import factorial, prod

import numpy as np
import torch
from captum.attr import ShapleyValueSampling
from torch import Tensor

from redviz.credit.choices import MOST_COALITIONS, PLAYERS
from redviz.credit.from_models.coalitions import Model, operator_for, players_of, spread, value_function
from redviz.errors import RedvizError
from redviz.models.running.budgets import Progress
from redviz.records import Array, Credit, Observation
from redviz.text import Unit

MOST_ALTERED = 200_000  # altered responses of one call: hours of a large model, and their scores must be kept
MOST_EXACT = 1024  # coalitions that are all scored: those of 10 players

Group = Sequence["Group | int"]  # players that stay together in an ordering; a flat one lets them mix freely
Term = tuple[int, int, float]  # a player, who is there before (a bit each), and how likely that is


def shapley(
    observation: Observation,
    model: Model,
    *,
    players: str = "word",
    operator: str = "delete",
    samples: int = 25,
    owen: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> Credit:
    """What each unit adds to the score when units join in a random order, averaged over orders.

    Where the coalitions that orders pass through are at most 1024 (ten units that join freely, more in Owen values), every one is
    scored and the values are exact. Otherwise orders are drawn, each with its reverse (antithetic sampling, Mitchell et al. 2022,
    arXiv 2104.12199): an order starts from the empty response and adds the units one by one (Castro et al. 2009, through Captum's
    ShapleyValueSampling), and what a unit adds early in one it adds late in the other.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    players
        What joins as one: "token", "word" or "sentence". A unit's credit is spread evenly over its tokens.
    operator
        How units that have not joined are removed (:func:`redviz.credit.from_models.coalitions.value_function`).
    samples
        Permutations, taken in pairs and at least two of these; each costs as many forwards as there are units, over what follows
        their first gap.
    owen
        Owen values (as in SCAR, Cao et al. 2025, arXiv 2505.20417): only orders in which the units of a sentence, and within it
        those of a word, join together.
    seed
        Of the permutations.
    progress
        Called with (coalitions scored, coalitions) between micro-batches; may raise to cancel.

    Returns
    -------
    Credit
        ``[T]``; sums to ``score - v(empty)`` for any number of permutations. ``meta["stderr"]`` has each token's standard error
        over pairs (0 where exact), ``meta["permutations"]`` how many the mean is over, ``meta["exact"]`` whether those are all.

    Raises
    ------
    RedvizError
        For an unknown operator or kind of player, or too few samples.
    """
    if not 2 <= samples <= MOST_COALITIONS:
        raise RedvizError(
            f"samples is {samples}; give at least 2 permutations, so that there is a standard error, and at most {MOST_COALITIONS}."
        )
    operator = operator_for(model, operator)
    units = players_of(observation, players)
    count = len(units)
    group: Group = _nested(observation, units, players) if owen else range(count)
    exact = _coalitions_of(group) <= MOST_EXACT
    rng = np.random.default_rng(seed)
    drawn = [] if exact else [_random_order(group, rng) for _ in range(max(2, (samples + 1) // 2))]
    orders = [order for one in drawn for order in (one, one[::-1])]
    if len(orders) * count > MOST_ALTERED:
        raise RedvizError(
            f"{len(orders)} permutations of {count} units are {len(orders) * count:,} altered responses, more than {MOST_ALTERED:,}; "
            "take fewer samples, or words or sentences as players."
        )
    scored = 0

    def counted(done: int, total: int) -> None:
        nonlocal scored
        scored = total
        if progress is not None:
            progress(done, total)

    value = value_function(model, observation, units, operator)
    if exact:
        terms = list(_terms(group))
        masks = sorted({before | with_it << player for player, before, _ in terms for with_it in (0, 1)})
        rows = np.array([[mask >> player & 1 for player in range(count)] for mask in masks], bool)  # [C, P]
        worth = dict(zip(masks, value(torch.from_numpy(rows), counted).tolist(), strict=True))
        means, error, reference = np.zeros(count), np.zeros(count), worth[0]
        for player, before, weight in terms:
            means[player] += weight * (worth[before | 1 << player] - worth[before])
    else:
        rows = np.concatenate([np.zeros((1, count), bool), *(_joining(order) for order in orders)])  # [1 + M P, P]
        # All permutations are scored before Captum walks along each: its own calls would be batches of one permutation, and two
        # permutations share coalitions.
        scores = value(torch.from_numpy(rows), counted).numpy()
        known = dict(zip(map(bytes, rows), scores, strict=True))
        marginals = np.stack([_along(order, known, lambda: counted(scored, scored)) for order in orders])  # [M, P]
        pairs = marginals.reshape(-1, 2, count).mean(1)  # [M / 2, P]
        means, error, reference = pairs.mean(0), pairs.std(0, ddof=1) / np.sqrt(len(pairs)), float(scores[0])
    meta = {
        "operator": operator,
        "players": players,
        "permutations": _orders_of(group) if exact else len(orders),
        "exact": exact,
        "stderr": spread(error, units).tolist(),
    }
    return Credit(spread(means, units).astype(np.float32), observation.score, reference, meta=meta)


def _joining(order: Sequence[int]) -> Array:
    """The coalitions along one ordering, the empty one left out: ``[P, P]``."""
    joined = np.empty(len(order), np.int64)
    joined[list(order)] = np.arange(len(order))  # [P] when each player joins
    return joined <= np.arange(len(order))[:, None]


def _along(order: Sequence[int], known: dict[bytes, float], pause: Callable[[], None]) -> Array:
    """Captum's marginals along one ordering: ``[P]`` float64. All is scored by now, but it can still be cancelled."""
    pause()

    def score(z: Tensor) -> Tensor:  # [B, P] -> [B]
        return torch.tensor([known[bytes(row)] for row in z.numpy() > 0.5], dtype=torch.float64)

    method = ShapleyValueSampling(score)
    method.permutation_generator = lambda *_: iter([order])
    count = len(order)
    found: Array = method.attribute(torch.ones(1, count), baselines=0.0, n_samples=1, perturbations_per_eval=count)
    return np.asarray(found[0], np.float64)


# ---------------------------------------------------------------- orderings


def _nested(observation: Observation, found: Sequence[Unit], players: str) -> Group:
    """Sentences of words of players. A unit that crosses a border belongs where it begins."""
    coarser = PLAYERS[: PLAYERS.index(players) : -1]  # such as ("sentence", "word") over tokens
    kinds = [players_of(observation, kind) for kind in coarser]
    tree: list[Group | int] = list(range(len(found)))
    firsts = [unit.first for unit in found]  # of the tree's members
    for groups in reversed(kinds):
        starts = [unit.first for unit in groups]
        place = np.searchsorted(starts, firsts, "right") - 1
        members = {g: [m for m, p in zip(tree, place, strict=True) if p == g] for g in sorted(set(place))}
        firsts = [min(f for f, p in zip(firsts, place, strict=True) if p == g) for g in members]
        tree = list(members.values())
    return tree


def _orders_of(group: Group) -> int:
    """How many orderings keep every group together."""
    return factorial(len(group)) * prod(_orders_of(member) for member in group if not isinstance(member, int))


def _coalitions_of(group: Group) -> int:
    """How many coalitions they pass through: any of the members whole, or one in part beside any of the others."""
    inner = [_coalitions_of(member) - 2 for member in group if not isinstance(member, int)]
    return int(2 ** len(group) + 2 ** (len(group) - 1) * sum(inner))


def _terms(group: Group, before: int = 0) -> Iterator[Term]:
    """Shapley's formula over all orderings: every player beside whoever can be there before it.

    >>> list(_terms([0, 1]))
    [(0, 0, 0.5), (0, 2, 0.5), (1, 0, 0.5), (1, 1, 0.5)]
    """
    bits = [
        1 << member if isinstance(member, int) else sum(1 << player for player in _flat(member)) for member in group
    ]
    for place, member in enumerate(group):
        others = bits[:place] + bits[place + 1 :]
        for size in range(len(group)):
            weight = factorial(size) * factorial(len(others) - size) / factorial(len(group))
            for there in combinations(others, size):
                after = before + sum(there)
                inside: Iterable[Term] = [(member, after, 1.0)] if isinstance(member, int) else _terms(member, after)
                for player, mask, likely in inside:
                    yield player, mask, weight * likely


def _flat(group: Group) -> Iterator[int]:
    for member in group:
        yield from [member] if isinstance(member, int) else _flat(member)


def _random_order(group: Group, rng: np.random.Generator) -> tuple[int, ...]:
    order: list[int] = []
    for at in rng.permutation(len(group)):
        member = group[at]
        order += [member] if isinstance(member, int) else _random_order(member, rng)
    return tuple(order)
