"""From items to pairs, and the same report from analyses, from their result file and from the command line."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny

from redviz.batches import analyze_batch
from redviz.cli.main import main
from redviz.data.results.result_files import Where, open_results
from redviz.data.results.rows import rows, schema
from redviz.data.sets.dataset import open_dataset
from redviz.data.sets.items import Candidate, DataItem
from redviz.evaluation.agreement.preferences import analyzed_pairs, stated_pair
from redviz.evaluation.conformance import conformance
from redviz.evaluation.statistics.pairs import (
    credits_of_rows,
    disagreement,
    pairs_of_frame,
)
from redviz.evaluation.statistics.splitting import split_report, split_report_of_rows

SUBJECTS = ("film", "book", "song", "play", "show", "story")
PAIRS = [
    {
        "prompt": f"Review the {subject}, please.",
        "chosen": f"The {subject} is {good} and I loved it. It was a joy.",
        "rejected": f"The {subject} is {bad} and I hated it. It was a bore.",
        "subset": subject,
    }
    for subject in SUBJECTS
    for good, bad in (("superb", "awful"), ("moving", "dull"), ("wonderful", "terrible"), ("great", "bad"))
]


@pytest.fixture
def dataset(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, PAIRS)))
    return path


def made(*candidates, preferences=()):
    return DataItem("7", "p", tuple(Candidate(*given) for given in candidates), preferences=preferences)


def test_what_an_item_prefers():
    def pair(*given, **named):
        found = stated_pair(made(*given, **named))
        return found and [example.response for example in found]

    assert pair(("bad", "rejected"), ("good", "chosen")) == ["good", "bad"]
    assert pair(("a", "1", 2.0), ("b", "2", 5.0), ("c", "3", 1.0), ("d", "4")) == ["b", "c"]
    assert pair(("a", "1", 2.0), ("b", "2", 2.0)) is None  # as good as each other
    assert pair(("a", "1", 5.0), ("b", "2", 5.0), ("c", "3", 1.0)) == ["a", "c"]
    assert pair(("a", "1"), ("b", "2")) is None
    assert pair(("a",)) is None
    assert pair(("a", "1", 1.0), ("b", "2", 5.0), preferences=(("1", "2"),)) == ["a", "b"]  # stated beats rated


def test_one_report_from_analyses_and_from_their_result_file(dataset, tmp_path):
    model = tiny.model()
    items = list(open_dataset(dataset, limit=12).items())
    direct = split_report(analyzed_pairs(model, items))
    assert direct.count == 12 and direct.left_out == 0

    analyses = list(analyze_batch(model, [e for item in items for e in item.examples], ["red", "abc", "sparse"]))
    path = tmp_path / "scores.parquet"
    written = [row for analysis in analyses for row in rows(analysis)]
    pq.write_table(pa.Table.from_pylist(written, schema=schema()), path, row_group_size=10)
    results = open_results(path)
    assert results.total == 72
    kept = results.page(Where(pairs_only=True), limit=72)
    again = split_report_of_rows(kept)
    assert again.accuracy == direct.accuracy and again.verdict == direct.verdict
    assert again.end_share.value == pytest.approx(direct.end_share.value, abs=1e-6)

    pairs = pairs_of_frame(results.responses(Where(pairs_only=True)))
    by_id = {analysis.example.id: analysis for analysis in analyses}
    chosen, rejected = ([by_id[f"{item}/{role}"] for item in pairs.ids] for role in ("chosen", "rejected"))
    assert len(set(pairs.ids)) == 12 and pairs.left_out == 0
    assert pairs.chosen.tolist() == [analysis.score for analysis in chosen]
    assert pairs.rejected_length.tolist() == [len(analysis.tokens) for analysis in rejected]
    by_rows = disagreement(credits_of_rows(kept))
    by_credits = disagreement([{label: c.values for label, c in a.credits.items()} for a in analyses])
    assert by_rows.labels == by_credits.labels == ("red", "abc", "sparse")
    assert by_rows.mean == pytest.approx(by_credits.mean, abs=1e-6)


def test_doctor_says_whether_the_embedded_model_can_be_split(dataset, tmp_path, capsys, monkeypatch):
    # the card has tests of its own
    few = {name: conformance.CHECKS[name] for name in ("weights", "prefix_consistency")}
    monkeypatch.setattr(conformance, "CHECKS", few)
    ask = ["doctor", "--model", "embedded:sentiment", "--device", "cpu", "--dataset", str(dataset)]
    assert main([*ask, "--json", str(tmp_path / "card.json")]) == 0
    out = capsys.readouterr().out
    assert "Can this model be split? 24 pairs of pairs.jsonl" in out
    assert "\nYes: " in out and "The rule: " in out and "second half" in out
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["verdict"] == "green" and card["split"]["verdict"] == "yes"
    assert card["dataset"]["name"] == "pairs.jsonl" and len(card["dataset"]["fingerprint"]) == 64
    assert main([*ask, "--limit", "3", "--json"]) == 0
    short = json.loads(capsys.readouterr().out)
    assert short["split"]["count"] == short["dataset"]["limit"] == 3 and short["split"]["verdict"] == "unclear"


def test_doctor_refuses_what_it_cannot_measure(tmp_path, capsys):
    alone = tmp_path / "alone.jsonl"
    alone.write_text(json.dumps({"prompt": "p", "response": "r"}))
    cases = (
        (["--dataset", str(alone)], "holds no preferences"),
        (["--dataset", "/no/such.jsonl"], "such.jsonl is no file"),
        (["--limit", "3"], "--limit is given without --dataset"),
    )
    for args, words in cases:
        assert main(["doctor", "--model", "embedded:sentiment", "--device", "cpu", *args]) == 2
        out, err = capsys.readouterr()
        assert out == "" and words in err and err.count("\n") == 1


def test_doctor_says_what_it_left_out_and_takes_columns(tmp_path, capsys):
    path = tmp_path / "odd.jsonl"
    rows = [
        {"q": "Review.", "better": "Superb.", "worse": "Dull."},
        {"q": "Review.", "better": 3, "worse": "Dull."},
        {"q": "Review.", "better": None, "worse": "Dull."},
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    ask = ["doctor", "--model", "embedded:sentiment", "--device", "cpu", "--dataset", str(path)]
    assert main(ask) == 2
    assert "--column" in capsys.readouterr().err
    columns = [part for name in ("prompt=q", "chosen=better", "rejected=worse") for part in ("--column", name)]
    assert main([*ask, *columns]) == 0
    out, err = capsys.readouterr()
    assert "Can this model be split? 1 pair of odd.jsonl\n" in out and "nan" not in out
    assert err.splitlines() == [
        "odd.jsonl, line 2: left out (chosen is a number, expected text)",
        "odd.jsonl, line 3: left out (chosen is null)",
    ]
    assert main(["doctor", "--model", "embedded:sentiment", *columns]) == 2
    assert "--column is given without --dataset" in capsys.readouterr().err


def test_doctor_counts_the_items_that_prefer_nothing(tmp_path, capsys):
    path = tmp_path / "rated.jsonl"
    answers = {"prompt": "Review.", "responses": ["Superb.", "Dull."]}
    rows = [{**answers, "scores": scores} for scores in ([2, 1], [1, 1], [3, 3])]
    path.write_text("\n".join(map(json.dumps, rows)))
    assert main(["doctor", "--model", "embedded:sentiment", "--device", "cpu", "--dataset", str(path), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == "rated.jsonl: 2 items state no preference, left out of the pairs.\n"
    told = json.loads(out)
    assert (told["split"]["count"], told["dataset"]["items_without_preference"]) == (1, 2)
