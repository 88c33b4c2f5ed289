"""The Learn screen on a server that is slow to send: no scene and no knob is moved back by an address or a state that comes late."""

import os
from pathlib import Path

import pytest
from serve import serving
from test_learn_screen import SLOW, done, link, settled, turned

from redviz.app.learn.scenes.table import SCENES

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("seed", "scenes"), [(0, 2), pytest.param(0, 7, marks=pytest.mark.slow), pytest.param(2, 7, marks=pytest.mark.slow)]
)
def test_scenes_and_knobs_stay_where_they_were_put(seed, scenes, page, tmp_path):
    path = os.pathsep.join([str(Path(__file__).parent / "slow_server"), str(ROOT)])
    with serving(ROOT / "app.py", ROOT, REDVIZ_HOME=str(tmp_path), PYTHONPATH=path, SLOW_SEED=str(seed)) as address:
        opened = page()
        opened.set_default_timeout(SLOW)
        opened.errors = []
        opened.goto(f"{address}/learn")
        for number, scene in enumerate(list(SCENES.values())[:scenes]):
            if number:
                done(opened, opened.get_by_role("button", name="Next").click, scene=scene.id)
            settled(opened, scene=scene.id)
            opened.get_by_role("heading", name=scene.title, exact=True).wait_for()
            for knob in scene.knobs:
                for value in (knob.options[-1], knob.options[0]) if knob.options else (knob.high, knob.low):
                    if knob.write(value) != link(opened)[knob.name]:
                        turned(opened, scene, knob, value)
