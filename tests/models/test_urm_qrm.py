"""QRM and URM: scores, objectives and gates against a few lines written from the published code."""

import numpy as np
import pytest
import tiny
import torch
from tiny_families import attributes, attributes_config, config_of, gate_config, quantiles, saved
from transformers import Gemma2Config, LlamaConfig

import redviz
from redviz.errors import RedvizError
from redviz.models.loading.load import load_reward_model
from redviz.models.running.observe import observe
from redviz.records import Example

PAIRS = [
    ("Write a short review of the film.", "The lead is superb , moving and funny ."),
    ("And the music ?", "Dull ."),
]
EXAMPLE = Example(*PAIRS[0])


def ids_of(tok, prompt, response):
    talk = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
    return tok.apply_chat_template(talk, tokenize=True, return_dict=True)["input_ids"]


def agrees(model, score):
    """Score and objectives of a batch of two prompts, both paddings; prefixes by brute force; ``score`` maps ids to both."""
    encodings = [model.encode(Example(*pair)) for pair in PAIRS]
    whole = [[int(i) for i in encoding.ids] for encoding in encodings]
    for side in ("right", "left"):
        seen = observe(model, encodings, side=side)
        assert model.own_scores(whole, side).tolist() == pytest.approx([score(ids)[0] for ids in whole], abs=1e-5)
        for one, ids in zip(seen, whole, strict=True):
            expected, objectives = score(ids)
            assert one.score == pytest.approx(expected, abs=1e-5)
            np.testing.assert_allclose(one.label_scores[one.encoding.read], objectives, atol=1e-5)
            start, stop = one.encoding.start, one.encoding.stop
            brute = [score(ids[:end]) for end in range(start, stop + 1)]
            np.testing.assert_allclose(one.prefix_scores, [b[0] for b in brute], atol=1e-5)
            np.testing.assert_allclose(one.label_scores[start - 1 : stop], [b[1] for b in brute], atol=1e-5)
        assert np.ptp(seen[0].prefix_scores) > 0.05
    analysis = redviz.analyze(model, *PAIRS[0], ["red", "red_closed", "abc", "ig", "occlusion", "truncation"])
    whole_score = score(whole[0])[0]
    cut = PAIRS[0][1][: analysis.offsets[3][1]]
    behind = whole_score - score(model.encode(Example(PAIRS[0][0], cut)).ids.tolist())[0]
    assert analysis.credits["truncation"].values[4:].sum() == pytest.approx(behind, abs=1e-4)
    assert analysis.credits["red_closed"].values[4:].sum() == pytest.approx(behind, abs=1e-4)
    assert analysis.credits["red"].residual == pytest.approx(0, abs=1e-4)
    ig = analysis.credits["ig"]
    assert abs(ig.residual) < 0.05 * max(1.0, abs(ig.total - ig.reference))
    return analysis


def one_alone(folder, name, k, analysis):
    """One objective chosen at load is that objective chosen of the whole model."""
    alone = load_reward_model(str(folder), head=name, device="cpu")
    one = redviz.analyze(alone, *PAIRS[0], ["red", "ig"]).credits["red"]
    curve = list(analysis.head_scores.values())[k]
    np.testing.assert_allclose(np.cumsum(one.own), curve[1:] - curve[0], atol=1e-4)
    assert one.total == pytest.approx(float(analysis.observation.of_label(k).score), abs=1e-5)


@pytest.mark.parametrize(("kind", "count"), [(LlamaConfig, 5), (Gemma2Config, 4)])
def test_qrm_reads_the_mean_of_quantiles_and_a_normalised_gate(tmp_path, kind, count):
    gemma = kind is Gemma2Config
    more = {"head_dim": 12, "query_pre_attn_scalar": 12} if gemma else {}
    tensors, layers, regression, matrix = quantiles(count, gemma=gemma)
    changes = {**gate_config(count), "gating_temperature": 2, "num_quantiles": 3}
    trunk, tok = saved(tmp_path, config_of(kind, **more), "model.", tensors, tiny.ENDS, changes=changes)
    pattern = changes["gating_header"]

    @torch.no_grad()
    def score(ids):
        states = trunk(input_ids=torch.tensor([ids])).last_hidden_state[0]
        at = max(j for j in range(len(ids) - 1) if ids[j : j + 2] == pattern)
        weights = torch.softmax(layers(states[at][None])[0] / 2, -1) * 1.5
        objectives = regression(states[-1]).reshape(count, 3).mean(-1) @ matrix
        return float((weights * objectives).sum()), objectives.numpy()

    model = load_reward_model(str(tmp_path), device="cpu")
    assert model.source.family == "qrm" and model.encode(EXAMPLE).ids.tolist() == ids_of(tok, *PAIRS[0])
    assert model.gate is not None and {b.dtype for b in model.gate.buffers()} == {torch.float32}
    assert model.source.heads[0] == ("objective 0" if gemma else "helpsteer-helpfulness")
    one_alone(tmp_path, model.source.heads[2], 2, agrees(model, score))


def test_qrm_whose_quantiles_do_not_fit_is_refused(tmp_path):
    changes = {**gate_config(4), "num_quantiles": 3}
    saved(tmp_path, config_of(LlamaConfig), "model.", quantiles(5)[0], tiny.ENDS, changes=changes)
    with pytest.raises(RedvizError, match="15 quantiles, which 4 objectives do not divide"):
        load_reward_model(str(tmp_path), device="cpu")


def test_urm_weighs_its_means_where_it_reads_them(tmp_path):
    tensors, heads, layers = attributes()
    trunk, tok = saved(
        tmp_path, config_of(LlamaConfig), "model.", tensors, tiny.CLOSED, changes=attributes_config()
    )  # fmt: skip

    @torch.no_grad()
    def score(ids):
        state = trunk(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        means = heads(state).reshape(5, 2)[:, 0]
        gated = float((means * layers(state)).sum())
        return gated, np.array([gated, *means.tolist()])

    model = load_reward_model(str(tmp_path), device="cpu")
    assert model.source.family == "urm" and model.encode(EXAMPLE).ids.tolist() == ids_of(tok, *PAIRS[0])
    assert model.source.heads == ("score", "helpfulness", "correctness", "coherence", "complexity", "verbosity")
    one_alone(tmp_path, "coherence", 3, agrees(model, score))
    half = load_reward_model(str(tmp_path), device="cpu", dtype="bfloat16")
    assert half.dtype == torch.bfloat16 and {p.dtype for p in half.head.parameters()} == {torch.float32}


def test_urm_of_another_number_of_attributes(tmp_path):
    tensors, *_ = attributes(3)
    saved(tmp_path, config_of(LlamaConfig), "model.", tensors, tiny.CLOSED, changes=attributes_config(3))
    model = load_reward_model(str(tmp_path), device="cpu")
    assert model.source.heads == ("score", "attribute 0", "attribute 1", "attribute 2")
