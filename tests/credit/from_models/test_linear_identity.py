"""One linear model on which every exact method must give w . x, and what all methods share: shift, scale, efficiency."""

import itertools
from dataclasses import replace
from math import factorial

import numpy as np
import pytest
import tiny
import torch
from bag import bag, encoding
from close import recomputed
from hypothesis import given, settings
from hypothesis import strategies as st

from redviz.credit.from_models import shapley as shapley_module
from redviz.credit.from_models.gradients import grad_x_input
from redviz.credit.from_models.integrated_gradients import ig
from redviz.credit.from_models.perturbation import kernel_shap, lime, occlusion
from redviz.credit.from_models.shapley import shapley
from redviz.credit.from_models.truncation import truncation
from redviz.credit.from_records.prefix import red
from redviz.models.running.observe import observe
from redviz.records import Example

IDS = [7, 3, 9, 5, 11, 4, 8]
PROMPT, CLOSING = [6, 2], [1]


def linear(pad=0.0, closing=0.0):
    """A sum-pooled linear model in eighths, so that float32 sums are exact: the model, its observation, and w . x of every id."""
    rng = np.random.default_rng(0)
    table = rng.integers(-16, 17, (12, 6)) / 8.0
    table[0], table[1] = pad, closing
    weights = rng.integers(-8, 9, 6) / 4.0
    model = bag(table.tolist(), weights.tolist())
    (seen,) = observe(model, [encoding(PROMPT, IDS, CLOSING)])
    return model, seen, table @ weights


def test_replacement_by_nothing_gives_w_times_x():
    model, seen, worth = linear()
    for credit in (
        red(seen),
        grad_x_input(seen, model),
        ig(seen, model, baseline="zero", steps=2),
        ig(seen, model, baseline="pad", steps=2),
        *(occlusion(seen, model, operator=operator) for operator in ("pad", "mask", "delete")),
        *(
            shapley(seen, model, players="token", operator=operator, samples=2)
            for operator in ("pad", "mask", "delete")
        ),
        shapley(seen, model, players="token", operator="pad", owen=True, samples=2),
    ):
        np.testing.assert_allclose(credit.values, worth[IDS], rtol=0, atol=recomputed(worth))
    assert abs(worth[IDS]).max() > 1


def test_replacement_by_a_token_gives_what_it_lacks():
    model, seen, worth = linear(pad=0.375, closing=-1.25)
    lacks = worth[IDS] - worth[0]
    assert abs(worth[0]) > 0.1 < abs(worth[1])
    for credit in (
        ig(seen, model, baseline="pad", steps=2),
        occlusion(seen, model, operator="pad"),
        shapley(seen, model, players="token", operator="pad", samples=2),
    ):
        np.testing.assert_allclose(credit.values, lacks, rtol=0, atol=recomputed(worth))
    for credit in (grad_x_input(seen, model), occlusion(seen, model), occlusion(seen, model, operator="mask")):
        np.testing.assert_allclose(credit.values, worth[IDS], rtol=0, atol=recomputed(worth))
    np.testing.assert_allclose(red(seen).values[:-1], worth[IDS[:-1]], rtol=0, atol=recomputed(worth))
    assert red(seen).values[-1] == pytest.approx(worth[IDS[-1]] + worth[1], abs=recomputed(worth))
    np.testing.assert_allclose(red(seen).own, worth[IDS], rtol=0, atol=recomputed(worth))


def test_the_mean_embedding_too():
    model, seen, worth = linear(pad=0.375)
    for credit in (
        ig(seen, model, baseline="mean", steps=2),
        occlusion(seen, model, operator="mean"),
        shapley(seen, model, players="token", operator="mean", samples=2),
    ):
        np.testing.assert_allclose(credit.values, worth[IDS] - worth.mean(), rtol=0, atol=1e-5)


def test_regressions_find_a_linear_score_too():
    model, seen, worth = linear()
    credit = kernel_shap(seen, model, players="token", operator="pad", samples=40)
    np.testing.assert_allclose(credit.values, worth[IDS], rtol=0, atol=1e-5)
    assert credit.residual == pytest.approx(0, abs=1e-5) and credit.reference == pytest.approx(worth[PROMPT].sum())
    shrunk = lime(seen, model, players="token", operator="pad", samples=4000)
    np.testing.assert_allclose(shrunk.values, worth[IDS], rtol=0, atol=0.02)
    assert shrunk.meta["intercept"] == pytest.approx(worth[PROMPT].sum(), abs=0.05) and shrunk.meta["r2"] > 0.999


# ---------------------------------------------------------------- a score that is not linear: exact values by enumeration


def bent(h):
    return h[..., 0] * h[..., 1] + torch.tanh(h[..., 2]) - 0.25 * h[..., 1] ** 3


def game(ids, head=bent, seed=1):
    """The model, its observation, and the worth of a set of players computed without it."""
    table = np.random.default_rng(seed).normal(0, 0.6, (12, 3)).astype(np.float32)
    model = bag(table.tolist(), head)
    (seen,) = observe(model, [encoding(PROMPT, ids, CLOSING)])
    fixed = table[PROMPT].sum(0) + table[CLOSING].sum(0)
    return model, seen, lambda players: head(torch.tensor(fixed + table[[ids[p] for p in players]].sum(0))).item()


def by_subsets(count, worth):
    """Shapley's formula over all subsets: ``[count]``."""
    values = np.zeros(count)
    for p in range(count):
        others = [q for q in range(count) if q != p]
        for size in range(count):
            weight = factorial(size) * factorial(count - size - 1) / factorial(count)
            for subset in itertools.combinations(others, size):
                values[p] += weight * (worth((*subset, p)) - worth(subset))
    return values


def by_orders(orders, count, worth):
    """The marginals, averaged over these orders: ``[count]``."""
    marginals = np.zeros((len(orders), count))
    for row, order in zip(marginals, orders, strict=True):
        for at, p in enumerate(order):
            row[p] = worth(order[: at + 1]) - worth(order[:at])
    return marginals.mean(0)


@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_six_players_are_exact(operator):
    model, seen, worth = game(IDS[:6])
    credit = shapley(seen, model, players="token", operator=operator)
    wanted = by_subsets(6, worth)
    np.testing.assert_allclose(credit.values, wanted, rtol=0, atol=1e-5)
    assert abs(wanted - occlusion(seen, model).values).max() > 0.1, "the score is too linear to tell"
    assert credit.meta["exact"] and credit.meta["permutations"] == 720 and credit.meta["stderr"] == [0.0] * 6
    assert credit.reference == pytest.approx(worth(()), abs=1e-5)
    assert (credit.total, credit.residual) == (seen.score, pytest.approx(0, abs=1e-5))


TEN = [*IDS, 2, 10, 3]


def test_ten_players_are_exact_and_alike_where_they_are_the_same_token():
    model, seen, worth = game(TEN)
    credit = shapley(seen, model, players="token", seed=5)
    wanted = by_subsets(10, worth)
    np.testing.assert_allclose(credit.values, wanted, rtol=0, atol=1e-5)
    assert credit.meta["exact"] and credit.values[1] == pytest.approx(credit.values[9], abs=1e-6)
    np.testing.assert_array_equal(shapley(seen, model, players="token", seed=6).values, credit.values)
    kernel = kernel_shap(seen, model, players="token", samples=1024)
    np.testing.assert_allclose(kernel.values, wanted, rtol=0, atol=1e-5)
    assert kernel.meta["exact"] and kernel.meta["samples"] == 1024


ELEVEN = [*IDS, 2, 10, 6, 9]


def test_orders_are_drawn_with_their_reverses(monkeypatch):
    model, seen, worth = game(ELEVEN)
    drawn = [tuple(np.random.default_rng(n).permutation(11).tolist()) for n in range(3)]
    given = iter(drawn)
    monkeypatch.setattr(shapley_module, "_random_order", lambda group, rng: next(given))
    credit = shapley(seen, model, players="token", samples=5)
    wanted = by_orders([order for one in drawn for order in (one, one[::-1])], 11, worth)
    np.testing.assert_allclose(credit.values, wanted, rtol=0, atol=1e-5)
    assert credit.meta["permutations"] == 6 and not credit.meta["exact"]
    pairs = np.array([by_orders([one, one[::-1]], 11, worth) for one in drawn])
    np.testing.assert_allclose(credit.meta["stderr"], pairs.std(0, ddof=1) / 3**0.5, rtol=0, atol=1e-5)


def test_a_pair_of_orders_is_exact_where_units_work_in_twos():
    """With nothing but interactions of two units, what an order misses its reverse has: any pair gives the Shapley values."""
    table = np.random.default_rng(3).normal(0, 0.6, (12, 3)).astype(np.float32)
    model = bag(table.tolist(), lambda h: h[..., 0] * h[..., 1] + h[..., 2] ** 2)
    (seen,) = observe(model, [encoding(PROMPT, ELEVEN, CLOSING)])
    two = [shapley(seen, model, players="token", samples=2, seed=seed) for seed in (0, 1)]
    np.testing.assert_allclose(two[0].values, two[1].values, rtol=0, atol=1e-5)
    kernel = kernel_shap(seen, model, players="token", samples=60)
    np.testing.assert_allclose(kernel.values, two[0].values, rtol=0, atol=1e-4)
    assert max(two[0].meta["stderr"]) < 1e-5 < abs(two[0].values).max()


def test_sampled_values_cover_the_exact_ones_and_their_errors_shrink():
    model, seen, worth = game(ELEVEN)
    exact = by_subsets(11, worth)
    inside, errors = [], {24: [], 96: []}
    for samples, runs in ((24, 8), (96, 4)):
        for seed in range(runs):
            credit = shapley(seen, model, players="token", samples=samples, seed=seed)
            error = np.array(credit.meta["stderr"])
            inside.append(abs(credit.values - exact) <= 2 * error)
            errors[samples].append(error)
            assert credit.residual == pytest.approx(0, abs=1e-5)
            assert not credit.meta["exact"] and credit.meta["permutations"] == samples
    assert 0.85 <= np.mean(inside) < 1
    assert np.mean(errors[24]) / np.mean(errors[96]) == pytest.approx(2, rel=0.2)


def test_kernel_shap_tends_to_the_shapley_values():
    model, seen, worth = game(ELEVEN)
    exact = by_subsets(11, worth)
    far, near = (kernel_shap(seen, model, players="token", samples=n, seed=3) for n in (40, 1500))
    assert abs(near.values - exact).max() < 0.03 < abs(far.values - exact).max()
    assert far.residual == pytest.approx(0, abs=1e-5) and not far.meta["exact"] and far.meta["samples"] == 40


def words_of_tokens():
    """Two sentences of four words of six tokens: undo it. Now"""
    model, seen, worth = game(IDS[:6])
    offsets = ((0, 2), (2, 4), (4, 7), (7, 8), (8, 11), (11, 12))
    example = Example("?", "undo it. Now")
    return model, replace(seen, encoding=replace(seen.encoding, offsets=offsets, example=example)), worth


def together(order, groups):
    return all(max(map(order.index, g)) - min(map(order.index, g)) == len(g) - 1 for g in groups)


def test_owen_values_keep_words_and_sentences_together():
    model, seen, worth = words_of_tokens()
    groups = [(0, 1), (4, 5), (0, 1, 2, 3)]
    orders = [order for order in itertools.permutations(range(6)) if together(order, groups)]
    wanted = by_orders(orders, 6, worth)
    credit = shapley(seen, model, players="token", owen=True)
    np.testing.assert_allclose(credit.values, wanted, rtol=0, atol=1e-5)
    assert credit.meta["permutations"] == len(orders) == 48 and credit.meta["exact"]
    assert abs(wanted - by_subsets(6, worth)).max() > 0.005


def test_the_owen_values_of_words_keep_sentences_together():
    model, seen, worth = words_of_tokens()
    tokens = [(0, 1), (2,), (3,), (4, 5)]
    orders = [order for order in itertools.permutations(range(4)) if together(order, [(0, 1, 2)])]
    wanted = by_orders(orders, 4, lambda words: worth(tuple(t for w in words for t in tokens[w])))
    credit = shapley(seen, model, players="word", owen=True)
    np.testing.assert_allclose([credit.values[list(t)].sum() for t in tokens], wanted, rtol=0, atol=1e-5)
    assert credit.values[0] == credit.values[1] and credit.meta["permutations"] == 12


def test_drawn_orders_keep_groups_together_and_reach_all_of_them():
    group = [[[0, 1], 2, 3], [[4, 5]]]
    rng = np.random.default_rng(0)
    drawn = [shapley_module._random_order(group, rng) for _ in range(2000)]
    counts = {order: drawn.count(order) for order in set(drawn)}
    kept = [o for o in itertools.permutations(range(6)) if together(o, [(0, 1), (4, 5), (0, 1, 2, 3)])]
    assert set(counts) == set(kept) and len(counts) == 48
    assert min(counts.values()) > 15


def test_coalitions_are_counted_before_any_is_scored():
    for group in ([0, 1, 2], [[[0, 1], 2, 3], [[4, 5]]], [[0, 1, 2, 3], [4, 5], 6]):
        terms = list(shapley_module._terms(group))
        seen = {before | there << player for player, before, _ in terms for there in (0, 1)}
        assert len(seen) == shapley_module._coalitions_of(group)
        likely = [sum(weight for player, _, weight in terms if player == p) for p in {player for player, _, _ in terms}]
        np.testing.assert_allclose(likely, 1.0)


# ---------------------------------------------------------------- RED among them


def test_red_is_the_marginal_of_the_natural_order(monkeypatch):
    monkeypatch.setattr(shapley_module, "_random_order", lambda group, rng: _Forwards(range(len(group))))
    table = np.random.default_rng(2).normal(0, 0.6, (12, 3))
    table[1] = 0  # a closing token that adds nothing
    model = bag(table.tolist(), bent)
    (seen,) = observe(model, [encoding(PROMPT, ELEVEN, CLOSING)])
    written = tiny.model("Llama", "none")
    (plain,) = observe(
        written, [written.encode(Example("The film", " opens on a quiet street, moving and funny, the lead superb"))]
    )
    for operator in ("delete", "mask"):
        credit = shapley(seen, model, players="token", operator=operator, samples=2)
        np.testing.assert_allclose(credit.values, red(seen).values, rtol=0, atol=1e-5)
        assert credit.meta["stderr"] == [0.0] * len(ELEVEN) and not credit.meta["exact"]
    for operator in ("delete", "pad", "mean", "mask"):
        credit = shapley(plain, written, players="token", operator=operator, samples=2)
        np.testing.assert_allclose(credit.values, red(plain).values, rtol=0, atol=recomputed(plain.score))
        assert credit.reference == red(plain).reference


class _Forwards(tuple):
    """An order whose reverse is itself."""

    def __getitem__(self, at):
        return self if isinstance(at, slice) else super().__getitem__(at)


# ---------------------------------------------------------------- shift, scale, padding

METHODS = {
    "red": lambda seen, model: red(seen),
    "ig": lambda seen, model: ig(seen, model, steps=4),
    "occlusion": occlusion,
    "shapley": lambda seen, model: shapley(seen, model, samples=2),
    "owen": lambda seen, model: shapley(seen, model, players="token", owen=True, samples=2),
    "kernel_shap": lambda seen, model: kernel_shap(seen, model, samples=20),
    "lime": lambda seen, model: lime(seen, model, samples=20),
    "truncation": truncation,
}
ONE = Example("The film opens", "The lead is superb. But it drags, moving")
OTHER = Example("Hi", "A dull mess")


def observed(model, example=ONE, mates=(), side="right"):
    return observe(model, [model.encode(e) for e in (example, *mates)], side=side)[0]


@settings(max_examples=6)
@given(st.floats(-30, 30), st.floats(0.1, 8))
@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_constant_added_to_the_score_changes_nothing_and_a_factor_scales(name, shift, factor):
    model = tiny.model()
    moved = replace(model, head=lambda hidden: factor * model.head(hidden) + shift)
    wanted = METHODS[name](observed(model), model).values
    found = METHODS[name](observed(moved), moved).values
    np.testing.assert_allclose(found, factor * wanted, rtol=0, atol=2e-5 * (abs(shift) + factor * 10))
    assert abs(wanted).max() > 0.05


@settings(max_examples=3)
@given(st.sampled_from(["left", "right"]), st.integers(0, 2))
@pytest.mark.parametrize("name", sorted(METHODS))
def test_neither_padding_nor_batch_mates_change_a_credit(name, side, mates):
    model = tiny.model("Qwen3")
    alone = METHODS[name](observed(model, OTHER), model).values
    found = METHODS[name](observed(model, OTHER, [ONE] * mates, side), model).values
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-4)
