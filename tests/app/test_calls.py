"""The calls that the screens show give what they were shown beside: run as Python, and by the command line."""

import json
import shlex
import time
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

import redviz
from redviz.app.parts.calls import analyze_calls, compare_calls
from redviz.app.state import ViewState
from redviz.cli.main import main
from redviz.credit.recipes import recipes
from redviz.credit.table import METHODS
from redviz.errors import RedvizError
from redviz.models.spec import ModelSpec
from redviz.records import Example

PAGE = Path(__file__).parents[2] / "pages" / "inspect.py"
SPEC = ModelSpec("embedded:sentiment", device="cpu")
PARTNERS = {
    "policy": ModelSpec("embedded:writer-dpo", "cpu", role="policy"),
    "reference": ModelSpec("embedded:writer", "cpu", role="policy"),
    "cost_model": ModelSpec("embedded:sentiment", "cpu"),
}
CHAT = (
    {"role": "user", "content": 'Say "it\'s $5"'},
    {"role": "assistant", "content": "ok"},
    {"role": "user", "content": "more\nplease"},
)
HOSTILE = 'It\'s fine;\n$HOME `or` "not" \\ back.'
FEW = {"ig": {"steps": 2}, **dict.fromkeys(("gradient_shap", "lime", "kernel_shap"), {"samples": 8})}


@pytest.fixture(scope="module")
def loaded():
    model = redviz.load_reward_model("embedded:sentiment", device="cpu")
    policies = {role: redviz.load_policy(PARTNERS[role].name, device="cpu") for role in ("policy", "reference")}
    return {"model": model, **policies, "cost_model": model}


def run(command, capsys, *more):
    """What the command prints, as JSON; its error's text where it refuses."""
    words = shlex.split(command.replace("\\\n", ""))
    assert words[0] == "redviz"
    capsys.readouterr()
    code = main([*words[1:], *more])
    printed = capsys.readouterr()
    return json.loads(printed.out) if code == 0 else printed.err


def check(calls, shown, capsys):
    names = {}
    exec(calls.python, names)
    printed = run(calls.terminal, capsys, "--json")["credits"]
    assert list(names["analysis"].credits) == list(printed) == list(shown.credits)
    for label, credit in shown.credits.items():
        np.testing.assert_allclose(names["analysis"].credits[label].values, credit.values, atol=1e-6)
        np.testing.assert_allclose(printed[label]["values"], credit.values, atol=1e-6)
    return names


@pytest.mark.parametrize("method", METHODS)
def test_the_calls_of_every_method_give_its_credits_or_its_refusal(loaded, capsys, method):
    asked, example = {method: FEW.get(method, {})}, Example("Review it.", "A superb film.")
    calls = analyze_calls(SPEC, example, recipes(asked), PARTNERS, ViewState(rewards=method), ())
    try:
        shown = redviz.analyze(prompt=example.prompt, response=example.response, methods=asked, **loaded)
    except RedvizError as refusal:
        with pytest.raises(RedvizError) as again:
            exec(calls.python, {})
        assert str(again.value) == str(refusal) and str(refusal) in run(calls.terminal, capsys)
        assert method in ("process", "deeplift")
        return
    check(calls, shown, capsys)


def test_inspect_names_the_policy_and_the_reference_where_dpo_is_chosen(loaded, capsys):
    opened = AppTest.from_file(str(PAGE), default_timeout=60)
    opened.session_state["redviz.through"] = True  # as app.py says
    opened.session_state["redviz.view"] = ViewState(methods={"dpo": {}}, rewards="dpo", device="cpu")
    until = time.monotonic() + 60
    while len(opened.code) < 3 and time.monotonic() < until:  # the link, and both calls
        opened.run()
        assert not opened.exception
        for closer in [one for one in opened.segmented_control if one.label == "Look closer"]:
            closer.set_value("Export and link")
    link, python, terminal = (block.value for block in opened.code)
    names = {}
    exec(python, names)
    shown = redviz.analyze(
        prompt=names["analysis"].prompt, response=names["analysis"].response, methods=["dpo"], **loaded
    )
    np.testing.assert_allclose(names["analysis"].credits["dpo"].values, shown.credits["dpo"].values, atol=1e-6)
    np.testing.assert_allclose(
        run(terminal, capsys, "--json")["credits"]["dpo"]["values"], shown.credits["dpo"].values, atol=1e-6
    )


@pytest.mark.parametrize("prompt", [HOSTILE, CHAT])
def test_texts_options_labels_and_loading_are_those_of_the_screen(loaded, capsys, prompt):
    asked = {"red": {"beta_c": 0.5, "alpha": 0.5, "kl_coef": 0.1}, "ABC ½": {"method": "abc", "layer": 0, "heads": [1]}}
    spec = ModelSpec("embedded:sentiment", "cpu", "float32", head="0", read="last")
    state = ViewState(baseline="constant", constant=0.25, gamma=0.9, lam=0.5, granularity="word")
    model = redviz.load_reward_model("embedded:sentiment", device="cpu", dtype="float32", head="0", read="last")
    shown = redviz.analyze(prompt=prompt, response=HOSTILE, methods=asked, **{**loaded, "model": model})
    calls = analyze_calls(spec, Example(prompt, HOSTILE), recipes(asked), PARTNERS, state, ())
    names = check(calls, shown, capsys)
    curves = redviz.return_curves(shown, "red", gamma=0.9, lam=0.5, baseline="constant", constant=0.25)
    np.testing.assert_allclose(names["curves"].advantages, curves.advantages, atol=1e-5)
    assert "--granularity=word" in calls.terminal


def test_the_curves_of_a_group_name_its_other_responses(loaded, capsys):
    prompt, texts = "Review it.", ["A superb film.", "A dull one.", "It is long."]
    state, labels = ViewState(baseline="GRPO", rewards="log-ratio"), {"log-ratio": {"method": "dpo"}, "red": {}}
    one, *others = (redviz.analyze(prompt=prompt, response=text, methods=labels, **loaded) for text in texts)
    calls = analyze_calls(SPEC, Example(prompt, texts[0]), recipes(labels), PARTNERS, state, texts[1:])
    names = check(calls, one, capsys)
    group = [other.credits["log-ratio"].values for other in others]
    curves = redviz.return_curves(one, "log-ratio", baseline="GRPO", group=group)
    np.testing.assert_allclose(names["curves"].advantages, curves.advantages, atol=1e-5)


def test_compare_gives_its_margin_again_with_a_policy_and_a_reference(loaded, capsys):
    texts, asked = [HOSTILE, "Dull."], {"red": {}, "dpo": {"beta": 0.2}}
    shown = redviz.compare(loaded["model"], CHAT, texts, asked, **{r: loaded[r] for r in ("policy", "reference")})
    examples = [Example(CHAT, text) for text in texts]
    calls = compare_calls(SPEC, examples, recipes(asked), PARTNERS, "sentence")
    names = {}
    exec(calls.python, names)
    printed = run(calls.terminal, capsys, "--json")
    assert names["compared"].margin(0, 1) == pytest.approx(shown.margin(0, 1), abs=1e-5)
    told = json.loads(json.dumps(shown.to_dict("sentence")))
    assert printed.keys() == {"names", *told}
    assert_close({name: printed[name] for name in told}, told)


def test_two_models_and_rules_are_each_loaded_by_their_own_loader(loaded, capsys):
    asked, second = {"shapley": {}}, ModelSpec("rule:summary", device="cpu")
    calls = compare_calls(SPEC, [Example("Sum it up.", "A short one.")], recipes(asked), PARTNERS, "word", second)
    names = {}
    exec(calls.python, names)
    printed = run(calls.terminal, capsys, "--json")
    assert [model.source.model for model in (names["model"], names["second"])] == ["embedded:sentiment", "rule:summary"]
    assert_close(printed, json.loads(json.dumps(names["compared"].to_dict("word"))))


def assert_close(got, want):
    """The same JSON, numbers within 1e-5."""
    if isinstance(want, dict):
        assert got.keys() == want.keys()
        for name, value in want.items():
            assert_close(got[name], value)
    elif isinstance(want, list):
        assert len(got) == len(want)
        for one, other in zip(got, want, strict=True):
            assert_close(one, other)
    else:
        assert got == (pytest.approx(want, abs=1e-5) if isinstance(want, float) else want)
