"""Files of human token labels: what the names of labels mean, and what is refused."""

import json

import pytest

from redviz.data.labels.label_sets import open_labels
from redviz.errors import RedvizError

TEXT = "Ann won it twice."


def row(*labels, **more):
    """A doccano row; each label on another word."""
    return {
        "text": TEXT,
        "label": [[start, start + 3, label] for start, label in zip((0, 4, 8), labels, strict=False)],
        **more,
    }


def opened(*rows, **options):
    return open_labels("\n".join(json.dumps(one) for one in rows).encode(), "labels.jsonl", **options)


def grades(labels):
    return [mark.grade for item in labels.items for given in item.annotations for mark in given.marks]


def test_labels_of_unknown_meaning_are_named_with_the_grade_they_were_given():
    labels = opened(row("Hallucination", "good", -1), row("Hallucination", "Off-topic", None))
    assert grades(labels) == [1, 1, -1, 1, 1, 1]
    said = "labels of unknown meaning are graded +1: 'Hallucination' (2 marks), 'Off-topic' (1 mark)"
    assert said in labels.sentence and labels.sentence.endswith(".")
    assert "unknown" not in opened(row("good", "very_bad", "2")).sentence
    many = opened(*(row(f"L{n}") for n in range(14)))
    assert many.sentence.count("(1 mark)") == 10 and "and 4 more" in many.sentence


def test_a_caller_says_what_labels_mean():
    rows = [row("Hallucination", "good", "Off_topic"), row("hallucination")]
    labels = opened(*rows, grades={"Hallucination": -1, "off topic": -0.5, "good": 2})
    assert grades(labels) == [-1, 2, -0.5, -1] and labels.scale == "graded"
    assert "unknown" not in labels.sentence
    assert [mark.label for mark in labels.items[0].annotations[0].marks] == ["Hallucination", "good", "Off_topic"]
    partly = opened(*rows, grades={"Hallucination": -1})
    assert "graded +1: 'Off_topic' (1 mark)" in partly.sentence and "Halluc" not in partly.sentence
    spans = [{"start": 0, "end": 3, "label": "Hallucination"}]
    argilla = {"fields": {"text": TEXT}, "responses": {"q": [{"value": spans, "user_id": "u"}]}}
    value = {"start": 0, "end": 3, "labels": ["Hallucination"]}
    task = {"data": {"text": TEXT}, "annotations": [{"result": [{"value": value}], "ground_truth": True}]}
    for one in (argilla, task):
        assert "'Hallucination' (1 mark)" in opened(one).sentence or "'Hallucination' (2 marks)" in opened(one).sentence
        assert grades(opened(one, grades={"Hallucination": -2})) == [-2]
    assert [mark.grade for mark in opened(task, grades={"Hallucination": -2}).items[0].gold] == [-2]


def test_forms_that_state_grades_keep_them():
    marks = [{"start": 0, "end": 3, "grade": -0.5, "label": "Missing"}]
    own = {"response": TEXT, "scale": "graded", "annotations": [{"annotator": "ada", "marks": marks}]}
    labels = opened(own, grades={"Missing": 2})
    assert grades(labels) == [-0.5] and "unknown" not in labels.sentence


@pytest.mark.parametrize("grade", [3, -2.5, float("nan")])
def test_a_grade_outside_the_scale_is_refused(grade):
    with pytest.raises(RedvizError, match="'Missing' is given a grade outside -2 to 2"):
        opened(row("Missing"), grades={"Missing": grade})


@pytest.mark.parametrize(
    ("content", "name", "options", "words"),
    [
        (b'{"prompt": "Q", "chosen": "A", "rejected": "B"}', "a.jsonl", {}, ["'chosen'", "doccano", "evidence"]),
        (b"Just a text.", "a.txt", {}, ["text in its first row", "tree"]),
        (b'{"text": "A", "label": "x"}', "a.jsonl", {"kind": "doccano"}, ["doccano", "line 1"]),
        (b'{"text": "A", "label": [[0, 9, "x"]]}', "a.jsonl", {}, ["none of its rows", "0 to 9"]),
        (b'{"text": "A", "label": []}', "a.jsonl", {"kind": "brat"}, ["'brat'", "label_studio"]),
        (b'{"text": "A", "label": []}', "a.jsonl", {"limit": 0}, ["1 or more"]),
        (b"", "a.jsonl", {}, ["no rows"]),
        (b"{\n", "a.jsonl", {}, ["not JSON"]),
        (b"[1]", "a.json", {}, ["a number in its first row"]),
        (b'{"text": "\xff"}', "a.json", {}, ["not UTF-8"]),
        ("nowhere/labels.jsonl", "", {}, ["labels.jsonl is no file"]),
    ],
)
def test_a_mistaken_file_gets_a_sentence(content, name, options, words):
    with pytest.raises(RedvizError) as error:
        open_labels(content, name, **options)
    message = str(error.value)
    assert all(word in message for word in words), message
    assert message.endswith(".") and ". " not in message
