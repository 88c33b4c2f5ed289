"""The one chain from text to credits: input order, bad examples, batches, memory, options."""

import copy
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import tiny
import torch

import redviz
from redviz import batches
from redviz.analysis import analyze, as_example, as_prompt
from redviz.batches import analyze_batch
from redviz.credit.ingredients import credit_of
from redviz.credit.recipes import METHODS, methods, recipes
from redviz.errors import RedvizError
from redviz.models.running import observe as observing
from redviz.models.running.budgets import AT_ONCE
from redviz.records import Example

FAST = ["red", "abc", "sparse", "uniform"]
GOOD = [{"prompt": "The film opens", "response": "A superb film, " * k, "id": str(k)} for k in (4, 1, 7, 2, 3)]


@pytest.fixture(scope="module")
def model():
    return tiny.model()


def close(one, two):
    assert one.tokens == two.tokens and list(one.credits) == list(two.credits)
    np.testing.assert_allclose(one.prefix_scores, two.prefix_scores, rtol=0, atol=1e-5)
    for label in one.credits:
        np.testing.assert_allclose(one.credits[label].values, two.credits[label].values, rtol=0, atol=1e-5)


# ---------------------------------------------------------------- one


def test_the_public_names_are_these():
    assert redviz.analyze is analyze and redviz.analyze_batch is analyze_batch
    with pytest.raises(AttributeError, match="no attribute 'analyse'"):
        redviz.analyse  # noqa: B018


def test_one_forward_serves_every_method_that_needs_no_more(model):
    before = model.forwards
    found = analyze(model, "The film opens", "A superb film.", FAST)
    assert model.forwards == before + 1
    assert list(found.credits) == FAST
    for credit in found.credits.values():
        assert credit.reference + credit.values.sum(dtype=np.float64) + credit.residual == pytest.approx(found.score)
        assert credit.total == found.score


def test_every_method_of_the_model_alone_keeps_its_promise(model):
    """Estimates show their residual; every other sum holds. Methods without a sum show none."""
    names = [n for n, i in METHODS.items() if i.needs in ("observation", "attention", "model") and n != "deeplift"]
    asked = {name: {"steps": 64} if name == "ig" else {} for name in names}
    found = analyze(model, "The film opens", "A superb, moving film.", asked)
    assert set(found.credits) == set(names) and len(names) > 15
    scale = np.ptp(found.prefix_scores)
    estimates = {"ig": 0.05 * scale, "kernel_shap": 1e-2 * scale, "gradient_shap": np.inf}
    for label, credit in found.credits.items():
        assert (credit.residual is not None) == METHODS[label].additive, label
        if credit.residual is not None:
            assert abs(credit.residual) < estimates.get(label, 1e-5 * max(1.0, abs(credit.total))), label
    assert np.isfinite(found.credits["gradient_shap"].residual)


def test_a_label_takes_options(model):
    wanted = {"red": {"beta_c": 0.5}, "abc L0": {"method": "abc", "layer": 0, "heads": [1]}, "again": {"method": "red"}}
    found = analyze(model, "The film opens", "A superb film.", wanted)
    defaults = {name: option.default for name, option in METHODS["red"].options.items()}
    assert found.credits["red"].meta["options"] == defaults | {"beta_c": 0.5}
    assert found.credits["abc L0"].meta["method"] == "abc"
    assert found.credits["abc L0"].meta["options"]["b"] == 1.0
    row = found.observation.response_row[0, 1, found.observation.encoding.start : found.observation.encoding.stop]
    np.testing.assert_allclose(found.credits["abc L0"].values, found.score * row / row.sum(), atol=1e-5)
    assert found.credits["again"].reference == pytest.approx(2 * found.credits["red"].reference)


def test_progress_reaches_the_methods_that_take_long(model):
    told = []
    analyze(model, "Hi", "A superb film.", {"red": {}, "ig": {"steps": 4}}, progress=lambda *done: told.append(done))
    assert told[-1] == (4, 4)


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (["red", "redd"], "no method 'redd'; use one of red, red_closed"),
        ({"mine": {}}, "no method 'mine'"),
        ({"red": {"beta": 1}}, "red has no option beta; its options: beta_c, initial"),
        ({"sparse": {"b": 1}}, "its options: segment, place"),
        ("red", "give a list"),
    ],
)
def test_methods_that_make_no_sense(model, wanted, message):
    before = model.forwards
    for call in (lambda: analyze(model, "Hi", "A film.", wanted), lambda: list(analyze_batch(model, GOOD, wanted))):
        with pytest.raises(RedvizError, match=message):
            call()
    assert model.forwards == before  # refused before any work


def test_a_method_that_needs_the_model_says_so(model):
    found = analyze(model, "Hi", "A film.", ["red"])
    again = credit_of(found.observation, recipes(["red"])["red"], {})
    np.testing.assert_array_equal(again.values, found.credits["red"].values)
    with pytest.raises(RedvizError, match="calls the reward model again"):
        credit_of(found.observation, recipes(["ig"])["ig"], {})


def test_the_table_of_methods():
    table = methods()
    assert {"red", "abc", "ig", "sparse", "uniform"} <= set(table)
    table.clear()
    assert methods()  # a copy
    assert METHODS["red"].causal and not METHODS["abc"].causal
    for info in METHODS.values():
        assert info.needs in ("observation", "attention", "steps", "log_probs", "model", "policy", "reference")
        assert all(o.choices is None or o.default in o.choices for o in info.options.values())


# ---------------------------------------------------------------- many


def test_a_batch_gives_what_one_by_one_gives_in_input_order(model):
    found = list(analyze_batch(model, GOOD, FAST))
    assert [a.example.id for a in found] == [g["id"] for g in GOOD]
    for got, given in zip(found, GOOD, strict=True):
        close(got, analyze(model, given["prompt"], given["response"], FAST))


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_the_batch_size_changes_nothing_but_the_passes(model, batch_size):
    before = model.forwards
    found = list(analyze_batch(model, GOOD, FAST, batch_size=batch_size))
    assert model.forwards - before == -(-len(GOOD) // batch_size)
    for one, two in zip(found, analyze_batch(model, GOOD, FAST), strict=True):
        close(one, two)


BAD = [
    ({"prompt": "Hi", "response": ""}, "empty"),
    ({"prompt": "Hi"}, "needs a prompt and a response; found prompt"),
    ({"prompt": "Hi", "response": 3}, "int, not text"),
    ({"prompt": ["Hi"], "response": "A film."}, "needs a role and a content"),
    ({"prompt": 3, "response": "A film."}, "neither text nor a list"),
    ({"prompt": "word " * 600, "response": "A film."}, "prompt alone takes"),
    ({"prompt": "Hi", "response": "\ud83d"}, "surrogate"),
    (None, "NoneType"),
    ("text", "found str"),
]


def test_bad_examples_have_their_error_and_the_rest_goes_on(model):
    mixed = [GOOD[0], *(bad for bad, _ in BAD), Example("The film opens", "A dull mess", "last")]
    found = list(analyze_batch(model, mixed, FAST))
    assert len(found) == len(mixed)
    assert [a.error is None for a in found] == [True, *[False] * len(BAD), True]
    for (_, message), got in zip(BAD, found[1:-1], strict=True):
        assert message in got.error
        assert got.credits == {} and np.isnan(got.score)
    assert found[-1].example.id == "last" and list(found[-1].credits) == FAST


def test_a_method_that_fails_fails_its_example_only(model):
    found = list(analyze_batch(model, GOOD[:2], {"abc": {"layer": 9}}))
    assert all("layers 0 to 2" in a.error and a.credits == {} for a in found)
    assert all(np.isfinite(a.score) for a in found)


def test_a_method_that_fails_takes_no_other_with_it(model):
    [found] = analyze_batch(model, GOOD[:1], {"abc": {"layer": 9}, "red": {}, "deep": {"method": "abc", "layer": 7}})
    [want] = analyze_batch(model, GOOD[:1], ["red"])
    np.testing.assert_array_equal(found.credits["red"].values, want.credits["red"].values)
    assert list(found.credits) == ["red"] and found.score == want.score
    assert found.error.startswith("abc: layer is 9;") and "; deep: layer is 7;" in found.error


def test_the_default_methods_serve_a_tokenizer_without_pad_token(model):
    bare = replace(model, tokenizer=copy.deepcopy(model.tokenizer))
    bare.tokenizer.pad_token = None
    found = analyze(bare, "The film opens", "A superb film.")
    want = analyze(model, "The film opens", "A superb film.", {"ig": {"baseline": "mean"}})
    assert found.credits["ig"].meta["baseline"] == "mean"
    np.testing.assert_array_equal(found.credits["ig"].values, want.credits["ig"].values)


@pytest.mark.parametrize("batch_size", [0, -1, 2.5, "all", None])
def test_a_batch_size_that_makes_no_sense(model, batch_size):
    with pytest.raises(RedvizError, match="whole number"):
        next(analyze_batch(model, GOOD, FAST, batch_size=batch_size))


def test_it_reads_ahead_one_window_and_no_further(model, monkeypatch):
    monkeypatch.setattr(batches, "WINDOW", 2)
    taken = []
    stream = (taken.append(i) or GOOD[0] for i in itertools.count())
    found = analyze_batch(model, stream, ["sparse"])
    next(found)
    assert taken == [0, 1]
    next(found), next(found)
    assert taken == [0, 1, 2, 3]


def test_auto_fills_a_number_of_tokens(model, monkeypatch):
    widths = []
    run = observing.observe

    def counted(model, encodings, **options):
        widths.append((len(encodings), max(len(e.ids) for e in encodings)))
        return run(model, encodings, **options)

    monkeypatch.setattr(observing, "observe", counted)
    monkeypatch.setitem(AT_ONCE["responses"], "cpu", 120)
    list(analyze_batch(model, GOOD * 3, ["sparse"]))
    assert sum(rows for rows, _ in widths) == len(GOOD) * 3
    assert all(rows * width <= 120 or rows == 1 for rows, width in widths)
    assert max(rows for rows, _ in widths) > 1
    assert [width for _, width in widths] == sorted(width for _, width in widths)


def test_out_of_memory_halves_the_batch_and_goes_on(model, monkeypatch):
    wanted = list(analyze_batch(model, GOOD, FAST))
    run, sizes = observing.observe, Counter()

    def small(model, encodings, **options):
        sizes[len(encodings)] += 1
        if len(encodings) > 2:
            raise torch.OutOfMemoryError("no more")
        return run(model, encodings, **options)

    monkeypatch.setattr(observing, "observe", small)
    for one, two in zip(analyze_batch(model, GOOD, FAST), wanted, strict=True):
        close(one, two)
    assert sizes == {5: 1, 2: 2, 1: 1}


def test_one_that_fits_no_memory_is_an_error_of_its_own(model, monkeypatch):
    run = observing.observe
    lengths = [len(model.encode(as_example(given)).ids) for given in GOOD]
    limit = sorted(lengths)[-2]

    def short_only(model, encodings, **options):
        if any(len(e.ids) > limit for e in encodings):
            raise torch.OutOfMemoryError("no more")
        return run(model, encodings, **options)

    monkeypatch.setattr(observing, "observe", short_only)
    found = list(analyze_batch(model, GOOD, FAST))
    for length, got in zip(lengths, found, strict=True):
        assert ("Memory ran out on one response" in (got.error or "")) == (length > limit)
        assert length > limit or list(got.credits) == FAST
    assert sum(a.error is not None for a in found) == 1


def test_nothing_gives_nothing(model):
    assert list(analyze_batch(model, [], FAST)) == []


# ---------------------------------------------------------------- what comes in


def test_examples_and_prompts():
    assert as_example(Example("Hi", "A film.", "7")) == Example("Hi", "A film.", "7")
    assert as_example({"prompt": "Hi", "response": "A film.", "id": 7}).id == "7"
    said = [{"role": "user", "content": "Hi", "extra": 1}]
    assert as_prompt(said) == ({"role": "user", "content": "Hi"},)


def test_what_is_wrong_is_said_before_the_first_example_is_read(model):
    def never():
        raise AssertionError("an example was read")
        yield

    for wanted, message in ((["redd"], "no method"), (["dpo"], "redviz.load_policy")):
        with pytest.raises(RedvizError, match=message):
            analyze_batch(model, never(), wanted)
    with pytest.raises(RedvizError, match="load_reward_model"):
        analyze_batch("embedded:sentiment", never())
