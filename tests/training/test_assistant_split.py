"""Human preferences: no prompt on both sides of the split, and baselines that do what they are said to do."""

import json
from dataclasses import replace

import numpy as np
import pytest

from redviz.data.sets.conversations import context_of
from training.evaluate_assistant import (
    Preference,
    bag_of_words,
    fold,
    interval,
    length_by_source,
    length_sign,
    read_preferences,
    right,
    split_preferences,
    table,
    turns_of,
)

LONG, SHORT = "one two three four five", "one two"


def pair(number, chosen=LONG, rejected=SHORT, source="a"):
    return Preference(source, f"Question {number}?", chosen, rejected)


def test_no_prompt_is_on_both_sides():
    pairs = [pair(n % 200, f"{LONG} {n}") for n in range(600)]
    spelled = [replace(p, prompt=p.prompt.upper().replace(" ", "  ").replace("?", " !")) for p in pairs]
    train, held_out = split_preferences(pairs + spelled)
    assert not {p.group for p in train} & {p.group for p in held_out}
    assert len(train) + len(held_out) == 1200
    assert len({p.group for p in train + held_out}) == 200
    assert 0.12 < len(held_out) / 1200 < 0.28
    assert split_preferences(pairs[::-1])[1] == split_preferences(pairs)[1][::-1]  # the order of the rows is nothing
    assert {fold(p, "inner") for p in train} == {0, 1, 2, 3, 4}  # another purpose, other folds


def test_transcripts_with_one_opening_are_one_group_and_read_as_the_data_room_reads_them():
    short = "\n\nHuman: Hello there.\n\nAssistant:"
    long = "\n\nHuman: Hello there.\n\nAssistant: Hi.\n\nHuman: How are you?\n\nHuman: Well?\n\nAssistant:"
    assert Preference("a", short, "x", "y").group == Preference("a", long, "x", "y").group == "hello there"
    for prompt in (short, long):
        assert turns_of(prompt) == list(context_of(prompt))
    assert turns_of("Human: no transcript") == [{"role": "user", "content": "Human: no transcript"}]
    assert Preference("a", "?!", "x", "y").group == "?!"


@pytest.mark.parametrize("shorter_wins", [False, True])
def test_length_takes_its_sign_from_training(shorter_wins):
    train = [pair(n, *((SHORT, LONG) if shorter_wins else (LONG, SHORT))) for n in range(7)]
    train += [pair(n, *((LONG, SHORT) if shorter_wins else (SHORT, LONG))) for n in range(3)]
    margins = length_sign(train)([pair(1), pair(2, SHORT, LONG), pair(3, LONG, LONG)])
    assert margins.tolist() == ([-3, 3, 0] if shorter_wins else [3, -3, 0])
    assert right(np.array([2.0, -1.0, 0.0])).tolist() == [1, 0, 0.5]


def test_length_by_source_has_a_sign_a_source():
    train = [pair(n) for n in range(5)] + [pair(n, SHORT, LONG, "b") for n in range(9)]
    assert length_by_source(train)([pair(1), pair(1, SHORT, LONG, "b")]).tolist() == [3, 3]
    assert length_sign(train)([pair(1)]).tolist() == [-3]


def test_the_bag_of_words_learns_the_word_that_decides_and_nothing_from_the_prompt(monkeypatch):
    monkeypatch.setattr("training.evaluate_assistant.WEIGHTS", (0.1, 1.0))
    rng = np.random.default_rng(0)
    filler = [" ".join(rng.choice(["red", "green", "blue", "grey"], 6)) for _ in range(400)]
    train = [pair(n, f"{filler[n]} please", f"{filler[n + 200]} never") for n in range(200)]
    margins, named = bag_of_words(train)
    new = [pair(900, "grey please", "grey never"), pair(901, "blue never", "blue please"), pair(902, "red", "red")]
    found = margins(new)
    assert found[0] > 0 and found[1] == pytest.approx(-found[0]) and found[2] == 0
    assert margins([replace(p, prompt="please") for p in new]) == pytest.approx(found)
    assert "1.0000 over the inner folds" in named


def test_intervals_draw_whole_prompts():
    values = np.repeat([1.0, 0.0], 50)
    mean, low, high = interval(values, [str(n) for n in range(100)])
    assert mean == 0.5 and 0.38 < low < 0.46 and 0.54 < high < 0.62
    assert interval(values, ["a"] * 50 + ["b"] * 50)[1:] == (0.0, 1.0)  # two prompts: nothing is known


def test_rows_are_read_and_the_table_has_a_column_a_source(tmp_path):
    path = tmp_path / "pairs.jsonl"
    rows = [{"src": s, "id": n, "prompt": f"P{n}", "chosen": LONG, "rejected": SHORT} for n, s in enumerate("aab")]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    pairs = read_preferences(path)
    lines = table({"judge": np.array([1.0, -1.0, 1.0])}, pairs)
    assert lines[0] == "| | a (2) | b (1) | all (3) |"
    assert lines[2].startswith("| judge | 0.500 [") and "| 1.000 [1.000, 1.000] | 0.667 [" in lines[2]
