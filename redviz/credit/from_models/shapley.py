"""Shapley and Owen values of a response's units, by Captum's permutation sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations, product
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
MOST_EXACT = 720  # permutations that are all taken: those of 6 players

Group = Sequence["Group | int"]  # players that stay together in an ordering; a flat one lets them mix freely


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

    A permutation starts from the empty response and adds the units one by one (Castro et al. 2009, through Captum's
    ShapleyValueSampling). Where all permutations are at most 720 (six free players), every one is taken and the values are exact.

    Parameters
    ----------
    model, observation
        The model and its forward pass over the example.
    players
        What joins as one: "token", "word" or "sentence". A unit's credit is spread evenly over its tokens.
    operator
        How units that have not joined are removed (:func:`redviz.credit.from_models.coalitions.value_function`).
    samples
        Permutations, at least 2; each costs as many forwards as there are units, over what follows their first gap.
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
        (0 where exact), ``meta["permutations"]`` how many were taken, ``meta["exact"]`` whether those are all.

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
    exact = _orders_of(group) <= MOST_EXACT
    rng = np.random.default_rng(seed)
    orders = list(_all_orders(group)) if exact else [_random_order(group, rng) for _ in range(samples)]

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

    rows = np.concatenate([np.zeros((1, count), bool), *(_joining(order) for order in orders)])  # [1 + M P, P]
    # All permutations are scored before Captum walks along each: its own calls would be batches of one permutation, and two
    # permutations share coalitions.
    scores = value_function(model, observation, units, operator)(torch.from_numpy(rows), counted).numpy()
    known = dict(zip(map(bytes, rows), scores, strict=True))
    marginals = np.stack([_along(order, known, lambda: counted(scored, scored)) for order in orders])  # [M, P]
    error = np.zeros(count) if exact else marginals.std(0, ddof=1) / np.sqrt(len(orders))  # [P]
    meta = {
        "operator": operator,
        "players": players,
        "permutations": len(orders),
        "exact": exact,
        "stderr": spread(error, units).tolist(),
    }
    values = spread(marginals.mean(0), units).astype(np.float32)  # [T]
    return Credit(values, observation.score, float(scores[0]), meta=meta)


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


def _all_orders(group: Group) -> Iterator[tuple[int, ...]]:
    for members in permutations(group):
        choices = [[(m,)] if isinstance(m, int) else list(_all_orders(m)) for m in members]
        for parts in product(*choices):
            yield tuple(player for part in parts for player in part)


def _random_order(group: Group, rng: np.random.Generator) -> tuple[int, ...]:
    order: list[int] = []
    for at in rng.permutation(len(group)):
        member = group[at]
        order += [member] if isinstance(member, int) else _random_order(member, rng)
    return tuple(order)
