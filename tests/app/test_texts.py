"""The choice of a text: in the sidebar, in links, in calls, and on a server that reads no files."""

import json
from dataclasses import replace

import pytest
from screens import PATIENCE, opened, pick, settled, words
from streamlit.testing.v1 import AppTest

from redviz.app.parts.calls import analyze_calls
from redviz.app.parts.texts import OPTIONS, title_of
from redviz.app.session import engine, spec_of
from redviz.app.state import ViewState
from redviz.credit.recipes import recipes
from redviz.models.reading.templates import TEXTS
from redviz.models.spec import ModelSpec
from redviz.records import Example

SHORT = "film-quiet-street/c"


@pytest.fixture(autouse=True)
def home(warm, monkeypatch, tmp_path):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("redviz.app.parts.sidebar._lamp", lambda *_: None)  # a card for every text would be checked


def page(**more) -> AppTest:
    return opened(methods='{"red":{}}', example=SHORT, **more)


def options(**query) -> AppTest:
    """The loading options, as they stand in the sidebar."""

    def script():
        from redviz.app.parts.sidebar import _loading_options

        _loading_options()

    shown = AppTest.from_function(script, default_timeout=PATIENCE)
    shown.query_params.update({"example": SHORT} | query)
    return settled(shown.run())


def score(shown):
    return next(metric.value for metric in shown.metric if metric.label.startswith("Score"))


def chosen(shown):
    return next(box.value for box in shown.selectbox if box.label == "Text")


def test_a_text_of_the_list_is_the_views_text():
    assert chosen(options()) == ""
    other = pick(options(), "Text", title_of("qa+eos"))
    assert chosen(other) == other.session_state["redviz.view"].template == "qa+eos"
    assert chosen(options(template="{prompt} {response}")) == "{prompt} {response}"


def test_a_text_in_a_link_is_another_score():
    own, other = page(), page(template="qa+eos")
    assert score(own) != score(other) and other.query_params["template"] == "qa+eos"


def test_the_list_has_every_usual_text_with_and_without_eos():
    assert set(OPTIONS) == {"", *(name + end for name in ("own", *TEXTS) for end in ("", "+eos"))}
    assert len({title_of(option) for option in OPTIONS}) == len(OPTIONS)


def test_the_text_is_shown_as_the_model_reads_it_without_a_forward_pass():
    ran = engine().runs

    def script():
        from redviz.app.parts.texts import text_as_read

        text_as_read()

    shown = AppTest.from_function(script, default_timeout=PATIENCE)
    shown.query_params.update({"example": SHORT, "template": "Q: {prompt}\\nA: {response}"})
    settled(shown.run())
    (drawn,) = [element.value for element in shown.get("html") if "reading" in element.value]
    assert (
        '<span class="template">Q: </span>' in drawn
        and '<span class="response">' in drawn
        and "score read here" in drawn
    )
    assert engine().runs == ran


def test_a_template_that_is_none_is_one_sentence():
    shown = page(template="{prompt} alone")
    assert any("has {response} 0 times" in error.value.replace("\\", "") for error in shown.error)
    assert "under Loading options" in words(shown)


def test_a_link_alone_reads_no_file(tmp_path):
    (tmp_path / "x.jinja").write_text("{{ messages[0].content }}{{ messages[1].content }}")
    shown = page(template=str(tmp_path / "x.jinja"))
    assert "The link asks for the model embedded:sentiment" in words(shown)


def test_a_shared_server_takes_texts_and_lines_and_reads_no_files(tmp_path, monkeypatch):
    monkeypatch.setenv("REDVIZ_MODELS", "embedded:sentiment")
    (tmp_path / "x.jinja").write_text("{{ messages[0].content }}{{ messages[1].content }}")
    linked = page(template=str(tmp_path / "x.jinja"))
    assert "This server reads no files, so the template of this link is left out" in words(linked)
    assert linked.session_state["redviz.view"].template == ""
    assert chosen(options(template="{prompt} {response}")) == "{prompt} {response}"
    typed = options()
    typed.session_state["redviz.view"] = replace(typed.session_state["redviz.view"], template="x.jinja")
    assert "This server reads no files as templates" in "".join(error.value for error in typed.run().error)
    assert typed.session_state["redviz.view"].template == ""


def test_the_calls_name_the_text():
    spec = spec_of(ViewState(device="cpu", template="{prompt} {response}"))
    assert spec == ModelSpec("embedded:sentiment", "cpu", template="{prompt} {response}")
    state = ViewState()
    calls = analyze_calls(spec, Example("How?", "Well."), recipes(["red"]), {}, state, [])
    assert "template='{prompt} {response}'" in calls.python
    assert "--template='{prompt} {response}'" in calls.terminal
    assert json.dumps(spec.template) == '"{prompt} {response}"'
