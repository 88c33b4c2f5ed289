"""The obvious pairs: what is in the file, how many a model orders, and when that is a flag."""

import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny

import redviz
from redviz.cli.main import main
from redviz.data.sets.dataset import open_dataset
from redviz.evaluation.agreement.preferences import stated_pair
from redviz.evaluation.conformance import checks
from redviz.evaluation.conformance.checks import Effort, subject
from redviz.evaluation.conformance.checks_of_pairs import by_chance, obvious_pairs, orders_obvious_pairs
from redviz.records import Example
from redviz.settings import project_file

PAIRS = obvious_pairs()


def finding(model, **effort):
    return orders_obvious_pairs(subject(model, Effort(**effort)))


def counted(right: "Counter[str]", count: "Counter[str]") -> str:
    listed = ", ".join(f"{name} {right[name]} of {n}" for name, n in count.items())
    return f"orders {right.total()} of {count.total()} obvious pairs: {listed}"


def test_ten_of_each_subject_that_length_and_place_do_not_give_away():
    assert Counter(pair.subject for pair in PAIRS) == dict.fromkeys(dict.fromkeys(p.subject for p in PAIRS), 10)
    assert (
        len(PAIRS)
        == len({pair.id for pair in PAIRS})
        == len({p.chosen for p in PAIRS} | {p.rejected for p in PAIRS}) / 2
        == 60
    )
    for name in {pair.subject for pair in PAIRS}:
        own = [pair for pair in PAIRS if pair.subject == name]
        sizes = np.array([[len(pair.chosen), len(pair.rejected)] for pair in own])
        assert (sizes[:, 0] > sizes[:, 1]).sum() == 5
        assert (sizes[:6, 0] > sizes[:6, 1]).sum() == 3  # and of the first of them, which a budget may leave alone
        assert abs(np.log(sizes.mean(0)[0] / sizes.mean(0)[1])) < 0.1
    lines = project_file("sample_data/obvious_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    assert sum(line.index('"chosen"') < line.index('"rejected"') for line in lines) == 30


def test_the_file_opens_as_a_data_set_of_preferences():
    opened = open_dataset(str(project_file("sample_data/obvious_pairs.jsonl")))
    first = next(iter(opened.items()))
    assert [example.response for example in stated_pair(first)] == [PAIRS[0].chosen, PAIRS[0].rejected]


def test_a_model_orders_those_of_its_own_subject():
    verdict = finding(redviz.load_reward_model("embedded:sentiment", device="cpu"))
    assert verdict.verdict == "green" and "praise of a film 10 of 10" in verdict.figure


def test_a_model_that_orders_none_of_its_subject_may_be_a_cost():
    loaded = redviz.load_reward_model("embedded:sentiment", device="cpu")
    found = finding(replace(loaded, mix=-loaded.mix))
    assert found.verdict == "amber" and found.figure.endswith("fewer than a coin would") and "a cost" in found.remedy


@pytest.mark.parametrize("template", ["closed", "none"])
def test_the_figure_is_what_the_models_own_forward_says(template):
    loaded = tiny.model("Llama", template)
    score = lambda response, prompt: tiny.own_score(loaded, loaded.encode(Example(prompt, response)).ids)  # noqa: E731
    right = Counter(p.subject for p in PAIRS if score(p.chosen, p.prompt) > score(p.rejected, p.prompt))
    found = finding(loaded)
    assert found.figure.startswith(counted(right, Counter(p.subject for p in PAIRS)))
    assert found.verdict == "amber" and found.figure.endswith("near a coin's figure on every subject")


def test_a_budget_takes_as_many_of_each_subject_and_says_what_it_left_out(monkeypatch):
    loaded = tiny.model()
    monkeypatch.setitem(checks.OPERATIONS, "cpu", 5e8)
    some = finding(loaded).figure
    n = int(some.split(" of ")[1].split()[0])
    assert 6 <= n < 60 and n % 6 == 0 and some.count(f" of {n // 6}") == 6
    assert f"{60 - n} were left out: check thoroughly (redviz doctor --thorough)" in some
    monkeypatch.setitem(checks.OPERATIONS, "cpu", 1e6)
    none = finding(loaded)
    assert none.verdict == "amber" and none.figure.startswith("not measured") and "--thorough" in none.remedy
    assert "of 60 obvious pairs" in finding(loaded, thorough=True).figure


def test_a_pair_that_cannot_be_scored_is_counted_out(monkeypatch):
    loaded = tiny.model()
    longest = max(len(loaded.encode(example).ids) for pair in PAIRS for example in pair.examples)
    found = finding(replace(loaded, max_length=longest // 3))
    assert found.verdict == "amber" and "have no scores" in found.figure and "of 60" not in found.figure


def test_nothing_runs_on_once_somebody_cancels():
    loaded = tiny.model()
    given = subject(loaded, Effort(beat=lambda: (_ for _ in ()).throw(redviz.errors.Cancelled("stop"))))
    before = loaded.forwards
    with pytest.raises(redviz.errors.Cancelled):
        orders_obvious_pairs(given)
    assert loaded.forwards == before


def test_doctor_checks_thoroughly_when_asked(monkeypatch, capsys):
    monkeypatch.setitem(checks.OPERATIONS, "cpu", 1e6)
    asks = ["doctor", "--model", str(tiny.checkpoint()), "--device", "cpu", "--json"]
    rows = []
    for more in ([], ["--thorough"]):
        assert main([*asks, *more]) == 0
        rows.append(json.loads(capsys.readouterr().out))
    assert [row["thorough"] for row in rows] == [False, True]
    figures = [check["figure"] for row in rows for check in row["checks"] if check["name"] == "obvious_pairs"]
    assert figures[0].startswith("not measured") and "of 60 obvious pairs" in figures[1]


def test_chance_is_the_binomials():
    from scipy.stats import binomtest

    for right, count in ((9, 10), (39, 60), (0, 3), (3, 3)):
        assert by_chance(right, count) == pytest.approx(binomtest(right, count, alternative="greater").pvalue)
