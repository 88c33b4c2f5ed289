"""Labels as annotation tools still write them: Argilla 1, doccano before 1.3, Prodigy, spaCy."""

import json

import pytest

from redviz.data.labels.label_sets import open_labels
from redviz.data.labels.labels import Annotation, Mark
from redviz.errors import RedvizError

TEXT = "A dull film 😀, a dull end."
DULL = (Mark(2, 6, -1.0, "bad"),)
SPAN = {"start": 2, "end": 6, "label": "bad"}
WORDS = ["A", "dull", "film", "😀", ",", "a", "dull", "end", "."]
PLACES = [(0, 1), (2, 6), (7, 11), (12, 13), (13, 14), (15, 16), (17, 21), (22, 25), (25, 26)]


def opened(*rows, **options):
    return open_labels("\n".join(json.dumps(row) for row in rows).encode(), "x.jsonl", **options)


def test_argilla_1_feedback_records_answer_by_user():
    def answer(user, status, values):
        return {"user_id": user, "status": status, "values": values}

    given = [
        answer("u1", "submitted", {"spans": {"value": [SPAN]}, "rating": {"value": 2}}),
        answer("u2", "draft", {"spans": {"value": []}}),
        answer("u3", "discarded", None),
        answer("u4", "submitted", {"spans": {"value": []}}),
        answer("u5", "submitted", {"rating": {"value": 1}}),
    ]
    record = {
        "fields": {"prompt": "How?", "text": TEXT},
        "metadata": {"source": "web"},
        "responses": given,
        "suggestions": [],
    }
    labels = opened(record, {**record, "responses": [3]}, {**record, "responses": [given[2]]})
    assert labels.items[0].annotations == (Annotation("u1", DULL), Annotation("u4"))
    assert (labels.items[0].prompt, labels.items[0].subset) == ("How?", "web")
    assert [problem.line for problem in labels.problems] == [2, 3]
    with pytest.raises(RedvizError, match="answered a question twice"):
        opened({**record, "responses": [given[0], given[0]]})


@pytest.mark.parametrize("entry", [["bad", 2, 6], ["bad", 2, 6, 0.9], SPAN])
def test_argilla_1_token_classification(entry):
    record = {
        "text": TEXT,
        "tokens": WORDS,
        "prediction": [["good", 0, 1, 0.8]],
        "annotation": [entry],
        "status": "Validated",
    }
    record |= {"annotation_agent": "ada", "id": "r1", "metadata": {"subset": "x"}}
    labels = opened(record, {**record, "status": "Discarded"}, {**record, "annotation": None})
    assert (labels.items[0].id, labels.items[0].annotations) == ("r1", (Annotation("ada", DULL),))
    assert [problem.line for problem in labels.problems] == [2, 3]


def test_doccano_annotations_with_their_users():
    given = [
        {"label": 2, "start_offset": 7, "end_offset": 11, "user": 1},
        {"label": "bad", "start_offset": 2, "end_offset": 6, "user": 2},
        {"label": -1, "start_offset": 0, "end_offset": 1, "user": 1},
    ]
    row = {"id": 15, "text": TEXT, "annotations": given, "meta": {}, "annotation_approver": None}
    labels = opened(row, {**row, "annotations": []}, {**row, "annotations": [{"label": 1, "user": 1}]})
    ids = (Mark(7, 11, 1.0, "2"), Mark(0, 1, 1.0, "-1"))
    assert labels.items[0].annotations == (Annotation("1", ids), Annotation("2", DULL))
    assert "graded +1: '2' (1 mark), '-1' (1 mark)" in labels.sentence, "the number of a label is no grade"
    assert [problem.line for problem in labels.problems] == [2, 3]
    meant = opened(row, grades={"2": -2}).items[0].annotations[0].marks
    assert [mark.grade for mark in meant] == [-2, 1]


def test_doccano_entities_with_relations():
    entity = {"id": 3, "label": "bad", "start_offset": 2, "end_offset": 6}
    row = {
        "id": 1,
        "text": TEXT,
        "entities": [entity],
        "relations": [{"from_id": 3, "to_id": 3, "type": "x"}],
        "Comments": [],
    }
    assert opened(row).items[0].annotations == (Annotation("annotator", DULL),)


def prodigy(**more):
    tokens = [
        {"text": w, "start": a, "end": b, "id": n, "ws": True}
        for n, (w, (a, b)) in enumerate(zip(WORDS, PLACES, strict=True))
    ]
    span = {**SPAN, "token_start": 1, "token_end": 1}
    task = {
        "text": TEXT,
        "tokens": tokens,
        "spans": [span],
        "answer": "accept",
        "_task_hash": 7,
        "_view_id": "ner_manual",
    }
    return {**task, "_annotator_id": "ada", **more}


def test_prodigy_tasks():
    other = prodigy(_annotator_id=None, _session_id="films-bob", spans=[])
    never = [
        prodigy(answer="reject"),
        prodigy(answer="ignore"),
        prodigy(_view_id="ner"),
        prodigy(spans=None, tokens=None),
    ]
    labels = opened(prodigy(), other, *never)
    assert [(item.response, item.annotations) for item in labels.items] == [
        (TEXT, (Annotation("ada", DULL), Annotation("films-bob")))
    ]
    assert [problem.line for problem in labels.problems] == [3, 4, 5, 6]
    assert "its answer is reject" in labels.problems[0].reason
    assert opened({"text": TEXT, "spans": [SPAN], "answer": "accept"}).items[0].annotations[0].marks == DULL


def test_the_tokens_of_a_prodigy_span_say_what_it_marks():
    text = "One.\r\nA dull film, a dull end."  # its tokens were made of a text with \n alone
    tokens = [{"text": "One.", "start": 0, "end": 4}, {"text": "\n", "start": 4, "end": 5}]
    tokens += [{"text": w, "start": 0, "end": 0} for w in ("A", "dull", "film,", "a", "dull", "end.")]
    span = {"start": 20, "end": 24, "token_start": 6, "token_end": 6, "label": "bad"}
    labels = opened({"text": text, "tokens": tokens, "spans": [span], "answer": "accept"})
    assert labels.items[0].annotations[0].marks == (Mark(21, 25, -1.0, "bad"),)
    with pytest.raises(RedvizError, match="token 'good' is not where the text goes on"):
        opened({"text": text, "tokens": [{"text": "good"}], "spans": [], "answer": "accept"})


@pytest.mark.parametrize(
    "row",
    [
        {"text": TEXT, "ents": [SPAN], "tokens": [{"id": n, "start": a, "end": b} for n, (a, b) in enumerate(PLACES)]},
        {"text": TEXT, "ents": [], "spans": {"sc": [{**SPAN, "kb_id": ""}], "other": []}},
        {"text": TEXT, "spans": [SPAN]},
        {"text": TEXT, "spans": [{"start": 1, "end": 2, "start_char": 2, "end_char": 6, "label": "bad"}]},
        {"text": TEXT, "tokens": WORDS, "spans": [{"start": 1, "end": 2, "label": "bad"}]},
        {"text": TEXT, "tokens": WORDS, "spans": [{"start": 1, "end": 2, "label": "bad", "text": "dull"}]},
        {"text": TEXT, "tokens": WORDS, "spans": [{"token_start": 1, "token_end": 1, "label": "bad"}]},
        {"tokens": ["A", "dull", "film"], "spans": [{"start": 1, "end": 2, "label": "bad"}]},
        [TEXT, {"entities": [[2, 6, "bad"]]}],
    ],
)
def test_spacy_spans_count_characters_or_tokens(row):
    labels = opened(row, {"text": TEXT, "ents": []} if isinstance(row, dict) else [TEXT, {"entities": []}])
    assert labels.items[0].annotations == (Annotation("annotator", DULL),)
    assert labels.items[1].annotations == (Annotation("annotator"),)
    assert "spaCy spans" in labels.sentence


@pytest.mark.parametrize("spans", [3, "none", [3], [{"label": "bad"}]])
def test_a_column_that_happens_to_be_called_spans_is_no_label(spans):
    with pytest.raises(RedvizError, match="no form of labels that is read here"):
        opened({"text": TEXT, "spans": spans})


def test_numbers_that_may_count_either_are_refused():
    either = {
        "text": "I am so so",
        "tokens": ["I", "am", "so", "so"],
        "spans": [{"start": 2, "end": 4, "label": "bad"}],
    }
    with pytest.raises(RedvizError, match="2 to 4 counts characters or tokens is not clear; name them start_char"):
        opened(either)
    either["spans"][0]["text"] = "so so"
    assert opened(either).items[0].annotations[0].marks == (Mark(5, 10, -1.0, "bad"),)


def test_argilla_1_answers_as_datasets_keeps_them():
    spans = {"start": [2], "end": [6], "label": ["bad"]}
    row = {"text": "A dull film", "span": {"user_id": ["ada"], "value": [spans], "status": ["submitted"]}}
    labels = open_labels(json.dumps(row).encode(), "a.jsonl")
    [given] = labels.items[0].annotations
    assert (given.annotator, [(mark.start, mark.end, mark.grade) for mark in given.marks]) == ("ada", [(2, 6, -1.0)])
