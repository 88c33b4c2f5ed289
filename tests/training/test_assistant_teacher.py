"""The linear teacher of the assistant's recipe: what it reads, and that it learns which answers people prefer."""

import random

import numpy as np

from training.evaluate_assistant import Preference
from training.teacher import Teacher, kind, measures
from training.train_assistant import made_up

TALK = "\n\nHuman: Hello there.\n\nAssistant: Hi.\n\nHuman: Tell me more about it.\n\nAssistant:"


def pairs_of(number):
    """People want long answers to questions and short ones in talks."""
    rng, long, short = random.Random(0), "This is a whole sentence of an answer. ", "Yes, it is. "
    found = []
    for n in range(number):
        chosen, rejected = long * rng.randint(2, 4), short * rng.randint(1, 2)
        found.append(Preference("a", f"What is number {n}?", chosen, rejected))
        found.append(Preference("b", TALK.replace("Hello", f"Hello {n}"), rejected, chosen))
    return found


def test_the_empty_answer_has_score_zero_and_the_kinds_of_prompts_differ():
    assert not measures("What is it?", "").any()
    assert kind("What is it?")[:3].tolist() == [1, 0, 1] and kind(TALK)[:3].tolist() == [1, 1, 0]
    assert kind("Write " + "a long and careful text " * 20)[:5].tolist() == [1, 0, 0, 0, 1]
    teacher = Teacher(pairs_of(20), 0.3)
    assert np.abs(teacher.scores(["What is it?", TALK], ["", ""])).max() == 0


def test_length_has_a_sign_of_its_own_per_kind_of_prompt():
    teacher = Teacher(pairs_of(40), 0.0)
    long, short = "This is a whole sentence of an answer. " * 5, "Yes, it is. "
    found = teacher.scores(["What is water?"] * 2 + [TALK] * 2, [long, short] * 2)
    assert found[0] > found[1] and found[2] < found[3]


def test_made_up_pairs_keep_the_prompt_and_invent_no_words():
    pairs, rng = pairs_of(10), random.Random(1)
    known = {character for pair in pairs for character in pair.chosen + pair.rejected}
    for _ in range(50):
        pair = made_up(pairs, rng)
        assert pair.prompt in {p.prompt for p in pairs} and set(pair.chosen + pair.rejected) <= known
