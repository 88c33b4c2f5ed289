"""The colours that everything is drawn in: limits, contrast, and colours that stay apart for colour-blind eyes."""

import itertools

import numpy as np
import pytest

from redviz.view import colour

# Linear-light simulation of the three dichromacies (Machado, Oliveira and Fernandes 2009, severity 1).
BLIND = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(linear):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        linear, 0, 1
    )
    f = np.cbrt(xyz / [0.9505, 1.0, 1.089])
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def difference(a, b, kind):
    seen = np.array(BLIND[kind]) if kind else np.eye(3)
    return np.linalg.norm(lab(seen @ colour.linear(a)) - lab(seen @ colour.linear(b)))


def test_the_limit_is_three_times_the_root_mean_square():
    assert colour.limit([0.3, -0.6, 1.0, 0.5]) == pytest.approx(3 * np.sqrt(1.7 / 4))


@pytest.mark.parametrize("values", [[], [0.0, 0.0], [np.nan], [np.inf, 0.0]])
def test_the_limit_is_never_zero_nor_nonsense(values):
    assert colour.limit(values) == 1.0


def test_a_value_beyond_the_limit_is_drawn_at_it_and_one_that_is_no_number_is_blank():
    assert colour.strength(-9.0, 2.0) == -1.0
    assert colour.strength(1.0, 2.0) == 0.5
    assert colour.strength(float("nan"), 2.0) == 0.0


@pytest.mark.parametrize("theme", colour.THEMES, ids=lambda t: t.name)
@pytest.mark.parametrize("positive", [True, False])
def test_text_on_every_shade_of_a_cell_is_readable(theme, positive):
    ink = colour.text_on(theme.background)
    other = {"#000000": "#ffffff", "#ffffff": "#000000"}[ink]
    for x in np.linspace(0, 1, 41):
        written = other if x >= colour.turn(theme, positive) else ink
        assert colour.contrast(written, colour.tint(x if positive else -x, theme)) >= 4.5


@pytest.mark.parametrize("theme", colour.THEMES, ids=lambda t: t.name)
def test_curves_stand_out_from_the_page(theme):
    assert min(colour.contrast(line, theme.background) for line in theme.series) >= 4.5


@pytest.mark.parametrize("theme", colour.THEMES, ids=lambda t: t.name)
@pytest.mark.parametrize("kind", [None, *BLIND])
def test_the_curves_and_the_two_poles_stay_apart_for_every_eye(theme, kind):
    for count, least in ((5, 13), (8, 7)):
        pairs = itertools.combinations(theme.series[:count], 2)
        assert min(difference(a, b, kind) for a, b in pairs) >= least
    assert difference(theme.positive, theme.negative, kind) >= 40


def test_a_method_keeps_its_colour_in_every_figure():
    assert colour.series_indices(["ig", "red"]) == {"ig": 2, "red": 0}
    many = colour.series_indices(["red", "mine", "abc", "yours"])
    assert len(set(many.values())) == 4
    assert many["red"] == 0 and many["abc"] == 1
