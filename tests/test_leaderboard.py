"""What can silently go wrong in the leaderboard's labels: evidence that slips, and words that the training saw after all."""

import numpy as np
import pytest

from benchmarks.leaderboard_texts import as_item, carried, drawn, seen_units, words_seen_alone
from redviz.data.labels.labels import Annotation, LabelledItem, Mark
from redviz.text import Unit
from training.texts import Review, parse_tree

PUBLISHED = (
    'i ca n\'t say " good " or " bad " ; it is . . . well , dull ( i think ) . '
    "the old guys ' jokes were n't funny , and a slapped - together plot . ''"
)
EVIDENCE = ["i ca n't say \" good", '" bad "', "is . . . well , dull", "were n't funny", "slapped - together"]


def review(positive=False):
    spans = tuple((PUBLISHED.index(words), PUBLISHED.index(words) + len(words)) for words in EVIDENCE)
    return Review("neg_1", positive, PUBLISHED, spans)


def test_evidence_stands_on_the_same_words_in_natural_text():
    item = as_item(review())
    assert item.response.startswith('I can\'t say "good" or "bad"; it is... Well, dull (I think). The old')
    [person] = item.annotations
    assert [item.response[mark.start : mark.end] for mark in person.marks] == [
        "I can't say \"good",
        "bad",
        "is... Well, dull",
        "weren't funny",
        "slapped-together",
    ]


def test_evidence_of_negative_reviews_speaks_against_them():
    assert {mark.grade for mark in as_item(review()).annotations[0].marks} == {-1.0}
    assert {mark.grade for mark in as_item(review(positive=True)).annotations[0].marks} == {1.0}


def test_other_texts_are_refused_and_not_guessed():
    with pytest.raises(ValueError, match="differ in more than"):
        carried("a good film", "A food film", [(2, 6)])
    with pytest.raises(ValueError, match="nothing but blanks"):
        carried('a " good', 'A "good', [(1, 4)])


TREES = [
    parse_tree("(3 (2 The) (3 (4 Superb) (2 (2 -LRB-) (2 film))))"),
    parse_tree("(1 (2 It) (1 (2 is) (1 (2 n't) (3 fun))))"),
    parse_tree("(3 Dazzling)"),
]


def test_words_seen_alone_are_nodes_of_one_word_below_the_root():
    found = words_seen_alone(TREES, every_spelling=False)
    assert found == {"The", "Superb", "(", "film", "It", "is", "n't", "fun"}  # a root alone is no phrase


def test_spellings_are_those_that_the_training_writes():
    found = words_seen_alone(TREES)
    assert {"superb", "Superb", "Fun", "fun", "-LRB-", "N't"} <= found
    assert not {"SUPERB", "FUN", "Dazzling", "dazzling"} & found


def test_a_unit_is_left_out_where_any_of_its_words_was_seen():
    words = ["Superb", "or", "dazzling", ",", "is", "n't", "it", "?"]
    text = "Superb or dazzling, isn't it?"
    at, marks = 0, []
    for word in words:
        start = text.index(word, at)
        at = start + len(word)
        marks.append(Mark(start, at, 0.0))
    item = LabelledItem("1", "?", text, (Annotation("crowd", tuple(marks)),))
    spans = [(0, 6), (6, 9), (9, 18), (18, 19), (19, 25), (25, 28), (28, 29)]  # a word with the blank before it
    found = seen_units(
        item, [Unit(text[a:b], a, b, n, n + 1) for n, (a, b) in enumerate(spans)], words_seen_alone(TREES)
    )
    assert np.array_equal(found, [True, False, False, False, True, True, False])


def test_a_larger_draw_begins_with_the_smaller_one():
    rows = list(range(50))
    assert drawn(rows, 20)[:5] == drawn(rows, 5) != rows[:5]
    assert sorted(drawn(rows, 10**6)) == rows
