"""``redviz agree``: the library's figures as tables and as JSON, from a file and from a real store; refusals in one sentence."""

import json

import pytest

import redviz
from redviz.annotation.map_pairs import add_maps, choose_pair, next_pair, preferences
from redviz.annotation.people import add_annotators
from redviz.annotation.projects import create_project
from redviz.annotation.queue import next_assignment
from redviz.annotation.store import open_store
from redviz.annotation.tables import Item
from redviz.cli.main import main
from redviz.credit.recipes import recipes
from redviz.data.labels.label_sets import open_labels, to_lines
from redviz.data.labels.labels import Annotation, LabelledItem, LabelSet, Mark
from redviz.evaluation.agreement.against_people import against_people
from redviz.evaluation.agreement.between_methods import between_methods
from redviz.evaluation.agreement.people import among_people
from redviz.evaluation.faithfulness.faithfulness_report import faithfulness_over
from redviz.evaluation.statistics.bradley_terry import bradley_terry
from redviz.records import Example

TEXTS = (
    "A superb, moving film with a wonderful cast.",
    "Dull, empty and tedious from the first minute.",
    "The plot is thin but the music is superb.",
    "I did not like it at all, it drags.",
    "An honest and touching story, badly lit.",
)
MARKED = (
    {"superb": 2, "moving": 1, "wonderful": 2},
    {"Dull": -2, "empty": -1, "tedious": -2},
    {"thin": -1, "superb": 2},
    {"not": -2, "drags": -1},
    {"honest": 1, "touching": 2, "badly": -2},
)
PROMPT = "Review the film."


def judged(place, by, shift=0):
    """What a person marked: the words of MARKED, one of them left out by some people."""
    words = list(MARKED[place].items())[shift:]
    text = TEXTS[place]
    return Annotation(by, tuple(Mark(text.index(w), text.index(w) + len(w), float(g)) for w, g in words))


def items(people=("ada", "bob")):
    return [
        LabelledItem(f"r{n}", PROMPT, text, tuple(judged(n, by, shift) for shift, by in enumerate(people)))
        for n, text in enumerate(TEXTS)
    ]


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Run redviz in this process with a home of its own: (exit code, stdout, stderr)."""
    monkeypatch.setenv("REDVIZ_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REDVIZ_DATABASE_URL", raising=False)

    def command(*args):
        code = main(["agree", *map(str, args)])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def project(run):
    store = open_store()
    made = create_project(store, "Films", items())
    yield made
    store.close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = [
        {
            "id": item.id,
            "text": item.response,
            "label": [[m.start, m.end, m.grade] for m in given.marks],
            "user": given.annotator,
        }
        for item in items()
        for given in item.annotations
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def plain(given):
    return json.loads(json.dumps(given))


def test_a_project_s_json_holds_the_library_s_figures_and_where_they_come_from(run, project, tmp_path, sentiment):
    out_file = tmp_path / "out.json"
    code, out, err = run(
        "--project", "Films", "--model", "embedded:sentiment", "--device", "cpu", "--methods", "red,occlusion,saliency",
        "--option", "occlusion.operator=delete", "--metric", "auroc", "--seed", 3, "--level", "interval",
        "--faithfulness", "--faithfulness-limit", 2, "--sensitivity", 3, "--output", out_file,
    )  # fmt: skip
    assert code == 0, err
    got = json.loads(out_file.read_text(encoding="utf-8"))
    model = sentiment
    wanted = {"red": {}, "occlusion": {"operator": "delete"}, "saliency": {}}
    analyses = list(redviz.analyze_batch(model, [item.example for item in items()], wanted))
    pairs = list(zip(items(), analyses, strict=True))
    assert got["people"] == plain(among_people(items(), "interval", seed=3).to_dict())
    assert got["methods"] == plain(against_people(pairs, seed=3, metric="auroc").to_dict())
    assert got["between"] == plain(between_methods(analyses, seed=3).to_dict())
    examples = [item.example for item in items()[:2]]
    assert got["faithfulness"] == plain(
        faithfulness_over(model, examples, wanted, seed=3, sensitivity_samples=3).to_dict()
    )
    assert "Sensitivity" in out and [row["single"]["sensitivity"]["value"] is None for row in got["faithfulness"]["rows"]] == [
        True, True, False,
    ]  # fmt: skip
    source = got["sources"]["model"]
    assert (source["model"], source["fingerprint"]) == (model.source.model, model.source.fingerprint)
    assert source["dtype"] == "float32" and source["template_hash"] == model.source.template_hash
    assert source["versions"] and got["redviz"] == redviz.__version__
    assert got["options"]["methods"]["occlusion"]["operator"] == recipes(wanted)["occlusion"].options["operator"]
    assert (got["options"]["seed"], got["options"]["operator"], got["labels"]["responses"]) == (3, "pad", 5)

    row = next(line for line in out.splitlines() if line.startswith("red ") and "method" in line)
    red = next(one for one in got["methods"]["methods"] if one["label"] == "red")
    assert float(row.split()[2]) == pytest.approx(
        red["figures"]["auroc"]["value"], abs=5e-4
    )  # the figure asked for is first
    assert got["methods"]["sentence"].split(":")[0] in " ".join(out.split())


def test_people_alone_need_no_model_and_a_file_s_labels_are_joined_by_annotator(run, file):
    code, out, err = run("--dataset", file, "--kind", "doccano", "--no-methods", "--level", "nominal")
    assert code == 0, err
    report = among_people(open_labels(file).items, "nominal")
    for name, person in zip(("ada", "bob"), report.people, strict=True):
        cells = next(line for line in out.splitlines() if line.startswith(name)).split()
        assert float(cells[3]) == pytest.approx(person.alpha.value, abs=5e-4)
    assert "Methods against people" not in out and report.sentence in " ".join(out.split())


def test_a_project_of_maps_gives_the_ranking(run, tmp_path):
    store = open_store()
    made = create_project(store, "Maps", [Example(PROMPT, text, f"r{n}") for n, text in enumerate(TEXTS)], task="maps")
    with store.reading() as session:
        found = [(item.id, len(item.cells)) for item in session.query(Item).all()]
    for item_id, cells in found:
        add_maps(store, item_id, {"red": [0.5] * cells, "abc": [0.1] * cells}, recipes(["red", "abc"]), {})
    (ada,) = add_annotators(store, made.id, ["ada"])
    assert run("--project", "Maps")[2] == (
        "redviz: Nobody has submitted an item of the project 'Maps' yet; there is nothing to measure.\n"
    )
    for _ in TEXTS:
        held = next_assignment(store, ada.id).assignment
        pair = next_pair(store, held.id)
        choose_pair(store, held.id, pair.left.id, pair.right.id, "left" if pair.left.label == "red" else "right")
    want = bradley_terry(preferences(store, made.id))
    store.close()
    code, out, err = run("--project", made.id, "--output", tmp_path / "maps.json")
    assert code == 0, err
    assert json.loads((tmp_path / "maps.json").read_text())["preferences"] == plain(want.to_dict())
    first = next(line for line in out.splitlines() if line.startswith("red"))
    assert first.split()[-3:] == ["5", "0", "0"] and want.methods[0].label == "red"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ((), "Give the labels once"),
        (("--project", "Film"), "There is no project 'Film'; there are 1 'Films'."),
        (("--project", "Empty"), "Nobody has submitted an item of the project 'Empty' yet"),
        (("--project", "Films"), "name it with --model"),
        (("--project", "Films", "--metric", "f1"), "--metric is 'f1'; use one of"),
        (("--project", "Films", "--kind", "doccano"), "--kind is given without --dataset"),
        (("--project", "Films", "--limit", 0), "--limit is 0"),
        (("--project", "Films", "--sensitivity", 3), "is a part of --faithfulness"),
        (("--dataset", "nowhere.jsonl", "--no-methods"), "nowhere.jsonl is no file"),
        (("--dataset", "bare.jsonl", "--no-methods"), "bare.jsonl has responses but nobody's labels"),
        (("--dataset", "one.jsonl", "--no-methods"), "No response of one.jsonl was judged by two people"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(run, project, args, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bare = LabelSet("", "graded", (LabelledItem("1", PROMPT, TEXTS[0]),))
    (tmp_path / "bare.jsonl").write_text("\n".join(to_lines(bare)))
    (tmp_path / "one.jsonl").write_text(json.dumps({"text": TEXTS[1], "label": [[0, 4, "bad"]]}))
    if "Empty" in args:
        store = open_store()
        create_project(store, "Empty", [Example(PROMPT, TEXTS[0], "r")])
        store.close()
    code, out, err = run(*args)
    assert (code, out) == (2, "") and err.count("\n") == 1, err
    assert said in err
