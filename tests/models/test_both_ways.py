"""Models that look both ways: every prefix is scored by itself, and equals what Transformers says of the cut text."""

import numpy as np
import pytest
import tiny
import tiny_both_ways as both
import torch

import redviz
from redviz.errors import Cancelled, RedvizError
from redviz.models.loading.load import load_reward_model
from redviz.models.running import both_ways
from redviz.models.running.budgets import AT_ONCE
from redviz.models.running.observe import attention_matrix, observe
from redviz.records import Example

PROMPT = "Review the film , please."
RESPONSE = "A warm,  funny film: the Lead is superb. Tédious mess!"
OTHER = "Dull."
ALL = sorted(both.ARCHITECTURES)


def seen_by(model, response=RESPONSE, **options):
    return observe(model, [model.encode(Example(PROMPT, response))], **options)[0]


# ---------------------------------------------------------------- text


@pytest.mark.parametrize("architecture", ALL)
def test_a_pair_is_encoded_as_the_tokenizer_does(architecture):
    model = both.model(architecture)
    encoding = model.encode(Example(PROMPT, RESPONSE))
    theirs = model.tokenizer(PROMPT, RESPONSE)
    assert encoding.ids.tolist() == theirs["input_ids"]
    assert encoding.types.tolist() == theirs["token_type_ids"]
    assert (encoding.pieces[0], encoding.pieces[encoding.start - 1], encoding.pieces[-1]) == ("[CLS]", "[SEP]", "[SEP]")
    assert (encoding.read, encoding.stop) == (0, len(encoding.ids) - 1)
    assert "".join(encoding.pieces[encoding.start : encoding.stop]) == RESPONSE
    assert [RESPONSE[a:b] for a, b in encoding.offsets] == list(encoding.pieces[encoding.start : encoding.stop])


def test_blanks_at_the_ends_belong_to_their_own_segment():
    encoding = both.model("Bert").encode(Example(" Review.  ", "  Dull.  "))
    assert "".join(encoding.pieces[1 : encoding.start - 1]) == " Review.  "
    assert (encoding.offsets[0][0], encoding.offsets[-1][1]) == (0, len("  Dull.  "))


def test_no_prompt_is_a_segment_without_tokens():
    seen = redviz.analyze(both.model("Bert"), "", RESPONSE, ["red"]).observation
    assert (seen.encoding.start, seen.encoding.pieces[:2]) == (2, ("[CLS]", "[SEP]"))
    assert seen.prefix_scores == pytest.approx(both.brute_prefixes(both.model("Bert"), seen.encoding), abs=1e-4)


def test_a_long_response_is_cut_at_its_end(monkeypatch):
    model = load_reward_model(str(both.checkpoint("Bert")), device="cpu", max_length=24)
    encoding = model.encode(Example(PROMPT, RESPONSE))
    assert (len(encoding.ids), len(encoding.types), encoding.pieces[-1]) == (24, 24, "[SEP]") and encoding.truncated
    assert encoding.types[-1] == 1
    seen = observe(model, [encoding])[0]
    assert seen.score == pytest.approx(both.own_score(model, encoding.ids, encoding.types), abs=1e-4)


def test_several_turns_need_a_template():
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    with pytest.raises(RedvizError, match="no chat template"):
        redviz.analyze(both.model("Bert"), turns, RESPONSE)
    templated = both.model("Bert", template="[CLS] {% for m in messages %}{{ m['content'] }} [SEP] {% endfor %}")
    seen = redviz.analyze(templated, turns, RESPONSE, ["red"]).observation
    assert not templated.pairs and seen.encoding.types is None
    assert seen.prefix_scores == pytest.approx(both.brute_prefixes(templated, seen.encoding), abs=1e-4)


def test_positions_that_start_after_the_padding_shorten_the_context():
    model = both.model("Roberta")
    assert model.max_length == 129  # of 130 positions, with padding at 0
    seen = seen_by(model, "a long film " * 60)
    assert len(seen.encoding.ids) == 129 and seen.encoding.truncated


# ---------------------------------------------------------------- what is read


def test_found_out_by_what_attention_does():
    causal, ahead = tiny.model("Gemma3Text"), tiny.model("Gemma3Text", use_bidirectional_attention=True)
    assert (causal.both_ways, causal.first) == (False, False)
    assert (ahead.both_ways, ahead.first, ahead.pairs) == (True, False, False)
    assert not any(tiny.model(name).both_ways for name in tiny.ARCHITECTURES)
    for architecture in ALL:
        model = both.model(architecture)
        assert (model.both_ways, model.first, model.pairs) == (True, True, True)


@pytest.mark.parametrize("architecture", ALL)
@pytest.mark.parametrize("response", [RESPONSE, OTHER, "!"])
def test_every_prefix_is_the_models_own_score_of_the_cut_text(architecture, response):
    model = both.model(architecture)
    seen = seen_by(model, response)
    brute = both.brute_prefixes(model, seen.encoding)
    assert seen.prefix_scores == pytest.approx(brute, abs=1e-4)
    assert brute.std() > 0.01
    assert seen.score == seen.prefix_scores[-1] and seen.closing == 0 and seen.both_ways
    alone = model.tokenizer(PROMPT)["input_ids"]  # [CLS] prompt [SEP]; an empty response adds its own [SEP]
    empty = both.own_score(model, [*alone, alone[-1]], [0] * len(alone) + [1])
    assert seen.prefix_scores[0] == pytest.approx(empty, abs=1e-4)


@pytest.mark.parametrize("template", ["closed", "open"])
def test_a_head_at_the_last_token_is_read_there_in_every_prefix(template):
    model = tiny.model("Gemma3Text", template, use_bidirectional_attention=True)
    seen = seen_by(model)
    encoding = seen.encoding
    brute = [
        tiny.own_score(model, np.delete(encoding.ids, slice(encoding.start + t, encoding.stop)))
        for t in range(encoding.stop - encoding.start + 1)
    ]
    assert seen.prefix_scores == pytest.approx(brute, abs=1e-4)
    assert seen.score == pytest.approx(tiny.own_score(model, encoding.ids), abs=1e-4) and seen.closing == 0


@pytest.mark.parametrize("architecture", ALL)
def test_one_alone_equals_many_together(architecture, monkeypatch):
    model = both.model(architecture)
    texts = [RESPONSE, OTHER, "A funny film."]
    alone = [seen_by(model, text) for text in texts]
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", 100)
    together = observe(model, [one.encoding for one in alone])
    for one, two in zip(alone, together, strict=True):
        assert two.prefix_scores == pytest.approx(one.prefix_scores, abs=1e-4)
        if architecture in both.SHOWS_ATTENTION:
            assert two.response_row == pytest.approx(one.response_row, abs=1e-5)
            assert two.pooling_row == pytest.approx(one.pooling_row, abs=1e-5)
    with pytest.raises(RedvizError, match="pad on the right"):
        observe(model, [alone[0].encoding], side="left")


@pytest.mark.parametrize("architecture", both.SHOWS_ATTENTION)
def test_attention_is_the_eager_kernels(architecture):
    model = both.model(architecture)
    seen = seen_by(model)
    encoding = seen.encoding
    types = {"token_type_ids": torch.as_tensor(encoding.types)[None]} if architecture != "Roberta" else {}
    with tiny.native(model) as module, torch.inference_mode():
        out = module.base_model(torch.as_tensor(encoding.ids)[None], output_attentions=True, **types)
    whole = torch.stack(out.attentions)[:, 0].numpy()  # [layer, head, L, L]
    assert seen.response_row == pytest.approx(whole[:, :, encoding.stop - 1], abs=1e-5)
    assert seen.pooling_row == pytest.approx(whole[:, :, 0], abs=1e-5)
    matrix = attention_matrix(model, encoding, 1, 2)
    assert matrix == pytest.approx(whole[1, 2, encoding.start : encoding.stop], abs=1e-5)


def test_a_bidirectional_decoders_attention_is_the_eager_kernels():
    model = tiny.model("Gemma3Text", use_bidirectional_attention=True)
    seen = seen_by(model)
    whole = tiny.eager_attention(model, seen.encoding)
    assert seen.response_row == pytest.approx(whole[:, :, seen.encoding.stop - 1], abs=1e-5)
    assert seen.response_row[:, :, seen.encoding.stop :].sum() > 0.01  # it sees what follows


def test_a_response_that_ends_in_padding_is_refused_where_the_read_would_be_misplaced():
    model = tiny.model("Gemma3Text", "open", use_bidirectional_attention=True)
    with pytest.raises(RedvizError, match="ends in the model's pad token"):
        seen_by(model, "Dull<|pad|>")


# ---------------------------------------------------------------- memory, progress, cancelling


def test_where_memory_runs_out_batches_get_smaller(monkeypatch):
    model = both.model("Bert")
    expected, run = seen_by(model).prefix_scores, both_ways._pass
    sizes = []

    def scarce(model, rows):
        if len(rows) > 3:
            raise torch.OutOfMemoryError
        sizes.append(len(rows))
        return run(model, rows)

    monkeypatch.setattr(both_ways, "_pass", scarce)
    assert seen_by(model).prefix_scores == pytest.approx(expected, abs=1e-4) and max(sizes) in (2, 3)
    monkeypatch.setattr(both_ways, "_pass", lambda model, rows: (_ for _ in ()).throw(torch.OutOfMemoryError()))
    with pytest.raises(RedvizError, match="Memory ran out"):
        redviz.analyze(model, PROMPT, RESPONSE, ["red"])


def test_progress_is_told_and_cancels(monkeypatch):
    model = both.model("Bert")
    monkeypatch.setitem(AT_ONCE["forward"], "cpu", 100)
    told = []
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red"], progress=lambda done, total: told.append((done, total)))
    size = len(analysis.tokens)
    assert told[0] == (0, size) and told[-1] == (size, size) and len(told) > 4

    def stop(done, total):
        if done:
            raise Cancelled("stopped")

    before = model.forwards
    with pytest.raises(Cancelled):
        redviz.analyze(model, PROMPT, RESPONSE, ["red"], progress=stop)
    assert model.forwards == before + 2  # the whole text, and one batch
