"""Several responses over one prompt's keys and values, against ordinary passes over each of them."""

from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace

import bag
import numpy as np
import pytest
import tiny
import torch

from redviz.models.running.observe import observe
from redviz.models.running.shared_prompt import observe_responses, shared_columns
from redviz.records import Example

PROMPT = " ".join(["The film opens on a quiet street"] * 3)  # longer than the sliding window of 12
RESPONSES = (
    "A dull , tedious mess .",
    "The lead is superb, funny and moving.\n\nBut it drags 👍 and drags on the quiet street .",
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


def encoded(model, responses=RESPONSES, prompt=PROMPT):
    return [model.encode(Example(prompt, response)) for response in responses]


def check(found, wanted):
    assert len(found) == len(wanted)
    for one, two in zip(found, wanted, strict=True):
        assert one.encoding is two.encoding
        assert one.column_scores.dtype == np.float32 and one.column_scores.shape == two.column_scores.shape
        np.testing.assert_allclose(one.column_scores, two.column_scores, rtol=0, atol=1e-4)
        for row in ("response_row", "pooling_row"):
            np.testing.assert_allclose(getattr(one, row), getattr(two, row), rtol=0, atol=1e-5)


@pytest.mark.parametrize("template", ["closed", "thinks", "open", "none"])
@pytest.mark.parametrize("architecture", ["Llama", "Qwen3", "Mistral", "GPT2", "Gemma2", "GptOss"])
def test_it_is_an_ordinary_pass_over_each(architecture, template):
    model = tiny.model(architecture, template)
    encodings = encoded(model)
    shared = shared_columns(encodings)
    assert shared >= min(e.start for e in encodings) - 1 > 20  # the prompt, and beyond the window of 12
    with counted(model) as sizes:
        found = observe_responses(model, encodings)
    longest = max(len(e.ids) for e in encodings)
    assert sizes == [(1, shared), (3, longest - shared + 1)]  # the shared part once; its last column again, as a check
    check(found, [observe(model, [e])[0] for e in encodings])
    assert np.ptp(found[0].column_scores) > 1  # the tolerances mean something


@pytest.mark.parametrize("architecture", ["Llama", "Mistral"])
def test_responses_that_begin_alike_share_their_beginning_to_the_last_bit(architecture):
    model = tiny.model(architecture)
    encodings = encoded(model, ["A superb, moving film.", "A superb, dull film with a lead", "A superb"])
    shared = shared_columns(encodings)
    assert shared > encodings[0].start
    found = observe_responses(model, encodings)
    check(found, [observe(model, [e])[0] for e in encodings])
    for other in found[1:]:
        np.testing.assert_array_equal(other.column_scores[:shared], found[0].column_scores[:shared])
    pair = [0, 1]  # these two part later than the third ends
    assert shared_columns([encodings[i] for i in pair]) >= shared


@pytest.mark.parametrize("template", ["open", "closed"])
def test_a_response_that_is_the_beginning_of_another(template):
    model = tiny.model("Llama", template)
    encodings = encoded(model, ["A superb", "A superb film"])
    assert shared_columns(encodings) == encodings[0].stop
    check(observe_responses(model, encodings), [observe(model, [e])[0] for e in encodings])


def test_a_first_token_that_straddles_the_prompt_s_end():
    model = tiny.model("Llama", "none")
    encodings = encoded(model, [" superb film", "erb film", "\n"], "A film that is sup")
    starts = [e.start for e in encodings]
    assert len(set(starts)) > 1  # "superb" is one token, so the prompt's last tokens are others
    assert shared_columns(encodings) <= min(starts)
    check(observe_responses(model, encodings), [observe(model, [e])[0] for e in encodings])


def test_the_same_tokens_leave_two_queries():
    """Transformers gives a single query no mask; the attention rows would be read as if it stood first."""
    model = tiny.model("Llama", "open")
    encodings = encoded(model, ["A superb film", "A superb film"])
    assert shared_columns(encodings) == len(encodings[0].ids) - 1
    check(observe_responses(model, encodings), [observe(model, [e])[0] for e in encodings])


def test_a_score_read_before_the_responses_part():
    """Where the model's own rule reads a column of the prompt, the attention of that column is still read."""
    model = tiny.model()
    encodings = [replace(e, read=e.start - 3) for e in encoded(model)]
    assert shared_columns(encodings) == encodings[0].start - 2
    check(observe_responses(model, encodings), [observe(model, [e])[0] for e in encodings])


def test_nothing_in_common_is_an_ordinary_pass():
    model = tiny.model("Llama", "none")
    encodings = [model.encode(Example(prompt, "A film")) for prompt in ("Hi", "The film opens")]
    with counted(model) as sizes:
        found = observe_responses(model, encodings)
    assert sizes == [(2, max(len(e.ids) for e in encodings))]
    check(found, [observe(model, [e])[0] for e in encodings])


EMBEDDINGS = torch.randn(9, 4, generator=torch.Generator().manual_seed(0)).tolist()
PAIR = [bag.encoding([2, 3, 4, 5], response, [1]) for response in ([6, 7, 8], [7, 2])]


def scores_of(found):
    return [o.column_scores.tolist() for o in found]


@pytest.mark.parametrize("broken", ["forgets", "keeps no keys", "keeps something else"])
def test_a_trunk_that_does_not_reuse_what_it_is_given(broken):
    model = bag.bag(EMBEDDINGS, [1.0, -2.0, 0.5, 1.0])
    wanted = observe(model, PAIR)
    assert [o.prefix_scores.tolist() for o in observe_responses(model, PAIR)] == [
        pytest.approx(o.prefix_scores.tolist(), abs=1e-5) for o in wanted
    ]
    forward = model.module.forward

    def forgets(past_key_values=None, **inputs):
        made = forward(past_key_values=past_key_values, **inputs)
        if past_key_values is not None and inputs["input_ids"].shape[0] == 2:  # the second pass starts anew
            inputs["attention_mask"] = None
            return forward(**inputs)
        return made

    def keeps_no_keys(past_key_values=None, **inputs):
        return forward(**{**inputs, "attention_mask": None})

    def keeps_something_else(past_key_values=None, **inputs):
        made = forward(past_key_values=past_key_values, **inputs)
        if past_key_values is not None:
            past_key_values.layers.append(SimpleNamespace(state=1))  # a recurrent layer's
        return made

    model.module.base_model = {
        "forgets": forgets,
        "keeps no keys": keeps_no_keys,
        "keeps something else": keeps_something_else,
    }[broken]
    with counted(model) as sizes:
        found = observe_responses(model, PAIR)
    assert scores_of(found) == scores_of(wanted)
    assert sizes[-1] == (2, 8)  # the ordinary pass


def test_a_bfloat16_trunk_is_shared_too():
    from redviz.models.loading.load import load_reward_model

    model = load_reward_model(str(tiny.checkpoint()), device="cpu", dtype="bfloat16")
    encodings = encoded(model)
    with counted(model) as sizes:
        found = observe_responses(model, encodings)
    assert len(sizes) == 2
    for one, two in zip(found, observe(model, encodings), strict=True):
        np.testing.assert_allclose(one.column_scores, two.column_scores, rtol=0, atol=0.15)
