"""What-if: edits as text, their scores against fresh analyses, and their averages over a data set."""

import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st

import redviz
from redviz.analysis import analyze
from redviz.errors import Cancelled, RedvizError
from redviz.evaluation.edits.edit_effects import edit_effects
from redviz.evaluation.edits.edits import repeatable, what_if
from redviz.evaluation.edits.text_edits import (
    APOLOGY,
    FILLER,
    FLATTERY,
    HEADER,
    PRAISE,
    READY_EDITS,
    Edit,
    delete_span,
    repeat_span,
    replace_span,
    rewrite,
    sentences,
)

PROMPT = "Write a short review of the film you saw last night, please."
RESPONSE = "The lead is superb. I laughed, twice! The photography is glorious."

WORDS = redviz.reward_function(lambda prompt, response: len(response.split()), name="words")
METHODS = {
    "red": {"beta_c": 0.5},
    "abc L1": {"method": "abc", "layer": 1},
    "by sentence": {"method": "red", "segment": "sentence"},
}


def applied(name, text=RESPONSE):
    return READY_EDITS[name].apply(text)


# ---------------------------------------------------------------- texts


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("repeat_last", RESPONSE + " The photography is glorious."),
        ("repeat_first", "The lead is superb. " + RESPONSE),
        ("duplicate", f"{RESPONSE}\n\n{RESPONSE}"),
        ("praise", f"{RESPONSE} {PRAISE}"),
        ("apology", f"{RESPONSE} {APOLOGY}"),
        ("flattery", f"{FLATTERY} {RESPONSE}"),
        ("filler", f"{RESPONSE} {FILLER}"),
        ("strip_last", "The lead is superb. I laughed, twice!"),
        ("upper", "THE LEAD IS SUPERB. I LAUGHED, TWICE! THE PHOTOGRAPHY IS GLORIOUS."),
        ("lower", "the lead is superb. i laughed, twice! the photography is glorious."),
        ("no_punctuation", "The lead is superb I laughed twice The photography is glorious"),
        ("bullets", f"{HEADER}\n- The lead is superb.\n- I laughed, twice!\n- The photography is glorious."),
    ],
)
def test_ready_edits(name, wanted):
    assert applied(name) == wanted


def test_every_ready_edit_is_tested_and_told():
    assert all(key == edit.name and edit.title and edit.looks_for.endswith(".") for key, edit in READY_EDITS.items())
    assert len({edit.title for edit in READY_EDITS.values()}) == len(READY_EDITS) == 13


def test_a_shuffle_keeps_the_sentences_moves_some_and_is_the_same_every_time():
    shuffled = applied("shuffle")
    assert shuffled != RESPONSE and applied("shuffle") == shuffled
    assert sorted(s.strip() for s in sentences(shuffled)) == sorted(s.strip() for s in sentences(RESPONSE))
    assert applied("shuffle", "One. Two.") == "Two. One."
    assert applied("shuffle", "Again. Again.") == "Again. Again."  # no other order to move to


def test_a_single_sentence_is_neither_stripped_nor_shuffled():
    assert applied("strip_last", "Superb.") == applied("shuffle", "Superb.") == "Superb."


@given(st.text(min_size=1, max_size=60))
def test_ready_edits_take_any_text(text):
    for edit in READY_EDITS.values():
        assert isinstance(edit.apply(text), str)
    assert "".join(sentences(text)) == text


@given(st.text(min_size=1, max_size=30), st.data())
def test_spans(text, data):
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert delete_span(start, end).apply(text) == text[:start] + text[end:]
    assert replace_span(start, end, text[start:end]).apply(text) == text
    assert delete_span(start, end).apply(repeat_span(start, end).apply(text)) == text
    assert len(repeat_span(start, end, 3).apply(text)) == len(text) + 3 * (end - start)


# ---------------------------------------------------------------- scores


@pytest.mark.parametrize("architecture", ["Llama", "Mistral", "Gemma2"])
def test_every_edit_is_a_fresh_analysis(architecture):
    model = tiny.model(architecture)
    prompt = f"{PROMPT} {PROMPT}"  # beyond the window of 12
    before = analyze(model, prompt, RESPONSE, METHODS)
    found = what_if(model, before, [*READY_EDITS, delete_span(4, 9), rewrite("A dull , tedious mess .")])
    assert [one.edit.name for one in found] == [*READY_EDITS, "delete", "text"]
    for one in found:
        fresh = analyze(model, prompt, one.text, METHODS)
        assert one.error is None and one.after.token_ids == fresh.token_ids and one.after.offsets == fresh.offsets
        assert one.after.score == pytest.approx(fresh.score, abs=1e-4)
        assert one.change == pytest.approx(fresh.score - before.score, abs=1e-4)
        np.testing.assert_allclose(one.after.prefix_scores, fresh.prefix_scores, rtol=0, atol=1e-4)
        assert list(one.after.credits) == list(METHODS)
        for label, credit in one.after.credits.items():
            np.testing.assert_allclose(credit.values, fresh.credits[label].values, rtol=0, atol=1e-4)
            assert credit.meta["options"] == fresh.credits[label].meta["options"]
    assert np.ptp([one.change for one in found]) > 0.1


def test_where_texts_and_tokens_part():
    model = tiny.model()
    before = analyze(model, PROMPT, RESPONSE, ["red"])
    dull, cut, same, first = what_if(
        model, before, [replace_span(12, 18, "dull"), RESPONSE[:-1], RESPONSE, "x" + RESPONSE[1:]]
    )
    assert RESPONSE[12:18] == "superb" and dull.first_character == 12
    start, end = before.offsets[dull.first_token]
    assert start <= 12 < end
    start_column = before.observation.encoding.start
    assert dull.kept == start_column + dull.first_token
    assert cut.first_character == len(RESPONSE) - 1 and cut.first_token == len(before.tokens) - 1
    assert (first.first_character, first.first_token, first.kept) == (0, 0, start_column)
    assert not same.changes and same.change == 0 and same.first_character == len(RESPONSE)
    assert same.first_token == len(before.tokens)
    np.testing.assert_array_equal(
        dull.after.prefix_scores[: dull.first_token + 1], before.prefix_scores[: dull.first_token + 1]
    )


def test_credits_that_run_the_model_again_are_left_out():
    model = tiny.model()
    before = analyze(model, PROMPT, RESPONSE, ["red", "occlusion"])
    assert list(repeatable(before.credits)) == ["red"]
    upper, same = what_if(model, before, ["upper", RESPONSE])
    assert list(upper.after.credits) == list(same.after.credits) == ["red"]


def test_a_text_given_twice_runs_once_and_an_edit_that_fails_stops_nothing():
    model = tiny.model()
    before = analyze(model, PROMPT, RESPONSE, ["red"])
    runs = model.forwards
    beyond = delete_span(0, 10_000)
    found = what_if(model, before, [beyond, RESPONSE + " Superb.", "", " \n", RESPONSE + " Superb."])
    assert model.forwards == runs + 2  # the beginning, and one text
    assert "the span is 0 to 10000" in found[0].error and "Nothing is left" in found[2].error == found[3].error
    assert found[1].change == found[4].change and np.isnan(found[0].change) and found[0].after.observation is None
    assert found[0].to_dict()["change"] is None and found[1].to_dict()["change"] == found[1].change


def test_a_function_is_asked_once_per_text():
    asked = []

    def words(prompt, response):
        asked.append(response)
        if "mess" in response:
            raise ValueError("no")
        return len(response.split())

    model = redviz.reward_function(words)
    before = analyze(model, PROMPT, "Good film. Go.", ["sparse"])
    asked.clear()
    twice, shout, mess, drop = what_if(model, before, ["duplicate", "upper", "A mess", "strip_last"])
    assert asked == [twice.text, shout.text, "A mess", "Good film."]
    assert (twice.change, shout.change, drop.change) == (3, 0, -1)
    assert twice.after.base == before.base == 0 and twice.after.credits["sparse"].values[-1] == 6
    assert "ValueError" in mess.error and np.isnan(mess.change)
    assert (shout.first_character, shout.first_token, twice.first_token, twice.kept) == (1, 0, 3, 0)


@pytest.mark.parametrize(
    ("edits", "said"),
    [
        (["uper"], "There is no edit 'uper'; use one of repeat_last,"),
        ("repeat_lats", "There is no edit 'repeat_lats'"),
        ([], "There is no edit to try"),
        ([3], "An edit is int"),
    ],
)
def test_edits_that_are_none(edits, said):
    with pytest.raises(RedvizError, match=said):
        what_if(WORDS, analyze(WORDS, PROMPT, RESPONSE, []), edits)


def test_an_analysis_of_another_model_or_of_nothing_is_refused():
    before = analyze(WORDS, PROMPT, RESPONSE, [])
    with pytest.raises(RedvizError, match="is by words, and the model is"):
        what_if(tiny.model(), before, "upper")
    (failed,) = redviz.analyze_batch(WORDS, [{"prompt": PROMPT, "response": ""}], [])
    with pytest.raises(RedvizError, match="This analysis failed"):
        what_if(WORDS, failed, "upper")


# ---------------------------------------------------------------- over a data set


def rows_of(texts):
    return [{"id": f"r{i}", "prompt": PROMPT, "response": text} for i, text in enumerate(texts)]


def test_averages_are_those_of_the_single_changes():
    model = tiny.model()
    texts = [RESPONSE, "A dull film. Glorious.", "Superb"]
    found = edit_effects(model, rows_of(texts), ["praise", "strip_last", "upper"])
    assert found.problems == () and len(found.changes) == 9
    for row in found.rows:
        alone = [what_if(model, analyze(model, PROMPT, text, []), row.name)[0] for text in texts]
        moved = [one.change for one in alone if one.changes]
        assert (row.responses, row.unchanged, row.failed) == (len(moved), 3 - len(moved), 0)
        assert row.mean == pytest.approx(np.mean(moved), abs=1e-4)
        assert min(moved) - 1e-4 <= row.low <= row.mean <= row.high <= max(moved) + 1e-4
        assert row.rises == pytest.approx(np.mean([m > 0 for m in moved])) and row.falls == pytest.approx(1 - row.rises)
    assert [row.responses for row in found.rows] == [3, 2, 3]
    first = found.changes[0]
    assert (first.response, first.edit) == ("r0", "praise") and first.score == pytest.approx(
        first.before + first.change
    )


def test_the_interval_is_that_of_resampled_responses():
    """Changes of 0 and 1 in equal parts: the mean of n draws has a standard deviation of 0.5 / sqrt(n)."""
    model = redviz.reward_function(lambda prompt, response: float("!" in response and "a" in response))
    texts = ["a b", "c d"] * 50
    shout = Edit("shout", "Shout", lambda text: text + "!")
    (row,) = edit_effects(model, rows_of(texts), [shout]).rows
    assert row.mean == row.rises == 0.5 and row.falls == 0
    assert (row.high - row.low) / 2 == pytest.approx(1.96 * 0.5 / 10, abs=0.02)


def test_responses_of_one_example_are_drawn_together():
    """Ten responses to a prompt that all change alike tell no more than one."""
    model = redviz.reward_function(lambda prompt, response: float("!" in response) * len(prompt))
    shout = Edit("shout", "Shout", lambda text: text + "!")
    lengths = np.random.default_rng(0).integers(1, 60, 40)
    items = [{"id": f"q{n}", "prompt": "x" * int(length), "response": "a b"} for n, length in enumerate(lengths)]
    several = [{**item, "id": f"{item['id']}/{n}"} for item in items for n in range(10)]
    (one,), (ten,) = (edit_effects(model, rows, [shout]).rows for rows in (items, several))
    assert (one.responses, ten.responses) == (40, 400)
    assert (ten.mean, ten.low, ten.high) == pytest.approx((one.mean, one.low, one.high))
    (single,) = edit_effects(model, several[:10], [shout]).rows
    assert single.responses == 10 and np.isnan([single.low, single.high]).all()


def test_bad_rows_stop_nothing_and_are_told():
    def picky(prompt, response):
        if response == "Bad":
            raise ValueError
        if response == "BAD LATER":
            raise ValueError
        return len(response)

    model = redviz.reward_function(picky)
    rows = [{"prompt": PROMPT, "response": text} for text in ("Fine", "Bad", "Bad later")] + [{"response": "no prompt"}]
    found = edit_effects(model, rows, ["upper", "praise"])
    assert (
        len(found.problems) == 2 and found.problems[0].startswith("response 2: ") and "response 4" in found.problems[1]
    )
    upper, praise = found.rows
    assert (upper.responses, upper.failed, praise.responses) == (1, 1, 2)
    assert praise.mean == praise.low == praise.high == len(PRAISE) + 1
    assert np.isnan(upper.low) and upper.to_dict()["low"] is None and upper.mean == 0  # one response has no interval


def test_two_edits_of_one_name_are_not_added_up():
    found = edit_effects(WORDS, rows_of(["one two three"]), [delete_span(0, 4), delete_span(0, 8)])
    assert [row.mean for row in found.rows] == [-1, -2]


def test_progress_over_responses_and_cancel():
    seen = []
    edit_effects(WORDS, rows_of(["a", "b"]), "upper", progress=lambda *at: seen.append(at), total=2)
    assert seen == [(0, 2), (1, 2), (2, 2)]

    def stop(done, total):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled):
        edit_effects(WORDS, rows_of(["a"]), "upper", progress=stop)
