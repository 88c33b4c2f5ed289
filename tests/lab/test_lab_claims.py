"""The comparison of docs/lab.md: a seed run again gives its numbers, rates are tuned alike, verdicts are read right."""

import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import lab_claims  # noqa: E402
from lab_claims_document import over_seeds, paired  # noqa: E402


def test_a_seed_run_again_gives_its_numbers_exactly(tmp_path):
    config = replace(
        lab_claims.COMMON,
        method="red",
        learning_rate=1e-3,
        seed=1,
        steps=2,
        batch=8,
        max_new_tokens=8,
        prompts=lab_claims.SHORT[:2],
    )
    one, two = (lab_claims.Runs(tmp_path / name).result(config) for name in ("one", "two"))
    assert [replace(step, seconds=0.0) for step in one.steps] == [replace(step, seconds=0.0) for step in two.steps]
    assert one.held_out == two.held_out and len(one.steps) == 2
    kept = lab_claims.Runs(tmp_path / "one").known(config)
    assert kept == one  # and what is kept is what was run


def test_every_method_is_tuned_with_one_budget_on_other_seeds():
    configs = lab_claims.tuning()
    per_method = {m: [c for c in configs if c.method == m] for m in lab_claims.METHODS}
    assert {len(own) for own in per_method.values()} == {len(lab_claims.RATES) * len(lab_claims.TUNING_SEEDS)}
    alike = {replace(c, method="sparse", learning_rate=1.0, seed=0).id for c in configs}
    assert len(alike) == 1 and min(lab_claims.TUNING_SEEDS) > 1000
    scored = [SimpleNamespace(config=c, objective=-abs(c.learning_rate - 1e-3)) for c in per_method["red"]]
    assert lab_claims.best_rate(scored) == 1e-3


def test_intervals_are_students_and_differences_are_taken_seed_by_seed():
    found = over_seeds([1.0, 2.0, 3.0])
    assert found.value == 2.0 and found.half == pytest.approx(4.302653 / 3**0.5)
    assert (found.above, found.verdict) == (3, "not decided here")
    runs = {"a": [1.0, 11.0, 21.0], "b": [0.0, 10.1, 20.2]}
    apart = paired(runs, "a", "b", float)
    assert apart.value == pytest.approx(0.9) and apart.half < 0.3 and apart.verdict == "holds here"
    assert paired(runs, "b", "a", float).verdict == "the opposite holds here"
