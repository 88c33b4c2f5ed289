"""A chunk of examples: what it keeps in memory, how it stops, and what a method that fails costs the others."""

import gc
from dataclasses import replace

import pytest
import tiny
import torch

from redviz.credit.recipes import METHODS, recipes
from redviz.errors import Cancelled
from redviz.records import Example, Observation
from redviz.runs.parts import ALONE, RunExample, score_chunk

CHUNK = [RunExample(Example("How was it?", "so " * n + "good", f"{n}/x"), "s") for n in (9, 1, 5, 3, 7)]


def test_rows_stand_in_the_order_given_whatever_the_lengths():
    found = score_chunk(tiny.model(), CHUNK, recipes(["red", "sparse"]))
    ids = [(row["example_id"], row["response_id"], row["label"]) for row in found]
    assert ids == [(str(n), "x", label) for n in (9, 1, 5, 3, 7) for label in ("red", "sparse")]
    assert {row["subset"] for row in found} == {"s"}


def test_no_attention_of_a_finished_example_is_kept():
    alive = []

    def beat(ready: int) -> None:
        gc.collect()
        alive.append(sum(type(thing) is Observation for thing in gc.get_objects()))

    model = tiny.model()
    gc.freeze()  # what other tests hold is neither looked through nor counted
    try:
        score_chunk(model, CHUNK, recipes(["red", "abc"]), ALONE, 1, beat)
    finally:
        gc.unfreeze()
    assert len(alive) == len(CHUNK) and 1 <= max(alive) <= 2


def test_a_beat_that_raises_stops_in_the_middle_of_a_method():
    beats = []

    def beat(ready: int) -> None:
        beats.append(ready)
        if len(beats) > 2:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        score_chunk(tiny.model(), CHUNK[:1], recipes(["occlusion"]), ALONE, "auto", beat)
    assert beats == [0, 0, 0], "inside the first example"


def test_memory_that_runs_out_in_one_method_costs_that_method_only(monkeypatch):
    def greedy(observation):
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setitem(METHODS, "uniform", replace(METHODS["uniform"], credit=greedy))
    red, uniform = score_chunk(tiny.model(), CHUNK[:1], recipes(["red", "uniform"]))
    assert red["error"] is None and len(red["credits"]) == len(red["tokens"])
    assert uniform["credits"] == [] and "Memory ran out for uniform" in uniform["error"]
    assert uniform["score"] == red["score"] and uniform["method"] == "uniform"


def test_what_a_method_raises_is_the_row_s_error_and_an_interrupt_ends_the_run(monkeypatch):
    def broken(*given, **options):
        raise raised

    monkeypatch.setitem(METHODS, "red", replace(METHODS["red"], credit=broken))
    raised: BaseException = RuntimeError("a mistake in the code")
    (row,) = score_chunk(tiny.model(), CHUNK[:1], recipes(["red"]))
    assert row["error"] == "red: It failed while running (RuntimeError: a mistake in the code)."
    raised = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        score_chunk(tiny.model(), CHUNK[:1], recipes(["red"]))


def test_an_example_that_cannot_be_encoded_does_not_move_the_others():
    bad = replace(CHUNK[0], example=Example("p", "", "bad"))
    found = score_chunk(tiny.model(), [CHUNK[1], bad, CHUNK[2]], recipes(["red"]))
    assert [(row["example_id"], row["error"] is None) for row in found] == [("1", True), ("bad", False), ("5", True)]
