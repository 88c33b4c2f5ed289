"""The engine with a model that looks both ways: how many prefixes are scored is what the chosen methods ask for."""

import pytest
import tiny_both_ways as both

from redviz.app.engine import Engine
from redviz.credit.recipes import recipes
from redviz.models.spec import ModelSpec
from redviz.records import Example

EXAMPLE = Example("Review the film.", "A warm, funny film. Dull mess!")
WAIT = 120


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.close()


def test_one_observation_serves_every_stride_that_was_asked_for(engine):
    spec = ModelSpec(str(both.checkpoint("Bert")), device="cpu")
    assert engine.cached(spec, EXAMPLE, recipes(["red"]))[0] is None
    engine.observe(spec, EXAMPLE, 6).wait(WAIT)
    coarse = engine.runs
    analysis, missing, _ = engine.cached(spec, EXAMPLE, recipes({"red": {"stride": 6}, "ig": {}}))
    assert analysis.observation.stride == 6 and list(analysis.credits) == ["red"] and list(missing) == ["ig"]
    engine.credit(spec, EXAMPLE, "ig", missing["ig"]).wait(WAIT)
    assert engine.cached(spec, EXAMPLE, recipes(["ig"]))[0].observation.stride == 6  # no prefixes were scored for it
    assert engine.cached(spec, EXAMPLE, recipes({"red": {"stride": 4}}))[0] is None
    before = engine.runs
    engine.observe(spec, EXAMPLE, 4).wait(WAIT)
    assert engine.runs > before >= coarse
    for stride in (2, 4, 6):
        analysis, _, refused = engine.cached(spec, EXAMPLE, recipes({"red": {"stride": stride}}))
        assert analysis.observation.stride == 2 and analysis.credits["red"].meta["stride"] == stride and not refused
    assert engine.cached(spec, EXAMPLE, recipes(["red"]))[0] is None
    engine.observe(spec, EXAMPLE).wait(WAIT)
    analysis, _, _ = engine.cached(
        spec, EXAMPLE, recipes({"red": {}, "red_closed": {}, "four": {"method": "red", "stride": 4}})
    )
    assert analysis.observation.stride == 1 and not analysis.notices
    assert analysis.credits["four"].meta["stride"] == 4
