"""Marks held against the words that they quote: other ways of counting, quotes at one place, and what is refused."""

import json

import pytest

from redviz.data.labels.label_sets import open_labels, to_lines
from redviz.data.labels.labels import Annotation, LabelledItem, LabelSet, Mark
from redviz.errors import RedvizError


def opened(*rows, name="labels.json"):
    return open_labels(json.dumps(rows).encode(), name)


def task(text, *marks):
    """A Label Studio task; a mark is (start, end) or (start, end, quote)."""
    values = [dict(zip(("start", "end", "text"), mark, strict=False), labels=["bad"]) for mark in marks]
    return {"data": {"text": text}, "annotations": [{"result": [{"value": value} for value in values]}]}


def words(labels):
    return [[item.response[m.start : m.end] for m in item.annotations[0].marks] for item in labels.items]


def marked(text, counted, word):
    """A mark of a word whose offsets were counted in another form of the text."""
    start = counted.index(word)
    return start, start + len(word), word


LINES = "One line.\r\nTwo lines.\r\nBad here 😀, so bad."


@pytest.mark.parametrize(
    ("text", "counted", "told"),
    [
        (LINES, LINES.replace("\r\n", "\n"), r"with \r\n as one character"),
        (LINES.replace("\r\n", "\n"), LINES, r"with \n as two characters"),
        (LINES, LINES.replace("😀", "😀😀"), "read as UTF-16 units"),
        (LINES, LINES.replace("\r\n", "\n").replace("😀", "😀😀"), r"UTF-16 units; 1 text holds line breaks"),
    ],
)
def test_the_way_of_counting_under_which_the_quotes_fit_is_taken_and_told(text, counted, told):
    quoted = opened(
        task(text, marked(text, counted, "Two"), marked(text, counted, "bad"), marked(text, counted, "here"))
    )
    assert words(quoted) == [["Two", "bad", "here"]]
    assert told in quoted.sentence and not quoted.problems


def test_one_task_may_count_otherwise_than_the_file():
    plain = [task(f"Film {n}.\r\nBad.", (9, 12, "Bad")) for n in range(3)]
    labels = opened(*plain, task("A bad one.\r\nA bad one.", (13, 16, "bad")))
    assert words(labels) == [["Bad"]] * 3 + [["bad"]]
    assert labels.items[3].annotations[0].marks[0].start == 14, "the second 'bad', though both are quoted alike"
    assert "1 mark did not stand at the words quoted beside it, and was put there" in labels.sentence


def test_a_quote_at_one_place_is_where_the_mark_belongs():
    labels = opened(task("<p>A dull film.</p>", (2, 6, "dull"), (0, 1, "A")), task("A film.", (2, 6, "film")))
    assert words(labels) == [["dull", "A"], ["film"]]
    assert "2 marks did not stand at the words quoted beside them, and were put there" in labels.sentence
    place = {"start": "/p[1]/text()[1]", "end": "/p[1]/text()[1]", "globalOffsets": {"start": 2, "end": 6}}
    html = {"value": {**place, "text": "dull", "hypertextlabels": ["bad"]}}
    row = {"data": {"text": "<p>A dull film.</p>"}, "annotations": [{"result": [html]}]}
    assert words(opened(row)) == [["dull"]]


def test_blanks_and_written_line_breaks_do_not_count_in_a_quote():
    text = "So  dull.\nAnd long."
    labels = opened(task(text, (0, 9, "So dull. "), (4, 13, "dull.\\nAnd")), task("無聊的電影", (0, 2, "電影")))
    assert words(labels) == [["So  dull.", "dull.\nAnd"], ["電影"]]


@pytest.mark.parametrize(
    ("marks", "reason"),
    [
        ([(0, 4, "dull")], "is at 2 places in the text"),
        ([(0, 4, "superb")], "is nowhere in the text"),
        ([(0, 2, "fil")], "is inside a longer word"),
        ([(0, 2, " ")], "is nowhere"),
        ([(0, 4, "film"), (2, 6)], "those without a quote"),
        ([(0, 99, "dull")], "is at 2 places"),
    ],
)
def test_a_mark_that_belongs_nowhere_costs_its_row_and_is_counted(marks, reason):
    labels = opened(task("A film.", (2, 6, "film")), task("A dull, dull film.", *marks))
    assert words(labels) == [["film"]]
    [problem] = labels.problems
    assert problem.line == 2 and reason in problem.reason
    assert "1 row gives nothing" in labels.sentence


def test_without_quotes_line_breaks_are_as_written_unless_that_cuts_words():
    text = "One line.\r\nBad here, and dull."
    lines = text.replace("\r\n", "\n")
    bad, dull = (marked(text, lines, word)[:2] for word in ("Bad", "dull"))
    labels = opened(task(text, bad, dull))
    assert words(labels) == [["Bad", "dull"]] and r"\r\n as one character" in labels.sentence
    inside = opened(task(text, bad, (dull[0] + 2, dull[1])))
    assert words(inside) == [[text[slice(*bad)], text[dull[0] + 2 : dull[1]]]], (
        "whoever marks parts of words proves nothing"
    )


def test_own_lines_quote_what_they_mark():
    labels = LabelSet(
        "", "binary", (LabelledItem("1", "", "One.\r\nA dull film.", (Annotation("ada", (Mark(8, 12, -1.0),)),)),)
    )
    [line] = to_lines(labels)
    changed = json.loads(line) | {"response": "One.\nA dull film."}
    again = open_labels(json.dumps(changed).encode(), "a.jsonl")
    assert words(again) == [["dull"]]
    with pytest.raises(RedvizError, match="quotes 'dull', which does not stand there"):
        open_labels(json.dumps(changed | {"response": "One. A fine film."}).encode(), "a.jsonl")


def test_what_is_said_of_a_span_is_no_mark_of_its_own():
    value = {"start": 2, "end": 6, "text": "dull"}
    results = [
        {"type": "labels", "to_name": "text", "value": {**value, "labels": ["bad"]}},
        {"type": "choices", "to_name": "text", "value": {**value, "choices": ["tone"]}},
        {"type": "textarea", "to_name": "text", "value": {"start": 2, "end": 6, "text": ["too harsh"]}},
        {"type": "labels", "to_name": "prompt", "value": {"start": 0, "end": 3, "labels": ["good"]}},
    ]
    row = {"data": {"text": "A dull film.", "prompt": "How was it?"}, "annotations": [{"result": results}]}
    assert opened(row).items[0].annotations[0].marks == (Mark(2, 6, -1.0, "bad"),)
    results[3]["to_name"] = "question"
    with pytest.raises(RedvizError, match="about several texts"):
        opened(row)
