"""The stored opening example is what the shipped model gives, so that the first strips need no model and still tell the truth."""

import sys
from pathlib import Path

import numpy as np
import pytest

from redviz.app.engine import Engine
from redviz.app.session import example_of, spec_of
from redviz.app.state import DEFAULT
from redviz.data.results.archive import load_analysis

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stored():
    return load_analysis(ROOT / "sample_data" / "opening.npz")


def test_it_equals_a_fresh_analysis(stored, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "tools"), *sys.path])
    from make_opening import make

    fresh = make()
    assert stored.source.fingerprint == fresh.source.fingerprint
    assert stored.tokens == fresh.tokens and stored.offsets == fresh.offsets
    np.testing.assert_allclose(stored.prefix_scores, fresh.prefix_scores, atol=1e-4)
    np.testing.assert_allclose(stored.observation.response_row, fresh.observation.response_row, atol=1e-5)
    assert set(stored.credits) == set(DEFAULT.methods)
    for label, credit in fresh.credits.items():
        np.testing.assert_allclose(stored.credits[label].values, credit.values, atol=1e-4)
        assert stored.credits[label].meta["options"] == credit.meta["options"]


def test_the_app_opens_on_it_without_a_model_run(stored):
    engine = Engine()
    try:
        assert engine.prime(spec_of(DEFAULT), stored)
        analysis, missing, refused = engine.cached(spec_of(DEFAULT), example_of(DEFAULT), DEFAULT.recipes)
        assert analysis is not None and not missing and not refused
        assert engine.loaded() == [] and engine.runs == 0
    finally:
        engine.close()
