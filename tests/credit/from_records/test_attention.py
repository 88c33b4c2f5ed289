"""ABC: the worked numbers, which rows it reads, and what it promises."""

from dataclasses import replace

import numpy as np
import pytest
import tiny
from bag import observation
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from redviz import returns
from redviz.credit.from_records.abc import abc, response_attention, response_shares
from redviz.credit.from_records.baselines import sparse
from redviz.errors import RedvizError
from redviz.models.running.observe import observe
from redviz.records import Example

P = [0.2, 0.5, -0.1, 0.9, 1.4]
ROW = [0.25, 0.15, 0.10, 0.30, 0.05, 0.15]  # two prompt columns hold 0.40, which is discarded


def near(actual, expected, atol=1e-6):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def attended(*layers):
    return observation(P, rows=np.array(layers, dtype=np.float32))  # [layer, head, L]


def test_worked_numbers():
    seen = attended([ROW])
    near(response_attention(seen), [1 / 6, 1 / 2, 1 / 12, 1 / 4])
    credit = abc(seen, b=0.8)
    near(credit.values, [0.1866667, 0.56, 0.0933333, 0.56])
    assert credit.values.dtype == np.float32
    assert (credit.total, credit.reference, credit.closing) == (pytest.approx(1.4), 0.0, 0.0)
    assert credit.residual == pytest.approx(0, abs=1e-6)


def test_heads_are_averaged_before_the_prompt_is_cut_off():
    heads = [[0.8, 0.1, 0.1, 0, 0, 0], [0, 0, 0, 0.5, 0.25, 0.25]]  # the first spends little on the response
    near(response_attention(attended(heads)), np.array([0.1, 0.5, 0.25, 0.25]) / 1.1)
    near(response_attention(attended(heads), heads=[0]), [1, 0, 0, 0])
    near(response_attention(attended(heads), heads=[1]), [0, 0.5, 0.25, 0.25])


def test_the_last_layer_unless_another_is_asked_for():
    flat = [1 / 6] * 6
    seen = attended([flat], [flat], [ROW])
    near(abc(seen).values, abc(attended([ROW])).values)
    near(abc(seen, layer=2).values, abc(seen).values)
    near(response_attention(seen, layer=0), [0.25] * 4)
    near(response_attention(seen, layer=-3), [0.25] * 4)


def test_the_two_rows():
    seen = replace(attended([ROW]), pooling_row=np.full((1, 1, 6), 1 / 6, np.float32))
    near(abc(seen, row="pooling").values, [0.35] * 4)
    near(abc(seen, row="response").values, abc(attended([ROW])).values)


rows = hnp.arrays(np.float32, (3, 2, 6), elements=st.floats(0.0625, 1, width=32))


@given(rows, st.floats(-9, 9, width=32), st.floats(0, 1), st.integers(-3, 2))
def test_it_sums_to_the_score_and_shares_its_sign(weights, score, b, layer):
    seen = observation(P[:-2], score, weights)  # T = 2, and one closing column
    seen = replace(seen, response_row=weights[:, :, : len(seen.encoding.ids)])
    credit = abc(seen, b=b, layer=layer)
    assert credit.values.sum(dtype=np.float64) == pytest.approx(score, abs=1e-4)
    assert (credit.values * np.sign(score) >= 0).all()
    np.testing.assert_allclose(response_attention(seen, layer=layer).sum(), 1)
    near(abc(seen, b=0.0, layer=layer).values, sparse(seen).values)


@given(st.floats(0, 1))
def test_its_returns(b):
    seen = attended([ROW])
    alpha = response_attention(seen)
    before = np.concatenate([[0], np.cumsum(alpha)[:-1]])
    near(returns.monte_carlo(abc(seen, b=b).values), 1.4 * (1 - b * before), atol=1e-5)


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "GPT2", "Gemma2"])
def test_on_a_real_model_it_is_the_eager_kernels_attention(architecture):
    model = tiny.model(architecture)
    (seen,) = observe(
        model, [model.encode(Example("The film opens on a quiet street", "The lead is superb and moving."))]
    )
    own = slice(seen.encoding.start, seen.encoding.stop)
    eager = tiny.eager_attention(model, seen.encoding)  # [layer, head, L, L]
    for layer, row, column in ((-1, "response", seen.encoding.stop - 1), (1, "pooling", seen.encoding.read)):
        alpha = eager[layer].mean(0)[column, own]
        near(abc(seen, layer=layer, row=row).values, seen.score * alpha / alpha.sum(), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": 3}, "layers 0 to 0"),
        ({"layer": -2}, "layers 0 to 0"),
        ({"heads": [1]}, "heads 0 to 0"),
        ({"heads": [-1]}, "heads 0 to 0"),
        ({"heads": []}, "None takes all"),
        ({"b": 1.5}, "from 0 to 1"),
        ({"row": "last"}, "response, pooling"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(RedvizError, match=message):
        abc(attended([ROW]), **options)


def test_shares_of_weights_that_are_not_attention():
    seen = observation(P, 0.0)  # two prompt columns, four of the response, one closing
    shares = response_shares(np.array([9, 9, 1, 0, 5, 2, 9], np.float32), seen.encoding)
    assert shares.dtype == np.float64 and shares.tolist() == [0.125, 0.0, 0.625, 0.25]
    with pytest.raises(RedvizError, match="choose another layer, head or row"):
        response_shares(np.array([9, 9, 0, 0, 0, 0, 9], np.float32), seen.encoding)


def test_a_model_without_attention_and_a_row_that_looks_away():
    with pytest.raises(RedvizError, match="shows no attention weights"):
        abc(observation(P))
    with pytest.raises(RedvizError, match="no attention to the response"):
        abc(attended([[0.5, 0.5, 0, 0, 0, 0]]))
