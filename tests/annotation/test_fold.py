"""The fold of a log against a model that keeps, for every character, the number of the event that holds it."""

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from redviz.annotation.fold import Event, fold
from redviz.data.labels.labels import Mark

LENGTH = 12
GRADES = st.sampled_from([None, -2.0, 0.0, 1.0])
MARKS = st.tuples(st.integers(0, LENGTH - 1), st.integers(1, LENGTH), GRADES).map(
    lambda m: Event("mark", min(m[0], m[1] - 1), m[1], m[2])
)
LOGS = st.lists(MARKS | st.just(Event("undo")), max_size=25)


def by_character(log: list[Event]) -> list[Mark]:
    while any(event.op == "undo" for event in log):
        n = next(n for n, event in enumerate(log) if event.op == "undo")
        log = log[: max(0, n - 1)] + log[n + 1 :]
    held = [-1] * LENGTH
    for number, event in enumerate(log):
        for c in range(event.start, event.end):
            held[c] = -1 if event.grade is None else number
    runs = [(number, [c for c, _ in run]) for number, run in groupby(enumerate(held), key=lambda pair: pair[1])]
    return [Mark(run[0], run[-1] + 1, log[number].grade) for number, run in runs if number >= 0]


@given(LOGS)
def test_the_fold_is_what_every_character_says(log):
    assert list(fold(log)) == by_character(log)


def test_undo_takes_back_one_event_after_the_other_and_then_nothing():
    log = [Event("mark", 0, 4, 1.0), Event("mark", 1, 2, None), Event("undo"), Event("mark", 3, 4, 2.0)]
    assert fold(log) == (Mark(0, 3, 1.0), Mark(3, 4, 2.0))
    assert fold([*log, Event("undo"), Event("undo")]) == ()
    assert fold([Event("undo"), Event("mark", 0, 1, 0.0)]) == (Mark(0, 1, 0.0),)
