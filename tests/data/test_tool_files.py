"""What annotation tools import: each tool's documented form, the way back, and credits as pre-annotations."""

import json

import numpy as np
import pytest

from redviz.data.labels.label_sets import open_labels
from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.data.labels.predictions import predicted
from redviz.data.labels.tool_files import FILES, Exported, Prediction, tool_file
from redviz.errors import RedvizError
from redviz.records import Analysis, Credit, Encoding, Example, Observation, Source

TEXT = "Well 😀 done,\r\nbut dull."
CHAT = (
    {"role": "user", "content": "How was it?"},
    {"role": "assistant", "content": "Hm?"},
    {"role": "user", "content": "So?"},
)
ADA = (Mark(0, 4, 2.0), Mark(7, 11, -1.0, "Missing"), Mark(18, 22, -1.0, "bad"), Mark(14, 17, 0.0, "odd"))
ITEMS = (
    LabelledItem(
        "a/1",
        "How was it?",
        TEXT,
        (Annotation("ada", ADA), Annotation("bob")),
        gold=(Mark(7, 11, 1.0, "good"),),
        subset="x",
    ),
    LabelledItem("b", CHAT, "Fine film.", (Annotation("bob", (Mark(0, 10, 1.0), Mark(5, 9, -0.5))),)),
)
GUESS = Prediction("redviz red, m", (Mark(5, 6, 1.0), Mark(18, 22, -1.0)), (0.5, 1.0))


def back(tool, responses, **options):
    return open_labels(tool_file(tool, responses).encode(), f"labels{FILES[tool][1]}", **options)


@pytest.mark.parametrize("tool", list(FILES))
def test_labels_come_back_as_they_were(tool):
    labels = back(tool, [Exported(item) for item in ITEMS])
    assert not labels.problems and labels.scale == "graded" and "unknown" not in labels.sentence
    assert len(labels.items) == 2
    for item, again in zip(ITEMS, labels.items, strict=True):
        assert (again.id, again.prompt, again.response) == (item.id.replace("/", "_"), item.prompt, item.response)
        for given, same in zip(item.annotations, again.annotations, strict=True):
            assert tool == "argilla" or same.annotator == given.annotator
            np.testing.assert_array_equal(same.grades(len(item.response)), given.grades(len(item.response)))
        assert tool == "argilla" or again.subset == item.subset
    assert [(m.label, m.grade) for m in labels.items[0].annotations[0].marks] == [
        ("", 2.0), ("Missing", -1.0), ("odd", 0.0), ("bad", -1.0)
    ]  # fmt: skip
    assert labels.items[0].gold == (ITEMS[0].gold if tool == "label_studio" else None)


def test_label_studio_tasks_have_the_documented_keys():
    first, second = json.loads(tool_file("label_studio", [Exported(ITEMS[0], (GUESS, GUESS)), Exported(ITEMS[1])]))
    assert first.keys() == {"data", "annotations", "predictions"} and first["data"]["text"] == TEXT
    assert second["data"]["prompt"] == list(CHAT)
    for result in (one for given in first["annotations"] + first["predictions"] for one in given["result"]):
        value = result["value"]
        assert (result["from_name"], result["to_name"], result["type"]) == ("label", "text", "labels")
        assert value["text"] == TEXT[value["start"] : value["end"]] and len(value["labels"]) == 1
    suggested = first["predictions"][0]
    assert (suggested["model_version"], suggested["score"]) == ("redviz red, m", 1.0)
    assert [(one["value"]["labels"], one["score"]) for one in suggested["result"]] == [(["+1"], 0.5), (["-1"], 1.0)]
    assert not any("completed_by" in given for given in first["annotations"]), "nobody who may be unknown there"


def test_doccano_lines_and_argilla_records_count_as_their_pages_do():
    [line] = map(json.loads, tool_file("doccano", [Exported(LabelledItem("7", "", TEXT), (GUESS,))]).splitlines())
    assert line == {"id": "7", "text": TEXT, "label": [[5, 7, "+1"], [19, 23, "-1"]], "user": "redviz red, m"}
    [record] = json.loads(tool_file("argilla", [Exported(ITEMS[0], (GUESS,))]))
    assert record["fields"] == {"prompt": "How was it?", "text": TEXT} and record["vectors"] == {}
    spans = [{"start": 5, "end": 7, "label": "+1"}, {"start": 19, "end": 23, "label": "-1"}]
    assert record["suggestions"] == {"spans": {"value": spans, "score": None, "agent": "redviz red, m"}}
    assert [len(answer["user_id"]) for answer in record["responses"]["spans"]] == [36, 36]
    [settled] = json.loads(tool_file("argilla", [Exported(ITEMS[0])]))
    assert settled["suggestions"]["spans"]["agent"] == "settled"


def test_what_a_tool_cannot_take_is_refused():
    with pytest.raises(RedvizError, match="no tool 'brat'; use one of label_studio, doccano, argilla"):
        tool_file("brat", [])
    for tool in ("doccano", "argilla"):
        with pytest.raises(RedvizError, match="2 predictions and this tool takes one"):
            tool_file(tool, [Exported(ITEMS[0], (GUESS, GUESS))])


def analysis(credits, text="So good, so very dull.", words=("So", " good", ",", " so", " very", " du", "ll", ".")):
    ends = np.cumsum([len(word) for word in words]).tolist()
    offsets = tuple(zip([0, *ends[:-1]], ends, strict=True))
    ids = np.arange(len(words) + 1)
    example = Example("?", text, "7")
    encoding = Encoding(ids, 1, len(ids), len(ids) - 1, offsets, ("", *words), text, example=example)
    seen = Observation(encoding, np.zeros(len(ids), np.float32))
    made = {label: Credit(np.array(values, np.float32), None, None) for label, values in credits.items()}
    return Analysis(example, Source("m"), seen, made)


def test_the_words_with_most_of_the_credit_are_suggested():
    one = analysis({"red": [0.1, 0.8, 0.0, 0.1, -0.2, -0.3, -0.7, 0.0], "flat": [0.0] * 8})
    [red, flat] = predicted(one, share=0.4).predictions
    marked = [(one.response[m.start : m.end], m.grade) for m in red.marks]
    assert marked == [("good", 1.0), ("dull", -1.0)] and red.strengths == pytest.approx((0.8, 1.0))
    assert (red.by, flat.marks) == ("redviz red, m", ())
    [wide] = predicted(one, ("red",), share=1.0).predictions
    assert [(one.response[m.start : m.end], m.grade) for m in wide.marks] == [
        ("So good", 1.0),
        ("so", 1.0),
        ("very dull", -1.0),
    ]
    [least] = predicted(one, ("red",), share=0.01).predictions
    assert [one.response[m.start : m.end] for m in least.marks] == ["dull"]
    with pytest.raises(RedvizError, match="no credits 'abc'; it has red, flat"):
        predicted(one, ("abc",))
    with pytest.raises(RedvizError, match="above 0 and at most 1"):
        predicted(one, share=0.0)
