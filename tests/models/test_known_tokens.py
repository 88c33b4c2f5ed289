"""Tokens that a model has no embedding for are refused by name before anything runs, and no padding is ever one of them."""

import shutil

import numpy as np
import pytest
import tiny
import tiny_both_ways
import tiny_lm
import tiny_pairs
import tiny_steps
from close import recomputed
from transformers import LlamaForCausalLM, LlamaForSequenceClassification, LlamaForTokenClassification

import redviz
from redviz.errors import RedvizError
from redviz.models.reading.known_tokens import filler_id
from redviz.records import Example

NEW = "A <|new|> film."


def with_more(folder, target, *more, **changes):
    """A copy whose tokenizer has more tokens than the model has embeddings, as one that nobody resized for."""
    shutil.copytree(folder, target)
    tokenizer = tiny.transformers.AutoTokenizer.from_pretrained(target)
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|new|>", *more], **changes})
    tokenizer.save_pretrained(target)
    return str(target)


def tokens(folder):
    LlamaForTokenClassification(tiny.config("Llama", tiny.tokenizer(), labels=1)).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


MODELS = {
    "reward": lambda tmp: redviz.load_reward_model(with_more(tiny.checkpoint(), tmp / "m")),
    "both ways": lambda tmp: redviz.load_reward_model(with_more(tiny_both_ways.checkpoint("Bert"), tmp / "m")),
    "policy": lambda tmp: redviz.load_policy(with_more(tiny_lm.checkpoint(), tmp / "m")),
    "tokens": lambda tmp: redviz.load_reward_model(with_more(tokens(tmp / "t"), tmp / "m")),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_token_is_named_before_anything_runs(kind, tmp_path):
    model = MODELS[kind](tmp_path)
    before = model.forwards
    with pytest.raises(RedvizError, match=r"the token '<\|new\|>' \(id \d+\).* embeddings for the ids below \d+"):
        model.encode(Example("How was it?", NEW))
    assert model.forwards == before
    assert len(model.encode(Example("How was it?", "A film.")).ids)


def test_a_pair_scorer_and_a_process_model_name_it_too(tmp_path):
    pairs = redviz.load_pair_scorer(with_more(tiny_pairs.checkpoint(), tmp_path / "pairs"), device="cpu")
    with pytest.raises(RedvizError, match=r"the token '<\|new\|>'"):
        redviz.compare(pairs, "How was it?", ["A film.", NEW])
    tiny_steps.qwen(tmp_path / "steps")
    steps = redviz.load_reward_model(with_more(tmp_path / "steps", tmp_path / "more"), device="cpu")
    with pytest.raises(RedvizError, match=r"the token '<\|new\|>'"):
        redviz.analyze(steps, "1 + 1?", NEW, ["red"])


@pytest.mark.parametrize(
    ("load", "kind"),
    [(redviz.load_reward_model, LlamaForSequenceClassification), (redviz.load_policy, LlamaForCausalLM)],
)
def test_another_models_tokenizer_is_refused_at_load(load, kind, tmp_path):
    tok = tiny.tokenizer()
    kind(tiny.config("Llama", tok, labels=1, vocab_size=tok.convert_tokens_to_ids("A"))).save_pretrained(tmp_path)
    tok.save_pretrained(tmp_path)
    with pytest.raises(RedvizError, match="embeddings for the ids below"):
        load(str(tmp_path), device="cpu")


def test_a_pad_token_beyond_the_embeddings_pads_nothing(tmp_path):
    given = with_more(tiny_both_ways.checkpoint("Bert"), tmp_path / "m", pad_token="<|pad|>")
    model, right = redviz.load_reward_model(given), tiny_both_ways.model("Bert")
    model.module.config.pad_token_id = model.tokenizer.pad_token_id
    assert filler_id(model.module, model.pad_id) == 0 < model.pad_id
    texts = [Example("How was it?", text) for text in ("Superb.", "A dull, tedious film, and the lead is superb.")]
    found, want = (list(redviz.analyze_batch(m, texts, ["red"], 2)) for m in (model, right))
    for one, two in zip(found, want, strict=True):
        np.testing.assert_allclose(one.prefix_scores, two.prefix_scores, atol=recomputed(two.prefix_scores))
    ig = redviz.analyze(model, "How was it?", "Superb.", {"ig": {"steps": 2}}).credits["ig"]
    assert ig.meta["baseline"] == "mean"
