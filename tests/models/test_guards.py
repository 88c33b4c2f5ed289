"""Guards that a first try forgets. Each test takes one away and shows that scores go wrong by tenths of a unit, not by rounding."""

import numpy as np
import pytest
import tiny
import torch
from close import recomputed
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from redviz.models.running import attention
from redviz.models.running import observe as observing
from redviz.models.running.attention import FAST, reading
from redviz.models.running.observe import observe
from redviz.models.running.tail import PromptCache, prompt_cache, tail_embeddings, tail_scores
from redviz.records import Example

LONG = Example(" ".join(["The film opens on a quiet street"] * 3), "The lead is superb, funny and moving.")
SHORT = Example("Hi", "A dull mess")


def error(model, side="right", examples=(LONG, SHORT)):
    """The largest error of the prefix scores in a padded batch, against brute force."""
    encodings = [model.encode(example) for example in examples]
    observed = observe(model, encodings, side=side)
    return max(abs(o.prefix_scores - tiny.brute_prefixes(model, o.encoding)).max() for o in observed)


@pytest.mark.parametrize(
    ("architecture", "side"), [("Llama", "left"), ("Mistral", "right"), ("Qwen3", "left"), ("GPT2", "left")]
)
def test_without_the_mask_function_scores_are_wrong(architecture, side, monkeypatch):
    model = tiny.model(architecture)
    assert error(model, side) < 1e-4
    monkeypatch.delitem(ALL_MASK_ATTENTION_FUNCTIONS._global_mapping, FAST)
    assert error(model, side) > 0.1


def test_without_position_ids_left_padding_shifts_gpt2(monkeypatch):
    model = tiny.model("GPT2")
    assert error(model, "left") < 1e-4
    monkeypatch.setattr(observing, "positions", lambda mask: torch.arange(mask.shape[1]).expand(len(mask), -1))
    assert error(model, "left") > 0.01


def tail_error(model, example=LONG):
    encoding = model.encode(example)
    (observation,) = observe(model, [encoding])
    embeddings = tail_embeddings(model, encoding)
    cache = prompt_cache(model, encoding)
    scores = [
        tail_scores(model, cache, embeddings.expand(3, -1, -1)) for _ in range(2)
    ]  # twice: a cache is changed by use
    whole = observation.column_scores[encoding.start : encoding.start + embeddings.shape[1]]
    return max(abs(s.detach().numpy() - whole).max() for s in scores)


@pytest.mark.parametrize("architecture", ["Llama", "Qwen3", "Mistral", "GPT2", "Gemma2", "OPT", "Phi", "GPTNeoX"])
def test_the_reused_prompt_gives_the_scores_of_the_whole_pass(architecture):
    assert tail_error(tiny.model(architecture)) < 1e-5


def test_one_cache_for_two_passes_is_wrong(monkeypatch):
    model = tiny.model("Llama")
    kept = {}
    fresh = PromptCache.expanded
    monkeypatch.setattr(PromptCache, "expanded", lambda self, batch: kept.setdefault(0, fresh(self, batch)))
    assert tail_error(model) > 0.01


def test_the_shared_prompt_is_whole_and_stays_as_it_was():
    model = tiny.model("Mistral")
    encoding = model.encode(LONG)
    cache = prompt_cache(model, encoding)
    assert encoding.start > model.module.config.sliding_window
    assert all(
        k.shape[2] == encoding.start for k, _ in cache.layers
    )  # a cache that knows the config keeps window - 1 columns
    assert not any(k.is_inference() for k, _ in cache.layers)  # inference tensors could not join a gradient
    before = [(k.clone(), v.clone()) for k, v in cache.layers]
    tail_scores(model, cache, tail_embeddings(model, encoding))
    for one, two in zip(before, cache.layers, strict=True):
        assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


def test_softcap_and_scaling_come_from_the_call(monkeypatch):
    model = tiny.model("Gemma2")
    encoding = model.encode(LONG)
    (right,) = observe(model, [encoding])
    assert abs(right.response_row - tiny.eager_attention(model, encoding)[:, :, encoding.stop - 1]).max() < 1e-5
    rows = attention.attention_rows
    monkeypatch.setattr(
        attention, "attention_rows", lambda q, k, m, c, scaling, softcap, *more: rows(q, k, m, c, scaling, None, *more)
    )
    (wrong,) = observe(model, [encoding])
    assert abs(wrong.response_row - right.response_row).max() > 0.01


# ---------------------------------------------------------------- the capture


def test_the_capture_is_closed_after_an_exception(monkeypatch):
    model = tiny.model()
    encoding = model.encode(SHORT)
    with monkeypatch.context() as patch:
        patch.setattr(type(model), "label_scores", lambda self, hidden: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            observe(model, [encoding])
    assert attention._open.get() is None


def test_nothing_is_read_outside_a_capture_and_an_inner_one_gives_way():
    model = tiny.model()
    ids = torch.as_tensor(model.encode(SHORT).ids[None])
    with reading(torch.zeros(1, 1, dtype=torch.int64)) as outer:
        with reading(torch.zeros(1, 2, dtype=torch.int64)) as inner:
            model.run(input_ids=ids)
        model.run(input_ids=ids)
    model.run(input_ids=ids)
    assert (len(outer.layers), len(inner.layers)) == (3, 3)
    assert inner.layers[0].shape[1] == 2 and outer.layers[0].shape[1] == 1


def test_a_plain_causal_mask_and_a_written_one_give_the_same_rows():
    torch.manual_seed(0)
    query, key = torch.randn(2, 4, 7, 8), torch.randn(2, 2, 7, 8)
    columns = torch.tensor([[2, 6], [0, 3]])
    seen = torch.ones(7, 7, dtype=torch.bool).tril()[None, None]  # [1, 1, L, L]
    added = torch.zeros(1, 1, 7, 7).masked_fill(~seen, torch.finfo(torch.float32).min)
    plain = attention.attention_rows(query, key, None, columns, 0.3, None)
    for mask in (seen, added):
        np.testing.assert_allclose(
            attention.attention_rows(query, key, mask, columns, 0.3, None), plain, atol=recomputed()
        )
    np.testing.assert_allclose(plain.sum(-1), 1, atol=recomputed())
    by_hand = (query[1, 3, 3] @ key[1, 1].T * 0.3)[:4].softmax(0)  # query head 3 reads key head 1
    np.testing.assert_allclose(plain[1, 1, 3, :4], by_hand, atol=recomputed())


def test_attention_sinks_are_kept():
    model = tiny.model("GptOss")
    assert error(model, "right") < 1e-4
    assert error(model, "left") < 1e-4
    encoding = model.encode(LONG)
    (observation,) = observe(model, [encoding])
    eager = tiny.eager_attention(model, encoding)[:, :, encoding.stop - 1]
    np.testing.assert_allclose(observation.response_row, eager[..., : len(encoding.ids)], rtol=0, atol=1e-5)


# ---------------------------------------------------------------- pad = eos, and where the score is read


def test_pad_equal_to_eos_moves_the_models_own_read_and_we_follow():
    from redviz.models.loading.load import load_reward_model

    folder = tiny.checkpoint("Llama", "ends", pad="<|end|>")
    follows = load_reward_model(str(folder), device="cpu")
    encoding = follows.encode(LONG)
    assert encoding.ids[-1] == follows.pad_id == follows.tokenizer.eos_token_id
    assert encoding.read == encoding.stop - 1  # the closing token is the pad: the model reads the token before it
    (observation,) = observe(follows, [encoding])
    assert observation.score == pytest.approx(tiny.own_score(follows, encoding.ids), abs=1e-5)
    assert observation.closing == 0

    last = load_reward_model(str(folder), device="cpu", read="last")
    encoding = last.encode(LONG)
    assert encoding.read == len(encoding.ids) - 1 == encoding.stop
    (named,) = observe(last, [encoding])
    assert abs(named.score - observation.score) > 1e-3
    last.module.config.pad_token_id = None  # now Transformers reads the last column too
    assert named.score == pytest.approx(tiny.own_score(last, encoding.ids), abs=1e-5)


def test_a_response_of_padding_alone_is_read_before_it():
    model = tiny.model("Llama", "open")
    encoding = model.encode(Example("The film", "<|pad|><|pad|>"))
    (observation,) = observe(model, [encoding])
    assert encoding.read == encoding.start - 1
    assert observation.score == pytest.approx(tiny.own_score(model, encoding.ids), abs=1e-5)


def test_embeddings_in_place_of_ids_are_read_where_the_ids_would_be():
    """Transformers cannot look for padding in embeddings, so its own forward then reads the last column, and not the score's."""
    model = tiny.model("Llama", "ends", pad="<|end|>")
    encoding = model.encode(SHORT)
    (observation,) = observe(model, [encoding])
    ids = torch.as_tensor(encoding.ids[None])
    with torch.no_grad():
        embedded = model.module.get_input_embeddings()(ids)
        own, moved = (
            float(model.module(**given).logits[0, 0]) for given in ({"input_ids": ids}, {"inputs_embeds": embedded})
        )
    assert own == pytest.approx(observation.score, abs=1e-5) and abs(moved - own) > 0.01  # the trap is there
    from redviz.credit.from_models.gradient_inputs import ResponseScore, gradient_inputs

    given = gradient_inputs(model, encoding)
    assert ResponseScore(model, given)(given.response).item() == pytest.approx(own, abs=1e-5)
