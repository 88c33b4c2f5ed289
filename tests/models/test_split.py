"""Taking a sequence classifier apart: heads that are refused, heads of several labels, and a model found out by trying."""

import pytest
import tiny
import tiny_both_ways as both
import torch
import transformers

import redviz
from redviz.errors import RedvizError
from redviz.models.loading.load import load_reward_model
from redviz.models.running import both_ways
from redviz.models.running.observe import observe
from redviz.records import Example

PROMPT, RESPONSE = "Review the film , please.", "A warm, funny film. Dull mess!"


def seen_by(model, response=RESPONSE, **options):
    return observe(model, [model.encode(Example(PROMPT, response))], **options)[0]


def _saved(tmp_path, architecture, **options):
    made = both.tokenizer()
    sizes = dict(vocab_size=len(made), hidden_size=48, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4)
    sizes |= {"num_labels": 1, "pad_token_id": 0, "bos_token_id": None, "eos_token_id": None}
    config = getattr(transformers, f"{architecture}Config")(**sizes, **options)
    torch.manual_seed(0)
    module = getattr(transformers, f"{architecture}ForSequenceClassification")(config)
    tiny.draw_weights(module)
    module.save_pretrained(tmp_path)
    made.save_pretrained(tmp_path)
    return tmp_path


def test_a_forward_that_scores_no_text_by_itself_is_refused_in_one_sentence(tmp_path):
    folder = _saved(
        tmp_path, "Bart", d_model=16, encoder_layers=1, decoder_layers=1
    )  # it reads at an end token: there is none
    with pytest.raises(RedvizError, match="scores no text by itself .*; redviz reads heads called score") as caught:
        load_reward_model(str(folder), device="cpu")
    assert "\n" not in str(caught.value)


def test_where_embeddings_score_otherwise_than_ids_the_models_own_forward_is_asked(monkeypatch):
    own = both_ways.Embedded.scores
    monkeypatch.setattr(both_ways.Embedded, "scores", lambda *given: own(*given) + 1)
    model = load_reward_model(str(both.checkpoint("Bert")), device="cpu")
    assert model.own_forward and model.takes_padding and not model.takes_embeddings
    seen = seen_by(model)
    assert seen.prefix_scores == pytest.approx(both.brute_prefixes(model, seen.encoding), abs=1e-4)
    with pytest.raises(RedvizError, match="takes no embeddings"):
        redviz.analyze(model, PROMPT, RESPONSE, ["saliency"])


def test_a_first_token_that_sees_no_other_is_refused(tmp_path):
    with pytest.raises(RedvizError, match="at the first token, which sees no other"):
        load_reward_model(str(_saved(tmp_path, "Bert", is_decoder=True)), device="cpu")


def test_several_labels_need_a_head_and_get_it(tmp_path):
    folder = both.save(tmp_path, "Bert", labels=2)
    with pytest.raises(RedvizError, match="2 labels"):
        load_reward_model(str(folder), device="cpu")
    model = load_reward_model(str(folder), device="cpu", head="1-0")
    seen = seen_by(model)
    assert seen.prefix_scores == pytest.approx(both.brute_prefixes(model, seen.encoding), abs=1e-4)
    for label in (0, 1):
        found = redviz.analyze(model, PROMPT, RESPONSE, {"red": {"objective": label}}).credits["red"]
        alone = load_reward_model(str(folder), device="cpu", head=label)
        assert found.values == pytest.approx(
            redviz.analyze(alone, PROMPT, RESPONSE, ["red"]).credits["red"].values, abs=1e-4
        )


def test_half_precision_is_found_out_too():
    model = load_reward_model(str(both.checkpoint("DebertaV2")), device="cpu", dtype="bfloat16")
    exact = seen_by(both.model("DebertaV2")).prefix_scores
    assert model.both_ways and seen_by(model).prefix_scores == pytest.approx(exact, abs=0.2)
