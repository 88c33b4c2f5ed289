"""The calls that the export panel offers give the very analysis they were copied from."""

import json
import shlex

import numpy as np
import pytest
from typer.testing import CliRunner

import redviz
from redviz.app.inspect.export_panel import as_cli, as_python
from redviz.app.state import ViewState
from redviz.cli.main import app
from redviz.credit.recipes import recipes

CHAT = (
    {"role": "user", "content": 'Say "it\'s $5"'},
    {"role": "assistant", "content": "ok"},
    {"role": "user", "content": "more\nplease"},
)
WANTED = [
    {"red": {}, "abc": {}},
    {"red": {"beta_c": 0.5}, "ABC L1": {"method": "abc", "layer": 0, "heads": [1]}, "ig": {"steps": 4}},
]


@pytest.fixture(scope="module")
def model():
    return redviz.load_reward_model("embedded:sentiment", device="cpu")


@pytest.mark.parametrize("methods", WANTED)
@pytest.mark.parametrize("prompt", ["A prompt with 'quotes' and \\ back", CHAT])
def test_both_calls_give_the_same_credits(model, prompt, methods):
    state = ViewState(example="", prompt=prompt, response="x", methods=methods, device="cpu")
    shown = redviz.analyze(model, prompt, 'It\'s fine;\n$HOME `or` "not".', methods)
    names: dict = {}
    exec(as_python(state, shown, recipes(methods)), names)
    command = shlex.split(as_cli(state, shown, recipes(methods)).replace("\\\n", ""))
    assert command[0] == "redviz"
    answer = CliRunner().invoke(app, [*command[1:], "--json"])
    assert answer.exit_code == 0, answer.output
    printed = json.loads(answer.stdout)
    for label, credit in shown.credits.items():
        np.testing.assert_allclose(names["analysis"].credits[label].values, credit.values, atol=1e-6)
        np.testing.assert_allclose(printed["credits"][label]["values"], credit.values, atol=1e-6)
    assert list(names["analysis"].credits) == list(printed["credits"]) == list(shown.credits)
