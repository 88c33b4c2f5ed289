"""Compare with a model that scores pairs: the page itself, its calls, and the other screens' sentence."""

import shlex
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_pairs
from streamlit.testing.v1 import AppTest

import redviz
from redviz.app.engine import Engine
from redviz.app.state import DEFAULT
from redviz.cli.main import main
from redviz.models.kinds.pair_scores import CAUTION
from redviz.models.spec import ModelSpec
from redviz.records import Example

PAGES = Path(__file__).parents[2] / "pages"
PROMPT = "Review the film."
RESPONSES = ["A superb film.", "A dull film, it drags on and on.", "Fine."]


@pytest.fixture(scope="module")
def found():
    return redviz.compare(redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu"), PROMPT, RESPONSES)


def page(name):
    opened = AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=60)
    opened.session_state["redviz.compare"] = [Example(PROMPT, text) for text in RESPONSES]
    opened.session_state["redviz.view"] = replace(DEFAULT, model=str(tiny_pairs.checkpoint()), device="cpu")
    opened.session_state["redviz.through"] = True  # as app.py says
    return opened


def run_until(opened, words):
    for _ in range(120):
        opened.run()
        assert not opened.exception
        told = [*opened.markdown, *opened.error, *opened.info]
        if any(words in block.value.replace("\\", "") for block in told):
            return opened
        time.sleep(0.25)
    raise AssertionError([block.value for block in told])


def test_compare_shows_every_pair_in_both_orders_with_the_caution_and_its_calls_give_it_again(found, capsys):
    opened = run_until(page("compare"), "Every pair, in both orders")
    assert CAUTION in [block.value for block in opened.info] and not opened.error
    ranking, pairs = (block.value for block in opened.dataframe)
    assert list(ranking["response"]) == ["ABC"[i] for i in found.ranking]
    assert list(pairs["pair"]) == [f"{'ABC'[i]} over {'ABC'[j]}" for i, j in found.pairs]
    for column, values in {
        "margin": found.margins,
        "shown first": found.shown_first,
        "shown second": found.shown_second,
        "the order changes it by": found.order_effects,
    }.items():
        np.testing.assert_allclose(pairs[column], [values[i, j] for i, j in found.pairs], atol=1e-5)
    np.testing.assert_allclose(
        pairs["P(preferred)"], [100 * found.probability(i, j) for i, j in found.pairs], atol=1e-3
    )
    assert found.order_remark("ABC") in [block.value.replace("\\", "") for block in opened.warning]
    python, terminal = (block.value for block in opened.code)
    told: dict = {}
    exec(python, told)
    np.testing.assert_allclose(told["compared"].margins, found.margins, atol=1e-5)
    assert main(shlex.split(terminal.replace("\\\n", " "))[1:]) == 0
    assert f"{found.pairs[0][0] + 1} over {found.pairs[0][1] + 1}" in capsys.readouterr().out


def test_the_words_of_a_pair_are_shown_on_request(found):
    opened = run_until(page("compare"), "Every pair, in both orders")
    assert len(opened.dataframe) == 2
    next(button for button in opened.button if button.label == "What does each word add?").click()
    i, j = found.pairs[0]
    run_until(opened, f"What each word adds to the margin of {'ABC'[i]} over {'ABC'[j]}")
    table = opened.dataframe[2].value
    words = redviz.load_pair_scorer(str(tiny_pairs.checkpoint()), device="cpu").words(found, i, j)
    np.testing.assert_allclose(table["adds"], [row.value for row in words.largest], atol=1e-5)
    assert list(table["response"]) == ["ABC"[row.response] for row in words.largest]


def test_inspect_shows_the_sentence_with_the_way_on():
    run_until(page("inspect"), "gives no score to one; use Compare or `redviz compare`")


def test_the_engine_loads_it_once_as_pairs_and_refuses_it_as_a_reward_model(found):
    running, spec = Engine(), ModelSpec(str(tiny_pairs.checkpoint()), device="cpu")
    try:
        assert running.as_pairs(spec) is None
        with pytest.raises(redviz.RedvizError, match="scores pairs of responses"):
            running.observe(spec, Example(PROMPT, "Fine.")).wait(60)
        as_pairs = running.as_pairs(spec)
        job = running.with_model(as_pairs, "pairs", lambda model, job: model.scores(PROMPT, RESPONSES), key="k")
        np.testing.assert_allclose(job.wait(60).margins, found.margins, atol=1e-5)
        assert [state.spec for state in running.loaded()] == [as_pairs]
        assert running.state(as_pairs).bytes > 0 and running.runs == 1
    finally:
        running.close()
