"""``redviz what-if``: tables and JSON for one response and for a data set, and one sentence for what is wrong."""

import json

import pytest
import tiny

import redviz
from redviz.cli.main import main
from redviz.data.sets.dataset import Dataset
from redviz.evaluation.edits import edit_effects
from redviz.evaluation.edits.text_edits import PRAISE, READY_EDITS

PROMPT, RESPONSE = "Review the film.", "A superb film. I did not like it."
ASK = ("--prompt", PROMPT, "--response", RESPONSE, "--device", "cpu")


@pytest.fixture
def run(capsys):
    """Run ``redviz what-if`` on the tiny model: (exit code, stdout, stderr)."""

    def command(*args: object, model: str = "") -> "tuple[int, str, str]":
        code = main(["what-if", "--model", model or str(tiny.checkpoint()), *map(str, args)])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def dataset(tmp_path):
    rows = [{"prompt": PROMPT, "response": text} for text in (RESPONSE, "Glorious.", "A tedious mess. Dull!")]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join([*map(json.dumps, rows), '{"prompt": "Why?", "response": 3}']) + "\n")
    return path


def sentence(result):
    """The one line on stderr of a command that was refused."""
    found, out, err = result
    assert (found, out) == (2, "") and err.startswith("redviz: ") and err.count("\n") == 1
    return err.strip()


def scored(text):
    return redviz.analyze(tiny.model(), PROMPT, text, ["red"]).score


def test_every_ready_edit_has_a_line_and_the_largest_rise_stands_first(run):
    code, out, err = run(*ASK)
    heading, _, head, *lines = out.splitlines()
    assert (code, err) == (0, "")
    assert f"score {scored(RESPONSE):+.4g}" in heading and head.split()[:2] == ["edit", "change"]
    assert {line.split()[0] for line in lines} == set(READY_EDITS)
    changes = [float(line.split()[1]) for line in lines]
    assert changes == sorted(changes, reverse=True) and changes[0] > changes[-1]
    praise = next(line for line in lines if line.startswith("praise"))
    assert float(praise.split()[2]) == pytest.approx(scored(f"{RESPONSE} {PRAISE}"), abs=2e-3)


def test_edits_by_name_and_new_responses_as_json(run):
    code, out, _ = run(*ASK, "--edits", "upper, strip_last", "--new-response", "A dull film.", "--json")
    told = json.loads(out)
    assert code == 0 and told["before"]["score"] == pytest.approx(scored(RESPONSE), abs=1e-5)
    assert [one["text"] for one in told["edits"]] == ["A dull film.", RESPONSE.upper(), "A superb film."]
    for one in told["edits"]:
        assert one["score"] == pytest.approx(scored(one["text"]), abs=1e-4)
        assert one["change"] == pytest.approx(one["score"] - told["before"]["score"], abs=1e-6)
        assert sum(one["after"]["credits"]["red"]["values"]) != 0
    assert told["edits"][0]["kept"] > 0


def test_an_edit_that_does_nothing_and_one_that_leaves_nothing_say_so(run):
    ask = ("--prompt", PROMPT, "--response", "Superb", "--device", "cpu")
    code, out, _ = run(*ask, "--edits", "shuffle,upper", "--new-response", " ")
    lines = {line.split()[0]: line for line in out.splitlines()[3:]}
    assert code == 0 and lines["upper"].endswith("Upper case")
    assert lines["shuffle"].endswith("Shuffle the sentences (this changes nothing here)")
    assert lines["text"].split()[1:3] == ["Nothing", "is"] and out.splitlines()[-1] == lines["text"]


def test_averages_over_a_data_set(run, dataset):
    code, out, err = run("--dataset", dataset, "--device", "cpu", "--edits", "praise,strip_last")
    head, *lines = out.splitlines()
    assert code == 0 and head.split()[:3] == ["edit", "mean", "change"] and len(lines) == 2
    assert "line 4: left out (response is a number" in err
    told = json.loads(run("--dataset", dataset, "--device", "cpu", "--edits", "praise,strip_last", "--json")[1])
    assert [row["responses"] for row in told["edits"]] == [3, 2] and len(told["changes"]) == 6
    wanted = scored(f"Glorious. {PRAISE}") - scored("Glorious.")
    assert told["changes"][2]["change"] == pytest.approx(wanted, abs=1e-4)
    means = {row["name"]: row["mean"] for row in told["edits"]}
    assert {line.split()[0]: float(line.split()[1]) for line in lines} == pytest.approx(means, abs=1e-3)


def test_columns_can_be_named_and_many_bad_rows_are_counted(run, tmp_path):
    path = tmp_path / "odd.jsonl"
    rows = [{"q": PROMPT, "a": "Glorious."}, *[{"q": PROMPT, "a": n} for n in range(13)]]
    path.write_text("\n".join(map(json.dumps, rows)))
    ask = ("--dataset", path, "--device", "cpu", "--edits", "praise", "--json")
    assert "--column" in sentence(run(*ask))
    code, out, err = run(*ask, "--column", "prompt=q", "--column", "response=a")
    told = json.loads(out)
    wanted = scored(f"Glorious. {PRAISE}") - scored("Glorious.")
    assert code == 0 and told["changes"][0]["change"] == pytest.approx(wanted, abs=1e-4)
    assert err.count("left out (response is a number") == 10 and "13 rows are left out in all.\n" in err


def test_a_data_set_is_not_held_whole(run, dataset, monkeypatch):
    """No item is read before the one before it was scored."""
    order, items = [], Dataset.items
    monkeypatch.setattr(Dataset, "items", lambda self: ((order.append("read"), item)[1] for item in items(self)))
    monkeypatch.setattr(edit_effects, "analyze_batch", _one_by_one(order))
    assert run("--dataset", dataset, "--device", "cpu", "--edits", "upper")[0] == 0
    assert order == ["read"] * 3 + ["read", "scored"] * 3


def _one_by_one(order):
    def analyze(model, examples, methods):
        for example in examples:
            order.append("scored")
            yield redviz.analyze(model, example.prompt, example.response, methods)

    return analyze


def test_limit_counts_responses(run, dataset):
    told = json.loads(run("--dataset", dataset, "--limit", 2, "--device", "cpu", "--edits", "upper", "--json")[1])
    assert len(told["changes"]) == 2 and "nan" not in json.dumps(told).lower()


def test_a_rule_is_edited_too(run):
    ask = ("--prompt", "6 times 7? (answer: 42)", "--response", "Answer: 42")
    code, out, _ = run(*ask, "--new-response", "Answer: 41", model="rule:exact-answer")
    assert code == 0 and out.splitlines()[-1].split()[:3] == ["text", "-0.9000", "+0.1000"]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((*ASK, "--edits", "praise,uper"), "There is no edit 'uper'; use some of repeat_last,"),
        ((*ASK, "--edits", " , "), "--edits names none; use some of"),
        ((*ASK, "--dataset", "x.jsonl"), "not both"),
        ((*ASK, "--limit", "3"), "--limit goes with --dataset"),
        ((*ASK, "--column", "prompt=q"), "--column goes with --dataset"),
        (("--dataset", "x.jsonl", "--limit", "0"), "--limit is 0; give 1 or more"),
        (("--dataset", "nowhere.jsonl"), "nowhere.jsonl is no file on this machine"),
        (("--prompt", PROMPT), "Give the response once"),
        (("--response", RESPONSE), "Give the prompt once"),
    ],
)
def test_what_is_refused(run, args, said):
    assert said in sentence(run(*args))
