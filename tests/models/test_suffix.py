"""Edited conversations over the original's keys and values, against ordinary passes over each of them."""

from contextlib import contextmanager
from dataclasses import replace

import bag
import numpy as np
import pytest
import tiny
import torch

from redviz.errors import Cancelled, RedvizError
from redviz.models.running.observe import observe
from redviz.models.running.suffix import kept_columns, observe_edited
from redviz.records import Example

PROMPT = " ".join(["The film opens on a quiet street"] * 3)  # longer than the sliding window of 12
RESPONSE = "A dull , tedious mess . The photography is glorious . I did not like it"
EDITED = (
    RESPONSE + " , but the lead is superb .",
    RESPONSE[:-3],
    RESPONSE.replace("glorious", "funny"),
    RESPONSE.upper(),
    "Superb",
)


@contextmanager
def counted(model):
    """The tokens of each trunk pass inside the block: (rows, columns)."""
    sizes = []
    run = model.run

    def counting(**inputs):
        sizes.append(tuple(inputs["input_ids"].shape))
        return run(**inputs)

    model.run = counting
    try:
        yield sizes
    finally:
        del model.run


def original_and(model, texts=EDITED, prompt=PROMPT, response=RESPONSE):
    first = observe(model, [model.encode(Example(prompt, response))])[0]
    return first, [model.encode(Example(prompt, text)) for text in texts]


def check(model, found, encodings):
    assert [one.observation.encoding for one in found] == encodings
    for one, encoding in zip(found, encodings, strict=True):
        wanted = observe(model, [encoding])[0]
        assert one.observation.column_scores.dtype == np.float32
        np.testing.assert_allclose(one.observation.column_scores, wanted.column_scores, rtol=0, atol=1e-4)
        for row in ("response_row", "pooling_row"):
            np.testing.assert_allclose(getattr(one.observation, row), getattr(wanted, row), rtol=0, atol=1e-5)


@pytest.mark.parametrize("template", ["closed", "thinks", "open", "none"])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen3", "Mistral", "GPT2", "Gemma2", "GptOss"])
def test_it_is_an_ordinary_pass_over_each(architecture, template):
    model = tiny.model(architecture, template)
    original, encodings = original_and(model)
    found = observe_edited(model, original, encodings)
    check(model, found, encodings)
    assert np.ptp([one.observation.score for one in found]) > 0.1  # the tolerances mean something
    for one, encoding in zip(found, encodings, strict=True):
        assert one.kept == kept_columns(original.encoding, encoding) > 12
        np.testing.assert_array_equal(
            one.observation.column_scores[: one.kept], original.column_scores[: one.kept]
        )  # what did not change differs by nothing


def test_only_the_changed_suffix_runs():
    model = tiny.model()
    original, encodings = original_and(model, [*EDITED, RESPONSE + " , and the street is quiet .", "A " + RESPONSE])
    kept = [kept_columns(original.encoding, encoding) for encoding in encodings]
    with counted(model) as sizes:
        observe_edited(model, original, encodings)
    (rows, shared), *tails = sizes
    assert (rows, shared) == (1, max(kept) - 1)  # the beginning once, for all
    least = sum(
        len(e.ids) - k + 1 for e, k in zip(encodings, kept, strict=True)
    )  # the last kept column again, as a check
    run = sum(rows * columns for rows, columns in tails)
    assert sum(rows for rows, _ in tails) == len(encodings) > len(tails)  # together where they begin alike
    assert least <= run <= 1.25 * least
    assert run + shared < 0.7 * sum(len(e.ids) for e in encodings)


def test_an_edit_at_the_end_of_a_long_response_runs_a_handful_of_tokens():
    model = tiny.model("Mistral")
    long = " ".join([RESPONSE] * 4)
    original, encodings = original_and(model, [long + " .", long + " !"], response=long)
    with counted(model) as sizes:
        found = observe_edited(model, original, encodings)
    check(model, found, encodings)
    assert len(sizes) == 2 and sizes[1][0] == 2 and sizes[1][1] <= 6 < sizes[0][1] / 15


def test_text_that_joins_the_token_before_it_moves_the_boundary():
    """ "superb" is one token: appending its end changes a token that stands before the edited characters."""
    model = tiny.model()
    original, encodings = original_and(model, ["The lead is superb", "The lead is sup er"], response="The lead is sup")
    joined, apart = (kept_columns(original.encoding, e) for e in encodings)
    assert joined < original.encoding.stop <= apart + 1
    check(model, observe_edited(model, original, encodings), encodings)


def test_an_edit_that_straddles_the_prompt_s_end():
    model = tiny.model("Llama", "none")
    prompt = "A film that is sup"
    original, encodings = original_and(model, ["erb film", "\n", " dull"], prompt, " superb")
    assert kept_columns(original.encoding, encodings[0]) < original.encoding.start
    check(model, observe_edited(model, original, encodings), encodings)


@pytest.mark.parametrize("template", ["open", "closed"])
def test_the_same_text_and_its_beginning(template):
    model = tiny.model("Llama", template)
    original, encodings = original_and(model, ["A superb film", "A superb"], response="A superb film")
    check(model, observe_edited(model, original, encodings), encodings)


def test_one_more_token_after_a_template_without_closing_is_no_single_query():
    model = tiny.model("Llama", "open")
    original, encodings = original_and(model, ["A superb film ."], response="A superb film")
    assert len(encodings[0].ids) == len(original.encoding.ids) + 1
    check(model, observe_edited(model, original, encodings), encodings)


def test_a_score_read_before_the_change():
    model = tiny.model()
    original, encodings = original_and(model)
    encodings = [replace(e, read=e.start - 3) for e in encodings]
    check(model, observe_edited(model, original, encodings), encodings)


def test_a_model_that_drops_its_cache_gets_ordinary_passes():
    """A trunk that ignores past_key_values scores the check column otherwise, so nothing of it is believed."""
    model = bag.bag([[0.0], [0.0], [1.0], [2.0], [-3.0]], [1.0])
    forward = model.module.forward

    def forgets(*args, past_key_values=None, **more):
        if past_key_values is not None and past_key_values.get_seq_length():
            past_key_values = None
            more["attention_mask"] = None
        return forward(*args, past_key_values=past_key_values, **more)

    first, *edited = (bag.encoding([2, 3], [2, 4, *end]) for end in ([2], [3, 3], [4]))
    original = observe(model, [first])[0]
    found = observe_edited(model, original, edited)
    assert [one.kept for one in found] == [4, 4]
    model.module.base_model = forgets
    again = observe_edited(model, original, edited)
    assert [one.kept for one in again] == [0, 0]
    for one, two in zip(found, again, strict=True):
        np.testing.assert_allclose(one.observation.column_scores, two.observation.column_scores)
    assert found[0].observation.column_scores.tolist() == [1, 3, 4, 1, 3, 5]


def test_memory_that_runs_out_halves_the_pass():
    model = tiny.model()
    original, encodings = original_and(model, [RESPONSE + end for end in (" .", " superb", " dull", " street")])
    run = model.run

    def cramped(**inputs):
        if len(inputs["input_ids"]) > most:
            raise torch.OutOfMemoryError
        return run(**inputs)

    model.run = cramped
    try:
        most = 1
        check(model, observe_edited(model, original, encodings), encodings)
        most = 0
        with pytest.raises(RedvizError, match="Memory ran out on one edited response"):
            observe_edited(model, original, encodings)
    finally:
        del model.run


def test_progress_counts_edits_and_may_cancel():
    model = tiny.model()
    original, encodings = original_and(model)
    seen = []
    observe_edited(model, original, encodings, lambda done, total: seen.append((done, total)))
    assert seen[0] == (0, len(encodings)) and seen[-1] == (len(encodings),) * 2 and seen == sorted(seen)

    def stop(done, total):
        raise Cancelled("stopped")

    with pytest.raises(Cancelled), counted(model):
        observe_edited(model, original, encodings, stop)
