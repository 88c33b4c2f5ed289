"""Linear, recurrent and convolutional layers: what Transformers' own forward says of every text, and a sentence for what is not defined."""

import numpy as np
import pytest
import tiny
import tiny_hybrids
import torch

import redviz
from redviz.credit.from_models.gradient_inputs import ResponseScore, gradient_inputs
from redviz.credit.ingredients import why_not
from redviz.credit.recipes import recipes
from redviz.errors import RedvizError
from redviz.evaluation.conformance.checks import Subject
from redviz.evaluation.conformance.checks_of_scores import _summing
from redviz.models.running.attention_flow import kept_pass
from redviz.models.running.layer_kinds import in_place, order_of
from redviz.models.running.observe import attention_matrix, observe
from redviz.records import Example

PROMPT, RESPONSE = "How was it?", "The film is superb."
EXAMPLE = Example(PROMPT, RESPONSE)
NEAR = 3e-4  # scores spread by about one; a cache that is lost moves them by more than a tenth


def own_score(model, ids=None, embeddings=None):
    """The trunk as Transformers runs it, on this text alone, and the head on its last hidden state."""
    given = {"inputs_embeds": embeddings} if ids is None else {"input_ids": torch.as_tensor(np.asarray(ids))[None]}
    with tiny.native(model, "sdpa" if model.module.base_model._supports_sdpa else "eager") as module:
        return model.head(module.base_model(**given, use_cache=False).last_hidden_state[0, -1].float())[0]


@pytest.mark.parametrize("kind", tiny_hybrids.KINDS)
def test_scores_prefixes_coalitions_and_gradients_are_the_models_own(kind):
    model = tiny_hybrids.model(kind)
    analysis = redviz.analyze(model, PROMPT, RESPONSE, ["red", "occlusion"])
    encoding = analysis.observation.encoding
    ids, start, stop = encoding.ids, encoding.start, encoding.stop
    with torch.no_grad():
        brute = [float(own_score(model, ids[: start + t])) for t in range(0, stop - start + 1, 2)]
        without = [float(own_score(model, np.delete(ids, t))) for t in (start, stop - 1)]
    assert not model.both_ways and not model.reuses
    np.testing.assert_allclose(analysis.prefix_scores[::2], brute, atol=NEAR)
    lost = analysis.score - np.array(without)
    np.testing.assert_allclose(analysis.credits["occlusion"].values[[0, -1]], lost, atol=NEAR)
    with torch.no_grad():
        whole = model.module.get_input_embeddings()(torch.as_tensor(ids[None]))
    leaf = whole.clone().requires_grad_()
    own_score(model, embeddings=leaf).backward()
    given = gradient_inputs(model, encoding)
    ours = given.response.clone().requires_grad_()
    ResponseScore(model, given)(ours).sum().backward()
    theirs = leaf.grad[:, start:stop]
    assert float((ours.grad - theirs).abs().max()) < 1e-3 * float(theirs.abs().max())


@pytest.mark.parametrize("kind", ["qwen3_5_text", "jamba"])
def test_batches_comparisons_and_edits_are_ordinary_passes(kind):
    model = tiny_hybrids.model(kind)
    texts = [RESPONSE, "Dull.", "The film is a tedious mess, and the lead is superb."]
    alone = [observe(model, [model.encode(Example(PROMPT, text))])[0] for text in texts]
    batch = list(redviz.analyze_batch(model, [Example(PROMPT, text) for text in texts], ["red"], 3))
    compared = redviz.compare(model, PROMPT, texts, ["red"]).analyses
    edited = redviz.what_if(model, redviz.analyze(model, PROMPT, RESPONSE, ["red"]), texts[1:])
    for found in (batch, compared, [batch[0], *(one.after for one in edited)]):
        for one, want in zip(found, alone, strict=True):
            np.testing.assert_allclose(one.prefix_scores, want.prefix_scores, atol=NEAR)


def test_attention_rows_stand_at_their_own_layers():
    model = tiny_hybrids.model("jamba")  # layers 0 and 2 attend
    observation = observe(model, [model.encode(EXAMPLE)])[0]
    encoding = observation.encoding
    with tiny.native(model) as module, torch.inference_mode():
        told = module.base_model(torch.as_tensor(encoding.ids[None]), output_attentions=True).attentions
    first, second = [one[0].numpy() for one in told if one is not None]  # [head, L, L] each
    last = encoding.stop - 1
    assert np.isnan(observation.response_row[[1, 3]]).all()
    np.testing.assert_allclose(observation.response_row[0], first[:, last], atol=1e-5)
    np.testing.assert_allclose(observation.response_row[2], second[:, last], atol=1e-5)
    np.testing.assert_allclose(attention_matrix(model, encoding, 2, 1)[-1], second[1, last], atol=1e-5)
    kept = kept_pass(model, encoding, 2).layers[0].rows(torch.tensor([[last]]))[0, 0]
    np.testing.assert_allclose(kept.numpy(), second[:, last], atol=1e-5)
    own = second[:, last].mean(0)[encoding.start : encoding.stop]
    credit = redviz.analyze(model, PROMPT, RESPONSE, {"abc": {"layer": 2}}).credits["abc"]
    np.testing.assert_allclose(credit.values, observation.score * own / own.sum(), rtol=1e-3)


REFUSED = {
    "abc of a layer that does not attend": ("jamba", {"abc": {}}, "Layer 3 of this model has no attention .* are 0, 2"),
    "its values": ("jamba", {"attention_norm": {"layer": 1}}, "Layer 1 of .* has no attention weights.* are 0, 2"),
    "rollout": ("jamba", {"rollout": {}}, "attention weights in 2 of its 4 layers"),
    "rollout beside a state": ("falcon_h1", {"rollout": {}}, "attend and carry a state side by side"),
    "abc without attention": ("mamba", {"abc": {}}, "shows no attention weights"),
    "closed prefixes": ("qwen3_5_text", {"red_closed": {}}, "does not let the prefixes .* share one pass"),
    "a mask": ("mamba2", {"occlusion": {"operator": "mask"}}, "carry a state past what nobody attends to"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_defined_is_refused_in_a_sentence(what):
    kind, methods, said = REFUSED[what]
    with pytest.raises(RedvizError, match=said):
        redviz.analyze(tiny_hybrids.model(kind), PROMPT, RESPONSE, methods)


def test_default_methods_and_the_card_leave_out_what_the_last_layer_does_not_have():
    model = tiny_hybrids.model("jamba")
    observation = observe(model, [model.encode(EXAMPLE)])[0]
    assert why_not(observation, recipes(["abc"])["abc"]).startswith(
        "abc: Layer 3 of this model has no attention weights"
    )
    assert why_not(observation, recipes({"abc": {"layer": 2}})["abc"]) == ""
    assert list(_summing(Subject(model, (observation.encoding,)))) == ["sparse", "uniform", "red", "ig"]


def test_rows_whose_layers_cannot_be_told_are_no_rows():
    kinds = ["linear_attention", "full_attention", "conv"]
    assert in_place(np.ones((1, 2, 1, 1, 4), np.float32), kinds) is None
    assert (order_of(kinds, 1, "m"), order_of(["full_attention"] * 2, -1, "m"), order_of([], 3, "m")) == (0, -1, 3)


def test_ordinary_models_still_reuse_what_they_can():
    for architecture in ("Llama", "Mistral", "GPT2"):
        assert tiny.model(architecture).reuses
