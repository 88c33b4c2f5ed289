"""Files of human token labels: each published form, offsets in UTF-16, bad rows, and the round trip of redviz's own lines."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from redviz.data.labels.label_sets import open_labels, to_lines
from redviz.data.labels.labels import Annotation, LabelledItem, LabelSet, Mark
from redviz.data.sets.items import RowProblem
from redviz.errors import RedvizError


def opened(*rows, name="labels.jsonl", **options):
    return open_labels("\n".join(json.dumps(row) for row in rows).encode(), name, **options)


def marked(item, annotator=0):
    """What one annotator marked, as text, with the grades."""
    return [(item.response[mark.start : mark.end], mark.grade) for mark in item.annotations[annotator].marks]


QA = {
    "question": "Who?",
    "passages": [["Ann", "Ann\n\nAnn is one.", "She is."]],
    "prediction 1": "Ann and 🙂 Bob.",
    "prediction 2": "Ann.",
    "feedback": {
        "errors": [
            {"error type": "Wrong-Grounding", "explanation": "", "start": 10, "end": 13},
            {"error type": "Irrelevant", "explanation": "", "start": 0, "end": 3},
        ],
        "missing-info": [],
    },
    "preference": [1],
}


def test_error_spans_speak_against_the_first_prediction():
    labels = opened(QA, {**QA, "feedback": {"errors": [{"start": 3, "end": 99}]}}, {**QA, "feedback": None})
    assert labels.scale == "binary"
    [item] = labels.items
    assert item.prompt == "Who?\n\nAnn\nAnn is one. She is."
    assert marked(item) == [("Ann", -1), ("Bob", -1)]
    assert [mark.label for mark in item.annotations[0].marks] == ["Irrelevant", "Wrong-Grounding"]
    assert [problem.line for problem in labels.problems] == [2, 3]
    assert "3 to 99" in labels.problems[0].reason
    assert "2 rows give nothing" in labels.sentence


def test_rationales_of_reviews_speak_for_their_label():
    text = "a dull film . the actors are fine ."
    rows = [
        {"id": "neg/0.txt", "label": "NEG", "text": text, "evidence": [[2, 6]]},
        {"id": "neg/0.txt", "label": "POS", "text": text, "evidence": [[29, 33], [2, 6]]},
        {"id": "x", "label": "POS", "text": text, "evidence": [[29, 36]]},
        {"id": "y", "label": "POS", "text": text, "evidence": [[6, 2]]},
        {"id": "z", "label": "POS", "text": text, "evidence": [["2", 6]]},
        {"id": "w", "label": "BAD", "text": text, "evidence": []},
    ]
    labels = opened(*rows)
    assert [marked(item) for item in labels.items] == [[("dull", -1)], [("fine", 1), ("dull", 1)]]
    assert [item.id for item in labels.items] == ["neg_0.txt", "neg_0.txt-2"]
    assert {item.prompt for item in labels.items} == {"Write a film review."}
    assert [problem.line for problem in labels.problems] == [3, 4, 5, 6]
    assert labels.problems[0].reason == "a mark from 29 to 36 is not inside a text of 35 characters"
    assert "whole number" in labels.problems[2].reason


def test_trees_give_graded_words_of_natural_text():
    trees = "(4 (2 It) (4 (1 (2 is) (1 n't)) (4 (2 a) (4 (3 -LRB-lovely-RRB-) (4 film)))))\n\n(2 (2 It)\n(9 (2 It))\n"
    labels = open_labels((trees + "(1 (2 It) (1 (2 's) (0 bad)))\n").encode(), "dev.txt")
    assert labels.scale == "graded"
    first, second = labels.items
    assert (first.response, first.subset) == ("It isn't a -LRB-lovely-RRB- film", "very positive")
    assert marked(first)[1:] == [("is", 0), ("n't", -1), ("a", 0), ("-LRB-lovely-RRB-", 1), ("film", 2)]
    assert marked(second) == [("It", 0), ("'s", 0), ("bad", -2)]
    assert (second.id, second.subset) == ("5", "negative")
    assert [problem.line for problem in labels.problems] == [3, 4]
    quotes = "(2 (2 ``) (2 -LRB-) (2 Ca) (2 n't) (2 -RRB-) (2 '') (2 AC\\/DC) (2 .))"
    [item] = open_labels(quotes.encode(), "dev.txt").items
    assert item.response == '"(Can\'t)" AC/DC.'
    assert marked(item)[6] == ("AC/DC", 0)


def test_doccano_rows_of_one_text_join_by_annotator():
    text = "EU rejects German call."
    labels = opened(
        {"id": 7, "text": text, "label": [[0, 2, "ORG"], [3, 10, "very bad"]], "user": "ada"},
        {"id": 8, "data": text, "label": [], "created_by": 3},
        {"id": 9, "text": text, "entities": [{"start_offset": 3, "end_offset": 10, "label": "+2"}], "user": "ada"},
        {"id": 10, "text": text, "labels": [[0, 2, "5"]]},
        {"id": 11, "text": text, "labels": [[0, 2]]},
        {"id": 12, "text": text, "labels": [[0, 24, "ORG"]]},
    )
    assert labels.scale == "graded"
    assert [(item.id, [given.annotator for given in item.annotations]) for item in labels.items] == [
        ("7", ["ada", "3"]),
        ("9", ["ada"]),
    ]
    first = labels.items[0].annotations[0].marks
    assert first == (Mark(0, 2, 1.0, "ORG"), Mark(3, 10, -2.0, "very bad"))
    assert labels.items[0].annotations[1].marks == ()
    assert marked(labels.items[1]) == [("rejects", 2)]
    assert [problem.line for problem in labels.problems] == [4, 5, 6]
    assert opened({"text": text, "prompt": "Q", "label": [[0, 2, "good"]]}).items[0].prompt == "Q"
    assert len(opened(*[{"text": text, "label": [[0, 2, "ORG"]]}] * 2).items) == 2, "rows without a name are not joined"


EMOJI = "👨🏻\u200d🚒 firemen drive firetrucks"  # three characters beyond U+FFFF


@pytest.mark.parametrize(("start", "end", "unit"), [(22, 32, "UTF-16 units"), (19, 29, "code points")])
def test_offsets_of_emoji_are_read_in_the_unit_that_fits(start, end, unit):
    labels = opened({"text": EMOJI, "label": [[start, end, "ORG"]]})
    assert marked(labels.items[0]) == [("firetrucks", 1)]
    assert unit in labels.sentence
    response = [{"value": [{"start": start, "end": end, "label": "x"}], "user_id": "u"}]
    labels = opened({"fields": {"text": EMOJI}, "responses": {"q": response}})
    assert marked(labels.items[0]) == [("firetrucks", 1)]


def test_without_evidence_the_tools_own_unit_counts():
    value = {"start": 1, "end": 2, "labels": ["x"]}
    task = {"data": {"text": "😀\u2003\u2003\u2003"}, "annotations": [{"result": [{"value": value}]}]}
    assert opened(task).items[0].annotations[0].marks == (Mark(1, 2, 1.0, "x"),)
    quoted = {**value, "start": 2, "end": 3, "text": "\u2003"}
    assert opened({"text": "😀\u2003\u2003\u2003", "label": [[2, 3, "x"]]}).items[0].annotations[0].marks[0].start == 1
    task = {"data": {"text": "😀\u2003b"}, "annotations": [{"result": [{"value": quoted}]}]}
    assert opened(task).items[0].annotations[0].marks[0].start == 1, "the quoted text decides"
    halved = opened({"text": EMOJI, "label": [[22, 32, "x"]]}, {"text": EMOJI, "label": [[1, 32, "x"]]})
    assert [problem.line for problem in halved.problems] == [2]


def region(start, end, *labels, **more):
    value = {"start": start, "end": end, "labels": list(labels), **more}
    return {"id": "a", "from_name": "label", "to_name": "text", "type": "labels", "origin": "manual", "value": value}


def test_label_studio_tasks():
    choice = {"from_name": "c", "to_name": "text", "type": "choices", "value": {"choices": ["x"]}}
    tasks = [
        {
            "id": 1,
            "data": {"prompt": "How?", "text": "Well done, Bob."},
            "annotations": [
                {"id": 9, "completed_by": 1, "result": [region(0, 4, "Good"), choice], "was_cancelled": False},
                {"id": 8, "completed_by": {"id": 2, "email": "b@x.y"}, "result": [], "ground_truth": True},
                {"id": 7, "completed_by": 3, "result": [region(0, 4, "Good")], "was_cancelled": True},
            ],
        },
        {"id": 2, "data": {"text": "Well."}, "annotations": []},
        {"id": 3, "data": {"text": "Well."}, "annotations": [{"completed_by": 1, "result": [region(0, 6, "Good")]}]},
        {"id": 4, "data": {"text": "Well."}, "annotations": [{"result": [region("/div[1]/text()[1]", "/div", "x")]}]},
    ]
    labels = open_labels(json.dumps(tasks).encode(), "project-1.json")
    [item] = labels.items
    assert (item.id, item.prompt, item.gold) == ("1", "How?", ())
    assert item.annotations == (Annotation("1", (Mark(0, 4, 1.0, "Good"),)), Annotation("b@x.y"))
    assert [problem.line for problem in labels.problems] == [2, 3, 4]
    assert labels.problems[0].reason == "nobody submitted an annotation of it"


def test_label_studio_minimal_form_joins_annotators():
    shared = {"text": "Well done.", "id": 1, "created_at": "2023-01-01T00:00:00Z", "updated_at": "x", "lead_time": 2.5}
    marks = [{"start": 5, "end": 9, "text": "done", "labels": ["negative"]}]
    rows = [
        {**shared, "tags": marks, "annotator": 1, "annotation_id": 11},
        {**shared, "annotator": 2, "annotation_id": 12},
    ]
    [item] = open_labels(json.dumps(rows).encode(), "min.json").items
    assert item.response == "Well done."
    assert item.annotations == (Annotation("1", (Mark(5, 9, -1.0, "negative"),)), Annotation("2"))


def test_argilla_records_nested_and_flat():
    spans = [{"start": 0, "end": 4, "label": "good"}]
    suggestion = {"value": spans, "score": None, "agent": "m"}
    nested = {
        "id": "r1",
        "fields": {"prompt": "How?", "response": "Well done."},
        "metadata": {"source": "web"},
        "suggestions": {"span": suggestion},
        "responses": {
            "span": [{"value": spans, "user_id": "u1"}, {"value": [], "user_id": "u2"}],
            "rating": [{"value": 3, "user_id": "u1"}],
        },
    }
    flat = {
        "id": "r1",
        "status": "completed",
        "prompt": "How?",
        "response": "Well done.",
        "source": "web",
        "span.responses": [spans, [], spans],
        "span.responses.users": ["u1", "u2", "u3"],
        "span.responses.status": ["submitted", "submitted", "draft"],
        "span.suggestion": spans,
    }
    old = {
        "response": "Well done.",
        "prompt": "How?",
        "source": "web",
        "external_id": "r1",
        "span": [
            {"user_id": "u1", "value": spans, "status": "submitted"},
            {"user_id": "u2", "value": {"start": [], "end": [], "label": []}, "status": "submitted"},
            {"user_id": "u3", "value": None, "status": "discarded"},
        ],
    }
    wanted = (Annotation("u1", (Mark(0, 4, 1.0, "good"),)), Annotation("u2"))
    for row in (nested, flat, old):
        [item] = opened(row).items
        assert (item.prompt, item.response, item.subset) == ("How?", "Well done.", "web")
        assert item.annotations == wanted
    columns = {name: [value, value] for name, value in nested.items()}
    assert [item.id for item in open_labels(json.dumps(columns).encode(), "to_dict.json").items] == ["r1", "r1-2"]
    by_id = open_labels(json.dumps({"r1": nested}).encode(), "index.json")
    assert by_id.items[0].annotations == wanted
    unanswered = opened(nested, {**nested, "responses": {}})
    assert unanswered.problems == (RowProblem(2, "no response with spans was submitted"),)


def test_the_same_rows_from_parquet_csv_and_gzip(tmp_path):
    row = {"id": "r1", "text": "Well done.", "span.responses": [[{"start": 0, "end": 4, "label": "good"}]]}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "argilla.parquet")
    assert marked(open_labels(tmp_path / "argilla.parquet").items[0]) == [("Well", 1)]
    csv = 'text,label,user\nWell done.,"[[0, 4, ""good""]]",ada\n'
    labels = open_labels(csv.encode(), "a.csv")
    assert (marked(labels.items[0]), labels.items[0].annotations[0].annotator) == ([("Well", 1)], "ada")
    packed = gzip.compress(json.dumps({"text": "Well done.", "label": [[0, 4, "good"]]}).encode())
    assert marked(open_labels(packed, "a.jsonl.gz").items[0]) == [("Well", 1)]


def test_own_lines_lose_nothing():
    chat = ({"role": "user", "content": "How was it? 😀\u2028"},)
    labels = LabelSet(
        "mine.jsonl",
        "graded",
        (
            LabelledItem(
                "a/1",
                chat,
                "Well 😀 done.\n",
                (Annotation("ada", (Mark(5, 6, 1.0, "Kind"), Mark(0, 4, 0.0), Mark(2, 4, -0.25))), Annotation("bob")),
                gold=(Mark(7, 11, 1.0),),
                subset="x y",
            ),
            LabelledItem("b", "", "Well.", (), gold=()),
            LabelledItem("c", "", "Well."),
        ),
    )
    lines = list(to_lines(labels))
    again = open_labels("\n".join(lines).encode(), "mine.jsonl")
    assert (again.name, again.scale, again.items) == ("mine.jsonl", "graded", labels.items)
    assert list(to_lines(again)) == lines
    only_ones = LabelSet("a.jsonl", "graded", (LabelledItem("c", "", "Well.", (Annotation("a", (Mark(0, 1, 1.0),)),)),))
    assert open_labels("\n".join(to_lines(only_ones)).encode(), "a.jsonl").scale == "graded"
    bad = [json.loads(lines[1]) | {"gold": [mark]} for mark in ({"start": 0, "end": 9, "grade": 1}, {"start": 0}, 3)]
    problems = opened(*bad, json.loads(lines[1])).problems
    assert [problem.line for problem in problems] == [1, 2, 3]


def test_bad_lines_are_listed_and_the_limit_counts_items():
    good = {"text": "Well done.", "label": [[0, 4, "good"]], "user": "ada"}
    other = {**good, "user": "bob"}
    text = f"{json.dumps(good)}\n{{\n[1]\n{json.dumps(other)}\n{json.dumps({**good, 'text': 'Well, Ann.'})}\n"
    labels = open_labels(text.encode(), "a.jsonl")
    assert [problem.line for problem in labels.problems] == [2, 3]
    assert len(labels.items) == 2
    assert labels.sentence == "2 responses with 3 marks by 2 annotators (doccano spans); 2 rows give nothing."
    [first] = open_labels(text.encode(), "a.jsonl", limit=1).items
    assert [given.annotator for given in first.annotations] == ["ada", "bob"], (
        "a limit must not cost an item annotators"
    )
    trees = b"(3 (3 Good))\n(1 (1 Bad))"
    assert [item.response for item in open_labels(trees, "a.txt", limit=1).items] == ["Good"]


def test_the_kind_can_be_forced():
    row = {"text": "Well done.", "label": [[0, 4, "good"]], "annotation_id": 3}
    assert marked(opened(row).items[0]) == [("Well", 1)]
    with pytest.raises(RedvizError, match="read as Label Studio.*label is no list of objects"):
        opened(row, kind="label_studio")
