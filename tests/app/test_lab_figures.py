"""The lab's curves: means over the seeds that have come, bands, smoothing, and what Plotly is given."""

import numpy as np
import pytest

from redviz.app.lab.figures import curve, curves_figure
from redviz.lab.steps import Step
from redviz.view.colour import LIGHT


def steps(*rewards: float) -> list[Step]:
    return [Step(i, reward, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0, None, 1.0) for i, reward in enumerate(rewards, 1)]


def test_a_seed_that_has_not_come_so_far_is_left_out_there():
    found = curve([steps(1, 2, 3), steps(3)], "reward")
    assert found.mean.tolist() == [2, 2, 3] and found.seeds.tolist() == [2, 1, 1]
    assert found.low.tolist() == [1, 2, 3] and found.high.tolist() == [3, 2, 3]
    assert len(curve([[], []], "reward").mean) == 0


def test_smoothing_is_the_mean_of_the_last_steps_of_each_run():
    found = curve([steps(0, 2, 4, 9)], "reward", smooth=3)
    np.testing.assert_allclose(found.mean, [0, 1, 2, 5])


@pytest.mark.parametrize("logarithmic", [False, True])
def test_the_figure_draws_every_line_and_a_band_where_there_are_two_seeds(logarithmic):
    curves = {"red": curve([steps(1, 2), steps(3, 4)], "reward"), "sparse": curve([steps(5)], "reward")}
    figure = curves_figure(
        curves, 20, "Reward", names={"red": "RED"}, logarithmic=logarithmic, legend=True, theme=LIGHT
    )
    band, red, sparse = figure.data
    assert (red.name, list(red.x), list(red.y), red.line.color) == ("RED", [1, 2], [2, 3], LIGHT.series[0])
    assert list(band.y) == [3, 4, 2, 1] and band.fill == "toself" and not band.showlegend
    assert sparse.name == "sparse" and sparse.mode == "lines+markers" and sparse.line.color != red.line.color
    assert figure.layout.xaxis.range == (1, 20)
    assert figure.layout.yaxis.type == ("log" if logarithmic else "linear")
