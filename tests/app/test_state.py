"""The view as a link and as a stored file: what goes in comes out, and what is broken is named."""

import json
from dataclasses import fields, replace

import pytest

from redviz.app.state import DEFAULT, ViewState, delete_view, from_query, load_view, save_view, to_query
from redviz.errors import RedvizError

CHANGED = ViewState(
    model="owner/model",
    device="cpu",
    dtype="float32",
    revision="abc",
    head="1-0",
    read="last",
    template="hh+eos",
    policy="embedded:writer",
    reference="some/other",
    cost_model="embedded:sentiment",
    value_model="some/critic",
    example="some/b",
    methods={"red": {"beta_c": 0.5}, "ABC 2": {"method": "abc", "layer": 1, "heads": [0, 2]}},
    granularity="word",
    layout="stacked",
    scale="one",
    text_size=24,
    rewards="ABC 2",
    gamma=0.9,
    lam=0.5,
    baseline="constant",
    constant=-1.5,
    pin=7,
)


def test_the_default_view_needs_no_parameters_and_back():
    assert to_query(DEFAULT) == {}
    assert from_query({}) == (DEFAULT, "")


def test_every_field_travels_by_link_but_the_texts():
    for field in fields(ViewState):
        if field.name in ("prompt", "response"):
            assert to_query(replace(DEFAULT, **{field.name: "secret"})) == {}
        else:
            assert getattr(CHANGED, field.name) != getattr(DEFAULT, field.name), field.name
    assert from_query(to_query(CHANGED)) == (CHANGED, "")


@pytest.mark.parametrize(
    "query",
    [
        {"gamma": "2"},
        {"gamma": "x"},
        {"layout": "rows"},
        {"methods": '{"magic":{}}'},
        {"methods": '{"red":{"speed":1}}'},
        {"methods": "[]"},
        {"methods": "{}"},
        {"pin": "-3"},
        {"pin": "1.5"},
        {"text_size": "9000"},
        {"constant": '"a"'},
    ],
)
def test_a_broken_parameter_keeps_its_default_and_is_named(query):
    state, problem = from_query({**query, "scale": "one"})
    assert state == replace(DEFAULT, scale="one")
    assert next(iter(query)) in problem


def test_unknown_parameters_are_left_alone():
    assert from_query({"utm_source": "mail", "embed": "true"}) == (DEFAULT, "")


def test_rewards_of_a_method_that_is_not_shown_fall_to_the_first():
    state, _ = from_query({"methods": '{"abc":{}}'})
    assert state.rewards == "abc"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    "prompt", ["text", ({"role": "user", "content": "hi 👍"}, {"role": "assistant", "content": "ok"})]
)
def test_a_stored_view_comes_back_whole_until_it_is_deleted(home, prompt):
    state = replace(CHANGED, example="", prompt=prompt, response="مرحبا\n<script>")
    view = save_view(state)
    assert len(view) == 32 and load_view(view) == state
    assert from_query({"view": view}) == (state, "")
    delete_view(view)
    with pytest.raises(RedvizError, match="not stored"):
        load_view(view)


@pytest.mark.parametrize("view", ["../../etc/passwd", "x" * 32, "", "ABCDEF" * 6])
def test_an_id_that_redviz_did_not_write_reads_no_file(home, view):
    with pytest.raises(RedvizError, match="id is not one"):
        load_view(view)


def test_a_stored_view_that_was_tampered_with_is_one_sentence(home):
    view = save_view(DEFAULT)
    (home / "views" / f"{view}.json").write_text("{")
    state, problem = from_query({"view": view})
    assert state == DEFAULT and "cannot be read" in problem
    (home / "views" / f"{view}.json").write_text(json.dumps({"layout": "rows"}))
    assert "layout" in from_query({"view": view})[1]


def test_a_public_server_stores_nothing(home, monkeypatch):
    monkeypatch.setenv("REDVIZ_DEMO", "1")
    with pytest.raises(RedvizError, match="stores no text"):
        save_view(CHANGED)
    assert not (home / "views").exists()
