"""Encoders of which only their own forward knows the score: every cut text is asked of it, as Transformers itself answers."""

from functools import wraps

import numpy as np
import pytest
import tiny_encoders
import torch

import redviz
from redviz.credit.from_models.gradient_inputs import ResponseScore, gradient_inputs
from redviz.errors import RedvizError
from redviz.models.loading.load import load_reward_model
from redviz.models.running.own_forward import heeds_masks, together
from redviz.records import Example

PROMPT, RESPONSE = "Review the film , please.", "A warm, funny film. Dull mess!"
NO_EMBEDDINGS = ("Longformer", "Bart", "T5")
NO_PADDING = ("XLNet", "FNet", "BigBird", "ConvBert", "MobileBert")
NEAR = 2e-4


@pytest.mark.parametrize("kind", tiny_encoders.KINDS)
def test_every_prefix_is_the_models_own_score_of_the_cut_text(kind):
    model = tiny_encoders.model(kind)
    texts = [Example(PROMPT, RESPONSE), Example(PROMPT, "Dull.")]
    found = list(redviz.analyze_batch(model, texts, ["red", "red_closed", "truncation", "occlusion"], 2))
    for one in found:
        assert one.error is None
        brute = tiny_encoders.brute_prefixes(kind, one.observation.encoding)
        np.testing.assert_allclose(one.prefix_scores, brute, atol=NEAR)
        assert one.score == pytest.approx(brute[-1], abs=NEAR)
        for method in ("red", "red_closed"):
            np.testing.assert_allclose(one.credits[method].values, np.diff(brute), atol=NEAR)
    encoding = found[0].observation.encoding
    ids, types = (np.delete(part, encoding.start) for part in (encoding.ids, encoding.types))
    lost = found[0].score - tiny_encoders.own_score(tiny_encoders.plain(kind), ids, types)
    assert found[0].credits["occlusion"].values[0] == pytest.approx(lost, abs=NEAR)
    assert np.ptp(found[0].prefix_scores) > 20 * NEAR and model.own_forward == (kind not in ("MPNet", "Funnel"))
    assert (model.takes_embeddings, model.takes_padding) == (kind not in NO_EMBEDDINGS, kind not in NO_PADDING)


@pytest.mark.parametrize("kind", ["DistilBert", "ModernBert mean", "XLNet"])
def test_gradients_are_those_of_the_models_own_forward(kind):
    model, module = tiny_encoders.model(kind), tiny_encoders.plain(kind)
    encoding = model.encode(Example(PROMPT, RESPONSE))
    with torch.no_grad():
        leaf = module.get_input_embeddings()(torch.as_tensor(encoding.ids[None]))
    leaf.requires_grad_()
    types = {"token_type_ids": torch.as_tensor(encoding.types[None])} if kind == "XLNet" else {}
    module(inputs_embeds=leaf, **types).logits[0, 0].backward()
    theirs = leaf.grad[:, encoding.start : encoding.stop]
    given = gradient_inputs(model, encoding)
    ours = given.response.clone().requires_grad_()
    ResponseScore(model, given)(ours).sum().backward()
    assert float((ours.grad - theirs).abs().max()) < 1e-4 * float(theirs.abs().max())
    credit = redviz.analyze(model, PROMPT, RESPONSE, {"ig": {"steps": 64}}).credits["ig"]
    assert abs(credit.residual) < 0.05 * abs(credit.total - credit.reference) + 0.01


REFUSED = {
    "embeddings": ("T5", {"ig": {}}, "whose own forward takes no embeddings in place of ids"),
    "embeddings that are replaced": ("Bart", {"occlusion": {"operator": "mean"}}, "takes no embeddings"),
    "a mask": ("FNet", {"occlusion": {"operator": "mask"}}, "reads tokens that a mask hides"),
    "one row of attention": ("DistilBert", {"abc": {}}, "shows no attention weights of one token"),
    "attention through all layers": ("ModernBert", {"rollout": {}}, "reads more than one row of attention"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_forward_does_not_take_is_refused_in_a_sentence(what):
    kind, methods, said = REFUSED[what]
    with pytest.raises(RedvizError, match=said):
        redviz.analyze(tiny_encoders.model(kind), PROMPT, RESPONSE, methods)


def test_the_default_methods_leave_out_what_it_does_not_take():
    found = redviz.analyze(tiny_encoders.model("DistilBert"), PROMPT, RESPONSE)
    assert list(found.credits) == ["red", "ig"]


def test_comparisons_and_edits_ask_the_same_forward():
    model = tiny_encoders.model("Bart")
    compared = redviz.compare(model, PROMPT, [RESPONSE, "Dull."], ["red"])
    [edited] = redviz.what_if(model, redviz.analyze(model, PROMPT, RESPONSE, ["red"]), ["Dull."])
    alone = redviz.analyze(model, PROMPT, "Dull.", ["red"]).score
    assert compared.analyses[1].score == pytest.approx(alone, abs=NEAR)
    assert edited.after.score == pytest.approx(alone, abs=NEAR)


@pytest.mark.parametrize("kind", ["Bart", "DistilBert"])
def test_its_card_is_green_where_it_is_asked_for_its_own_score(kind):
    card = redviz.check_model(tiny_encoders.model(kind))
    verdicts = {check.name: check.verdict for check in card.checks}
    for name in ("own_score", "batching", "padding", "causality", "prefix_consistency", "pad_is_eos"):
        assert verdicts[name] == "green", card


def test_texts_share_a_pass_only_where_that_moves_nothing():
    assert not heeds_masks(tiny_encoders.plain("MobileBert"))  # whose last token holds the padding behind it
    texts = [np.array(ids) for ids in ([2, 7, 3], [2, 7, 8, 3], [2, 9, 3], [2, 3, 9, 3])]
    assert together(tiny_encoders.model("DistilBert"), texts) == [[0, 1, 2, 3]]
    assert together(tiny_encoders.model("XLNet"), texts) == [[0, 2], [1, 3]]
    assert together(tiny_encoders.model("Bart"), texts) == [[0, 1, 2], [3]]  # one has two end tokens


def test_a_forward_that_gives_another_score_each_time_is_refused(tmp_path, monkeypatch):
    forward = tiny_encoders.transformers.DistilBertForSequenceClassification.forward

    @wraps(forward)
    def noisy(self, *given, **named):
        out = forward(self, *given, **named)
        out.logits = out.logits + torch.rand(1)
        return out

    monkeypatch.setattr(tiny_encoders.transformers.DistilBertForSequenceClassification, "forward", noisy)
    with pytest.raises(RedvizError, match="scores one text .* and then"):
        load_reward_model(str(tiny_encoders.save(tmp_path, "DistilBert")), device="cpu")


def test_a_text_without_the_end_token_that_the_head_reads_is_refused_at_load(tmp_path):
    folder = tiny_encoders.save(tmp_path, "Bart")
    config = tiny_encoders.transformers.BartConfig.from_pretrained(folder)
    config.eos_token_id = 4  # [MASK], which no text holds by itself
    config.save_pretrained(folder)
    with pytest.raises(RedvizError, match="whose own forward scores no text by itself"):
        load_reward_model(str(folder), device="cpu")
