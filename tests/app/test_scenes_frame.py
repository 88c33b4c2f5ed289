"""What every scene of the Learn screen keeps: knobs and links, and a figure at the ends of every knob."""

import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import plotly.graph_objects as go
import pytest
from scene_bench import drawn, figure

from redviz.app.engine import Engine
from redviz.app.learn.scenes.scene import Bench, Knob, Waiting, query_of, values_of
from redviz.app.learn.scenes.table import SCENES
from redviz.app.learn.scenes.texts import gallery_example
from redviz.app.learn.state import inspect_view
from redviz.app.state import ViewState
from redviz.errors import RedvizError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def engine():
    made = Engine()
    yield made
    made.close()


def test_knobs_read_what_they_write_and_refuse_the_rest():
    whole, part = Knob("t", "t", 3, low=0, high=9, step=1), Knob("g", "g", 0.5)
    choice = Knob("c", "c", "a", options=("a", "b"))
    assert whole.read(whole.write(7)) == 7 and part.read(part.write(0.35)) == 0.35 and choice.read("b") == "b"
    for knob, text in (
        (whole, "10"),
        (whole, "2.5"),
        (whole, "x"),
        (part, "nan"),
        (part, "-0.1"),
        (part, "inf"),
        (choice, "z"),
    ):
        with pytest.raises(RedvizError, match=f"^{knob.name} is '{text}'"):
            knob.read(text)


def test_a_link_with_a_bad_knob_keeps_the_rest_and_says_so_in_one_sentence():
    scene = SCENES["monte-carlo"]
    values, problem = values_of(scene, {"scene": scene.id, "discount": "7", "difference": "shaping", "other": "x"})
    assert values == {"discount": 0.99, "difference": "shaping"}
    assert problem.startswith("Part of this link could not be followed (discount is '7'") and problem.count(". ") == 0
    again, problem = values_of(scene, query_of(scene, values))
    assert again == values and problem == ""


def test_scenes_are_in_order_and_their_knobs_share_no_name_with_the_view_of_inspect():
    assert list(SCENES)[:3] == ["sparse-reward", "prefix-walk", "telescoping"]
    taken = {field.name for field in fields(ViewState)} | {"scene", "view", "present"}
    for name, scene in SCENES.items():
        assert scene.id == name and 1 <= len(scene.knobs) <= 2
        assert scene.text and scene.formula and scene.question and scene.answer and scene.paper
        for knob in scene.knobs:
            assert knob.name not in taken
            assert knob.read(knob.write(knob.default)) == knob.default


def test_a_scene_waits_for_the_engine_and_asks_for_each_job_once():
    fresh = Engine()
    try:
        with pytest.raises(Waiting) as waiting:
            SCENES["group"].draw(Bench(fresh), SCENES["group"].defaults)
        keys = [key for key, _ in waiting.value.wanted]
        assert len(keys) == len(set(keys)) == 4  # one forward pass for each response
    finally:
        fresh.close()


@pytest.mark.parametrize("name", list(SCENES))
def test_every_scene_draws_at_the_ends_of_every_knob_and_every_knob_moves_its_figure(name, engine):
    scene = SCENES[name]
    still = figure(drawn(scene, engine)).to_json()
    for knob in scene.knobs:
        moved = []
        ends = knob.options or (type(knob.default)(knob.low), type(knob.default)(knob.high))
        for value in ends:
            found = drawn(scene, engine, {knob.name: value})
            assert isinstance(figure(found), go.Figure) and len(figure(found).data) > 0
            moved.append(figure(found).to_json() != still)
            shown = inspect_view(scene, found.inspect)
            assert shown.rewards in shown.recipes  # what Inspect is asked to show exists
            assert bool(shown.example) != bool(shown.response)
            if shown.example:
                assert gallery_example(shown.example).response
        assert any(moved), knob.name


def test_importing_the_scenes_imports_no_torch():
    """Pages import them at once: a person must not wait for torch before the first word is on the page."""
    code = "import sys, redviz.app.learn.scenes.table; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
