"""Two templates never share a run, a row or a result, and a run goes on only with the text it began with."""

import json

import pytest
import tiny

import redviz
from redviz.app.results import content_key
from redviz.credit.recipes import recipes
from redviz.data.results.from_rows import analyses_of
from redviz.data.results.rows import rows
from redviz.data.sets.dataset import open_dataset
from redviz.errors import RedvizError
from redviz.evaluation.edits.edits import what_if
from redviz.models.loading.load import load_reward_model
from redviz.models.spec import ModelSpec
from redviz.records import Example
from redviz.runs.local import run_parts, specs_of, start_run
from redviz.runs.parts import provenance

WANTED = recipes(["sparse"])
TEXTS = (None, "own+eos", "qa", "qa+eos", "{prompt} {response}", "{prompt}  {response}")


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "How was it?", "response": "A superb film."}))
    return path


def loaded(template):
    return load_reward_model(str(tiny.checkpoint(template="none")), template=template)


def test_two_templates_never_share_a_run_a_result_or_a_row(data):
    runs, keys, analyses = set(), set(), []
    for template in TEXTS:
        model = loaded(template)
        runs.add(start_run(open_dataset(data), data, model, WANTED, template=template).id)
        keys.add(content_key(model.source, ModelSpec("m", template=template), Example("a", "b"), WANTED["sparse"]))
        analyses.append(redviz.analyze(model, "How was it?", "A superb film.", methods=["sparse"]))
    assert len(runs) == len(keys) == len(TEXTS)
    written = [row for analysis in analyses for row in rows(analysis)]
    assert [row["template"] for row in written] == list(TEXTS)
    again = list(analyses_of(written))
    assert [a.source.template_hash for a in again] == [a.source.template_hash for a in analyses]
    assert [a.source.template for a in again] == [template or "" for template in TEXTS]


def test_the_same_text_finds_its_run_again_whatever_it_is_called(data, tmp_path):
    files = [tmp_path / "a.jinja", tmp_path / "b.jinja"]
    for file in files:
        file.write_text(tiny.OPEN)
    first, second = (start_run(open_dataset(data), data, loaded(str(f)), WANTED, template=str(f)) for f in files)
    assert first.id == second.id


def test_a_run_goes_on_with_the_text_it_began_with_and_no_other(data, tmp_path, monkeypatch):
    file = tmp_path / "mine.jinja"
    file.write_text(tiny.OPEN)
    monkeypatch.chdir(tmp_path)
    run = start_run(open_dataset(data), data, loaded("mine.jinja+eos"), WANTED, template="mine.jinja+eos")
    spec, _ = specs_of(run.manifest)
    assert spec.template == f"{file}+eos"
    assert json.loads(provenance(run.manifest)["redviz"])["template"] == "mine.jinja+eos"
    file.write_text(tiny.CLOSED)
    with pytest.raises(
        RedvizError, match="The model's template is not the one that run .* began with; start a new run"
    ):
        run_parts(loaded(spec.template), run)


def test_an_analysis_is_asked_about_under_its_own_text():
    analysis = redviz.analyze(loaded("qa"), "How was it?", "A superb film.", methods=["sparse"])
    with pytest.raises(RedvizError, match="analyze the response with it first"):
        what_if(loaded("hh"), analysis, "A dull film.")
